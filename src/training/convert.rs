//! Training data between the wire and the model, with the field rules.

use super::model::{Category, Cursor, Plan, REJECT, Skipped, Stage};
use super::split::{Part, Split};
use crate::auth::Caller;
use crate::check::{At, Violations};
use crate::detection;
use crate::error::Result;
use crate::geometry::Picture;
use crate::page::{Binding, PageRequest, Pages};
use crate::{MAX_BATCH, pb};

/// Reads ExportTrainingData: what is asked for, what tokens belong to, and where it goes on.
pub(crate) fn export(
    pages: &Pages,
    caller: &Caller,
    request: pb::ExportTrainingDataRequest,
) -> Result<(Plan, Binding, Option<Cursor>)> {
    let scope = pb::ExportTrainingDataRequest { resume_token: String::new(), ..request.clone() };
    let pb::ExportTrainingDataRequest { format, filter, verdicts, include_unreviewed, resume_token, frame, split } =
        request;
    let mut checks = Violations::new();
    let format = checks.known_or_default::<pb::TrainingDataFormat>(&At::REQUEST.field("format"), format);
    let frame = checks.known_or_default::<pb::ImageFrame>(&At::REQUEST.field("frame"), frame);
    let mut filter = detection::read_filter(&mut checks, &At::REQUEST.field("filter"), filter.unwrap_or_default());
    let plan = Plan {
        coco: format != pb::TrainingDataFormat::JsonLines,
        user_confirmed: filter.user_confirmed.take(),
        filter,
        verdicts: self::verdicts(&mut checks, &verdicts),
        unreviewed: include_unreviewed,
        frame: if frame == pb::ImageFrame::Stored { Picture::Stored } else { Picture::Upright },
        split: split.map(|split| self::split(&mut checks, &At::REQUEST.field("split"), split)),
    };
    if ![None, Some("confirm"), Some("correct"), Some(REJECT)].into_iter().any(|verdict| plan.wants(verdict)) {
        checks.refuse(
            &At::REQUEST.field("filter").field("user_confirmed"),
            "fits none of the verdicts that are asked for",
        );
    }
    checks.finish()?;
    let (binding, cursor) = pages.resume(caller, "resume_token", &resume_token, &scope)?;
    Ok((plan, binding, cursor))
}

fn verdicts(checks: &mut Violations, verdicts: &[i32]) -> Vec<&'static str> {
    if verdicts.is_empty() {
        return vec!["confirm", "correct"];
    }
    let mut names = Vec::new();
    for (index, verdict) in verdicts.iter().enumerate() {
        let at = At::REQUEST.item("verdicts", index);
        match checks.known(&at, *verdict) {
            pb::Verdict::Unspecified => {}
            pb::Verdict::Confirm => names.push("confirm"),
            pb::Verdict::Correct => names.push("correct"),
            pb::Verdict::Reject => names.push(REJECT),
            pb::Verdict::Retract => checks.refuse(&at, "is never a detection's newest verdict"),
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn split(checks: &mut Violations, at: &At<'_>, split: pb::TrainingDataSplit) -> Split {
    let pb::TrainingDataSplit { key, validation_percent, test_percent, seed, part } = split;
    let mut percent = |name: &'static str, given: i32| match u8::try_from(given) {
        Ok(percent) if percent <= 100 => percent,
        _ => {
            checks.refuse(&at.field(name), format!("is {given}; 0 to 100 is allowed"));
            0
        }
    };
    let (validation, test) = (percent("validation_percent", validation_percent), percent("test_percent", test_percent));
    if validation + test > 100 {
        checks
            .refuse(&at.field("test_percent"), format!("leaves {validation} and {test} of 100; together at most 100"));
    }
    Split {
        by_project: checks.known::<pb::SplitKey>(&at.field("key"), key) == pb::SplitKey::Project,
        validation,
        test,
        seed: checks.text(&at.field("seed"), seed, 0..=100),
        part: match checks.known_or_default::<pb::SplitPart>(&at.field("part"), part) {
            pb::SplitPart::Unspecified => None,
            pb::SplitPart::Train => Some(Part::Train),
            pb::SplitPart::Validation => Some(Part::Validation),
            pb::SplitPart::Test => Some(Part::Test),
        },
    }
}

/// Shows how far an export is.
pub(super) fn progress(cursor: &Cursor) -> pb::TrainingDataProgress {
    let counts = cursor.counts;
    pb::TrainingDataProgress {
        images: counts.images,
        annotations: counts.annotations,
        negatives: counts.negatives,
        skipped_photos: counts.skipped_photos,
        skipped_objects: counts.skipped_objects,
        done: cursor.stage == Stage::End,
    }
}

/// Shows what was left out.
pub(super) fn skipped(skipped: Skipped) -> pb::SkippedData {
    match skipped {
        Skipped::Photo(photo_id) => pb::SkippedData {
            reason: pb::SkipReason::NoDimensions.into(),
            photo_id: photo_id.to_string(),
            ..pb::SkippedData::default()
        },
        Skipped::Object(photo_id, detection_id, object_id) => pb::SkippedData {
            reason: pb::SkipReason::NoBox.into(),
            photo_id: photo_id.to_string(),
            detection_id: detection_id.to_string(),
            object_id,
        },
    }
}

/// Reads RegisterCategories.
pub(crate) fn categories(request: pb::RegisterCategoriesRequest) -> Result<Vec<Category>> {
    let pb::RegisterCategoriesRequest { categories } = request;
    let mut checks = Violations::new();
    checks.count(&At::REQUEST.field("categories"), categories.len(), 1..=MAX_BATCH);
    checks.finish()?;
    let mut checks = Violations::new();
    let read = categories.into_iter().enumerate().map(|(index, category)| {
        let at = At::REQUEST.item("categories", index);
        let pb::Category { id, name, supercategory } = category;
        if id.is_some_and(|id| id < 0) {
            checks.refuse(&at.field("id"), "is negative");
        }
        Category {
            id,
            name: checks.text(&at.field("name"), name, 1..=200),
            supercategory: checks.text(&at.field("supercategory"), supercategory, 0..=200),
            created_at: None,
        }
    });
    let read = read.collect();
    checks.finish()?;
    Ok(read)
}

/// Reads ListCategories; the sort key is the number of the last one.
pub(crate) fn page_of(pages: &Pages, caller: &Caller, request: &pb::ListCategoriesRequest) -> Result<PageRequest<i32>> {
    let mut checks = Violations::new();
    let scope = pb::ListCategoriesRequest::default();
    let page = pages.read(&mut checks, caller, (request.page_size, &request.page_token), &scope)?;
    checks.finish()?;
    Ok(page)
}

/// Shows a category.
pub(crate) fn shown(category: Category) -> pb::Category {
    let Category { id, name, supercategory, created_at: _ } = category;
    pb::Category { id, name, supercategory }
}
