//! What the service sent to PostgreSQL, read from the server's log.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use tokio_postgres::Client;

/// Lets a database log every statement of its next sessions.
pub async fn everything(admin: &Client) {
    let all = "do $$ begin execute format('alter database %I set log_statement = ''all''', current_database()); end $$";
    admin.batch_execute(all).await.unwrap();
}

/// Reads the server's log from where it ended before.
pub struct Log(File);

impl Log {
    /// Starts at its end.
    pub fn open(path: &Path) -> Self {
        let mut file = File::open(path).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        Self(file)
    }

    /// The names of the statements that the service's sessions have run since the last time, such as
    /// `photo::query::GET_BASIC`. A session logs a statement before it runs it. `postgres` is in their database.
    pub async fn statements(&mut self, postgres: &Client) -> Vec<String> {
        let sessions =
            "select pid from pg_stat_activity where datname = current_database() and usename = 'photometa_app'";
        let sessions = postgres.query(sessions, &[]).await.unwrap();
        let sessions: Vec<i32> = sessions.iter().map(|row| row.try_get(0).unwrap()).collect();
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        // 2026-01-31 12:00:00.000 UTC [4711] LOG:  execute s1: /* org_user photometa::photo::query::GET_BASIC */ select …
        let of_line = |line: &str| {
            let (session, rest) = line.split_once('[')?.1.split_once(']')?;
            let (_, statement) = rest.strip_prefix(" LOG:  execute ")?.split_once(": /* ")?;
            let (_, name) = statement.split_once(" */")?.0.split_once(" photometa::")?;
            sessions.contains(&session.parse().ok()?).then(|| name.to_owned())
        };
        text.lines().filter_map(of_line).collect()
    }
}
