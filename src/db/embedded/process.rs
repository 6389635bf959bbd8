//! How is the server's process started, watched, and ended, and how does it learn of our death?
//! All system calls without a safe wrapper in `std` are in this file.

#![expect(unsafe_code, reason = "prctl, kill, geteuid and waitid have no safe wrapper in std")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// What PostgreSQL's postmaster understands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    /// Ends all sessions, writes a checkpoint, exits.
    Fast,
    /// Exits at once; the next start replays the log.
    Immediate,
}

/// A child process with a thread of its own that lives as long as the child.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pid: u32,
    end: Arc<End>,
}

#[derive(Debug, Default)]
struct End {
    status: Mutex<Option<ExitStatus>>,
    reached: Condvar,
}

impl Server {
    /// Starts `command` from a new thread. The kernel sends [`Signal::Fast`] to the child when the thread that forked it
    /// ends: a pooled thread could end at any time, this one waits for the child.
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        end_with_this_thread(&mut command, libc::SIGINT);
        let end = Arc::new(End::default());
        let (started, start) = mpsc::sync_channel(1);
        let watched = Arc::clone(&end);
        thread::Builder::new().name("postgres".to_owned()).spawn(move || match command.spawn() {
            Ok(child) => {
                drop(started.send(Ok(child.id())));
                watched.watch(child);
            }
            Err(error) => drop(started.send(Err(error))),
        })?;
        let pid = start.recv().map_err(io::Error::other)??;
        Ok(Self { pid, end })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn signal(&self, signal: Signal) {
        let status = self.end.lock();
        // Under the lock the child is not reaped yet, so that its number cannot have passed to another process.
        if status.is_none() {
            let number = match signal {
                Signal::Fast => libc::SIGINT,
                Signal::Immediate => libc::SIGQUIT,
            };
            kill(self.pid, number);
        }
    }

    /// Waits until the child has ended, `bound` at most.
    pub(super) fn wait(&self, bound: Duration) -> Option<ExitStatus> {
        let running = |status: &mut Option<ExitStatus>| status.is_none();
        let waited = self.end.reached.wait_timeout_while(self.end.lock(), bound, running);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl End {
    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, mut child: Child) {
        wait_unreaped(child.id());
        let mut status = self.lock();
        let ended = child.wait().unwrap_or_default();
        if !ended.success() {
            tracing::warn!(status = %ended, pid = child.id(), "PostgreSQL ended");
        }
        *status = Some(ended);
        self.reached.notify_all();
    }
}

/// Puts `command` into a process group of its own, so that Ctrl-C reaches us first, and on Linux has it sent `signal`
/// when the thread that starts it ends.
pub(super) fn end_with_this_thread(command: &mut Command, signal: libc::c_int) {
    command.process_group(0);
    #[cfg(target_os = "linux")]
    {
        let parent = libc::pid_t::try_from(std::process::id());
        let arm = move || {
            // SAFETY: prctl and getppid are system calls without pointers, allowed between fork and exec.
            let (armed, now) = unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, signal), libc::getppid()) };
            if armed == -1 {
                Err(io::Error::last_os_error())
            } else if parent != Ok(now) {
                // The parent died before the signal was armed.
                Err(io::Error::from_raw_os_error(libc::ESRCH))
            } else {
                Ok(())
            }
        };
        // SAFETY: `arm` neither allocates nor locks. It runs after std has changed the user, which would disarm it.
        unsafe { command.pre_exec(arm) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = signal;
}

pub(super) fn effective_user() -> u32 {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether a process exists that we may signal.
pub(super) fn exists(pid: u32) -> bool {
    kill(pid, 0)
}

/// Ends a process that can do nothing about it.
pub(super) fn kill_now(pid: u32) {
    kill(pid, libc::SIGKILL);
}

fn kill(pid: u32, signal: libc::c_int) -> bool {
    // Zero and negative numbers would mean whole groups of processes.
    let Some(pid) = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0) else { return false };
    // SAFETY: kill takes no pointers.
    unsafe { libc::kill(pid, signal) == 0 }
}

fn wait_unreaped(pid: u32) {
    loop {
        // SAFETY: siginfo_t is plain data that waitid fills in.
        let waited = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, pid, &raw mut info, libc::WEXITED | libc::WNOWAIT)
        };
        if waited == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}
