//! What the program tells about itself. Logs go to standard error, pretty on a terminal and JSON elsewhere, filtered by
//! `RUST_LOG`; panics are among them, with the call they happened in. Traces and metrics are made where somebody takes
//! them: a collector that the `OTEL_…` variables name, or whoever scrapes the admin port.

mod metrics;
mod otlp;
mod process;
pub mod trace;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal as _;
use std::time::Duration;

use http::HeaderValue;
use opentelemetry::global;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use prometheus::{Registry, TextEncoder};
use tracing::Dispatch;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::{self, Otlp};
use crate::panics;

pub use metrics::{ERROR_TYPE, Held, KIND, Metrics, RPC_METHOD, RPC_STATUS_CODE, meter, metrics};

/// What of the log is wanted, where nobody says so.
const LOGGED: &str = "info,refinery_core=warn,deadpool=error,opentelemetry=warn";
/// How long the end of the program waits for a collector to take what is left.
const FLUSH: Duration = Duration::from_secs(3);

/// What is told, until [`Telemetry::end`].
#[derive(Debug, Default)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    scrape: Scrape,
}

/// The metrics as text, at any time.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    registry: Registry,
    taken: bool,
}

impl Scrape {
    /// Whether anybody takes metrics, here or at a collector.
    pub fn are_taken(&self) -> bool {
        self.taken
    }

    /// What they are now, and the form that this is written in.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn text(&self) -> prometheus::Result<(String, HeaderValue)> {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather())?;
        Ok((text, HeaderValue::from_static(prometheus::TEXT_FORMAT)))
    }
}

/// Starts logging, for commands that serve nobody.
pub fn start() -> Telemetry {
    log_to(None);
    Telemetry::default()
}

/// Starts logging, and for a server what its settings say of traces and metrics; whether they are scraped, too. Before the
/// first instrument is used.
pub fn serve(settings: &Otlp, scraped: bool) -> Telemetry {
    let resource = otlp::resource(settings);
    let spans = settings.traces.as_deref().map(otlp::spans).transpose();
    let (spans, untraced) = spans.map_or_else(|error| (None, Some(error)), |spans| (spans, None));
    let traces = spans.map(|spans| {
        let provider = SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone());
        // Who is sampled is decided before.
        let provider = provider.with_sampler(Sampler::AlwaysOn);
        trace::sample(otlp::sampler(settings.sampling));
        provider.with_max_links_per_span(trace::MAX_LINKS).build()
    });
    log_to(traces.as_ref());
    for doubt in &settings.doubts {
        tracing::warn!("{doubt}");
    }
    if let Some(error) = untraced {
        tracing::error!(%error, "no traces are sent: the OTEL_… variables make no exporter");
    }
    let registry = Registry::default();
    let metrics = measure(settings, scraped.then_some(&registry), resource);
    let scrape = Scrape { registry, taken: metrics.is_some() };
    Telemetry { traces, metrics, scrape }
}

/// Who takes metrics, if anybody does.
fn measure(settings: &Otlp, scrape: Option<&Registry>, resource: Resource) -> Option<SdkMeterProvider> {
    let sent = settings.metrics.as_deref().map(otlp::metrics).transpose().unwrap_or_else(|error| {
        tracing::error!(%error, "no metrics are sent: the OTEL_… variables make no exporter");
        None
    });
    let scraped = scrape.map(|registry| {
        opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false).build()
    });
    let scraped = scraped.transpose().unwrap_or_else(|error| {
        tracing::error!(%error, "no metrics can be scraped");
        None
    });
    if sent.is_none() && scraped.is_none() {
        return None;
    }
    let mut provider = SdkMeterProvider::builder().with_resource(resource);
    if let Some(exporter) = sent {
        provider = provider.with_periodic_exporter(exporter);
    }
    if let Some(reader) = scraped {
        provider = provider.with_reader(reader);
    }
    let provider = provider.build();
    global::set_meter_provider(provider.clone());
    Some(provider)
}

impl Telemetry {
    /// The metrics for the admin port.
    pub fn scrape(&self) -> Scrape {
        self.scrape.clone()
    }

    /// Hands over what is left, as far as the collector takes it at once.
    pub async fn end(self) {
        let Self { traces, metrics, .. } = self;
        if traces.is_none() && metrics.is_none() {
            return;
        }
        // At once, so that what one collector does not take costs the other nothing. Trouble was told by the exporters.
        let traces = apart(move || _ = traces.map(|traces| traces.shutdown_with_timeout(FLUSH)));
        let metrics = apart(move || _ = metrics.map(|metrics| metrics.shutdown_with_timeout(FLUSH)));
        let handed_over = async { (traces.await, metrics.await) };
        if tokio::time::timeout(FLUSH, handed_over).await.is_err() {
            tracing::warn!(timeout = ?FLUSH, "ending without the last telemetry: the collector does not take it");
        }
    }
}

/// Runs in a thread that the runtime does not wait for.
fn apart(work: impl FnOnce() + Send + 'static) -> tokio::sync::oneshot::Receiver<()> {
    let (done, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    ended
}

/// What lines and spans come to: the log, as far as it is wanted, and the spans of [`trace`], where somebody takes them.
fn told(logged: EnvFilter, traces: Option<&SdkTracerProvider>) -> Dispatch {
    let terminal = std::io::stderr().is_terminal();
    // Without the layer's own complaints, which panic where nobody takes them either.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let lines = lines.with_ansi(config::colours(terminal));
    let lines = if terminal { lines.with_target(false).boxed() } else { lines.json().boxed() };
    let lines = lines.with_filter(logged.and(filter_fn(|metadata| !trace::is_exported(metadata))));
    let lines = tracing_subscriber::registry().with(lines);
    // None in its place would be a layer without a filter, for which every span of every library is made.
    let Some(traces) = traces else { return lines.into() };
    let exported = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer("photometa"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    lines.with(exported.with_filter(filter_fn(trace::is_exported))).into()
}

fn log_to(traces: Option<&SdkTracerProvider>) {
    let said = config::log_filter().map(EnvFilter::try_new);
    let (said, wrong) = match said {
        Some(Ok(filter)) => (Some(filter), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    let started = told(said.unwrap_or_else(|| EnvFilter::new(LOGGED)), traces).try_init();
    // A second start keeps the first.
    if started.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let stack = Backtrace::capture();
            let stack = (stack.status() == BacktraceStatus::Captured).then(|| stack.to_string());
            tracing::error!(place, words = panics::words(panic.payload()), stack, "panicked");
        }));
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, instead = LOGGED, "RUST_LOG is no filter, such as info,photometa=debug");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_span_is_made_that_nobody_wants() {
        let traces = SdkTracerProvider::builder().build();
        trace::sample(Sampler::AlwaysOn);
        for (logged, traces, (info, exported)) in [
            ("info", None, (true, false)),
            ("info", Some(&traces), (true, true)),
            ("off", None, (false, false)),
            ("off", Some(&traces), (false, true)),
        ] {
            let made = tracing::dispatcher::with_default(&told(EnvFilter::new(logged), traces), || {
                let call = trace::Call::begin("photometa.v1.PhotoService/GetPhoto", &http::HeaderMap::new());
                let library = tracing::trace_span!(target: "h2", "frame");
                (tracing::info_span!("log").is_disabled(), !call.has_span(), library.is_disabled())
            });
            assert_eq!(made, (!info, !exported, true), "{logged}, {}", traces.is_some());
        }
    }
}
