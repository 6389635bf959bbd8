//! All of it against the real program: its memory stays where it is, somebody else is served, and afterwards nobody is
//! left. PHOTOMETA_TEST_HOSTILE_CONNECTIONS=10000 and PHOTOMETA_TEST_HOSTILE_ROUNDS=50 are the long form.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tonic::transport::Channel;

use super::bodies::{length, message, packed_zeros, post};
use super::bystander::Bystander;
use super::frames::{END_HEADERS, HEADERS, NONE, RST_STREAM, Raw, call, frame};
use super::{WHO_AM_I, frames};
use crate::program::{Folder, ORGANIZATION, Program, photometa, run, serve_as};
use crate::random::asked;

const CONNECTIONS: usize = 300;
const ROUNDS: usize = 3;
/// Memory that a connection may take while it is there, in bytes: what is read and written waits in it.
const EACH: usize = 64 * 1024;
/// Memory that may be kept after the first round, in bytes: 2000 calls at once, and 10 messages of 4 MiB.
const MOST: usize = 192 << 20;
/// Memory that may have grown in all rounds after it: they come to an end of it after four.
const GROWN: usize = 64 << 20;

struct Server {
    folder: Folder,
    program: Program,
    address: SocketAddr,
    authorization: String,
}

impl Server {
    fn start() -> Self {
        let folder = Folder::new("hostile");
        let mut command = photometa(&folder.0);
        command.stdout(Stdio::null()).env("PHOTOMETA_MAX_CONNECTIONS", "30000");
        command.env("PHOTOMETA_REQUEST_TIMEOUT", "8s").env("PHOTOMETA_HANDSHAKE_TIMEOUT", "5s");
        let program = serve_as(command, &folder.0);
        let token = run(&folder.0, &["token", "--role", "service", "--org", ORGANIZATION]);
        let authorization = format!("Bearer {}", String::from_utf8(token.stdout).unwrap().trim());
        let address = program.address.parse().unwrap();
        Self { folder, program, address, authorization }
    }

    /// Its resident memory in bytes.
    fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.program.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    /// How many sockets it has.
    fn sockets(&self) -> usize {
        let open = Path::new("/proc").join(self.program.child.id().to_string()).join("fd");
        let links = fs::read_dir(open).unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    }

    /// The same, and tells its memory.
    async fn settled(&self, before: usize, attack: &str) {
        self.until_gone(before, attack).await;
        println!("{attack}: {} KiB", self.memory() / 1024);
    }

