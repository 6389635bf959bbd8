//! Reads of training data: pages of photos in the order in which they were registered, with their detections.

use std::collections::HashMap;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::model::{Category, Found, Inner, Key, Photo, Plan};
use crate::db::{Page, Source, Sql, Tx};
use crate::detection;
use crate::error::{Error, OnConstraint as _, Resource, Result};
use crate::id::PhotoId;
use crate::{source, sql};

/// Photos of the organization or of one project.
///
/// Index: photos_created_at_idx, photos_project_id_created_at_idx.
const PHOTOS: Source = source!(PHOTOS);
/// Photos of several projects, side by side.
///
/// Index: photos_project_id_created_at_idx, photos_pkey.
const PHOTOS_OF_EACH: Source = source!(PHOTOS_OF_EACH);
/// Photos that are named.
///
/// Index: photos_pkey.
const PHOTOS_NAMED: Source = source!(PHOTOS_NAMED);
/// The detections of photos.
///
/// Index: detections_photo_id_created_at_idx, detection_labels_pkey.
const DETECTIONS: Source = source!(DETECTIONS);

const COLUMNS: &str =
    "p.id, p.project_id, p.s3_key, p.s3_url, p.width, p.height, p.orientation, p.captured_at, p.created_at, p.version";

impl TryFrom<Row> for Photo {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get(0)?,
            project_id: row.try_get(1)?,
            s3_key: row.try_get(2)?,
            s3_url: row.try_get(3)?,
            size: row.try_get::<_, Option<i32>>(4)?.zip(row.try_get(5)?),
            orientation: row.try_get::<_, Option<i16>>(6)?.unwrap_or(1),
            captured_at: row.try_get(7)?,
            created_at: row.try_get(8)?,
            version: row.try_get(9)?,
        })
    }
}

/// Reads the next `limit` photos that were registered before `as_of`, oldest first, after `after`.
pub(super) async fn photos(
    tx: &Tx,
    plan: &Plan,
    as_of: &Timestamp,
    after: Option<Key>,
    limit: i64,
) -> Result<Vec<Photo>> {
    let (photo_ids, project_ids) = (&plan.filter.photo_ids, &plan.filter.project_ids);
    let after = after.and_then(|(time, id)| Some((Timestamp::from_microsecond(time).ok()?, id)));
    let of_each = photo_ids.is_empty() && project_ids.len() > 1;
    let source = match () {
        () if !photo_ids.is_empty() => PHOTOS_NAMED,
        () if of_each => PHOTOS_OF_EACH,
        () => PHOTOS,
    };
    let mut page = Page::new(tx, source, false, after, limit);
    page.draft.sql("select ").sql(COLUMNS).sql(" from ");
    if of_each {
        let projects = page.draft.slot(project_ids);
        page.side_by_side(
            project_ids.len(),
            |page| {
                page.draft.sql("unnest(").again(projects).sql("::uuid[]) v (value)");
            },
            |page| {
                page.draft.sql(
                    "select p.created_at as key, p.id from companycam_photos.photos p
                     where p.organization_id = $1 and p.project_id = v.value and p.created_at < ",
                );
                page.draft.value(as_of);
                page.after("p.created_at", "p.id");
            },
        );
        page.draft.sql(
            " cross join lateral (
                select p.* from companycam_photos.photos p where p.organization_id = $1 and p.id = k.id offset 0
            ) p",
        );
        page.order_by("k.key", "k.id");
    } else {
        let named = !photo_ids.is_empty();
        page.draft.sql(if named { "(select p.* from " } else { "" });
        page.draft.sql("companycam_photos.photos p where p.organization_id = $1");
        page.draft.among("p.id", photo_ids);
        page.draft.sql(if named { " offset 0) p where true" } else { "" });
        page.draft.sql(" and p.created_at < ").value(as_of);
        page.draft.among("p.project_id", project_ids);
        page.after("p.created_at", "p.id");
        page.order_and_limit("p.created_at", "p.id");
    }
    page.draft.query(tx).await?.into_iter().map(Photo::try_from).collect()
}

/// Of which detections a pass needs what the model saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Of none: only photos are of interest.
    Nothing,
    /// Of those where something is not there.
    Missing,
    /// Of all.
    All,
}

