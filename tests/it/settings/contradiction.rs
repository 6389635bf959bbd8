//! Settings that cannot all be meant are refused before anything is tried, with their numbers.

use super::{json, program};
use crate::program::said;

#[test]
fn serve_refuses_what_contradicts_itself_and_config_show_tells_it() {
    let secret = ("PHOTOMETA_JWT_SECRET", "0123456789abcdef0123456789abcdef");
    let database = ("PHOTOMETA_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    for (variables, words) in [
        (
            vec![("PHOTOMETA_POOL_SIZE", "4"), ("PHOTOMETA_POOL_SHARE", "6")],
            "6 connections of 4, which is 2 more than there are",
        ),
        (vec![("PHOTOMETA_MIGRATION_URL", "postgres://x@127.0.0.1:1/y")], "PHOTOMETA_DATABASE_URL is not"),
        (vec![("PHOTOMETA_READ_DATABASE_URL", "postgres://x@127.0.0.1:1/y")], "PHOTOMETA_DATABASE_URL is not"),
        (vec![database], "no key to verify credentials with"),
        (vec![database, secret, ("PHOTOMETA_JWKS_CA", "ca.pem")], "PHOTOMETA_JWKS is no https:// URL"),
        (
            vec![secret, ("PHOTOMETA_JWKS_CA", "ca.pem"), ("PHOTOMETA_JWKS", "keys.json")],
            "PHOTOMETA_JWKS is no https:// URL",
        ),
        (vec![("PHOTOMETA_TLS_CERT", "a.pem")], "PHOTOMETA_TLS_CERT is set, and PHOTOMETA_TLS_KEY is not"),
        (
            vec![("PHOTOMETA_TLS_CLIENT_AUTH", "required")],
            "PHOTOMETA_TLS_CLIENT_AUTH is set, and PHOTOMETA_TLS_CERT is not",
        ),
        (vec![("PHOTOMETA_DATABASE_URL", "mysql://a@b/c"), secret], "PHOTOMETA_DATABASE_URL cannot be read: "),
        (vec![("PHOTOMETA_DATABASE_URL", "127.0.0.1:5432"), secret], "; it begins with postgres://"),
        (
            vec![database, secret, ("PHOTOMETA_READ_DATABASE_URL", "host=a,b user=x")],
            "PHOTOMETA_READ_DATABASE_URL names several hosts",
        ),
        (
            vec![
                ("PHOTOMETA_ADDRESS_FILE", "address"),
                ("PHOTOMETA_ADMIN_ADDRESS_FILE", "address"),
                ("PHOTOMETA_ADMIN_LISTEN", "127.0.0.1:0"),
            ],
            "which cannot have two addresses",
        ),
        (vec![secret, ("PHOTOMETA_JWKS", "http://issuer.example/keys")], "PHOTOMETA_JWKS: "),
    ] {
        let served = program(&variables, &["serve", "--listen", "127.0.0.1:0"]);
        let shown = program(&variables, &["config", "show", "--json"]);

        assert_eq!(served.status.code(), Some(2), "{}", said(&served));
        assert!(said(&served).contains(words), "{words} in {}", said(&served));
        assert!(shown.status.success());
        assert!(said(&shown).contains(words), "{words} in {}", said(&shown));
        let problems = json(&shown)["problems"].to_string();
        assert!(problems.contains(words), "{words} in {problems}");
    }
}

#[test]
fn commands_refuse_a_connection_string_that_is_none_as_wrong_usage() {
    let output = program(&[("PHOTOMETA_DATABASE_URL", "mysql://a@b/c")], &["migrate", "status"]);

    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("it begins with postgres://"), "{}", said(&output));
}