    /// Waits until it has no more sockets than before, but for those to the database.
    async fn until_gone(&self, before: usize, attack: &str) {
        let (started, pool) = (Instant::now(), 17);
        while self.sockets() > before + pool {
            assert!(started.elapsed() < Duration::from_secs(60), "{attack}: {} sockets are left", self.sockets());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn program_without_files_to_open_serves_who_is_there_and_lets_others_in() {
    let server = Server::start();
    let connect = async || Channel::from_shared(format!("http://{}", server.address)).unwrap().connect().await;
    let somebody = Bystander::begin(connect().await.unwrap(), &server.authorization).known().await;
    // What it has by now, and a handful.
    let most = fs::read_dir(format!("/proc/{}/fd", server.program.child.id())).unwrap().count() + 8;
    let pid = server.program.child.id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={most}:")]).status().unwrap().success());

    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(Raw::begun(server.address).await);
    }
    let newcomer = Bystander::reconnecting(connect().await.unwrap(), &server.authorization);

    tokio::time::sleep(Duration::from_secs(2)).await;
    newcomer.end("a newcomer without files").await;
    somebody.end("without files").await;
    let log = fs::read_to_string(server.folder.0.with_extension("log")).unwrap();
    assert!(log.contains("connections cannot be taken; raise the limit of open files"), "{log}");
}

/// Many at once, each doing the same.
async fn many<F>(count: usize, one: impl Fn(usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let all: Vec<_> = (0..count).map(|number| tokio::spawn(one(number))).collect();
    for one in all {
        one.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn program_outlives_them_all_with_the_memory_that_it_had() {
    let count = asked("PHOTOMETA_TEST_HOSTILE_CONNECTIONS").unwrap_or(CONNECTIONS);
    let server = Server::start();
    let (address, authorization) = (server.address, server.authorization.clone());
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let somebody = Bystander::begin(channel, &authorization).known().await;
    let (memory, sockets) = (server.memory(), server.sockets());

    let mut there = Vec::new();
    for _ in 0..count {
        there.push(Raw::begun(address).await);
    }
    // The system takes connections before the program does.
    let started = Instant::now();
    while server.sockets() < count {
        assert!(started.elapsed() < Duration::from_secs(20), "{} sockets for {count} connections", server.sockets());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let crowded = server.memory();
    println!("{count} connections: {} KiB more", crowded.saturating_sub(memory) / 1024);
    assert!(crowded < memory + count * EACH, "{count} connections took {crowded} bytes, from {memory}");
    drop(there);
    server.until_gone(sockets, "a crowd").await;

    let (few, bomb) = (count.min(300) / 30, packed_zeros(64));
    let mut after = Vec::new();
    for round in 0..asked("PHOTOMETA_TEST_HOSTILE_ROUNDS").unwrap_or(ROUNDS) {
        many(few, |_| half_open(address)).await;
        server.settled(sockets, "half-open streams").await;
        many(few, |_| resets(address)).await;
        server.settled(sockets, "resets").await;
        many(few, |_| never_ending(address)).await;
        server.settled(sockets, "headers without end").await;
        many(few, |_| unpacked(address, authorization.clone(), bomb.clone())).await;
        server.settled(sockets, "bombs").await;
        println!("round {round}");
        after.push(server.memory());
    }

    somebody.end("all of it").await;
    // What many calls at once have taken once is kept for the next time, and not taken again.
    assert!(after[0] < memory + MOST + count * EACH / 2, "{after:?} bytes, from {memory}");
    assert!(after.last() < after.first().map(|first| first + GROWN).as_ref(), "{after:?} bytes, from {memory}");
    let ready = run(&server.folder.0, &["healthcheck", "--address", &server.program.address]);
    assert!(ready.status.success());
}

async fn unpacked(address: SocketAddr, authorization: String, bomb: Vec<u8>) {
    let (code, said) = post(address, &authorization, Some("gzip"), message(1, length(&bomb), &bomb)).await;
    assert_ne!(code, 0, "{said}");
}

/// As many calls as a connection may have, whose messages never come: each ends with its deadline.
async fn half_open(address: SocketAddr) {
    let mut raw = Raw::begun(address).await;
    let headers = call(WHO_AM_I, &[]);
    let calls = 200;
    for number in 0..calls {
        raw.send(&frame(HEADERS, END_HEADERS, number * 2 + 1, &headers)).await.unwrap();
    }
    for _ in 0..calls {
        assert!(raw.until(HEADERS).await.is_some(), "each is answered");
    }
}

async fn resets(address: SocketAddr) {
    let mut raw = Raw::begun(address).await;
    let headers = call(WHO_AM_I, &[]);
    for number in 0..1000 {
        let stream = number * 2 + 1;
        let reset = frame(RST_STREAM, NONE, stream, &8_u32.to_be_bytes());
        if raw.send(&[frame(HEADERS, END_HEADERS, stream, &headers), reset].concat()).await.is_err() {
            break;
        }
    }
}

async fn never_ending(address: SocketAddr) {
    let mut raw = Raw::begun(address).await;
    raw.send(&frame(HEADERS, NONE, 1, &call(WHO_AM_I, &[]))).await.unwrap();
    let part = frames::header("x-more", &"x".repeat(10_000));
    while raw.send(&frame(frames::CONTINUATION, NONE, 1, &part)).await.is_ok() {}
}
