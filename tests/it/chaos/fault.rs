//! What breaks.

use std::time::Duration;

use super::record::Record;
use super::world::{World, signal};
use crate::random::Random;

/// What happens to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The program dies, and is started again.
    ProgramKilled,
    /// The program is told to end, does so in order, and is started again.
    ProgramEnded,
    /// The program stands still.
    ProgramFrozen,
    /// PostgreSQL's postmaster dies.
    PostgresKilled,
    /// One of its sessions dies, and with it all others: it replays its log.
    SessionKilled,
    /// PostgreSQL is stopped in order, and started.
    PostgresRestarted,
    /// All its processes stand still.
    PostgresFrozen,
    /// An administrator ends the sessions.
    SessionsEnded,
    /// Connections to the database break.
    DatabaseCut,
    /// Connections to the database break, and none can be made.
    DatabaseRefused,
    /// Nothing comes through to the database, and nobody is told.
    DatabaseStalled,
    /// Everything takes longer on its way to the database.
    DatabaseSlow,
    /// The callers' connections break.
    CallersCut,
    /// Nothing comes through to the callers, and nobody is told.
    CallersStalled,
    /// Everything takes longer on its way to the callers.
    CallersSlow,
}

impl Fault {
    pub const ALL: [Self; 15] = [
        Self::ProgramKilled,
        Self::ProgramEnded,
        Self::ProgramFrozen,
        Self::PostgresKilled,
        Self::SessionKilled,
        Self::PostgresRestarted,
        Self::PostgresFrozen,
        Self::SessionsEnded,
        Self::DatabaseCut,
        Self::DatabaseRefused,
        Self::DatabaseStalled,
        Self::DatabaseSlow,
        Self::CallersCut,
        Self::CallersStalled,
        Self::CallersSlow,
    ];

    /// Breaks something for some time, and mends it.
    pub async fn strike(self, world: &mut World, record: &Record, random: &mut Random) {
        if matches!(
            self,
            Self::ProgramKilled
                | Self::ProgramEnded
                | Self::ProgramFrozen
                | Self::CallersCut
                | Self::CallersStalled
                | Self::CallersSlow
        ) {
            record.excuse();
        }
        let some_time = Duration::from_millis(u64::try_from(50 + random.below(2000)).unwrap());
        let pause = || tokio::time::sleep(some_time);
        let delay = Duration::from_millis(u64::try_from(1 + random.below(20)).unwrap());
        println!("{self:?} for {some_time:?}");
        match self {
            Self::ProgramKilled => {
                world.program.kill().unwrap();
                world.program.wait().unwrap();
                world.start_program();
                world.until_it_serves().await;
            }
            Self::ProgramEnded => {
                signal("-TERM", &[world.program.id()]);
                let ended = loop {
                    match world.program.try_wait().unwrap() {
                        Some(ended) => break ended,
                        None => tokio::time::sleep(Duration::from_millis(10)).await,
                    }
                };
                assert!(ended.success(), "told to end, it ended with {ended}");
                world.start_program();
                world.until_it_serves().await;
            }
            Self::ProgramFrozen => {
                signal("-STOP", &[world.program.id()]);
                pause().await;
                signal("-CONT", &[world.program.id()]);
            }
            Self::PostgresKilled => {
                signal("-KILL", &[world.postgres.processes()[0]]);
                pause().await;
                world.start_postgres().await;
            }
            Self::SessionKilled => {
                let admin = world.superuser().await;
                let sessions = "select pid from pg_stat_activity where application_name = 'photometa'";
                let rows = admin.query(sessions, &[]).await.unwrap();
                let pids: Vec<i32> = rows.iter().map(|row| row.try_get(0).unwrap()).collect();
                if !pids.is_empty() {
                    signal("-KILL", &[random.pick(&pids).unsigned_abs()]);
                    // PostgreSQL ends all others when it learns of it: that is this fault, and not what comes next.
                    let ended = async {
                        while !admin.is_closed() {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                    };
                    // Unless that one had ended by itself.
                    let _ = tokio::time::timeout(Duration::from_secs(5), ended).await;
                }
            }
            Self::PostgresRestarted => {
                world.postgres.stop().await;
                pause().await;
                world.postgres.go().await;
            }
            Self::PostgresFrozen => {
                let all = world.postgres.processes();
                signal("-STOP", &all);
                pause().await;
                signal("-CONT", &all);
                // Those that the first one was about to make.
                signal("-CONT", &world.postgres.processes());
            }
            Self::SessionsEnded => {
                let its = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'photometa'";
                world.superuser().await.batch_execute(its).await.unwrap();
            }
            Self::DatabaseCut => world.to_database.change(|weather| weather.cuts += 1),
            Self::CallersCut => world.to_program.change(|weather| weather.cuts += 1),
            Self::DatabaseRefused => {
                world.to_database.change(|weather| weather.cuts += 1);
                world.to_database.spell(some_time, |weather| weather.refusing = true).await;
            }
            Self::DatabaseStalled => world.to_database.spell(some_time, |weather| weather.stalled = true).await,
            Self::CallersStalled => world.to_program.spell(some_time, |weather| weather.stalled = true).await,
            Self::DatabaseSlow => world.to_database.spell(some_time, |weather| weather.delay = delay).await,
            Self::CallersSlow => world.to_program.spell(some_time, |weather| weather.delay = delay).await,
        }
        record.healed(&format!("{self:?}"));
    }
}