/// Detections of some photos, in the order of the photos and then their own.
#[derive(Debug)]
pub(super) struct Detections {
    pub(super) found: Vec<Found>,
    /// All that there are. Otherwise those of the last photo, and of those behind it, may be more.
    pub(super) whole: bool,
}

/// Reads at most `rows` detections of photos, or as many as have `bytes` of results as PostgreSQL keeps them; of the photo
/// that `after` names, only those behind it. `shown`: with what the model saw.
pub(super) async fn detections(
    tx: &Tx,
    plan: &Plan,
    as_of: &Timestamp,
    (photo_ids, after): (&[PhotoId], Option<Inner>),
    (rows, bytes, shown): (i64, i64, Shown),
) -> Result<Detections> {
    let last = after.and_then(|(_, time, id)| Some((Timestamp::from_microsecond(time).ok()?, id)));
    let mut page = Page::new(tx, DETECTIONS, false, last, rows);
    let draft = &mut page.draft;
    // Nothing is sorted: a nested loop keeps the order of the photos, and the index that of the detections of each.
    draft.sql("select * from (select d.*, coalesce(sum(pg_column_size(d.results)) over (rows unbounded preceding), 0) as bytes, count(*) over () as total from (select d.* from unnest(");
    draft.value(&photo_ids).sql("::uuid[]) u (photo_id) cross join lateral (select ");
    draft.sql("d.id, d.photo_id, d.detection_type, d.model_version, d.created_at, d.updated_at, d.user_feedback ->> 'verdict' as verdict");
    let moment = draft.slot(as_of);
    match shown {
        Shown::Nothing => _ = draft.sql(", null::jsonb as results, null::jsonb as corrections"),
        Shown::Missing => {
            draft.sql(
                ", case when d.user_feedback ->> 'verdict' = 'reject' or d.corrections is not null or d.updated_at >= ",
            );
            draft.again(moment).sql(" then d.results end as results, d.corrections");
        }
        Shown::All => _ = draft.sql(", d.results, d.corrections"),
    }
    draft.sql(" from companycam_photos.detections d where d.organization_id = $1 and d.photo_id = u.photo_id and d.created_at < ");
    draft.again(moment);
    if let Some((begun, ..)) = after {
        draft.sql(" and (u.photo_id <> ").made(begun).sql(" or true");
        page.after("d.created_at", "d.id");
        page.draft.sql(")");
    }
    detection::narrow_on_photos(&mut page, &plan.filter);
    let draft = &mut page.draft;
    // What was answered later may have stood otherwise: it is looked at apart.
    draft.sql(" and (d.updated_at >= ").again(moment).sql(" or (d.user_feedback ->> 'verdict' = any(");
    draft.value(&plan.verdicts).sql(")");
    draft.sql(if plan.unreviewed { " or d.user_feedback is null)" } else { ")" });
    if let Some(confirmed) = &plan.user_confirmed {
        draft.sql(" and d.user_confirmed = ").value(confirmed);
    }
    draft.sql(") order by d.created_at, d.id");
    page.limit();
    page.draft.sql(") d");
    page.limit();
    page.draft.sql(") d) d where d.bytes - coalesce(pg_column_size(d.results), 0) < ").value(&bytes);
    let answer = page.draft.query(tx).await?;
    let total: i64 = answer.first().map_or(Ok(0), |row| row.try_get("total"))?;
    let whole = total < rows && i64::try_from(answer.len()).is_ok_and(|read| read == total);
    let found = answer.into_iter().map(Found::try_from).collect::<Result<_>>()?;
    Ok(Detections { found, whole })
}

impl TryFrom<Row> for Found {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get(0)?,
            photo_id: row.try_get(1)?,
            detection_type: row.try_get(2)?,
            model_version: row.try_get(3)?,
            created_at: row.try_get(4)?,
            updated_at: row.try_get(5)?,
            verdict: row.try_get(6)?,
            results: detection::results_at(&row, 7)?.unwrap_or_default(),
            corrections: detection::corrections_at(&row, 8)?.unwrap_or_default(),
        })
    }
}

