//! Tags between the wire and the model, with the field rules.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization as _;

use super::model::{Addition, Filter, NewTag, Order, Removal, SortKey, Source, Tag, TagCount};
use crate::auth::{Caller, PEOPLE, WRITERS};
use crate::check::{At, Violations, to_pb_time};
use crate::error::Result;
use crate::id::PhotoId;
use crate::page::{MAX_BYTES, PageRequest, Pages};
use crate::{MAX_BATCH, pb};

/// Most tags of one request.
const MAX_TAGS: usize = 100;
/// Most pairs of photo and tag of one request.
const MAX_PAIRS: usize = 10_000;
/// Most characters of a tag.
const MAX_CHARACTERS: usize = 100;
/// Bytes of a tag in a response, without the word itself.
const BYTES_BESIDE_TAG: usize = 120;

/// Reads `AddTags`. The role is asked first: it does not depend on whether the rest is well-formed.
pub(super) fn add(caller: &Caller, request: pb::AddTagsRequest) -> Result<Addition> {
    let pb::AddTagsRequest { photo_ids, tags } = request;
    for tag in &tags {
        writable(caller, tag.source)?;
    }
    let mut checks = Violations::new();
    let at = At::REQUEST.field("tags");
    let pairs = photo_ids.len().saturating_mul(tags.len());
    let photo_ids = photos(&mut checks, &photo_ids);
    if checks.count(&at, tags.len(), 1..=MAX_TAGS) && pairs > MAX_PAIRS {
        checks.refuse(&at, format!("makes {pairs} pairs of photo and tag; {MAX_PAIRS} are allowed"));
    }
    let mut folded: Vec<NewTag> = Vec::with_capacity(tags.len().min(MAX_TAGS));
    for (index, tag) in tags.into_iter().take(MAX_TAGS).enumerate() {
        let tag = new_tag(&mut checks, &At::REQUEST.item("tags", index), caller, tag);
        match folded.iter_mut().find(|known| known.folded == tag.folded && known.source == tag.source) {
            Some(known) => known.confidence = tag.confidence.or(known.confidence),
            None => folded.push(tag),
        }
    }
    let bytes: usize = folded.iter().map(|tag| tag.tag.len() + BYTES_BESIDE_TAG).sum();
    if checks.is_empty() && bytes.saturating_mul(photo_ids.len()) > MAX_BYTES {
        checks.refuse(&at, "makes a response that passes 3.5 MiB; add fewer at a time");
    }
    checks.finish()?;
    Ok(Addition { photo_ids, tags: folded })
}

fn new_tag(checks: &mut Violations, at: &At<'_>, caller: &Caller, tag: pb::Tag) -> NewTag {
    let pb::Tag {
        // Output only.
        id: _,
        photo_id: _,
        create_time: _,
        tag,
        source,
        confidence,
    } = tag;
    let source = match checks.known_or_default(&at.field("source"), source) {
        pb::TagSource::Unspecified => own_source(caller),
        pb::TagSource::Ai => Source::Ai,
        pb::TagSource::User => Source::User,
    };
    let at_confidence = at.field("confidence");
    if source == Source::User && confidence.is_some() {
        checks.refuse(&at_confidence, "is for AI tags only");
    }
    let confidence = checks.confidence(&at_confidence, confidence);
    let tag = normalized(checks, &at.field("tag"), &tag);
    NewTag { folded: fold(&tag), tag, source, confidence }
}

/// Reads `RemoveTags`; the role first, as in [`add`].
pub(super) fn remove(caller: &Caller, request: pb::RemoveTagsRequest) -> Result<Removal> {
    let pb::RemoveTagsRequest { photo_ids, tags, source } = request;
    writable(caller, source)?;
    let mut checks = Violations::new();
    let photo_ids = photos(&mut checks, &photo_ids);
    checks.count(&At::REQUEST.field("tags"), tags.len(), 1..=MAX_TAGS);
    let tags = tags.iter().take(MAX_TAGS).enumerate();
    let folded =
        tags.map(|(index, tag)| fold(&normalized(&mut checks, &At::REQUEST.item("tags", index), tag))).collect();
    let sources = match checks.known_or_default(&At::REQUEST.field("source"), source) {
        pb::TagSource::Ai => vec![Source::Ai],
        pb::TagSource::User => vec![Source::User],
        pb::TagSource::Unspecified => {
            [Source::Ai, Source::User].into_iter().filter(|&source| caller.require(writers(source)).is_ok()).collect()
        }
    };
    checks.finish()?;
    Ok(Removal { photo_ids, folded, sources })
}

/// Reads `ListTags`.
pub(super) fn list(request: pb::ListTagsRequest) -> Result<PhotoId> {
    let pb::ListTagsRequest { photo_id } = request;
    let mut checks = Violations::new();
    let photo_id = checks.id(&At::REQUEST.field("photo_id"), &photo_id);
    checks.finish()?;
    Ok(photo_id)
}

