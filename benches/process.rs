//! A program that runs beside us, and ends with us.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Failure;

/// How long a program may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running program; asked to end when it is dropped, and made to when it does not.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        let child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        Ok(Self(child))
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<bool, Failure> {
        Ok(self.0.try_wait()?.is_some())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        // By the program kill: asking politely is a system call, and those are unsafe code.
        let asked = Command::new("kill").arg(self.pid().to_string()).status();
        let until = Instant::now() + PATIENCE;
        while asked.as_ref().is_ok_and(std::process::ExitStatus::success) && Instant::now() < until {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program that says little to its end, and answers what it said.
///
/// # Errors
/// When it cannot be started or fails; with what it complained of.
pub async fn output(command: &mut Command) -> Result<String, Failure> {
    let mut running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    while !running.ended()? {
        sleep(Duration::from_millis(20)).await;
    }
    let read = |pipe: Option<&mut dyn Read>| -> Result<String, Failure> {
        let mut text = String::new();
        if let Some(pipe) = pipe {
            pipe.read_to_string(&mut text)?;
        }
        Ok(text)
    };
    let stdout = read(running.0.stdout.as_mut().map(|pipe| pipe as &mut dyn Read))?;
    let stderr = read(running.0.stderr.as_mut().map(|pipe| pipe as &mut dyn Read))?;
    let status = running.0.wait()?;
    if status.success() {
        Ok(stdout)
    } else {
        let said = if stderr.is_empty() { stdout } else { stderr };
        Err(format!("{} failed: {said}", command.get_program().display()).into())
    }
}
