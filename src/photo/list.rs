//! Lists of photos. What a filter asks for decides what is read first, so that photos come in the order of the list and
//! reading ends with the page: a time index, several of them side by side, or the tags, labels or detections that carry
//! their photo's create_time. Where no index has both the order and the condition, the condition leads when few rows
//! fulfil it, and otherwise the order does.

use jiff::Timestamp;
use tokio_postgres::types::Timestamp as Instant;

use super::model::{Filter, Order, Photo, SortKey, View};
use super::narrow::{Carrier, Column, Handle};
use crate::db::{Draft, Page, Source, Tx};
use crate::error::{Error, Result};
use crate::source;

/// Photos by a time index: of the organization, a project or a person.
///
/// Index: detections_model_photo_created_at_idx, detections_photo_id_created_at_idx, photos_captured_at_idx*,
/// photos_created_at_idx*, photos_project_id_captured_at_idx, photos_project_id_created_at_idx,
/// photos_user_id_created_at_idx, tags_photo_id_tag_source_key.
const DIRECT: Source = source!(DIRECT);
/// Photos by an index of a condition, when the nearest in the order of the list are not enough for a page.
///
/// Index: photos_captured_at_idx, photos_organization_id_s3_key_key, photos_uploaded_at_idx.
const SEARCHED: Source = source!(SEARCHED);
/// Photos of several projects or people: by the time index of each, side by side.
///
/// Index: photos_pkey, photos_project_id_captured_at_idx, photos_project_id_created_at_idx,
/// photos_user_id_created_at_idx.
const OF_EACH: Source = source!(OF_EACH);
/// Photos that carry a tag or a label, or that a model looked at, in the order of the carriers.
///
/// Index: detection_labels_pkey, detections_model_photo_created_at_idx, detections_pkey, photos_pkey,
/// tags_photo_id_tag_source_key, tags_project_id_tag_photo_created_at_idx, tags_tag_photo_created_at_idx.
const CARRIED: Source = source!(CARRIED);
/// The same where the order is another one: all of them, sorted.
///
/// Index: detection_labels_pkey, detections_project_id_created_at_idx, photos_pkey, tags_photo_id_tag_source_key,
/// tags_tag_photo_created_at_idx.
const GATHERED: Source = source!(GATHERED);
/// Photos without a detection by a model, when the newest are not enough for a page: all that have one make a set, from
/// an index alone, and photos that are not in it are read in order. To look each of them up takes seven times as long.
///
/// Index: detections_model_photo_created_at_idx, photos_created_at_idx, photos_pkey, tags_photo_id_tag_source_key.
const REMAINING: Source = source!(REMAINING);
/// How many carriers there are, counted to [`FEW`].
///
/// Index: detection_labels_pkey, detections_model_photo_created_at_idx*, tags_tag_photo_created_at_idx.
const COUNT: Source = source!(COUNT);

/// So many carriers are all read and sorted, 2 to 3 µs for each. With more of them, following the order until a page is
/// full reads about as much, in an organization of some hundred thousand photos.
const FEW: i64 = 3000;

/// So many photos are looked at in order, before all that fulfil a condition are gathered, or those that have a detection:
/// 1 to 2 ms. They often fill a page, and PostgreSQL cannot know: it takes what fulfils a condition for spread evenly, where
/// photos of one capture time, say, stand side by side.
const NEAREST: i64 = 500;

/// Lists at most `limit` photos after `after`.
pub(super) async fn list(
    tx: &Tx,
    filter: &Filter,
    order: Order,
    view: View,
    after: Option<SortKey>,
    limit: i64,
) -> Result<Vec<Photo>> {
    let list = List { tx, filter, order, exif: view != View::Basic, after, limit };
    let page = match list.lead().await? {
        lead @ (Lead::Remaining | Lead::Searched) => {
            let rows = list.direct(Some(NEAREST)).draft.query(tx).await?;
            if i64::try_from(rows.len()).is_ok_and(|found| found == limit) {
                return rows.into_iter().map(Photo::try_from).collect();
            }
            if matches!(lead, Lead::Remaining) { list.remaining() } else { list.searched() }
        }
        Lead::Direct => list.direct(None),
        Lead::Each(column) => list.of_each(column),
        Lead::Ordered(carrier) => list.carried(carrier),
        Lead::Gathered(carrier) => list.gathered(carrier),
    };
    page.draft.query(tx).await?.into_iter().map(Photo::try_from).collect()
}

/// What is asked for.
#[derive(Clone, Copy)]
struct List<'a> {
    tx: &'a Tx,
    filter: &'a Filter,
    order: Order,
    exif: bool,
    after: Option<SortKey>,
    limit: i64,
}

