//! What is shown of a secret: nothing, or of a place with a password in it, the place.

/// What stands for what is not shown.
const MASK: &str = "***";
/// Secrets that are places. Whatever else is a secret is one as a whole.
const PLACES: [&str; 4] = ["database_url", "migration_url", "read_database_url", "jwks"];

/// What a connection string to PostgreSQL may say beside passwords. Any other name may be a mistyped one of a password.
const HARMLESS: [&str; 30] = [
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssencmode",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "passfile",
    "port",
    "replication",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// The value of a secret setting, as it may be shown. In doubt, less is.
pub fn masked(key: &str, value: &str) -> String {
    if !PLACES.contains(&key) {
        return MASK.to_owned();
    }
    match value.split_once("://") {
        Some((scheme, rest)) => url(scheme, rest),
        // A file.
        None if key == "jwks" => value.to_owned(),
        None => words(value).unwrap_or_else(|| MASK.to_owned()),
    }
}

/// The value of a variable that other programs read too, as it may be shown: headers have keys in them, and places may.
pub fn masked_variable(name: &str, value: &str) -> String {
    match value.split_once("://") {
        _ if name.contains("HEADERS") => MASK.to_owned(),
        Some((scheme, rest)) if name.ends_with("ENDPOINT") => url(scheme, rest),
        _ => value.to_owned(),
    }
}

fn url(scheme: &str, rest: &str) -> String {
    // A password may have any character in it: what precedes the last @ may be its.
    let (login, place) = match rest.rsplit_once('@') {
        // Or it is behind the query's name for it.
        Some((login, _)) if login.contains('?') => return MASK.to_owned(),
        Some((login, place)) => (Some(login), place),
        None => (None, rest),
    };
    let postgres = ["postgres", "postgresql"].contains(&scheme);
    let login = login.map(|login| match login.split_once(':') {
        // Elsewhere a key stands in a user's place, and in percent signs a colon may hide.
        _ if !postgres || login.contains('%') => format!("{MASK}@"),
        Some((user, _)) => format!("{user}:{MASK}@"),
        None => format!("{login}@"),
    });
    if login.is_none() && !is_host(place) {
        return MASK.to_owned();
    }
    let (place, query) = place.split_once('?').map_or((place, None), |(place, query)| (place, Some(query)));
    if place.contains('=') {
        return MASK.to_owned();
    }
    let query = query.map(|query| {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, value)) if postgres && is_harmless(name, value) => pair.to_owned(),
            Some((name, _)) => format!("{name}={MASK}"),
            None => MASK.to_owned(),
        });
        format!("?{}", pairs.collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}://{}{place}{}", login.unwrap_or_default(), query.unwrap_or_default())
}

/// Whether it may be shown. What has an equals sign may be several, parted as others part them.
fn is_harmless(name: &str, value: &str) -> bool {
    HARMLESS.contains(&name) && !value.contains('=')
}

/// Whether what stands between the slashes is hosts and ports, and no login whose @ was forgotten.
fn is_host(place: &str) -> bool {
    let hosts = place.split(['/', '?']).next().unwrap_or_default();
    hosts.split(',').all(|host| {
        let port = host.rsplit_once(']').map_or(host, |(_, port)| port).split_once(':').map(|(_, port)| port);
        port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// A connection string of `name=value` words; none when it is not understood.
fn words(text: &str) -> Option<String> {
    let (mut shown, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=')?;
        let (name, behind) = (name.trim(), behind.trim_start());
        if name.contains(char::is_whitespace) {
            // A word without a name stands before it.
            return None;
        }
        let end = end_of_value(behind)?;
        let (value, next) = behind.split_at(end);
        shown.push(format!("{name}={}", if is_harmless(name, value) { value } else { MASK }));
        rest = next.trim_start();
    }
    Some(shown.join(" "))
}

/// Where a value ends: at a space, unless quotes or backslashes say otherwise.
fn end_of_value(text: &str) -> Option<usize> {
    let quoted = text.starts_with('\'');
    let (mut escaped, mut characters) = (false, text.char_indices());
    if quoted {
        characters.next();
    }
    for (at, character) in characters {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' if quoted => return Some(at + 1),
            character if character.is_whitespace() && !quoted => return Some(at),
            _ => {}
        }
    }
    (!quoted && !escaped).then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_shows_the_place_and_not_the_password() {
        for (given, shown) in [
            ("postgres://app:geheim@db:5432/photometa", "postgres://app:***@db:5432/photometa"),
            ("postgres://app@db/photometa?sslmode=verify-full", "postgres://app@db/photometa?sslmode=verify-full"),
            ("postgresql://app:geh@e/im@db/photometa", "postgresql://app:***@db/photometa"),
            ("postgres://db/photometa?password=geheim&user=app", "postgres://db/photometa?password=***&user=app"),
            ("postgres://db/photometa?pass%77ord=geheim", "postgres://db/photometa?pass%77ord=***"),
            ("postgres://app:geheim/photometa", "***"),
            ("postgres://app@db/photometa?password=ge@heim", "***"),
            ("postgres://app@db/photometa?password=geh@eim:5432/x", "***"),
            ("postgres://[::1]:5432,db:5433/photometa", "postgres://[::1]:5432,db:5433/photometa"),
            ("host=db user=app password=geheim dbname=p", "host=db user=app password=*** dbname=p"),
            (r"host=db password='ge \' heim' user=app", "host=db password=*** user=app"),
            ("host=db password = geheim", "host=db password=***"),
            ("host=db password='geheim", "***"),
            ("host=db port=1 password geheim user=a", "***"),
            ("host=db passwrod=geheim", "host=db passwrod=***"),
            ("postgres://app@db/photometa?foo=geheim", "postgres://app@db/photometa?foo=***"),
            ("postgres://app@db/p?sslmode=require;password=geheim", "postgres://app@db/p?sslmode=***"),
            ("postgres://app@db/p;password=geheim", "***"),
            ("host=db;password=geheim user=a", "host=*** user=a"),
            ("postgres://app%3Ageheim@db/photometa", "postgres://***@db/photometa"),
            ("geheim", "***"),
        ] {
            assert_eq!(masked("database_url", given), shown, "{given}");
        }
        assert_eq!(masked("jwks", "https://me:geheim@issuer/keys?key=geheim"), "https://***@issuer/keys?key=***");
        assert_eq!(masked("jwks", "https://geheim@issuer/keys"), "https://***@issuer/keys");
        assert_eq!(masked("jwks", "/etc/keys.json"), "/etc/keys.json");
    }

    #[test]
    fn masked_shows_nothing_of_what_is_no_place() {
        for value in ["geheim", "a://b", "host=a"] {
            assert_eq!(masked("jwt_secret", value), "***");
        }
    }

    #[test]
    fn masked_variable_shows_where_an_exporter_sends_to_and_not_with_what() {
        let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
        assert_eq!(masked_variable(endpoint, "http://collector:4317"), "http://collector:4317");
        assert_eq!(
            masked_variable(endpoint, "https://me:geheim@c:4317/?api-key=geheim"),
            "https://***@c:4317/?api-key=***"
        );
        assert_eq!(masked_variable("OTEL_EXPORTER_OTLP_HEADERS", "api-key=geheim"), "***");
        assert_eq!(masked_variable("OTEL_SERVICE_NAME", "photometa"), "photometa");
    }
}
