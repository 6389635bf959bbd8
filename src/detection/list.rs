//! Lists of detections, and the review queue. As in lists of photos, the filter decides which index is read first.

use jiff::Timestamp;

use super::model::{Detection, Filter, Order, Queue, QueueKey, SortKey};
use crate::db::{Page, Source, Tx};
use crate::error::Result;
use crate::source;

/// Detections by a time index: of the organization, a project, a photo or a type. With a label, PostgreSQL plans each
/// time: it may find the label first.
///
/// Index: detections_created_at_idx*, detections_project_id_created_at_idx, detections_photo_id_created_at_idx,
/// detections_detection_type_created_at_idx, detection_labels_pkey, detections_pkey.
const DIRECT: Source = source!(DIRECT);
/// Detections on several photos, in several projects, by one or more models or of several types: by the time index of
/// each, side by side.
///
/// Index: detections_project_id_created_at_idx, detections_photo_id_created_at_idx, detections_model_version_created_at_idx,
/// detections_detection_type_created_at_idx, detections_pkey.
const OF_EACH: Source = source!(OF_EACH);
/// Detections of one project that nobody has given feedback on.
///
/// Index: detections_pending_created_at_idx, detections_pending_confidence_idx, review_claims_pkey.
const PENDING: Source = source!(PENDING);
/// The same of several projects or all of them: by the index of each, side by side.
///
/// Index: detections_pending_confidence_idx, detections_pending_created_at_idx, detections_pkey, review_claims_pkey,
/// projects_pkey*.
const PENDING_OF_EACH: Source = source!(PENDING_OF_EACH);

/// What is read first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    Direct,
    Photos,
    Projects,
    Models,
    Types,
}

impl Lead {
    fn of(filter: &Filter) -> Self {
        let Filter { photo_ids, project_ids, types, model_versions, labels, .. } = filter;
        match () {
            () if photo_ids.len() > 1 => Self::Photos,
            () if photo_ids.len() == 1 || !labels.is_empty() => Self::Direct,
            () if project_ids.len() > 1 => Self::Projects,
            () if project_ids.len() == 1 => Self::Direct,
            () if !model_versions.is_empty() => Self::Models,
            () if types.len() > 1 => Self::Types,
            () => Self::Direct,
        }
    }
}

/// Lists at most `limit` detections after `after`.
pub(super) async fn list(
    tx: &Tx,
    filter: &Filter,
    (order, full): (Order, bool),
    after: Option<SortKey>,
    limit: i64,
) -> Result<Vec<Detection>> {
    let lead = Lead::of(filter);
    let after = after.and_then(|(time, id)| Some((Timestamp::from_microsecond(time).ok()?, id)));
    let source = if lead == Lead::Direct { DIRECT } else { OF_EACH };
    let mut page = Page::new(tx, source, order == Order::NewestFirst, after, limit);
    page.draft.sql("select ").sql(columns!());
    page.draft.sql(if full { ", d.results, d.corrections from " } else { ", null::jsonb, null::jsonb from " });
    let draft = &mut page.draft;
    let (values, count, cast, condition) = match lead {
        Lead::Direct => {
            draft.sql("companycam_photos.detections d where d.organization_id = $1");
            narrow(&mut page, filter, lead);
            page.after("d.created_at", "d.id");
            page.order_and_limit("d.created_at", "d.id");
            if !filter.labels.is_empty() {
                page.draft.plan_each_time();
            }
            return run(&page, tx).await;
        }
        Lead::Photos => (draft.slot(&filter.photo_ids), filter.photo_ids.len(), UUIDS, " and d.photo_id = v.value"),
        Lead::Projects => {
            (draft.slot(&filter.project_ids), filter.project_ids.len(), UUIDS, " and d.project_id = v.value")
        }
        Lead::Models => {
            (draft.slot(&filter.model_versions), filter.model_versions.len(), TEXTS, " and d.model_version = v.value")
        }
        Lead::Types => (draft.slot(&filter.types), filter.types.len(), TEXTS, " and d.detection_type = v.value"),
    };
    page.side_by_side(
        count,
        |page| {
            page.draft.sql("unnest(").again(values).sql(cast);
        },
        |page| {
            page.draft.sql(
                "select d.created_at as key, d.id from companycam_photos.detections d where d.organization_id = $1",
            );
            page.draft.sql(condition);
            narrow(page, filter, lead);
            page.after("d.created_at", "d.id");
        },
    );
    complete(&mut page);
    run(&page, tx).await
}

const UUIDS: &str = "::uuid[]) v (value)";
const TEXTS: &str = "::text[]) v (value)";

/// The detections of the keys that were found.
fn complete(page: &mut Page<'_>) {
    page.draft.sql(
        " cross join lateral (
            select d.* from companycam_photos.detections d where d.organization_id = $1 and d.id = k.id offset 0
        ) d",
    );
    page.order_by("k.key", "k.id");
}