/// What is read first.
enum Lead {
    /// Photos, in order.
    Direct,
    /// Photos, in order: the nearest of them, then all that a model has left.
    Remaining,
    /// Photos, in order: the nearest of them, then all that an index of a condition finds.
    Searched,
    /// Photos of each value of a column, in order.
    Each(Column),
    /// Carriers, in order.
    Ordered(Carrier),
    /// Carriers, all of them.
    Gathered(Carrier),
}

impl<'a> List<'a> {
    fn by_creation(&self) -> bool {
        matches!(self.order, Order::CreatedDescending | Order::CreatedAscending)
    }

    /// The sort key of `p`.
    fn time(&self) -> &'static str {
        if self.by_creation() { "p.created_at" } else { CAPTURED_AT }
    }

    /// Whether a condition has an index of its own that may narrow more than the order does.
    fn searches(&self) -> bool {
        let Filter { captured, uploaded, s3_key_prefix, geo_box, .. } = self.filter;
        let captured = self.by_creation() && *captured != (None, None);
        captured || *uploaded != (None, None) || !s3_key_prefix.is_empty() || geo_box.is_some()
    }

    async fn lead(&self) -> Result<Lead> {
        let Filter { project_ids, user_ids, without_detection, .. } = self.filter;
        let Some(carrier) = Carrier::of(self.filter) else {
            return Ok(match (project_ids.len(), user_ids.len()) {
                _ if self.searches() => Lead::Searched,
                (0, 0) if self.by_creation() && without_detection.is_some() => Lead::Remaining,
                (2.., 0..=1) => Lead::Each(Column::Project),
                (0, 2..) if self.by_creation() => Lead::Each(Column::User),
                _ => Lead::Direct,
            });
        };
        let of_project = !project_ids.is_empty() && !carrier.is_tags();
        if self.by_creation() && !self.searches() && user_ids.is_empty() && !of_project {
            return Ok(Lead::Ordered(carrier));
        }
        let found = self.count(carrier).await?;
        Ok(match found {
            ..=FEW => Lead::Gathered(carrier),
            _ if self.searches() => Lead::Searched,
            _ => Lead::Direct,
        })
    }

    async fn count(&self, carrier: Carrier) -> Result<i64> {
        let mut draft = Draft::new(self.tx, COUNT);
        draft.sql("select count(*) as found from (select from ");
        let values = carrier.give(self.filter, &mut draft);
        carrier.values(values, &mut draft);
        draft.sql(" cross join lateral (select from ").sql(carrier.rows()).sql(") x limit ").made(FEW + 1).sql(") c");
        let row = draft.query(self.tx).await?.pop();
        Ok(row.ok_or_else(|| Error::Internal("a count has no row".to_owned()))?.try_get("found")?)
    }

    /// Photos in order; only the `nearest` are looked at, if that is given.
    fn direct(self, nearest: Option<i64>) -> Page<'a> {
        let mut page = self.select(DIRECT);
        page.draft.sql(if nearest.is_some() { "(select p.* from " } else { "" });
        page.draft.sql("companycam_photos.photos p where p.organization_id = $1");
        self.filter.of_stretch(&mut page.draft, None, self.by_creation());
        if let Some(nearest) = nearest {
            page.after(self.time(), "p.id");
            page.order_by(self.time(), "p.id");
            page.draft.sql(" limit ").made(nearest).sql(") p where true");
        }
        self.filter.of_rest(&mut page.draft, self.by_creation());
        self.filter.probe(&mut page.draft, Handle::PHOTO, None);
        if nearest.is_none() {
            page.after(self.time(), "p.id");
        }
        page.order_and_limit(self.time(), "p.id");
        page
    }

    /// All photos that fulfil the conditions with indexes of their own, sorted; which of the indexes is PostgreSQL's choice.
    fn searched(self) -> Page<'a> {
        let mut page = self.select(SEARCHED);
        page.draft.sql("(select p.* from companycam_photos.photos p where p.organization_id = $1");
        self.filter.of_photo(&mut page.draft, None);
        page.after(self.time(), "p.id");
        page.draft.sql(" offset 0) p where true");
        self.filter.probe(&mut page.draft, Handle::PHOTO, None);
        page.order_and_limit(self.time(), "p.id");
        page.draft.plan_each_time();
        page
    }

    fn remaining(self) -> Page<'a> {
        let mut page = self.select(REMAINING);
        page.draft
            .sql("(select p.created_at as key, p.id from companycam_photos.photos p where p.organization_id = $1");
        self.filter.of_photo(&mut page.draft, None);
        page.after("p.created_at", "p.id");
        if let Some((kind, model)) = &self.filter.without_detection {
            page.draft.sql(
                " and (p.created_at, p.id) not in (
                    select d.photo_created_at, d.photo_id from companycam_photos.detections d
                    where d.organization_id = $1 and d.detection_type = ",
            );
            page.draft.value(kind).sql(" and d.model_version = ").value(model);
            page.draft.between("d.photo_created_at", &self.filter.created);
            page.after("d.photo_created_at", "d.photo_id");
            page.draft.sql(")");
        }
        self.filter.probe_but_model(&mut page.draft, Handle::PHOTO, None);
        page.order_and_limit("p.created_at", "p.id");
        page.draft.sql(") k");
        complete(&mut page);
        page.draft.plan_with_set();
        page
    }

    fn of_each(self, column: Column) -> Page<'a> {
        let mut page = self.select(OF_EACH);
        let Filter { project_ids, user_ids, .. } = self.filter;
        let (condition, values, count) = match column {
            Column::Project => (" and p.project_id = v.value", page.draft.slot(project_ids), project_ids.len()),
            Column::User => (" and p.user_id = v.value", page.draft.slot(user_ids), user_ids.len()),
        };
        page.side_by_side(
            count,
            |page| {
                page.draft.sql("unnest(").again(values).sql("::uuid[]) v (value)");
            },
            |page| {
                page.draft
                    .sql("select ")
                    .sql(self.time())
                    .sql(" as key, p.id from companycam_photos.photos p where p.organization_id = $1");
                page.draft.sql(condition);
                self.filter.of_photo(&mut page.draft, Some(column));
                self.filter.probe(&mut page.draft, Handle::PHOTO, None);
                page.after(self.time(), "p.id");
            },
        );
        complete(&mut page);
        page
    }

    fn carried(self, carrier: Carrier) -> Page<'a> {
        let mut page = self.select(CARRIED);
        let values = carrier.give(self.filter, &mut page.draft);
        page.side_by_side(
            1,
            |page| carrier.values(values, &mut page.draft),
            |page| {
                page.draft.sql("select distinct x.photo_created_at as key, x.photo_id as id from ").sql(carrier.rows());
                carrier.rest(self.filter, &mut page.draft);
                self.filter.of_copies(&mut page.draft);
                self.filter.probe(&mut page.draft, Handle::CARRIER, Some(carrier));
                page.after("x.photo_created_at", "x.photo_id");
            },
        );
        complete(&mut page);
        page
    }

    fn gathered(self, carrier: Carrier) -> Page<'a> {
        let mut page = self.select(GATHERED);
        page.draft.sql("(select distinct x.photo_id from ");
        let values = carrier.give(self.filter, &mut page.draft);
        carrier.values(values, &mut page.draft);
        page.draft.sql(" cross join lateral (select x.photo_id from ").sql(carrier.rows());
        carrier.rest(self.filter, &mut page.draft);
        self.filter.of_copies(&mut page.draft);
        page.draft.sql(
            ") x) k cross join lateral (
                select p.* from companycam_photos.photos p where p.organization_id = $1 and p.id = k.photo_id offset 0
            ) p where true",
        );
        self.filter.of_photo(&mut page.draft, None);
        self.filter.probe(&mut page.draft, Handle::PHOTO, Some(carrier));
        page.after(self.time(), "p.id");
        page.order_and_limit(self.time(), "p.id");
        page
    }

    fn select(&self, source: Source) -> Page<'a> {
        let mut page = self.page(source);
        let exif = if self.exif { ", p.exif_data from " } else { ", null::jsonb as exif_data from " };
        page.draft.sql("select ").sql(columns!()).sql(exif);
        page
    }

    fn page(&self, source: Source) -> Page<'a> {
        let descending = matches!(self.order, Order::CreatedDescending | Order::CapturedDescending);
        let after = self.after.map(|(time, id)| {
            let time = time.and_then(|time| Timestamp::from_microsecond(time).ok());
            (time.map_or(Instant::NegInfinity, Instant::Value), id)
        });
        Page::new(self.tx, source, descending, after, self.limit)
    }
}

/// The capture time as lists sort it.
pub(super) const CAPTURED_AT: &str = "case when p.captured_at is null then '-infinity' else p.captured_at end";

/// The photos of the keys that were found.
fn complete(page: &mut Page<'_>) {
    page.draft.sql(
        " cross join lateral (
            select p.* from companycam_photos.photos p where p.organization_id = $1 and p.id = k.id offset 0
        ) p",
    );
    page.order_by("k.key", "k.id");
}
