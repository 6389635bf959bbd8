//! Settings of what the program tells about itself. Those of OpenTelemetry have their standard names; what its SDK reads
//! by itself (limits, headers, intervals) is not repeated here.

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
    /// Which calls are traced.
    pub sampling: Sampling,
    /// `OTEL_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// What is asked for and not done.
    pub doubts: Vec<String>,
}

/// Which calls are traced: `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Whether the caller decides, where it has a span.
    pub parent_based: bool,
    /// How many of the others are, 0 to 1.
    pub ratio: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { parent_based: true, ratio: 1.0 }
    }
}

/// Those samplers of the specification that need no other service. The ratio of some is an argument.
const SAMPLERS: [(&str, bool, Option<f64>); 6] = [
    ("always_on", false, Some(1.0)),
    ("always_off", false, Some(0.0)),
    ("traceidratio", false, None),
    ("parentbased_always_on", true, Some(1.0)),
    ("parentbased_always_off", true, Some(0.0)),
    ("parentbased_traceidratio", true, None),
];

impl Sampling {
    /// What is asked for, and what of it cannot be.
    fn read(variable: impl Fn(&str) -> Option<String>) -> (Self, Option<String>) {
        let Some(said) = variable("OTEL_TRACES_SAMPLER") else { return Default::default() };
        let Some(&(_, parent_based, ratio)) = SAMPLERS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(&said))
        else {
            let names = SAMPLERS.map(|(name, ..)| name).join(", ");
            let doubt =
                format!("OTEL_TRACES_SAMPLER is {said:?}, and parentbased_always_on is used; there are {names}");
            return (Self::default(), Some(doubt));
        };
        let argument = variable("OTEL_TRACES_SAMPLER_ARG").filter(|_| ratio.is_none());
        let asked = argument.as_ref().and_then(|argument| argument.parse().ok());
        let asked = asked.filter(|ratio| (0.0..=1.0).contains(ratio));
        let doubt = argument.filter(|_| asked.is_none()).map(|argument| {
            format!("OTEL_TRACES_SAMPLER_ARG is {argument:?}, not a ratio of 0 to 1: {said} samples all")
        });
        (Self { parent_based, ratio: ratio.or(asked).unwrap_or(1.0) }, doubt)
    }
}

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
            let off = variable(&format!("OTEL_{signal}_EXPORTER"))
                .is_some_and(|exporter| exporter.eq_ignore_ascii_case("none"));
            let own = variable(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
            own.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT")).filter(|_| !off)
        };
        let (traces, metrics) = (endpoint("TRACES"), endpoint("METRICS"));
        let (sampling, doubt) = Sampling::read(&variable);
        let doubt = doubt.filter(|_| traces.is_some());
        let sent = traces.is_some() || metrics.is_some();
        let doubts = if sent { protocols(variable).chain(doubt).collect() } else { Vec::new() };
        Self { traces, metrics, sampling, service_name, doubts }
    }
}

/// Protocols that are asked for and not spoken.
fn protocols(variable: impl Fn(&str) -> Option<String>) -> impl Iterator<Item = String> {
    let names =
        ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"];
    let asked = names.into_iter().filter_map(move |name| Some((name, variable(name).filter(|said| said != "grpc")?)));
    asked.map(|(name, said)| format!("{name} is {said:?}: telemetry is sent by grpc all the same"))
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
        assert_eq!(read(&[all, ("OTEL_METRICS_EXPORTER", "None")]), (one, None));
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

    #[test]
    fn samplers_are_read_as_the_specification_says() {
        let read = |sampler: Option<&str>, argument: Option<&str>| {
            Sampling::read(|name| {
                let said = if name == "OTEL_TRACES_SAMPLER" { sampler } else { argument };
                said.map(str::to_owned)
            })
        };
        let sampling = |parent_based, ratio| (Sampling { parent_based, ratio }, None);

        assert_eq!(read(None, Some("0.5")), sampling(true, 1.0));
        assert_eq!(read(Some("Always_On"), Some("a tenth")), sampling(false, 1.0));
        assert_eq!(read(Some("always_off"), Some("0.5")), sampling(false, 0.0));
        assert_eq!(read(Some("traceidratio"), Some("0.25")), sampling(false, 0.25));
        assert_eq!(read(Some("traceidratio"), None), sampling(false, 1.0));
        assert_eq!(read(Some("parentbased_always_on"), None), sampling(true, 1.0));
        assert_eq!(read(Some("parentbased_always_off"), None), sampling(true, 0.0));
        assert_eq!(read(Some("parentbased_traceidratio"), Some("0.1")), sampling(true, 0.1));
        for no_ratio in ["1.5", "-0.1", "NaN", "a tenth"] {
            let (sampling, doubt) = read(Some("traceidratio"), Some(no_ratio));

            assert_eq!(sampling, Sampling { parent_based: false, ratio: 1.0 });
            assert!(doubt.unwrap().contains("0 to 1"), "{no_ratio}");
        }
    }
}
