//! Runs scripts through pgbench, the one that came with the server.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::server::Server;
use super::{Failure, process};

/// Runs the scripts in any order, as the service's login and with prepared statements; answers what pgbench says.
///
/// # Errors
/// When pgbench is missing or fails.
pub async fn run(
    server: &Server,
    scripts: &[PathBuf],
    clients: usize,
    duration: Duration,
    arguments: &[String],
) -> Result<String, Failure> {
    let folder = "select setting from pg_config where name = 'BINDIR'";
    let folder: String = server.superuser().await?.query_one(folder, &[]).await?.try_get(0)?;
    let mut pgbench = Command::new(format!("{folder}/pgbench"));
    pgbench.args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--username=photometa_app"]);
    pgbench.arg(format!("--client={clients}")).arg(format!("--time={}", duration.as_secs().max(1)));
    pgbench.arg("--host").arg(server.socket()).args(arguments);
    for script in scripts {
        pgbench.arg("--file").arg(script);
    }
    process::output(pgbench.arg("photometa")).await
}
