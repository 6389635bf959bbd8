//! Tags in the database.

use tokio_postgres::Row;

use super::model::{Addition, Filter, Order, Removal, SortKey, Source, Tag, TagCount, Written};
use crate::db::{Sql, Tx};
use crate::error::{Error, Resource, Result};
use crate::id::{PhotoId, ProjectId, TagId, now};
use crate::sql;

macro_rules! columns {
    () => {
        "t.id, t.photo_id, t.tag, t.source, t.confidence, t.created_at"
    };
}

impl TryFrom<Row> for Tag {
    type Error = Error;

    /// By position, in the order of `columns!()`.
    fn try_from(row: Row) -> Result<Self> {
        let source: &str = row.try_get(3)?;
        Ok(Self {
            id: row.try_get(0)?,
            photo_id: row.try_get(1)?,
            tag: row.try_get(2)?,
            source: Source::of_name(source).ok_or_else(|| Error::Internal(format!("a tag has the source {source}")))?,
            confidence: row.try_get(4)?,
            created_at: row.try_get(5)?,
        })
    }
}

impl TryFrom<Row> for TagCount {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self { tag: row.try_get("tag")?, folded: row.try_get("tag_folded")?, count: row.try_get("count")? })
    }
}

/// Rows that stay as they are do not return. A fresh row's xmax is 0; an updated one carries its locker's. Written
/// in one order everywhere, so that two calls wait for each other instead of deadlocking.
///
/// Index: photos_pkey, tags_photo_id_tag_source_key.
const ADD: Sql = sql!(
    ADD,
    "insert into companycam_photos.tags as t
       (organization_id, id, project_id, photo_id, photo_created_at, tag, tag_folded, source, confidence, created_at)
     select p.organization_id, u.id, p.project_id, p.id, p.created_at, u.tag, u.tag_folded, u.source, u.confidence, $8
     from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::float8[])
          as u (photo_id, id, tag, tag_folded, source, confidence)
     join companycam_photos.photos p on p.organization_id = $1 and p.id = u.photo_id
     where p.organization_id = $1
     order by p.id, u.tag_folded collate \"C\", u.source collate \"C\"
     on conflict (organization_id, photo_id, tag_folded, source) do update set confidence = excluded.confidence
     where t.confidence is distinct from excluded.confidence and excluded.confidence is not null
     returning t.xmax = 0 as inserted"
);

/// Puts every tag on every photo that is there.
pub(super) async fn add(tx: &Tx, addition: &Addition) -> Result<Written> {
    let pairs = || addition.photo_ids.iter().flat_map(|photo_id| addition.tags.iter().map(move |tag| (photo_id, tag)));
    macro_rules! column {
        ($pair:pat => $value:expr) => {
            &pairs().map(|$pair| $value).collect::<Vec<_>>()
        };
    }
    let rows = tx
        .query(
            &ADD,
            &[
                tx.organization(),
                column!((photo_id, _) => photo_id),
                column!(_ => TagId::make()),
                column!((_, tag) => &tag.tag),
                column!((_, tag) => &tag.folded),
                column!((_, tag) => tag.source.name()),
                column!((_, tag) => tag.confidence),
                &now(),
            ],
        )
        .await?;
    let mut written = Written::default();
    for row in rows {
        if row.try_get("inserted")? { written.added += 1 } else { written.updated += 1 }
    }
    Ok(written)
}

/// Index: tags_photo_id_tag_source_key.
const READ_BACK: Sql = sql!(
    READ_BACK,
    "select ",
    columns!(),
    " from unnest($2::uuid[]) with ordinality as w (photo_id, position)
     cross join unnest($3::text[], $4::text[]) as k (tag_folded, source)
     join companycam_photos.tags t
       on t.organization_id = $1 and t.photo_id = w.photo_id and t.tag_folded = k.tag_folded and t.source = k.source
     where t.organization_id = $1
     order by w.position, t.tag_folded, t.source"
);

/// Reads what [`add`] has put on photos, and what was there: by photo in the order of the request, then tag.
/// A second statement, because a row that stays as it is does not return from the first one, and may be newer
/// than its snapshot.
///
/// # Errors
/// [`Error::NotFound`] with the first photo that is not there.
pub(super) async fn read_back(tx: &Tx, addition: &Addition) -> Result<Vec<Tag>> {
    let folded: Vec<&str> = addition.tags.iter().map(|tag| tag.folded.as_str()).collect();
    let sources: Vec<&str> = addition.tags.iter().map(|tag| tag.source.name()).collect();
    let rows = tx.query(&READ_BACK, &[tx.organization(), &addition.photo_ids, &folded, &sources]).await?;
    let tags = rows.into_iter().map(Tag::try_from).collect::<Result<Vec<_>>>()?;
    let mut found: Vec<PhotoId> = tags.iter().map(|tag| tag.photo_id).collect();
    found.dedup();
    let missing = addition.photo_ids.iter().zip(found.iter().map(Some).chain(std::iter::repeat(None)));
    match missing.into_iter().find(|&(wanted, found)| found != Some(wanted)) {
        Some((wanted, _)) => Err(Error::NotFound(Resource::Photo, wanted.to_string())),
        None => Ok(tags),
    }
}

