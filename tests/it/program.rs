//! The program as its user runs it: started, asked, killed, started again.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use photometa::pb;
use photometa::pb::photo_service_client::PhotoServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::cluster::scratch;
use crate::harness::Bearer;

/// The demo organization that `serve` makes.
pub const ORGANIZATION: &str = "de300101-0000-8000-8000-000000000001";
/// Its first project.
pub const PROJECT: &str = "de300301-0000-8000-8000-000000000001";

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A folder of this test's own; gone afterwards.
pub struct Folder(pub PathBuf);

impl Folder {
    /// Makes its name free.
    pub fn new(name: &str) -> Self {
        // Two tests may think of the same name.
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = scratch().join(format!("photometa-{name}-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        Self(folder)
    }

    /// The same, and it is there.
    pub fn made(name: &str) -> Self {
        let folder = Self::new(name);
        fs::create_dir_all(&folder.0).unwrap();
        folder
    }

    /// The names of what is in it.
    pub fn files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // Of `serve`.
        let _ = fs::remove_file(self.0.with_extension("log"));
    }
}

/// A running `photometa serve`; killed when dropped.
pub struct Program {
    /// Its process.
    pub child: Child,
    /// Where it serves.
    pub address: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, with nothing of the environment's.
pub fn photometa(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_photometa"));
    for variable in [
        "PHOTOMETA_DATABASE_URL",
        "PHOTOMETA_MIGRATION_URL",
        "PHOTOMETA_READ_DATABASE_URL",
        "PHOTOMETA_JWT_SECRET",
        "PHOTOMETA_JWT_PUBLIC_KEY",
        "PHOTOMETA_JWKS",
        "PHOTOMETA_PAGE_SECRET",
        "PHOTOMETA_TOKEN",
        "PHOTOMETA_ADDRESS",
    ] {
        command.env_remove(variable);
    }
    command.env("PHOTOMETA_DATA_DIR", data).stdin(Stdio::null());
    command
}

/// The program, serving its private PostgreSQL.
pub fn serve(data: &Path) -> Program {
    let mut command = photometa(data);
    command.stdout(Stdio::null());
    serve_as(command, data)
}

/// The same with a command that has more to it.
pub fn serve_as(mut command: Command, data: &Path) -> Program {
    let file = data.with_extension("address");
    let log = data.with_extension("log");
    let _ = fs::remove_file(&file);
    let mut child = command
        .args(["serve", "--listen", "127.0.0.1:0", "--address-file"])
        .arg(&file)
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(&log).unwrap();
    let started = Instant::now();
    loop {
        if let Ok(address) = fs::read_to_string(&file) {
            let _ = fs::remove_file(&file);
            return Program { child, address };
        }
        assert!(child.try_wait().unwrap().is_none(), "serve ended before it was ready: {}", said());
        assert!(started.elapsed() < Duration::from_secs(60), "serve was not ready after a minute: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal to processes, of which the first one must be there, and the others may have ended by themselves.
pub fn signal(name: &str, pids: &[u32]) {
    let sent = Command::new("kill").arg(name).args(pids.iter().map(ToString::to_string)).output().unwrap();
    let said = String::from_utf8_lossy(&sent.stderr);
    assert!(sent.status.success() || !said.contains(&format!("({})", pids[0])), "{said}");
}

/// Runs a command of the program to its end.
pub fn run(data: &Path, arguments: &[&str]) -> Output {
    photometa(data).args(arguments).output().unwrap()
}

/// What a command said on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn photos(data: &Path, address: &str) -> PhotoServiceClient<InterceptedService<Channel, Bearer>> {
    let output = run(data, &["token", "--role", "service", "--org", ORGANIZATION]);
    let token = String::from_utf8(output.stdout).unwrap();
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    PhotoServiceClient::new(InterceptedService::new(channel, Bearer::new(&format!("Bearer {}", token.trim()))))
}

fn photo(number: usize) -> pb::CreatePhotoRequest {
    let s3_key = format!("killed/{number}.jpg");
    let s3_url = format!("https://example.com/{s3_key}");
    pb::CreatePhotoRequest {
        photo: Some(pb::Photo { project_id: PROJECT.to_owned(), s3_url, s3_key, ..Default::default() }),
    }
}

#[tokio::test]
async fn serve_keeps_every_acknowledged_photo_when_it_is_killed() {
    let folder = Folder::new("killed");
    let mut program = serve(&folder.0);
    let mut client = photos(&folder.0, &program.address).await;
    for number in 0..20 {
        client.create_photo(photo(number)).await.unwrap();
    }

    // SIGKILL: nothing is said to the database.
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let program = serve(&folder.0);

    let mut client = photos(&folder.0, &program.address).await;
    let found = client.list_photos(pb::ListPhotosRequest::default()).await.unwrap().into_inner();
    assert_eq!(found.photos.len(), 20);
    let again = client.create_photo(photo(7)).await.unwrap().into_inner();
    assert_eq!(again.outcome(), pb::WriteOutcome::Unchanged);
}

#[tokio::test]
async fn serve_starts_its_postgresql_again_when_that_is_killed() {
    let folder = Folder::new("supervised");
    let program = serve(&folder.0);
    let mut client = photos(&folder.0, &program.address).await;
    client.create_photo(photo(1)).await.unwrap();
    let postmaster = fs::read_to_string(folder.0.join("postgres/postmaster.pid")).unwrap();

    assert!(Command::new("kill").args(["-KILL", postmaster.lines().next().unwrap()]).status().unwrap().success());

    let killed = Instant::now();
    loop {
        match client.list_photos(pb::ListPhotosRequest::default()).await {
            Ok(found) if killed.elapsed() > Duration::from_millis(300) => {
                assert_eq!(found.into_inner().photos.len(), 1);
                break;
            }
            Ok(_) => {}
            Err(status) => assert_eq!(status.code(), tonic::Code::Unavailable, "{status}"),
        }
        assert!(killed.elapsed() < Duration::from_secs(30), "PostgreSQL did not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let now = fs::read_to_string(folder.0.join("postgres/postmaster.pid")).unwrap();
    assert_ne!(now.lines().next(), postmaster.lines().next());
}

#[test]
fn serve_starts_at_once_after_it_was_killed_with_its_postgresql() {
    let folder = Folder::new("both");
    let mut program = serve(&folder.0);

    let postmaster = fs::read_to_string(folder.0.join("postgres/postmaster.pid")).unwrap();

    let pids = [postmaster.lines().next().unwrap(), &program.child.id().to_string()];
    assert!(Command::new("kill").arg("-KILL").args(pids).status().unwrap().success());
    program.child.wait().unwrap();
    // Sessions may go on for a moment, and nobody has buried the postmaster.
    program = serve(&folder.0);

    assert!(!program.address.is_empty());
}

#[tokio::test]
async fn serve_ends_with_status_0_on_sigterm_and_says_not_ready_afterwards() {
    let folder = Folder::new("ended");
    let mut program = serve(&folder.0);
    let ready = run(&folder.0, &["healthcheck", "--address", &program.address]);
    assert!(ready.status.success(), "{}", said(&ready));

    let pid = program.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());

    assert!(program.child.wait().unwrap().success());
    let ready = run(&folder.0, &["healthcheck", "--address", &program.address]);
    assert_eq!(ready.status.code(), Some(1));
    assert!(said(&ready).contains(&program.address), "{}", said(&ready));
}

#[test]
fn serve_takes_an_existing_folder_that_only_its_owner_may_enter() {
    let folder = Folder::new("private");
    fs::create_dir(&folder.0).unwrap();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o700)).unwrap();

    let program = serve(&folder.0);

    assert!(!program.address.is_empty());
    assert_eq!(fs::metadata(&folder.0).unwrap().mode() & 0o066, 0, "others may look inside");
}

#[test]
fn serve_refuses_a_second_instance_on_the_same_folder() {
    let folder = Folder::new("second");
    let _program = serve(&folder.0);

    let second = run(&folder.0, &["serve", "--listen", "127.0.0.1:0"]);

    assert_eq!(second.status.code(), Some(1));
    assert!(said(&second).contains("already running"), "{}", said(&second));
}

#[test]
fn serve_says_what_to_install_where_there_is_no_postgresql() {
    let folder = Folder::new("bare");
    let bare = folder.0.with_extension("bin");
    fs::create_dir_all(&bare).unwrap();

    let output = run(&folder.0, &["serve", "--listen", "127.0.0.1:0", "--pg-bin", bare.to_str().unwrap()]);

    fs::remove_dir_all(&bare).unwrap();
    assert_eq!(output.status.code(), Some(1));
    for word in ["postgresql", "PG_BIN", "PHOTOMETA_DATABASE_URL"] {
        assert!(said(&output).contains(word), "{word} in {}", said(&output));
    }
}

#[test]
fn commands_say_what_to_change_where_there_is_no_database_or_no_folder_for_one() {
    let folder = Folder::new("nowhere");
    let file = folder.0.with_extension("file");
    fs::write(&file, "").unwrap();
    let away = ["--database-url", "postgres://somebody@127.0.0.1:1/none"];
    let inside = file.join("data");

    let migrate = run(&folder.0, &["migrate", "up", away[0], away[1]]);
    let serve = run(&folder.0, &["serve", "--listen", "127.0.0.1:0", "--data-dir", inside.to_str().unwrap()]);
    let over = run(&folder.0, &["serve", "--listen", "127.0.0.1:0", "--data-dir", file.to_str().unwrap()]);

    fs::remove_file(&file).unwrap();
    assert_eq!((migrate.status.code(), serve.status.code(), over.status.code()), (Some(1), Some(1), Some(1)));
    assert!(said(&over).contains("not a directory; set PHOTOMETA_DATA_DIR to"), "{}", said(&over));
    assert!(said(&migrate).contains("see that PostgreSQL runs, and that PHOTOMETA_DATABASE_URL"), "{}", said(&migrate));
    assert!(said(&serve).contains("set PHOTOMETA_DATA_DIR to"), "{}", said(&serve));
}

#[test]
fn serve_refuses_a_database_without_a_key() {
    let folder = Folder::new("keyless");

    let output =
        run(&folder.0, &["serve", "--listen", "127.0.0.1:0", "--database-url", "postgres://nobody@127.0.0.1:1/none"]);

    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("PHOTOMETA_JWT_SECRET"), "{}", said(&output));
}

#[test]
fn token_refuses_an_organization_for_operators_and_none_for_others() {
    let folder = Folder::new("token");
    let secret = ["--jwt-secret", "0123456789abcdef0123456789abcdef"];

    let operator = run(&folder.0, &["token", "--role", "operator", "--org", ORGANIZATION, secret[0], secret[1]]);
    let admin = run(&folder.0, &["token", "--role", "org_admin", secret[0], secret[1]]);
    let right = run(&folder.0, &["token", "--role", "org_admin", "--org", ORGANIZATION, secret[0], secret[1]]);

    assert!(said(&operator).contains("leave --org out"), "{}", said(&operator));
    assert!(said(&admin).contains("needs --org"), "{}", said(&admin));
    assert_eq!(String::from_utf8(right.stdout).unwrap().trim().split('.').count(), 3);
}

#[test]
fn seed_and_import_are_safe_to_repeat() {
    let folder = Folder::new("repeated");
    let program = serve(&folder.0);
    let file = folder.0.with_extension("json");
    let coco = r#"{"images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 50}, {"id": 2, "file_name": "b.jpg", "width": 10, "height": 10}],
        "categories": [{"id": 7, "name": "crack"}],
        "annotations": [{"id": 9, "image_id": 1, "category_id": 7, "bbox": [10, 10, 20, 20], "segmentation": [[10, 10, 30, 10, 30, 30]]}]}"#;
    fs::write(&file, coco).unwrap();
    let token = run(&folder.0, &["token", "--role", "service", "--org", ORGANIZATION]);
    let token = String::from_utf8(token.stdout).unwrap();
    let import = || {
        let file = file.to_str().unwrap();
        run(
            &folder.0,
            &["import", "coco", file, "--project", PROJECT, "--address", &program.address, "--token", token.trim()],
        )
    };

    let seeded = [0; 2].map(|_| run(&folder.0, &["seed", "--address", &program.address]));
    let imported = [0; 2].map(|_| import());

    fs::remove_file(&file).unwrap();
    let printed = |output: &Output| {
        assert!(output.status.success(), "{}", said(output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(printed(&seeded[1]).contains(": 0 created"), "{}", printed(&seeded[1]));
    assert!(printed(&imported[0]).contains("2 photos (2 created, 0 unchanged)"), "{}", printed(&imported[0]));
    assert!(printed(&imported[1]).contains("2 photos (0 created, 2 unchanged)"), "{}", printed(&imported[1]));
    let other = ["--jwt-secret", "0123456789abcdef0123456789abcdef"];
    let stranger = run(&folder.0, &["seed", "--address", &program.address, other[0], other[1]]);
    assert_eq!(stranger.status.code(), Some(1));
    assert!(said(&stranger).contains("seed signs with PHOTOMETA_JWT_SECRET"), "{}", said(&stranger));
}
