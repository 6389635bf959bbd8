//! A database with a million photos, made by PostgreSQL itself: always the same rows, in the order of time.

use std::path::Path;
use std::time::Instant;

use tokio_postgres::Client;

use super::Failure;
use super::plan::Plan;
use super::server::Server;

const BEGIN: &str = include_str!("sql/begin.sql");
const TENANTS: &str = include_str!("sql/tenants.sql");
const SHOTS: &str = include_str!("sql/shots.sql");
const PHOTOS: &str = include_str!("sql/photos.sql");
const DETECTIONS: &str = include_str!("sql/detections.sql");
const TAGS: &str = include_str!("sql/tags.sql");
/// EXIF of seven cameras as exifread prints it, without time and place.
const EXIF: &str = include_str!("exif.json");

const CAMERAS: &str = "
    create table bench.cameras as
    select (number - 1)::int as number, (camera ->> 'width')::int as width, (camera ->> 'height')::int as height,
           camera -> 'exif' as exif
    from jsonb_array_elements(current_setting('bench.exif')::jsonb) with ordinality as cameras (camera, number)";
/// Nothing is lost that could not be made again, until `LASTING`.
const HASTY: [&str; 4] = [
    "alter system set fsync = off",
    "alter system set full_page_writes = off",
    "alter system set autovacuum = off",
    "select pg_reload_conf()",
];
const LASTING: [&str; 3] = ["alter system reset all", "select pg_reload_conf()", "checkpoint"];
/// What is needed no more; names of tenants, projects and words stay.
const TIDY: &str = "drop table bench.shots, bench.cameras, bench.results, bench.runs, bench.verdicts, bench.indexes";

/// Stands in the folder while rows are made.
const MAKING: &str = "half-made";

/// Refuses a kept folder whose rows are not all there.
///
/// # Errors
/// When an earlier run was interrupted while it made them.
pub fn whole(kept: &Path) -> Result<(), Failure> {
    if kept.join(MAKING).exists() {
        return Err(format!("an earlier run left the database in {} half made: delete it", kept.display()).into());
    }
    Ok(())
}

/// Makes the rows, unless the server has them from an earlier run.
///
/// # Errors
/// When PostgreSQL refuses, or has rows of another plan or schema.
pub async fn make(server: &Server, plan: &Plan) -> Result<(), Failure> {
    let superuser = server.superuser().await?;
    let version = "select max(version) from companycam_photos.refinery_schema_history";
    let version: i32 = superuser.query_one(version, &[]).await?.try_get(0)?;
    let wanted = format!("{} of a million photos, growth {:?}, schema version {version}", plan.scale, plan.growth);
    if superuser.query_one("select to_regnamespace('bench') is not null", &[]).await?.try_get(0)? {
        return as_wanted(&superuser, &wanted).await;
    }
    let begun = Instant::now();
    let making = server.folder().join(MAKING);
    std::fs::write(&making, "")?;
    for statement in HASTY {
        superuser.batch_execute(statement).await?;
    }
    let growth = plan.growth.map(|photos| photos.to_string()).join(",");
    for (name, value) in
        [("bench.scale", plan.scale.to_string()), ("bench.growth", growth), ("bench.exif", EXIF.to_owned())]
    {
        superuser.execute("select set_config($1, $2, false)", &[&name, &value]).await?;
    }
    for text in [BEGIN, CAMERAS, TENANTS, SHOTS] {
        superuser.batch_execute(text).await?;
    }
    eprintln!("{:.0} s: organizations and projects", begun.elapsed().as_secs_f64());
    let table = async |name: &str, text: &str| {
        server.superuser().await?.batch_execute(text).await?;
        eprintln!("{:.0} s: {name}", begun.elapsed().as_secs_f64());
        Ok::<_, Failure>(())
    };
    tokio::try_join!(table("photos", PHOTOS), table("detections", DETECTIONS), table("tags", TAGS))?;
    build(
        server,
        "select definition || coalesce(format('; comment on index %s is %L', name, comment), '') from bench.indexes",
    )
    .await?;
    superuser.batch_execute(TIDY).await?;
    eprintln!("{:.0} s: indexes", begun.elapsed().as_secs_f64());
    build(
        server,
        "select format('vacuum (analyze) %s', oid::regclass) from pg_class
         where relnamespace = 'companycam_photos'::regnamespace and relkind = 'r' order by relpages desc",
    )
    .await?;
    for statement in LASTING {
        superuser.batch_execute(statement).await?;
    }
    superuser.batch_execute("create table bench.made (what text)").await?;
    superuser.execute("insert into bench.made values ($1)", &[&wanted]).await?;
    std::fs::remove_file(making)?;
    eprintln!("{:.0} s: vacuumed and analyzed", begun.elapsed().as_secs_f64());
    tell(&superuser).await
}

async fn as_wanted(superuser: &Client, wanted: &str) -> Result<(), Failure> {
    // An interrupted run may have left a setting behind.
    for statement in LASTING {
        superuser.batch_execute(statement).await?;
    }
    let found: String = superuser.query_one("select what from bench.made", &[]).await?.try_get(0)?;
    if found == wanted {
        tell(superuser).await
    } else {
        Err(format!("the kept database has {found}; wanted is {wanted}: delete it").into())
    }
}

/// Runs statements that others have made, two at a time.
async fn build(server: &Server, statements: &str) -> Result<(), Failure> {
    let superuser = server.superuser().await?;
    let rows = superuser.query(statements, &[]).await?;
    let statements: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let half = async |first: usize| {
        let superuser = server.superuser().await?;
        superuser.batch_execute("set maintenance_work_mem = '512MB'").await?;
        for statement in statements.iter().skip(first).step_by(2) {
            superuser.batch_execute(statement).await?;
        }
        Ok::<_, Failure>(())
    };
    tokio::try_join!(half(0), half(1))?;
    Ok(())
}

async fn tell(superuser: &Client) -> Result<(), Failure> {
    let sizes = "
        select relname, reltuples::bigint, pg_size_pretty(pg_total_relation_size(oid)) from pg_class
        where relnamespace = 'companycam_photos'::regnamespace and relkind = 'r' and reltuples > 1000
        order by pg_total_relation_size(oid) desc";
    for row in superuser.query(sizes, &[]).await? {
        let (name, rows, size): (&str, i64, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        eprintln!("{name}: {rows} rows, {size}");
    }
    Ok(())
}
