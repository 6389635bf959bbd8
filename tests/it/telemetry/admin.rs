//! The admin port: what it says of the process, and of whether it takes calls.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{App, skipped};
use crate::health::{allow, lock_photos, throw_out};
use crate::replica::Replica;

use super::{PATIENCE, end, of, program};

/// The program on the app's database, with an admin port, and where that is.
pub fn watched(app: &App, variables: &[(&str, &str)]) -> (Replica, String) {
    let file = crate::program::Folder::made("admin");
    let file_name = file.0.join("address").to_str().unwrap().to_owned();
    let replica = program(app, variables, &["--admin-listen", "127.0.0.1:0", "--admin-address-file", &file_name]);
    let address = std::fs::read_to_string(&file_name).unwrap();
    (replica, address)
}

/// An answer: status, content type, and text.
pub struct Answer(pub u16, pub String, pub String);

/// Asks a port for a path, as curl does.
pub fn ask(address: &str, request: &str) -> Answer {
    let mut socket = TcpStream::connect(address).unwrap();
    write!(socket, "{request} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let form = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    Answer(status, form.to_owned(), body.to_owned())
}

/// Waits until a port is ready, or not, and answers why.
fn until(address: &str, ready: bool) -> String {
    let started = Instant::now();
    loop {
        let Answer(status, _, why) = ask(address, "GET /readyz");
        if status == if ready { 200 } else { 503 } {
            return why;
        }
        assert!(started.elapsed() < PATIENCE, "still {status}: {why}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_follows_the_database_and_life_does_not() {
    let app = App::start().await;
    let (_replica, address) = watched(&app, &[]);
    assert_eq!(until(&address, true), "ok\n");
    let ready = |value: &str| ask(&address, "GET /metrics").2.contains(&format!("\nphotometa_ready {value}\n"));
    assert!(ready("1"));

    allow(&app, false).await;
    throw_out(&app).await;
    let why = until(&address, false);

    assert!(why.contains("database"), "{why}");
    assert!(ready("0"));
    assert_eq!(ask(&address, "GET /livez").0, 200);
    allow(&app, true).await;
    until(&address, true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_server_lives_and_is_not_ready() {
    let app = App::start().await;
    let (mut replica, address) = watched(&app, &[]);
    let locker = lock_photos(&app).await;
    let mut client = photometa::pb::photo_service_client::PhotoServiceClient::new(replica.channel().await);
    let call = tokio::spawn(async move {
        client.list_photos(of(crate::harness::A.as_admin(), photometa::pb::ListPhotosRequest::default())).await
    });
    crate::health::until_blocked(&app, 1).await;

    let ending = tokio::task::spawn_blocking(move || end(&mut replica));
    assert_eq!(until(&address, false), "it is draining\n");

    assert_eq!(ask(&address, "GET /livez").0, 200);
    drop(locker);
    call.await.unwrap().unwrap();
    ending.await.unwrap();
    assert!(TcpStream::connect(&address).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn port_answers_what_it_knows_and_nothing_else() {
    let app = App::start().await;
    let (_replica, address) = watched(&app, &[]);

    assert_eq!(ask(&address, "GET /").0, 404);
    assert_eq!(ask(&address, "POST /metrics").0, 405);
    // Many more than there is room for say nothing; who comes next is answered long before they are cut off.
    let mut silent: Vec<_> = (0..100).map(|_| TcpStream::connect(&address).unwrap()).collect();
    assert_eq!(ask(&address, "GET /livez").0, 200);
    let newest = silent.last_mut().unwrap();
    newest.set_nonblocking(true).unwrap();
    let kept = newest.read(&mut [0]).expect_err("only the oldest ones go, and none of them had to wait");
    assert_eq!(kept.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_what_prometheus_reads() {
    let app = App::start().await;
    let (_replica, address) = watched(&app, &[]);
    let Answer(status, form, text) = ask(&address, "GET /metrics");
    assert_eq!((status, form.as_str()), (200, "text/plain; version=0.0.4"));

    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else {
        return skipped("promtool is not installed; it comes with Debian's package prometheus");
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    // 3 is advice on names and help; anything else is text that cannot be read.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("error while linting"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_is_the_programs_own_and_has_colours_where_they_are_wanted() {
    let app = App::start().await;
    let (replica, _) = watched(&app, &[]);
    assert!(!replica.log().contains("meter provider"), "{}", replica.log());

    let words = ["-qec", "$PHOTOMETA serve --migration-url postgres://x@127.0.0.1:1/y --config $PHOTOMETA_FILE"];
    let folder = crate::program::Folder::made("coloured");
    let file = folder.0.join("photometa.toml");
    std::fs::write(&file, "jwt_secret = \"exposed\"\n").unwrap();
    let on_a_terminal = |variable: (&str, &str)| {
        let mut command = Command::new("script");
        command.env("PHOTOMETA", env!("CARGO_BIN_EXE_photometa")).env("PHOTOMETA_FILE", &file);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR").envs([variable]);
        command.args(words).arg("/dev/null").stdin(Stdio::null()).output()
    };
    let (Ok(plain), Ok(coloured)) = (on_a_terminal(("CLICOLOR", "0")), on_a_terminal(("CLICOLOR", "1"))) else {
        return skipped("script is not installed; it comes with Debian's package bsdutils");
    };
    let told = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told(&coloured).contains("\x1b["), "{}", told(&coloured));
    assert!(told(&plain).contains("has secrets in it") && !told(&plain).contains('\x1b'), "{}", told(&plain));
}
