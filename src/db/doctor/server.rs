//! Is the server reachable, durable, large enough, on time, and what has it installed?

use std::time::SystemTime;

use jiff::Timestamp;
use tokio_postgres::{Client, Error};

use super::super::Target;
use super::super::hypertable::{self, Layout};
use super::{Deployment, Finding, names};

/// The oldest major version the migrations are written for.
const OLDEST: i32 = 14;
/// Seconds of clock difference that are worth a word, and that break credentials.
const SKEW: (f64, f64) = (1.0, 60.0);

pub(super) async fn connection(client: &Client) -> Result<Vec<Finding>, Error> {
    let row = client
        .query_one(
            "select current_setting('server_version') as version, current_setting('server_version_num')::int / 10000 as major,
                    current_database()::text as database, session_user::text as login, current_setting('server_encoding') as encoding,
                    pg_is_in_recovery() as standby",
            &[],
        )
        .await?;
    let (version, database, login): (&str, &str, &str) =
        (row.try_get("version")?, row.try_get("database")?, row.try_get("login")?);
    let mut findings =
        vec![Finding::ok("connection", format!("PostgreSQL {version}, database {database}, as {login}"))];
    if row.try_get::<_, i32>("major")? < OLDEST {
        let message = format!("PostgreSQL {version} is older than the schema needs");
        findings.push(Finding::failed("connection", message, format!("upgrade to PostgreSQL {OLDEST} or newer")));
    }
    let encoding: &str = row.try_get("encoding")?;
    if encoding != "UTF8" {
        let message = format!("the database's encoding is {encoding}: names and tags in other alphabets are refused");
        findings.push(Finding::failed("connection", message, "make the database anew: createdb --encoding=UTF8"));
    }
    if row.try_get("standby")? {
        let fix = "point PHOTOMETA_DATABASE_URL at the primary (target_session_attrs=read-write)";
        findings.push(Finding::failed("connection", "the server is a standby and takes no writes", fix));
    }
    Ok(findings)
}

/// Whether it is one, and follows.
pub(super) async fn standby(client: &Client) -> Result<Vec<Finding>, Error> {
    let row = client
        .query_one(
            "select pg_is_in_recovery() as standby, pg_is_in_recovery() and pg_is_wal_replay_paused() as paused",
            &[],
        )
        .await?;
    Ok(vec![if !row.try_get::<_, bool>("standby")? {
        let fix = "point PHOTOMETA_READ_DATABASE_URL at a streaming standby, or unset it; until then the primary answers its reads";
        Finding::warning("replica", "the replica is no standby", fix)
    } else if row.try_get("paused")? {
        Finding::warning("replica", "the standby has paused its replay", "call pg_wal_replay_resume() there")
    } else {
        Finding::ok("replica", "it is a standby, and replays the primary's log")
    }])
}

pub(super) async fn durability(client: &Client) -> Result<Vec<Finding>, Error> {
    let off = names(
        client,
        "select name || ' is ' || setting from pg_settings
         where name in ('fsync', 'synchronous_commit', 'full_page_writes') and setting = 'off' order by 1",
    )
    .await?;
    if off.is_empty() {
        return Ok(vec![Finding::ok("durability", "what is committed is on disk")]);
    }
    let message = format!("{}: a crash of the machine may lose what was acknowledged", off.join(", "));
    Ok(vec![Finding::warning("durability", message, "turn it on in postgresql.conf, unless the data may be lost")])
}

/// Whether a session sees that the program behind it has died, while it waits.
pub(super) async fn abandoned(client: &Client) -> Result<Vec<Finding>, Error> {
    let row = client
        .query_one(
            "select current_setting('client_connection_check_interval') as interval, session_user::text as login",
            &[],
        )
        .await?;
    let (interval, login): (&str, &str) = (row.try_get("interval")?, row.try_get("login")?);
    Ok(vec![if interval == "0" {
        let message =
            "what a program that was killed had asked goes on until its deadline, with all the locks it holds";
        let fix = format!("alter role {login} set client_connection_check_interval = '2s'");
        Finding::warning("abandoned statements", message, fix)
    } else {
        Finding::ok("abandoned statements", format!("PostgreSQL looks for who asked every {interval} while it works"))
    }])
}