/// Index: categories_category_id_key.
const LABELS: Sql = sql!(
    LABELS,
    "select c.category_id, c.name, c.supercategory, c.created_at from companycam_photos.categories c
     where c.organization_id = $1 and c.category_id > $2 order by c.category_id limit $3"
);

/// Lists at most `limit` categories with higher numbers than `after`.
pub(super) async fn labels(tx: &Tx, after: i32, limit: i64) -> Result<Vec<Category>> {
    let rows = tx.query(&LABELS, &[tx.organization(), &after, &limit]).await?;
    rows.into_iter().map(Category::try_from).collect()
}

impl TryFrom<Row> for Category {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: Some(row.try_get("category_id")?),
            name: row.try_get("name")?,
            supercategory: row.try_get("supercategory")?,
            created_at: Some(row.try_get("created_at")?),
        })
    }
}

/// Index: none.
const LOCK_LABELS: Sql = sql!(
    LOCK_LABELS,
    "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('categories ' || $1::uuid::text, 0))"
);
/// Index: none.
const AWAIT_LABELS: Sql = sql!(
    AWAIT_LABELS,
    "select pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended('categories ' || $1::uuid::text, 0))"
);
/// Index: categories_pkey.
const NAMED: Sql = sql!(
    NAMED,
    "select c.category_id, c.name, c.supercategory, c.created_at from companycam_photos.categories c
     where c.organization_id = $1 and c.name = any($2)"
);
/// Those that are taken of some numbers, and the highest one below a bound.
///
/// Index: categories_category_id_key.
const TAKEN: Sql = sql!(
    TAKEN,
    "select array(select c.category_id from companycam_photos.categories c where c.organization_id = $1 and c.category_id = any($2)) as taken,
            (select c.category_id from companycam_photos.categories c where c.organization_id = $1 and c.category_id < $3
             order by c.category_id desc limit 1) as highest"
);
/// Index: none.
const ADD_LABELS: Sql = sql!(
    ADD_LABELS,
    "insert into companycam_photos.categories as c (organization_id, name, category_id, supercategory, created_at)
     select $1, u.* from unnest($2::text[], $3::int[], $4::text[], $5::timestamptz[]) u"
);

/// Waits until nobody else adds categories of the organization, until the transaction ends.
pub(super) async fn lock_labels(tx: &Tx) -> Result<()> {
    tx.query(&LOCK_LABELS, &[tx.organization()]).await.map(drop)
}

/// Waits until nobody is about to add some.
pub(super) async fn await_labels(tx: &Tx) -> Result<()> {
    tx.query(&AWAIT_LABELS, &[tx.organization()]).await.map(drop)
}

/// Reads the categories of labels that have one.
pub(super) async fn named(tx: &Tx, names: &[&str]) -> Result<HashMap<String, Category>> {
    let rows = tx.query(&NAMED, &[tx.organization(), &names]).await?;
    let read = |row: Row| Category::try_from(row).map(|category| (category.name.clone(), category));
    rows.into_iter().map(read).collect()
}

/// Which of some numbers are taken, and the highest number below `bound`.
pub(super) async fn taken(tx: &Tx, ids: &[i32], bound: i32) -> Result<(Vec<i32>, Option<i32>)> {
    let row = tx.query_one(&TAKEN, &[tx.organization(), &ids, &bound]).await?;
    Ok((row.try_get("taken")?, row.try_get("highest")?))
}

/// Adds categories.
///
/// # Errors
/// [`Error::NotFound`] when the organization is not there.
pub(super) async fn add_labels(tx: &Tx, new: &[Category]) -> Result<()> {
    let names: Vec<_> = new.iter().map(|category| &category.name).collect();
    let ids: Vec<_> = new.iter().map(|category| category.id).collect();
    let supercategories: Vec<_> = new.iter().map(|category| &category.supercategory).collect();
    let times: Vec<_> = new.iter().map(|category| category.created_at).collect();
    let added = tx.query(&ADD_LABELS, &[tx.organization(), &names, &ids, &supercategories, &times]).await;
    let gone = || Error::NotFound(Resource::Organization, tx.organization().to_string());
    added.on_constraint("categories_organization_id_fkey", gone).map(drop)
}