/// Removes nothing when a photo is missing, so that one statement can be the whole transaction.
///
/// Index: photos_pkey, tags_photo_id_tag_source_key, tags_tag_photo_created_at_idx.
const REMOVE: Sql = sql!(
    REMOVE,
    "with missing as materialized (
         select w.photo_id from unnest($2::uuid[]) with ordinality as w (photo_id, position)
         left join companycam_photos.photos p on p.organization_id = $1 and p.id = w.photo_id
         where p.id is null
         order by w.position
         limit 1
     ), removed as (
         delete from companycam_photos.tags t
         where t.organization_id = $1 and t.photo_id = any($2) and t.tag_folded = any($3) and t.source = any($4)
           and not exists (select from missing)
         returning t.id
     )
     select (select count(*)::int from removed) as removed, (select m.photo_id from missing m) as missing"
);

/// Takes tags off photos, and counts them.
///
/// # Errors
/// [`Error::NotFound`] with the first photo that is not there.
pub(super) async fn remove(tx: &Tx, removal: &Removal) -> Result<i32> {
    let sources: Vec<&str> = removal.sources.iter().map(|source| source.name()).collect();
    let row = tx.query_one(&REMOVE, &[tx.organization(), &removal.photo_ids, &removal.folded, &sources]).await?;
    match row.try_get::<_, Option<PhotoId>>("missing")? {
        Some(photo_id) => Err(Error::NotFound(Resource::Photo, photo_id.to_string())),
        None => Ok(row.try_get("removed")?),
    }
}

/// Index: photos_pkey, tags_photo_id_tag_source_key.
const LIST: Sql = sql!(
    LIST,
    "select ",
    columns!(),
    " from companycam_photos.photos p
     left join companycam_photos.tags t on t.organization_id = p.organization_id and t.photo_id = p.id
     where p.organization_id = $1 and p.id = $2
     order by t.tag_folded, t.source"
);

/// Lists the tags of a photo; `None` when it is not there.
pub(super) async fn list(tx: &Tx, photo_id: PhotoId) -> Result<Option<Vec<Tag>>> {
    let rows = tx.query(&LIST, &[tx.organization(), &photo_id]).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut tags = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get::<_, Option<TagId>>("id")?.is_some() {
            tags.push(Tag::try_from(row)?);
        }
    }
    Ok(Some(tags))
}

/// Index: tags_photo_id_tag_source_key.
const OF_PHOTOS: Sql = sql!(
    OF_PHOTOS,
    "select ",
    columns!(),
    " from unnest($2::uuid[]) as w (photo_id)
     cross join lateral (
         select i.* from companycam_photos.tags i
         where i.organization_id = $1 and i.photo_id = w.photo_id
         order by i.tag_folded, i.source
         limit $3
     ) t
     order by t.photo_id, t.tag_folded, t.source"
);

/// Reads at most `most` tags of each photo.
pub(super) async fn of_photos(tx: &Tx, ids: &[PhotoId], most: usize) -> Result<Vec<Tag>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    tx.query(&OF_PHOTOS, &[tx.organization(), &ids, &most]).await?.into_iter().map(Tag::try_from).collect()
}

/// One vocabulary statement: what comes after the last page's end differs, and the order.
macro_rules! counts {
    ($name:ident, $after:literal, $order:literal) => {
        sql!(
            $name,
            "select min(t.tag collate \"C\") as tag, t.tag_folded, count(distinct t.photo_id) as count
             from companycam_photos.tags t
             where t.organization_id = $1
               and ($2::uuid is null or t.project_id = $2)
               and ($3::text is null or t.tag_folded ^@ $3)",
            $after,
            " order by ",
            $order,
            " limit $6"
        )
    };
}
/// Index: tags_pkey*, tags_project_id_tag_photo_created_at_idx, tags_tag_photo_created_at_idx.
const COUNTS_BY_COUNT: Sql = counts!(
    COUNTS_BY_COUNT,
    " group by t.tag_folded
      having $4::bigint is null or count(distinct t.photo_id) < $4 or (count(distinct t.photo_id) = $4 and t.tag_folded > $5::text)",
    "count desc, t.tag_folded"
);
/// Index: tags_pkey*, tags_project_id_tag_photo_created_at_idx, tags_tag_photo_created_at_idx*.
const COUNTS_BY_TAG: Sql = counts!(
    COUNTS_BY_TAG,
    " and ($4::bigint is null or t.tag_folded > $5::text)
      group by t.tag_folded",
    "t.tag_folded"
);

/// Lists at most `limit` tags of the vocabulary after `after`.
pub(super) async fn list_counts(
    tx: &Tx,
    filter: &Filter,
    order: Order,
    after: Option<&SortKey>,
    limit: i64,
) -> Result<Vec<TagCount>> {
    let sql = match order {
        Order::CountDescending => &COUNTS_BY_COUNT,
        Order::Tag => &COUNTS_BY_TAG,
    };
    let prefix = (!filter.prefix.is_empty()).then_some(&filter.prefix);
    let (count, folded) = after.map(|(count, folded)| (count, folded)).unzip();
    let rows = tx.query(sql, &[tx.organization(), &filter.project_id, &prefix, &count, &folded, &limit]).await?;
    rows.into_iter().map(TagCount::try_from).collect()
}

/// Index: projects_pkey.
const FIND_PROJECT: Sql =
    sql!(FIND_PROJECT, "select pr.id from companycam_photos.projects pr where pr.organization_id = $1 and pr.id = $2");

/// Makes sure that a project is there.
///
/// # Errors
/// [`Error::NotFound`].
pub(super) async fn find_project(tx: &Tx, id: ProjectId) -> Result<()> {
    let found = tx.query_opt(&FIND_PROJECT, &[tx.organization(), &id]).await?;
    found.map(drop).ok_or_else(|| Error::NotFound(Resource::Project, id.to_string()))
}
