//! The conditions of a photo filter as SQL.

use super::list::CAPTURED_AT;
use super::model::{Filter, Seen};
use crate::db::{Draft, Slot};

/// Rows that carry a photo's id and create_time, and by which photos are found; called `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// The rarest of the tags that must all be there.
    AllTags,
    /// Tags of which one must be there.
    AnyTag,
    /// Labels of detections.
    Labels,
    /// Detections by a model.
    Models,
}

/// The values that carriers have, as parameters; beside models, the types, of which none means all.
#[derive(Clone, Copy)]
pub(super) struct Values(Slot, Option<Slot>);

impl Carrier {
    /// The carriers that a filter asks for.
    pub(super) fn of(filter: &Filter) -> Option<Self> {
        match &filter.detection {
            _ if !filter.tags_all.is_empty() => Some(Self::AllTags),
            _ if !filter.tags_any.is_empty() => Some(Self::AnyTag),
            Some(seen) if !seen.labels.is_empty() => Some(Self::Labels),
            Some(seen) if !seen.model_versions.is_empty() => Some(Self::Models),
            _ => None,
        }
    }

    /// Whether they are tags: those have an index by project too.
    pub(super) fn is_tags(self) -> bool {
        matches!(self, Self::AllTags | Self::AnyTag)
    }

    /// Gives the values.
    pub(super) fn give<'a>(self, filter: &'a Filter, draft: &mut Draft<'a>) -> Values {
        match (self, &filter.detection) {
            (Self::AllTags, _) => Values(draft.slot(&filter.tags_all), None),
            (Self::Labels, Some(seen)) => Values(draft.slot(&seen.labels), None),
            (Self::Models, Some(seen)) => {
                let types = (!seen.types.is_empty()).then(|| draft.slot(&seen.types));
                Values(draft.slot(&seen.model_versions), types)
            }
            _ => Values(draft.slot(&filter.tags_any), None),
        }
    }

    /// Reads the values one by one, as `v`, and beside models the types, as `t`.
    pub(super) fn values(self, Values(given, types): Values, draft: &mut Draft<'_>) {
        if self == Self::AllTags {
            // Counted to a thousand: beyond that, one is as good as another.
            draft.sql("(select v.value from unnest(").again(given).sql(
                "::text[]) v (value) cross join lateral (
                    select count(*) as found from (
                        select from companycam_photos.tags t
                        where t.organization_id = $1 and t.tag_folded = v.value limit 1000
                    ) t
                ) c order by c.found limit 1) v",
            );
        } else {
            draft.sql("unnest(").again(given).sql("::text[]) v (value)");
        }
        if self == Self::Models {
            match types {
                Some(types) => draft.sql(" cross join unnest(").again(types).sql("::text[]) t (detection_type)"),
                None => draft.sql(" cross join unnest(array['damage', 'material', 'volume']) t (detection_type)"),
            };
        }
    }

    /// The rows of a value.
    pub(super) fn rows(self) -> &'static str {
        match self {
            Self::AllTags | Self::AnyTag => {
                "companycam_photos.tags x where x.organization_id = $1 and x.tag_folded = v.value"
            }
            Self::Labels => "companycam_photos.detection_labels x where x.organization_id = $1 and x.label = v.value",
            Self::Models => {
                "companycam_photos.detections x
                 where x.organization_id = $1 and x.detection_type = t.detection_type and x.model_version = v.value"
            }
        }
    }

    /// What else the detection of a row must be.
    pub(super) fn rest<'a>(self, filter: &'a Filter, draft: &mut Draft<'a>) {
        let Some(seen) = &filter.detection else { return };
        match self {
            Self::AllTags | Self::AnyTag => {}
            Self::Labels => of_label(draft, seen, "x.detection_id"),
            Self::Models => as_seen(draft, seen, "x"),
        }
    }
}

/// A column of photos that may have one of several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// The building site.
    Project,
    /// Who took it.
    User,
}

/// How a photo is called where conditions look it up: its id and its create_time.
#[derive(Clone, Copy)]
pub(super) struct Handle {
    id: &'static str,
    time: &'static str,
}

impl Handle {
    /// A photo `p`.
    pub(super) const PHOTO: Self = Self { id: "p.id", time: "p.created_at" };
    /// The photo of a carrier `x`.
    pub(super) const CARRIER: Self = Self { id: "x.photo_id", time: "x.photo_created_at" };
}