async fn run(page: &Page<'_>, tx: &Tx) -> Result<Vec<Detection>> {
    page.draft.query(tx).await?.into_iter().map(Detection::try_from).collect()
}

/// What a detection `d` on a known photo must be, verdicts aside.
pub(crate) fn narrow_on_photos<'a>(page: &mut Page<'a>, filter: &'a Filter) {
    narrow(page, filter, Lead::Photos);
}

/// What a detection `d` must be that `lead` does not see to.
fn narrow<'a>(page: &mut Page<'a>, filter: &'a Filter, lead: Lead) {
    let Filter {
        photo_ids,
        project_ids,
        types,
        model_versions,
        min_confidence,
        max_confidence,
        labels,
        user_confirmed,
        created,
    } = filter;
    let draft = &mut page.draft;
    if lead != Lead::Photos {
        draft.among("d.photo_id", photo_ids);
    }
    if lead != Lead::Projects {
        draft.among("d.project_id", project_ids);
    }
    if lead != Lead::Types {
        draft.among("d.detection_type", types);
    }
    if lead != Lead::Models && !model_versions.is_empty() {
        // `= any` of a single one too: the order comes from another index.
        draft.sql(" and d.model_version = any(").value(model_versions).sql(")");
    }
    if let Some(least) = min_confidence {
        draft.sql(" and d.confidence >= ").value(least);
    }
    if let Some(most) = max_confidence {
        draft.sql(" and d.confidence <= ").value(most);
    }
    if let Some(confirmed) = user_confirmed {
        draft.sql(" and d.user_confirmed = ").value(confirmed);
    }
    draft.between("d.created_at", created);
    if !labels.is_empty() {
        draft.sql(
            " and exists (
                select from companycam_photos.detection_labels l
                where l.organization_id = $1 and l.photo_created_at = d.photo_created_at and l.photo_id = d.photo_id
                  and l.detection_id = d.id and l.label = any(",
        );
        // PostgreSQL may begin with the labels where nothing better leads.
        draft.value(labels).sql(if lead == Lead::Direct { "))" } else { ") offset 0)" });
    }
}

/// Lists at most `limit` detections that wait for review, after `after`; with `free_at`, those that nobody holds then.
/// `d.user_feedback is null` stands literally, for the partial indexes.
pub(super) async fn queue(
    tx: &Tx,
    queue: &Queue,
    free_at: Option<Timestamp>,
    after: Option<QueueKey>,
    limit: i64,
) -> Result<Vec<Detection>> {
    let source = if queue.project_ids.len() == 1 { PENDING } else { PENDING_OF_EACH };
    let key = if queue.least_confident_first {
        "case when d.confidence is null then -1 else d.confidence end"
    } else {
        "d.created_at"
    };
    let mut page = if queue.least_confident_first {
        Page::new(tx, source, false, after, limit)
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "microseconds that were a timestamp's")]
        let after = after.and_then(|(time, id)| Some((Timestamp::from_microsecond(time as i64).ok()?, id)));
        Page::new(tx, source, false, after, limit)
    };
    page.draft.sql("select ").sql(columns!()).sql(", d.results, d.corrections from ");
    if let [project_id] = queue.project_ids.as_slice() {
        page.draft.sql("companycam_photos.detections d where d.organization_id = $1 and d.user_feedback is null and d.project_id = ");
        page.draft.value(project_id);
        narrow_queue(&mut page, queue, free_at);
        page.after(key, "d.id");
        page.order_and_limit(key, "d.id");
        return run(&page, tx).await;
    }
    let projects = (!queue.project_ids.is_empty()).then(|| page.draft.slot(&queue.project_ids));
    page.side_by_side(
        if projects.is_some() { queue.project_ids.len() } else { usize::MAX },
        |page| {
            match projects {
                Some(projects) => page.draft.sql("unnest(").again(projects).sql(UUIDS),
                None => page
                    .draft
                    .sql("(select pr.id as value from companycam_photos.projects pr where pr.organization_id = $1) v"),
            };
        },
        |page| {
            page.draft.sql("select ").sql(key);
            page.draft.sql(
                " as key, d.id from companycam_photos.detections d
                  where d.organization_id = $1 and d.user_feedback is null and d.project_id = v.value",
            );
            narrow_queue(page, queue, free_at);
            page.after(key, "d.id");
        },
    );
    complete(&mut page);
    run(&page, tx).await
}

/// What a detection `d` of the queue must be, projects aside.
fn narrow_queue<'a>(page: &mut Page<'a>, queue: &'a Queue, free_at: Option<Timestamp>) {
    if !queue.types.is_empty() {
        page.draft.sql(" and d.detection_type = any(").value(&queue.types).sql(")");
    }
    if let Some(time) = free_at {
        // `offset 0`: each is looked up, in the order of the queue, until there are enough.
        page.draft.sql(
            " and not exists (
                select from companycam_photos.review_claims c
                where c.organization_id = $1 and c.detection_id = d.id and c.expires_at > ",
        );
        page.draft.made(time).sql(" offset 0)");
    }
}
