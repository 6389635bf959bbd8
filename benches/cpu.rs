//! How much processor time have the service and PostgreSQL used so far? Read from `/proc`, so on Linux only.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::time::Duration;

/// Length of a tick in `/proc/PID/stat`: `USER_HZ` is 100 on every architecture that Linux still ships.
const TICK: Duration = Duration::from_millis(10);

/// Processes to watch.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    /// The service.
    pub service: Option<u32>,
    /// PostgreSQL's first process, whose children do the work.
    pub postmaster: Option<u32>,
}

/// Processor time used since the processes began.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    /// By the service.
    pub service: Option<Duration>,
    /// By the postmaster and its children, those that have ended included.
    pub postgres: Option<Duration>,
}

impl Used {
    /// What was used since an earlier reading.
    pub fn since(self, before: Self) -> Self {
        let between = |after: Option<Duration>, before: Option<Duration>| Some(after?.saturating_sub(before?));
        Self { service: between(self.service, before.service), postgres: between(self.postgres, before.postgres) }
    }
}

impl Watch {
    /// Reads the times.
    ///
    /// # Errors
    /// When a process has ended, or there is no `/proc`.
    pub fn read(self) -> Result<Used> {
        let service = self.service.map(|pid| stat(pid).map(|found| found.own)).transpose()?;
        Ok(Used { service, postgres: self.postmaster.map(tree).transpose()? })
    }
}

/// Reads the postmaster's process number from a cluster's folder, or from photometa's data folder around it.
///
/// # Errors
/// When no server runs there.
pub fn postmaster(data_dir: &Path) -> Result<u32> {
    let text = fs::read_to_string(data_dir.join("postgres/postmaster.pid"))
        .or_else(|_| fs::read_to_string(data_dir.join("postmaster.pid")))?;
    text.lines().next().and_then(|line| line.trim().parse().ok()).ok_or_else(|| Error::from(ErrorKind::InvalidData))
}

struct Stat {
    parent: u32,
    own: Duration,
    /// Of children that have ended and were waited for.
    reaped: Duration,
}

/// All of PostgreSQL's processes are the postmaster's children.
fn tree(postmaster: u32) -> Result<Duration> {
    let root = stat(postmaster)?;
    let processes = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children = processes.filter_map(|pid: u32| stat(pid).ok()).filter(|found| found.parent == postmaster);
    Ok(root.own + root.reaped + children.map(|child| child.own + child.reaped).sum::<Duration>())
}

fn stat(pid: u32) -> Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name, in parentheses, may contain anything.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().collect();
    let number = |index: usize| -> Result<u32> {
        let field = fields.get(index).and_then(|field| field.parse().ok());
        field.ok_or_else(|| Error::from(ErrorKind::InvalidData))
    };
    Ok(Stat { parent: number(1)?, own: TICK * (number(11)? + number(12)?), reaped: TICK * (number(13)? + number(14)?) })
}
