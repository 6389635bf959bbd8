//! The scripts of `deploy/postgres` by themselves: what they refuse, what they leave behind, and what they and the
//! documents say of connecting.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::Config;

use super::{Login, backup, refuse, script, succeed};
use crate::cluster::{TestDatabase, connect};
use crate::program::{Folder, said};

#[tokio::test]
async fn backup_explains_itself_when_the_role_cannot_see_everything() {
    let (database, folder) = (TestDatabase::clone_template().await, Folder::made("blind"));
    let file = folder.0.join("photometa.dump");
    let (narrow, stranger) = (Login::with(&database, "org_admin").await, Login::with(&database, "org_user").await);
    let reader = Login::with(&database, "photometa_backup").await;

    let mut by_narrow = backup(&database, &narrow.name, &file);
    by_narrow.args(["--role", "org_admin"]);
    // Options come first, as everywhere.
    let misplaced = refuse(by_narrow);
    let mut by_narrow = database.command(script("backup.sh"), &narrow.name);
    by_narrow.args(["--role", "org_admin"]).arg(&file);
    let bound = refuse(by_narrow);
    let foreign = refuse(backup(&database, &stranger.name, &file));
    let admin = connect(&database.superuser()).await;
    admin.batch_execute("revoke select on companycam_photos.tags from photometa_backup").await.unwrap();
    let blind = refuse(backup(&database, &reader.name, &file));
    let elsewhere = refuse(backup(&TestDatabase::empty().await, &reader.name, &file));

    assert!(misplaced.contains("--help"), "{misplaced}");
    assert!(bound.contains("org_admin does not bypass row security"), "{bound}");
    assert!(foreign.contains(&format!("grant photometa_backup to {}", stranger.name)), "{foreign}");
    assert!(blind.contains("photometa_backup may not read tags; run deploy/postgres/roles.sql"), "{blind}");
    assert!(elsewhere.contains("has no schema companycam_photos"), "{elsewhere}");
    assert_eq!(folder.files(), [""; 0]);
    // What the message advises helps.
    admin.batch_execute(include_str!("../../../deploy/postgres/roles.sql")).await.unwrap();
    succeed(backup(&database, &reader.name, &file));
    for login in [narrow, stranger, reader] {
        login.drop().await;
    }
}

/// Starts a dump that waits for a table, which somebody has locked.
async fn stuck(admin: &tokio_postgres::Client, mut command: Command) -> Child {
    let child = command.spawn().unwrap();
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and application_name = 'pg_dump' and wait_event_type = 'Lock'";
    let started = Instant::now();
    while admin.query_one(waiting, &[]).await.unwrap().try_get::<_, i64>(0).unwrap() == 0 {
        assert!(started.elapsed() < Duration::from_secs(30), "pg_dump does not get to the locked table");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child
}

#[tokio::test]
async fn backup_leaves_no_dump_when_it_is_interrupted() {
    let (database, folder) = (TestDatabase::clone_template().await, Folder::made("interrupted"));
    let file = folder.0.join("photometa.dump");
    let (admin, lock) = (connect(&database.superuser()).await, connect(&database.superuser()).await);

    for signal in ["TERM", "HUP", "KILL"] {
        lock.batch_execute("begin; lock table companycam_photos.photos in access exclusive mode").await.unwrap();
        let mut child = stuck(&admin, backup(&database, "postgres", &file)).await;
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
        assert!(!child.wait().unwrap().success());
        let left = folder.files();
        lock.batch_execute("commit").await.unwrap();

        // Nobody can tidy up after SIGKILL; the name tells that it is no dump.
        let whole = left.iter().filter(|name| signal != "KILL" || !name.starts_with("photometa.dump.partial.")).count();
        assert_eq!(whole, 0, "{signal}: {left:?}");
    }
    let busy =
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'pg_dump'";
    while admin.query_one(busy, &[]).await.unwrap().try_get::<_, i64>(0).unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!file.exists());
}

#[tokio::test]
async fn backup_refuses_to_overwrite_an_older_dump() {
    let (database, folder) = (TestDatabase::clone_template().await, Folder::made("overwritten"));
    let file = folder.0.join("photometa.dump");
    fs::write(&file, "yesterday's").unwrap();

    let message = refuse(backup(&database, "postgres", &file));

    assert!(message.contains("exists; choose another name"), "{message}");
    assert_eq!(fs::read(&file).unwrap(), b"yesterday's");
}

#[test]
fn scripts_explain_themselves_without_a_database() {
    for name in ["backup.sh", "restore.sh"] {
        let run = |arguments: &[&str]| {
            let mut command = Command::new(script(name));
            command.args(arguments).env("PGHOST", "/nonexistent").stdin(Stdio::null());
            let output = command.output().unwrap();
            (output.status.code(), said(&output), String::from_utf8(output.stdout).unwrap())
        };

        let (status, _, help) = run(&["--help"]);
        assert_eq!(status, Some(0));
        for word in ["Usage: ", "FILE", "CONNECTION", "PGHOST", "PG_BIN"] {
            assert!(help.contains(word), "{word} in {help}");
        }
        for arguments in [&[][..], &["--surprise"], &["a", "b", "c"], &["/nonexistent/x.dump"]] {
            let (status, message, _) = run(arguments);
            assert_eq!(status, Some(1), "{arguments:?}");
            assert!(message.starts_with(&format!("{name}: ")) || message.contains("/nonexistent"), "{message}");
        }
    }
}

/// The words of a document that are connection strings, with a password where it has an ellipsis.
fn urls(document: &str) -> Vec<String> {
    let words = document.split(|c: char| c.is_whitespace() || "`'\"()|".contains(c));
    // Several servers have commas between them.
    let words = words.map(|word| word.trim_end_matches([',', ':', '.']));
    words.filter(|word| word.starts_with("postgres://")).map(|word| word.replace('…', "secret")).collect()
}

#[test]
fn connection_strings_in_the_documents_can_be_read() {
    let documents = [
        include_str!("../../../README.md"),
        include_str!("../../../deploy/README.md"),
        include_str!("../../../migrations/README.md"),
    ];
    let logins = ["photometa_app", "photometa_migrate", "photometa_dump", "postgres"];

    let found: Vec<_> = documents.into_iter().flat_map(urls).collect();

    for url in &found {
        let config: Config = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
        assert!(logins.contains(&config.get_user().unwrap()), "{url}");
        assert!(config.get_dbname().is_some_and(|name| name.starts_with("photometa")), "{url}");
    }
    assert!(logins.iter().all(|login| found.iter().any(|url| url.contains(&format!("//{login}")))), "{found:?}");
}