/// Reads `ListTagCounts`.
pub(super) fn list_counts(
    pages: &Pages,
    caller: &Caller,
    request: pb::ListTagCountsRequest,
) -> Result<(Filter, Order, PageRequest<SortKey>)> {
    let scope = pb::ListTagCountsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let pb::ListTagCountsRequest { project_id, prefix, order_by, page_size, page_token } = request;
    let mut checks = Violations::new();
    let filter = Filter {
        project_id: project_id.map(|project_id| checks.id(&At::REQUEST.field("project_id"), &project_id)),
        prefix: self::prefix(&mut checks, &At::REQUEST.field("prefix"), &prefix),
    };
    let order = match order_by.split_whitespace().collect::<Vec<_>>().as_slice() {
        [] | ["count", "desc"] => Order::CountDescending,
        ["tag"] | ["tag", "asc"] => Order::Tag,
        _ => {
            checks.refuse(&At::REQUEST.field("order_by"), "is none of count desc, tag");
            Order::CountDescending
        }
    };
    let page = pages.read(&mut checks, caller, (page_size, &page_token), &scope)?;
    checks.finish()?;
    Ok((filter, order, page))
}

/// Refuses callers whose role may not write tags of a source, given as the request has it. Unknown sources pass:
/// they break a field rule.
fn writable(caller: &Caller, source: i32) -> Result<()> {
    match pb::TagSource::try_from(source) {
        Ok(pb::TagSource::Ai) => caller.require(writers(Source::Ai)),
        Ok(pb::TagSource::User) => caller.require(writers(Source::User)),
        Ok(pb::TagSource::Unspecified) | Err(_) => Ok(()),
    }
}

fn writers(source: Source) -> &'static [crate::auth::Role] {
    match source {
        Source::Ai => WRITERS,
        Source::User => PEOPLE,
    }
}

fn own_source(caller: &Caller) -> Source {
    if caller.role.is_person() { Source::User } else { Source::Ai }
}

/// Reads the photos of a request; a repeated one counts once.
fn photos(checks: &mut Violations, ids: &[String]) -> Vec<PhotoId> {
    let ids = checks.ids(&At::REQUEST, "photo_ids", ids, 1..=MAX_BATCH);
    let mut seen = HashSet::with_capacity(ids.len());
    ids.into_iter().filter(|id| seen.insert(*id)).collect()
}

/// Reads a tag in the form in which it is stored.
fn normalized(checks: &mut Violations, at: &At<'_>, text: &str) -> String {
    let tag = compose(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    refuse_controls(checks, at, &tag);
    checks.text(at, tag, 1..=MAX_CHARACTERS)
}

/// Reads a tag to search for, as it is compared.
pub(crate) fn folded(checks: &mut Violations, at: &At<'_>, text: &str) -> String {
    fold(&normalized(checks, at, text))
}

/// Reads the start of a tag: white space at its end stays, as one space, because a word ends there.
fn prefix(checks: &mut Violations, at: &At<'_>, text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !words.is_empty() && text.ends_with(char::is_whitespace) {
        words.push(' ');
    }
    let prefix = compose(&words);
    refuse_controls(checks, at, &prefix);
    fold(&checks.text(at, prefix, 0..=MAX_CHARACTERS))
}

fn compose(text: &str) -> String {
    text.nfc().collect()
}

/// NUL is left to [`Violations::text`].
fn refuse_controls(checks: &mut Violations, at: &At<'_>, text: &str) {
    if text.chars().any(|character| character.is_control() && character != '\0') {
        checks.refuse(at, "contains a control character");
    }
}

/// Folds case letter by letter: `str::to_lowercase` looks at a sigma's neighbours, and a prefix has fewer of them.
fn fold(tag: &str) -> String {
    tag.chars().flat_map(char::to_lowercase).nfc().collect()
}

/// Shows a tag.
pub(super) fn to_pb(tag: Tag) -> pb::Tag {
    let Tag { id, photo_id, tag, source, confidence, created_at } = tag;
    let source = match source {
        Source::Ai => pb::TagSource::Ai,
        Source::User => pb::TagSource::User,
    };
    pb::Tag {
        id: id.to_string(),
        photo_id: photo_id.to_string(),
        tag,
        source: source.into(),
        confidence,
        create_time: Some(to_pb_time(created_at)),
    }
}

/// Shows a tag with its count.
pub(super) fn count_to_pb(count: TagCount) -> pb::TagCount {
    let TagCount { tag, folded: _, count } = count;
    pb::TagCount { tag, count }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String> {
        let mut checks = Violations::new();
        let tag = normalized(&mut checks, &At::REQUEST.field("tag"), text);
        checks.finish().map(|()| tag)
    }

    #[test]
    fn normalized_trims_folds_white_space_and_composes() {
        let tag = read(" \u{a0}Cre\u{301}pi \n\t du\u{3000}mur ").unwrap();

        assert_eq!(tag, "Cr\u{e9}pi du mur");
        assert_eq!(fold(&tag), "cr\u{e9}pi du mur");
    }

    #[test]
    fn normalized_counts_characters_after_composing() {
        assert!(read(&"e\u{301}".repeat(100)).is_ok());
        assert!(read(&"e".repeat(101)).is_err());
        assert!(read(" \t ").is_err());
        assert!(read("a\u{7}b").is_err());
        assert!(read("a\0b").is_err());
    }

    #[test]
    fn fold_of_a_start_is_the_start_of_the_fold() {
        assert!(fold("ΟΔΟΣΤΡΩΜΑ").starts_with(&fold("ΟΔΟΣ")));
    }

    #[test]
    fn prefix_keeps_one_space_at_its_end() {
        let mut checks = Violations::new();

        assert_eq!(prefix(&mut checks, &At::REQUEST, "  Roof \t "), "roof ");
        assert_eq!(prefix(&mut checks, &At::REQUEST, "   "), "");
    }
}
