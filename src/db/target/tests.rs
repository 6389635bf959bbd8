//! What connection strings mean.

use super::options::{Mode, Options, read};
use super::*;

fn found(text: &str) -> Options {
    read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn read_takes_what_libpq_says_of_tls_out_of_both_forms() {
    for text in [
        "postgres://me:a%2Fb@db:5433/photos?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fca%20s.pem",
        "host=db port=5433 user=me password='a/b' dbname=photos sslmode = verify-full connect_timeout=3 sslrootcert='/ca s.pem'",
    ] {
        let options = found(text);

        assert_eq!((options.mode, options.root), (Some(Mode::Verify), Some("/ca s.pem".into())), "{text}");
        let config: Config = options.rest.parse().unwrap();
        assert_eq!(config.get_hosts(), [Host::Tcp("db".to_owned())]);
        assert_eq!((config.get_password(), config.get_ports()), (Some(b"a/b".as_slice()), [5433].as_slice()));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
    }
}

#[test]
fn read_keeps_a_password_whatever_is_in_it() {
    let options = found(r"host=db password='it\'s = \\ sslmode=disable' user=me");

    assert_eq!(options.mode, None);
    let config: Config = options.rest.parse().unwrap();
    assert_eq!(config.get_password(), Some(br"it's = \ sslmode=disable".as_slice()));
}

#[test]
fn read_says_what_cannot_be_done() {
    for (text, expected) in [
        ("postgres://db?sslmode=verify-ca", "use verify-full"),
        ("host=db sslmode=on", "use disable, prefer, require or verify-full"),
        ("postgres://db?sslcert=a.pem", "no sslkey"),
        ("postgres://db?sslkey=%zz", "hexadecimal"),
        ("host=db sslmode=disable sslrootcert=a.pem", "leave out one"),
        ("host=db password='open", "apostrophe"),
    ] {
        let error = read(text).expect_err(text).to_string();

        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("open"), "{error}");
    }
}

#[test]
fn several_servers_mean_the_one_that_takes_writes_unless_it_is_said_otherwise() {
    let attributes = |text: &str| {
        let target: Target = text.parse().unwrap();
        target.servers.iter().map(Config::get_target_session_attrs).collect::<Vec<_>>()
    };

    assert_eq!(attributes("host=a,b port=1,2 sslmode=disable"), [TargetSessionAttrs::ReadWrite; 2]);
    assert_eq!(attributes("host=a sslmode=disable"), [TargetSessionAttrs::Any]);
    assert_eq!(
        attributes("postgres://a,b/x?target_session_attrs=standby&sslmode=disable"),
        [TargetSessionAttrs::ReadOnly; 2]
    );
}

#[test]
fn each_server_has_everything_but_the_others() {
    let text = "host=a,/run/b port=1,2 user=me password=secret dbname=photos options='-c geqo=off' application_name=x \
                connect_timeout=7 tcp_user_timeout=9 keepalives=0 keepalives_idle=5 keepalives_interval=6 \
                keepalives_retries=8 sslmode=disable target_session_attrs=read-write channel_binding=disable";
    let target: Target = text.parse().unwrap();

    for (server, (host, port)) in
        target.servers.iter().zip([(Host::Tcp("a".to_owned()), 1), (Host::Unix("/run/b".into()), 2)])
    {
        assert_eq!((server.get_hosts(), server.get_ports()), ([host].as_slice(), [port].as_slice()));
        // Whatever the driver shows of one, but for that.
        let shown = |config: &Config| {
            let text = format!("{config:?}");
            let at = |name: &str| text.find(name).unwrap();
            format!("{}{}", &text[..at("host:")], &text[at("connect_timeout:")..])
        };
        assert_eq!(shown(server), shown(&target.config));
    }
}

#[test]
fn unverified_names_the_server_that_could_be_somebody_else() {
    for (text, expected) in [
        ("postgres://db.example.com/x", Some("db.example.com")),
        ("postgres://db.example.com/x?sslmode=disable", Some("db.example.com")),
        ("host=localhost,10.0.0.1", Some("10.0.0.1")),
        ("postgres://127.0.0.1/x", None),
        ("host=/var/run/postgresql", None),
    ] {
        let target: Target = text.parse().unwrap();

        assert_eq!(target.unverified().as_deref(), expected, "{text}");
    }
}

#[test]
fn debug_shows_no_password() {
    let target: Target = "postgres://me:hunter2@db/x?sslmode=prefer".parse().unwrap();

    assert!(!format!("{target:?}").contains("hunter2"));
}

#[tokio::test]
async fn is_at_tells_a_server_from_whoever_stands_before_it() {
    let local = Some(IpAddr::from([127, 0, 0, 1]));
    for (text, address, port, direct) in [
        ("host=127.0.0.1 port=5432", local, 5432, true),
        ("host=localhost,127.0.0.1 port=1,5432", local, 5432, true),
        ("host=127.0.0.1 port=6432", local, 5432, false),
        ("host=127.0.0.1 port=5432", Some(IpAddr::from([10, 0, 0, 1])), 5432, false),
        ("host=127.0.0.1 port=5432", None, 5432, false),
        ("host=/run/postgresql", None, 5432, true),
        ("host=/run/postgresql", None, 5433, false),
        ("host=/run/pgbouncer port=6432", local, 5432, false),
    ] {
        let target: Target = text.parse().unwrap();

        assert_eq!(target.is_at(address, port).await, direct, "{text} {address:?} {port}");
    }
}
