//! What versions do to a database that is in use: a hundred thousand rows and more in every table that grows.

use photometa::db::migrate::{Migrator, newest};
use tokio_postgres::Client;

use super::next;
use crate::cluster::{TestDatabase, connect};
use crate::harness::TABLES;

/// The columns of a table, in order.
async fn columns(admin: &Client, table: &str) -> Option<String> {
    let query = "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
                 where attrelid = to_regclass('companycam_photos.' || $1) and attnum > 0 and not attisdropped";
    admin.query_one(query, &[&table]).await.unwrap().try_get(0).unwrap()
}

/// How many rows each table has, and a sum over what is in the given columns of them.
async fn contents(admin: &Client, columns: &[Option<String>]) -> Vec<(i64, String)> {
    let mut contents = Vec::new();
    for (table, columns) in TABLES.iter().zip(columns) {
        let Some(columns) = columns else { continue };
        let query = format!(
            "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text
             from (select {columns} from companycam_photos.{table}) t"
        );
        let row = admin.query_one(&query, &[]).await.unwrap();
        contents.push((row.try_get(0).unwrap(), row.try_get(1).unwrap()));
    }
    contents
}

/// The columns of every table; of one that is not there, none.
async fn all_columns(admin: &Client) -> Vec<Option<String>> {
    let mut all = Vec::new();
    for table in TABLES {
        all.push(columns(admin, table).await);
    }
    all
}

#[tokio::test]
async fn up_down_and_up_on_a_full_database_keeps_rows_where_it_can_and_the_schema_always() {
    let database = TestDatabase::clone_big().await;
    let admin = connect(&database.superuser()).await;
    // Version 11 made the table: its undo takes the claims, which end by themselves.
    admin.batch_execute("delete from companycam_photos.review_claims").await.unwrap();
    let of = all_columns(&admin).await;
    let (rows, schema) = (contents(&admin, &of).await, database.schema());
    assert!(rows.iter().filter(|(count, _)| *count >= 100_000).count() >= 4, "{rows:?}");

    // Versions after the tables were made: what they do is undone without a row lost.
    let mut migrator = Migrator::connect(&database.superuser()).await.unwrap();
    let undone = migrator.down(5).await.unwrap();
    let without = database.schema();
    let old = all_columns(&admin).await;
    let between = contents(&admin, &old).await;
    migrator.up().await.unwrap();
    assert_eq!(undone.len(), newest() as usize - 5);
    assert_ne!(without, schema);
    assert!(between.len() >= 8, "{between:?}");
    assert_eq!(contents(&admin, &old).await, between);
    // Tables that were made by those versions come back empty.
    let lasting = |all: &[(i64, String)]| -> Vec<_> {
        all.iter().zip(&old).filter(|(_, columns)| columns.is_some()).map(|(found, _)| found.clone()).collect()
    };
    let (lost, rows) = (rows, contents(&admin, &of).await);
    assert_eq!(lasting(&rows), lasting(&lost));
    assert_eq!(database.schema(), schema);
    drop(migrator);

    // A version that adds columns, one of them with a value for every row.
    let versions = next(
        "alter table companycam_photos.photos add column note text, add column weight integer not null default 7;
         alter table companycam_photos.detection_events add column note text",
        "alter table companycam_photos.photos drop column note, drop column weight;
         alter table companycam_photos.detection_events drop column note",
    );
    let mut migrator = Migrator::with_versions(&database.superuser(), versions).await.unwrap();
    migrator.up().await.unwrap();
    assert_eq!(contents(&admin, &of).await, rows);
    let weighed = "select count(*) from companycam_photos.photos where weight = 7 and note is null";
    assert_eq!(admin.query_one(weighed, &[]).await.unwrap().try_get::<_, i64>(0).unwrap(), rows[4].0);
    migrator.down(newest()).await.unwrap();
    assert_eq!((contents(&admin, &of).await, database.schema()), (rows, schema.clone()));
    drop(migrator);

    // All the way: the rows go, the schema comes back as it was.
    let mut migrator = Migrator::connect(&database.superuser()).await.unwrap();
    migrator.down(0).await.unwrap();
    migrator.up().await.unwrap();
    assert_eq!(database.schema(), schema);
}