impl Filter {
    /// What the columns of a photo `p` must be, but for one that is settled.
    pub(super) fn of_photo<'a>(&'a self, draft: &mut Draft<'a>, settled: Option<Column>) {
        self.of_stretch(draft, settled, true);
        self.of_rest(draft, true);
    }

    /// Of these, what an index in the order of a list narrows to: project, person and the time that sorts.
    pub(super) fn of_stretch<'a>(&'a self, draft: &mut Draft<'a>, settled: Option<Column>, by_creation: bool) {
        if settled != Some(Column::Project) {
            draft.among("p.project_id", &self.project_ids);
        }
        if settled != Some(Column::User) {
            draft.among("p.user_id", &self.user_ids);
        }
        if by_creation {
            draft.between("p.created_at", &self.created);
        } else {
            self.of_capture(draft);
        }
    }

    /// The others of these.
    pub(super) fn of_rest<'a>(&'a self, draft: &mut Draft<'a>, by_creation: bool) {
        if by_creation {
            self.of_capture(draft);
        } else {
            draft.between("p.created_at", &self.created);
        }
        draft.between("p.uploaded_at", &self.uploaded);
        if !self.s3_key_prefix.is_empty() {
            draft.sql(" and p.s3_key ^@ ").value(&self.s3_key_prefix);
        }
        if let Some(geo_box) = &self.geo_box {
            draft.sql(" and p.latitude >= ").value(&geo_box.south).sql(" and p.latitude <= ").value(&geo_box.north);
            let across = geo_box.west > geo_box.east;
            draft.sql(" and (p.longitude >= ").value(&geo_box.west).sql(if across { " or" } else { " and" });
            draft.sql(" p.longitude <= ").value(&geo_box.east).sql(")");
        }
    }

    fn of_capture<'a>(&'a self, draft: &mut Draft<'a>) {
        draft.between(CAPTURED_AT, &self.captured);
        if self.captured.0.is_none() && self.captured.1.is_some() {
            draft.sql(" and ").sql(CAPTURED_AT).sql(" > '-infinity'");
        }
    }

    /// The same of what a carrier `x` copies of its photo.
    pub(super) fn of_copies<'a>(&'a self, draft: &mut Draft<'a>) {
        draft.among("x.project_id", &self.project_ids);
        draft.between("x.photo_created_at", &self.created);
    }

    /// Looks up, for each photo, the tags and detections that it must have or not have, but for what is known of its
    /// carrier. `offset 0` keeps PostgreSQL from reading all of them first.
    pub(super) fn probe<'a>(&'a self, draft: &mut Draft<'a>, photo: Handle, known: Option<Carrier>) {
        self.probe_but_model(draft, photo, known);
        let Some((kind, model)) = &self.without_detection else { return };
        draft.sql(
            " and not exists (
                select from companycam_photos.detections d where d.organization_id = $1 and d.detection_type = ",
        );
        draft.value(kind).sql(" and d.model_version = ").value(model);
        of_handle(draft, "d", photo);
        draft.sql(" offset 0)");
    }

    /// The same but for the model that must not have seen it.
    pub(super) fn probe_but_model<'a>(&'a self, draft: &mut Draft<'a>, photo: Handle, known: Option<Carrier>) {
        let of_tag = |draft: &mut Draft<'a>, not: &'static str| {
            draft
                .sql(not)
                .sql("exists (select from companycam_photos.tags t where t.organization_id = $1 and t.photo_id = ");
            draft.sql(photo.id).sql(" and t.tag_folded = ");
        };
        if known != Some(Carrier::AllTags) || self.tags_all.len() > 1 {
            for tag in &self.tags_all {
                of_tag(draft, " and ");
                draft.value(tag).sql(" offset 0)");
            }
        }
        if known != Some(Carrier::AnyTag) && !self.tags_any.is_empty() {
            of_tag(draft, " and ");
            draft.sql("any(").value(&self.tags_any).sql(") offset 0)");
        }
        if !self.tags_none.is_empty() {
            of_tag(draft, " and not ");
            draft.sql("any(").value(&self.tags_none).sql(") offset 0)");
        }
        if let Some(seen) = &self.detection
            && !matches!(known, Some(Carrier::Labels | Carrier::Models))
        {
            has(draft, seen, photo);
        }
    }
}

/// The detection that a photo must have: looked up by its label, by its model, or among the photo's.
fn has<'a>(draft: &mut Draft<'a>, seen: &'a Seen, photo: Handle) {
    if seen.labels.is_empty() {
        draft.sql(" and exists (select from companycam_photos.detections d where d.organization_id = $1");
        if seen.model_versions.is_empty() {
            draft.sql(" and d.photo_id = ").sql(photo.id);
        } else {
            of_handle(draft, "d", photo);
        }
        of_model(draft, seen);
        as_seen(draft, seen, "d");
    } else {
        draft.sql(
            " and exists (select from companycam_photos.detection_labels l where l.organization_id = $1 and l.label = any(",
        );
        draft.value(&seen.labels).sql(")");
        of_handle(draft, "l", photo);
        of_label(draft, seen, "l.detection_id");
    }
    draft.sql(" offset 0)");
}

/// The photo of a row `l` or `d` that carries it.
fn of_handle(draft: &mut Draft<'_>, row: &'static str, photo: Handle) {
    draft.sql(" and ").sql(row).sql(".photo_created_at = ").sql(photo.time);
    draft.sql(" and ").sql(row).sql(".photo_id = ").sql(photo.id);
}

/// What the detection of a label must be, besides having it.
fn of_label<'a>(draft: &mut Draft<'a>, seen: &'a Seen, id: &'static str) {
    let Seen { types, model_versions, min_confidence, labels: _, user_confirmed } = seen;
    if types.is_empty() && model_versions.is_empty() && min_confidence.is_none() && user_confirmed.is_none() {
        return;
    }
    draft
        .sql(" and exists (select from companycam_photos.detections d where d.organization_id = $1 and d.id = ")
        .sql(id);
    of_model(draft, seen);
    as_seen(draft, seen, "d");
    draft.sql(" offset 0)");
}

/// The type and model of a detection `d`.
fn of_model<'a>(draft: &mut Draft<'a>, seen: &'a Seen) {
    if !seen.types.is_empty() {
        draft.sql(" and d.detection_type = any(").value(&seen.types).sql(")");
    } else if !seen.model_versions.is_empty() {
        draft.sql(" and d.detection_type = any(array['damage', 'material', 'volume'])");
    }
    if !seen.model_versions.is_empty() {
        draft.sql(" and d.model_version = any(").value(&seen.model_versions).sql(")");
    }
}

/// The confidence and verdict of a detection.
fn as_seen<'a>(draft: &mut Draft<'a>, seen: &'a Seen, detection: &'static str) {
    if let Some(least) = &seen.min_confidence {
        draft.sql(" and ").sql(detection).sql(".confidence >= ").value(least);
    }
    if let Some(confirmed) = &seen.user_confirmed {
        draft.sql(" and ").sql(detection).sql(".user_confirmed = ").value(confirmed);
    }
}