pub(super) async fn connections(
    client: &Client,
    login: &Target,
    deployment: Deployment,
) -> Result<Vec<Finding>, Error> {
    let row = client
        .query_one(
            "select current_setting('max_connections')::int as most,
                    current_setting('superuser_reserved_connections')::int
                        + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved,
                    inet_server_addr() as address, current_setting('port')::int as port,
                    (select datconnlimit from pg_database where datname = current_database()) as of_database,
                    (select rolconnlimit from pg_roles where rolname = session_user) as of_role,
                    (select count(*)::int from pg_stat_activity where usename is not null and usename <> session_user) as others",
            &[],
        )
        .await?;
    let (most, reserved): (i32, i32) = (row.try_get("most")?, row.try_get("reserved")?);
    let limits: [i32; 2] = [row.try_get("of_database")?, row.try_get("of_role")?];
    let free = i64::from(limits.into_iter().filter(|limit| *limit >= 0).fold(most - reserved, i32::min));
    let Deployment { pool_size, replicas } = deployment;
    // One more a replica: the session that migrates at its start.
    let needed = i64::from(replicas) * (i64::from(pool_size) + 1);
    let others = i64::from(row.try_get::<_, i32>("others")?);
    let arithmetic = format!(
        "{replicas} × ({pool_size} of the pool + 1 that migrates) = {needed} of {free} (max_connections {most}, {reserved} reserved{})",
        if free < i64::from(most - reserved) { ", and a limit of the database or the role" } else { "" }
    );
    let fix = "lower PHOTOMETA_POOL_SIZE, run fewer replicas, put PgBouncer between, or raise max_connections";
    let port = u16::try_from(row.try_get::<_, i32>("port")?).unwrap_or_default();
    Ok(vec![if needed > free && !login.is_at(row.try_get("address")?, port).await {
        // A pooler needs fewer. So far nobody knows whether it is one.
        let fix = "if PgBouncer stands between, let its pools be smaller than that; otherwise lower PHOTOMETA_POOL_SIZE, run fewer \
                   replicas, or raise max_connections";
        Finding::warning("connections", format!("{arithmetic}; the server is not reached at its own address"), fix)
    } else if needed > free {
        Finding::failed("connections", arithmetic, fix)
    } else if needed + others > free {
        Finding::warning("connections", format!("{arithmetic}; {others} are in use by others now"), fix)
    } else {
        Finding::ok("connections", arithmetic)
    }])
}

pub(super) async fn clock(client: &Client) -> Result<Vec<Finding>, Error> {
    let before = SystemTime::now();
    let there: Timestamp = client.query_one_scalar("select clock_timestamp()", &[]).await?;
    let travel = before.elapsed().unwrap_or_default();
    let here = Timestamp::try_from(before + travel / 2).unwrap_or(Timestamp::UNIX_EPOCH);
    let ahead = there.duration_since(here).as_secs_f64();
    let message = format!(
        "the database's clock is {:.3} s {} ours",
        ahead.abs(),
        if ahead < 0.0 { "behind" } else { "ahead of" }
    );
    // Half of the way there and back is as exact as it gets.
    let least = ahead.abs() - travel.as_secs_f64() / 2.0;
    let fix = "set both machines' clocks by NTP: times are stored as this program tells them, and credentials end by its clock";
    Ok(vec![if least > SKEW.1 {
        Finding::failed("clock", message, fix)
    } else if least > SKEW.0 {
        Finding::warning("clock", message, fix)
    } else {
        Finding::ok("clock", message)
    }])
}

/// Names of extensions that matter here, with the version in this database, if there.
const EXTENSIONS: &str = "select name::text, installed_version from pg_available_extensions where name in ('timescaledb', 'citus') order by 1";

pub(super) async fn extensions(client: &Client) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for row in client.query(EXTENSIONS, &[]).await? {
        let name: &str = row.try_get("name")?;
        let message = match row.try_get::<_, Option<&str>>("installed_version")? {
            Some(version) => format!("{name} {version} is in this database"),
            None => format!("{name} is installed on the server and not in this database"),
        };
        findings.push(Finding::ok("extensions", message));
    }
    let layout = hypertable::layout(client).await?;
    findings.push(match layout {
        Layout::Unloaded => {
            let fix = "add timescaledb to shared_preload_libraries and restart PostgreSQL, before anything is written";
            Finding::failed("extensions", layout.to_string(), fix)
        }
        Layout::Plain | Layout::Hypertable { .. } => Finding::ok("extensions", layout.to_string()),
    });
    let openings = hypertable::openings(client).await?;
    let fix = "run `photometa migrate hypertable` as a superuser again: it closes what an update or a grant has opened";
    findings.extend(openings.into_iter().map(|opening| Finding::failed("extensions", opening, fix)));
    Ok(findings)
}
