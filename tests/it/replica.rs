//! `photometa serve` over a database that a test chooses: ready or not, with its log at hand.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tonic::transport::Channel;

use crate::harness::SECRET;
use crate::port;
use crate::program::{Folder, photometa};

/// `photometa serve` on a port of its own; killed when dropped.
pub struct Replica {
    /// Its process.
    pub child: Child,
    /// Where it listens, ready or not.
    pub address: String,
    /// Where its log and address are.
    pub folder: Folder,
}

impl Replica {
    /// Starts it; `urls` are its variables.
    pub fn start(name: &str, urls: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = Folder::new(name);
        fs::create_dir_all(&folder.0).unwrap();
        let free = port::address();
        let address = folder.0.join("address").to_str().unwrap().to_owned();
        Self::run(folder, free, urls, &[&["--address-file", &address], arguments].concat())
    }

    /// Starts it where another one was.
    pub fn start_at(name: &str, address: String, urls: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = Folder::made(name);
        Self::run(folder, address, urls, arguments)
    }

    /// As [`Replica::start`], with an address file of the caller's.
    pub fn start_with(name: &str, urls: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = Folder::new(name);
        fs::create_dir_all(&folder.0).unwrap();
        let free = port::address();
        Self::run(folder, free, urls, arguments)
    }

    fn run(folder: Folder, free: String, urls: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = photometa(&folder.0);
        command.envs(urls.iter().copied()).env("PHOTOMETA_JWT_SECRET", OsStr::from_bytes(SECRET));
        command.args(["serve", "--listen", &free]).args(arguments);
        let log = fs::File::create(folder.0.join("log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { child, address: free, folder }
    }

    /// What it has said.
    pub fn log(&self) -> String {
        let mut text = String::new();
        fs::File::open(self.folder.0.join("log")).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Whether it says that it serves.
    pub fn is_ready(&self) -> bool {
        let mut command: Command = photometa(&self.folder.0);
        let output = command.args(["healthcheck", "--address", &self.address]).output().unwrap();
        output.status.success()
    }

    /// Waits for it.
    pub fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !done(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ended with {ended:?} before {what}: {}", self.log());
            assert!(started.elapsed() < Duration::from_secs(60), "not {what} after a minute: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A connection to it.
    pub async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        for _ in 0..500 {
            if let Ok(channel) = endpoint.connect().await {
                return channel;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody listens: {}", self.log())
    }

    /// Waits until it has ended by itself with status 1, a minute at most, and answers what it said.
    pub fn ended(&mut self) -> String {
        self.ended_with(1)
    }

    /// The same, with another status.
    pub fn ended_with(&mut self, code: i32) -> String {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "still there: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(status.code(), Some(code), "{}", self.log());
        self.log()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
