//! TLS to PostgreSQL: who is let in, who is refused and with which words, and that a statement is cancelled through it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use photometa::db::{Target, session};
use photometa::pb;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::Client;

use crate::cluster::TestDatabase;
use crate::harness::{A, App, SECRET};
use crate::health::until_blocked;
use crate::port;
use crate::program::Folder;
use crate::replica::Replica;
use crate::standby::Server;
use crate::tls::authority::Authority;

/// The login's password, as it must not show anywhere.
const PASSWORD: &str = "correct-horse-battery";

/// A PostgreSQL that listens on the network and speaks TLS; killed when dropped.
struct Networked {
    child: Child,
    port: u16,
    /// Certificates are here.
    files: Folder,
    socket: PathBuf,
    /// The cluster.
    _server: Server,
}

impl Drop for Networked {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

impl Networked {
    /// Starts it with the schema, the fixture, and rules for who may come in over the network.
    async fn start(rules: &str) -> Self {
        let files = Folder::made("tls");
        let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
        files.write("authority.pem", &authority.pem);
        files.write("stranger.pem", &stranger.pem);
        files.write_pair("server", &authority.server(&["localhost"]));
        files.write_pair("photometa_app", &authority.login("photometa_app"));

        let mut server = Server::prepared("networked").await;
        let admin = server.superuser().await;
        admin.batch_execute(include_str!("fixture.sql")).await.unwrap();
        admin.batch_execute(&format!("alter role photometa_app password '{PASSWORD}'")).await.unwrap();
        let binary = fs::read_link(format!("/proc/{}/exe", server.running().pid())).unwrap();
        let socket = server.running().socket_dir().to_owned();
        let owner = fs::metadata(&socket).unwrap();
        drop(admin);
        server.stop().await;

        let cluster = server.cluster();
        let hba = fs::read_to_string(cluster.join("pg_hba.conf")).unwrap();
        let local: Vec<&str> = hba.lines().filter(|line| line.starts_with("local")).collect();
        fs::write(cluster.join("pg_hba.conf"), format!("{}\n{rules}\n", local.join("\n"))).unwrap();
        for name in ["server.pem", "server.key", "authority.pem"] {
            fs::copy(files.0.join(name), cluster.join(name)).unwrap();
            fs::set_permissions(cluster.join(name), fs::Permissions::from_mode(0o600)).unwrap();
            chown(cluster.join(name), Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let port = port::free();
        let mut command = Command::new(binary);
        command.arg("-D").arg(&cluster).current_dir("/").stdin(Stdio::null());
        let directories = format!("unix_socket_directories={}", socket.display());
        let port_setting = format!("port={port}");
        for setting in [
            "listen_addresses=127.0.0.1",
            &port_setting,
            &directories,
            "ssl=on",
            "ssl_cert_file=server.pem",
            "ssl_key_file=server.key",
            "ssl_ca_file=authority.pem",
            "fsync=off",
        ] {
            command.args(["-c", setting]);
        }
        let log = fs::File::create(files.0.join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        // As root, as the user who owns the cluster.
        if owner.uid() != fs::metadata("/proc/self").unwrap().uid() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let networked = Self { child: command.spawn().unwrap(), port, files, socket, _server: server };
        let started = Instant::now();
        while networked.superuser().await.is_none() {
            assert!(started.elapsed() < Duration::from_secs(30), "{}", networked.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        networked
    }

    async fn superuser(&self) -> Option<Client> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket).port(self.port).user("postgres").dbname("photometa");
        session(&config, "test").await.ok()
    }

    fn database(&self) -> TestDatabase {
        TestDatabase::behind(&self.socket, self.port, "photometa")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.files.0.join("log")).unwrap()
    }

    fn url(&self, host: &str, options: &str) -> String {
        let options = options.replace("FILES", &self.files.0.display().to_string());
        format!("postgres://photometa_app:{PASSWORD}@{host}:{}/photometa?{options}", self.port)
    }

    /// Whether the session speaks TLS, or why there is none.
    async fn outcome(&self, host: &str, options: &str) -> Result<bool, String> {
        let target: Target = self.url(host, options).parse().map_err(|error| format!("{error}"))?;
        let client = session(&target, "test").await.map_err(|error| error.to_string())?;
        let encrypted = "select ssl from pg_catalog.pg_stat_ssl where pid = pg_backend_pid()";
        Ok(client.query_one(encrypted, &[]).await.unwrap().try_get(0).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_verify_the_server_as_far_as_their_url_says() {
    let postgres = Networked::start("host all all 127.0.0.1/32 scram-sha-256").await;

    for (host, options, expected) in [
        ("localhost", "sslmode=verify-full&sslrootcert=FILES/authority.pem", Ok(true)),
        // A file of authorities says enough.
        ("localhost", "sslrootcert=FILES/authority.pem", Ok(true)),
        ("localhost", "sslmode=prefer", Ok(true)),
        ("localhost", "", Ok(true)),
        ("localhost", "sslmode=disable", Ok(false)),
        // The channel is bound to the server's certificate.
        ("localhost", "sslrootcert=FILES/authority.pem&channel_binding=require", Ok(true)),
        ("localhost", "sslmode=verify-full&sslrootcert=FILES/stranger.pem", Err("UnknownIssuer")),
        // Nobody signed for the system's authorities.
        ("localhost", "sslmode=require", Err("certificate")),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=FILES/authority.pem", Err("not valid for name")),
        ("localhost", "sslmode=verify-full&sslrootcert=FILES/nowhere.pem", Err("nowhere.pem: cannot be read")),
        ("localhost", "sslmode=verify-full&sslrootcert=FILES/server.key", Err("has no certificate")),
    ] {
        let found = postgres.outcome(host, options).await;

        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(*found, expected, "{host} {options}"),
            (Err(text), Err(expected)) => {
                assert!(text.contains(expected) && !text.contains(PASSWORD), "{host} {options}: {text}");
            }
            _ => panic!("{host} {options}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn session_tells_nothing_to_a_server_without_tls_unless_its_url_allows_that() {
    let files = Folder::made("without-tls");
    files.write("authority.pem", &Authority::new("authority").pem);
    let root = files.0.join("authority.pem").display().to_string();
    for (options, allowed) in [
        (format!("sslmode=verify-full&sslrootcert={root}"), false),
        (format!("sslrootcert={root}"), false),
        ("sslmode=require".to_owned(), false),
        ("sslmode=prefer".to_owned(), true),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let declines = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 8];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(b"N").await.unwrap();
            let mut told = [0; 256];
            let length = stream.read(&mut told).await.unwrap();
            (asked, told[..length].to_vec())
        });
        let url = format!("postgres://photometa_app:{PASSWORD}@localhost:{port}/photometa?{options}");

        let refused = session(&url.parse::<Target>().unwrap(), "test").await.map(drop);

        let (asked, told) = declines.await.unwrap();
        assert_eq!(asked, [0, 0, 0, 8, 4, 210, 22, 47], "SSLRequest");
        assert!(refused.is_err());
        let text = String::from_utf8_lossy(&told);
        assert_eq!(text.contains("photometa_app"), allowed, "{options}: {text:?}");
        assert_eq!(told.is_empty(), !allowed, "{options}: {text:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificate_logs_in_where_the_server_asks_for_one() {
    let postgres = Networked::start("hostssl all all 127.0.0.1/32 cert").await;
    let verified = "sslmode=verify-full&sslrootcert=FILES/authority.pem";

    let with = postgres
        .outcome("localhost", &format!("{verified}&sslcert=FILES/photometa_app.pem&sslkey=FILES/photometa_app.key"))
        .await;
    let without = postgres.outcome("localhost", verified).await;
    let plain = postgres.outcome("localhost", "sslmode=disable").await;
    let mixed = postgres
        .outcome("localhost", &format!("{verified}&sslcert=FILES/photometa_app.pem&sslkey=FILES/server.key"))
        .await;

    assert_eq!(with, Ok(true));
    assert!(without.as_ref().is_err_and(|error| error.contains("certificate")), "{without:?}");
    assert!(plain.as_ref().is_err_and(|error| error.contains("pg_hba.conf")), "{plain:?}");
    assert!(mixed.as_ref().is_err_and(|error| error.contains("server.key")), "{mixed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadline_cancels_its_statement_where_the_server_takes_nothing_but_tls() {
    let postgres = Networked::start("hostssl all all 127.0.0.1/32 scram-sha-256").await;
    let url = postgres.url("localhost", "sslmode=verify-full&sslrootcert=FILES/authority.pem");
    let database = postgres.database();
    let app = App::start_through(database, url.parse::<Target>().unwrap()).await;
    let locker = crate::health::lock_photos(&app).await;
    let mut photos = app.photos(A.as_admin());
    let call = tokio::spawn(async move { photos.list_photos(pb::ListPhotosRequest::default()).await });
    until_blocked(&app, 1).await;

    call.abort();

    until_blocked(&app, 0).await;
    drop(locker);
    app.photo(A, "site/1.jpg").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_speaks_nothing_but_verified_tls_where_it_is_asked_to_and_never_shows_the_password() {
    let postgres = Networked::start("host all all 127.0.0.1/32 scram-sha-256").await;
    let secret = String::from_utf8(SECRET.to_vec()).unwrap();
    let start = |options: &str| {
        let url = postgres.url("localhost", options);
        Replica::start("verified", &[("PHOTOMETA_DATABASE_URL", &url), ("PHOTOMETA_JWT_SECRET", &secret)], &[])
    };

    let mut verified = start("sslmode=verify-full&sslrootcert=FILES/authority.pem");
    verified.wait("ready", Replica::is_ready);
    let refused = start("sslmode=verify-full&sslrootcert=FILES/stranger.pem").ended();

    assert!(!verified.log().contains("does not verify"), "{}", verified.log());
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    for text in [verified.log(), refused] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    let admin = postgres.superuser().await.unwrap();
    let sessions = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'photometa_app' and not ssl";
    assert_eq!(admin.query_one(sessions, &[]).await.unwrap().try_get::<_, i64>(0).unwrap(), 0);
}
