//! Settings of what the program tells about itself. Those of OpenTelemetry have their standard names; what its SDK reads
//! by itself (samplers, limits, headers, intervals) is not repeated here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::listen::address;

/// The port for those who look after the process.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct Admin {
    /// Address of plain HTTP with /livez, /readyz and /metrics; port 0 picks a free one. Without it there is none. It asks
    /// for no credential: not for everybody's network.
    #[arg(long, env = "PHOTOMETA_ADMIN_LISTEN", value_parser = address)]
    pub admin_listen: Option<SocketAddr>,

    /// File to write that address to, as soon as it is bound, and with the private PostgreSQL when that has started.
    #[arg(long, env = "PHOTOMETA_ADMIN_ADDRESS_FILE")]
    pub admin_address_file: Option<PathBuf>,

    /// How often to look at what each model has not seen, for the metrics, where anybody takes them; 0s never looks. It
    /// reads the photos of the last 7 days of every organization, one after the other.
    #[arg(long, env = "PHOTOMETA_BACKLOG_INTERVAL", default_value = "1m", value_parser = humantime::parse_duration)]
    pub backlog_interval: Duration,
}

impl Default for Admin {
    fn default() -> Self {
        Self { admin_listen: None, admin_address_file: None, backlog_interval: Duration::from_secs(60) }
    }
}

/// Which signals are sent with OTLP, and as whose.
#[derive(Debug, Clone, Default)]
pub struct Otlp {
    /// Where traces are sent to; none when they are not.
    pub traces: Option<String>,
    /// Where metrics are sent to; none when they are not.
    pub metrics: Option<String>,
    /// `OTEL_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// What is asked for and not done.
    pub doubts: Vec<String>,
}

/// The samplers of the specification.
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

impl Otlp {
    /// Reads the environment. A signal is sent where an endpoint is set for it or for all, unless it is told `none`, or the
    /// whole SDK is disabled.
    pub fn from_environment() -> Self {
        Self::read(variable)
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let service_name = variable("OTEL_SERVICE_NAME");
        if variable("OTEL_SDK_DISABLED").is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
            return Self { service_name, ..Self::default() };
        }
        let endpoint = |signal: &str| {
            let off = variable(&format!("OTEL_{signal}_EXPORTER")).is_some_and(|exporter| exporter == "none");
            let own = variable(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
            own.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT")).filter(|_| !off)
        };
        let (traces, metrics) = (endpoint("TRACES"), endpoint("METRICS"));
        let doubts = if traces.is_some() || metrics.is_some() { doubts(variable) } else { Vec::new() };
        Self { traces, metrics, service_name, doubts }
    }
}

/// What the SDK would pass over in silence.
fn doubts(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let protocols =
        ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"];
    let protocols =
        protocols.into_iter().filter_map(|name| Some((name, variable(name).filter(|said| said != "grpc")?)));
    let protocols = protocols.map(|(name, said)| format!("{name} is {said:?}: telemetry is sent by grpc all the same"));
    let sampler = variable("OTEL_TRACES_SAMPLER").filter(|said| !SAMPLERS.contains(&said.as_str()));
    let sampler = sampler.map(|said| {
        format!("OTEL_TRACES_SAMPLER is {said:?}, and parentbased_always_on is used; there are {}", SAMPLERS.join(", "))
    });
    protocols.chain(sampler).collect()
}

#[expect(clippy::disallowed_methods, reason = "this is config")]
fn variable(name: &str) -> Option<String> {
    // Empty is the same as not set: so says the specification.
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> (Option<String>, Option<String>) {
        let variable = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        let Otlp { traces, metrics, .. } = Otlp::read(variable);
        (traces, metrics)
    }

    #[test]
    fn nothing_is_sent_unless_an_endpoint_says_so() {
        let one = Some("http://one:4317".to_owned());
        let two = Some("http://two:4317".to_owned());
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://one:4317");

        assert_eq!(read(&[]), (None, None));
        assert_eq!(read(&[all]), (one.clone(), one.clone()));
        assert_eq!(read(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://two:4317")]), (two.clone(), None));
        assert_eq!(read(&[all, ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://two:4317")]), (one.clone(), two));
        assert_eq!(read(&[all, ("OTEL_METRICS_EXPORTER", "none")]), (one, None));
        assert_eq!(read(&[all, ("OTEL_SDK_DISABLED", "TRUE")]), (None, None));
    }

    #[test]
    fn what_is_asked_for_in_vain_is_told() {
        let doubts = |name: &str, value: &str| {
            let said = |asked: &str| match asked {
                "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://one:4317".to_owned()),
                _ => (asked == name).then(|| value.to_owned()),
            };
            Otlp::read(said).doubts
        };

        assert!(doubts("OTEL_TRACES_SAMPLER", "bogus")[0].contains("parentbased_traceidratio"));
        assert!(doubts("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf")[0].contains("METRICS_PROTOCOL"));
        assert_eq!(doubts("OTEL_TRACES_SAMPLER", "always_off"), Vec::<String>::new());
        assert_eq!(doubts("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), Vec::<String>::new());
    }
}
