//! What is sent to a collector with OTLP over gRPC. It is sent in batches by threads of the SDK's own: a collector that is
//! away costs what it was not told, and no call waits for it.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{Sampler, SpanData, SpanExporter};
use tonic::transport::ClientTlsConfig;
use uuid::Uuid;

use crate::config::{Otlp, Sampling};
use crate::seldom::Seldom;

/// Who tells: `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` over what is known anyway.
pub(super) fn resource(settings: &Otlp) -> Resource {
    let known = [
        KeyValue::new("service.name", "photometa"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
    ];
    let named = settings.service_name.clone().map(|name| KeyValue::new("service.name", name));
    Resource::builder_empty()
        .with_attributes(known)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attributes(named)
        .build()
}

/// Who decides which calls are traced.
pub(super) fn sampler(sampling: Sampling) -> Sampler {
    let Sampling { parent_based, ratio } = sampling;
    let sampler = Sampler::TraceIdRatioBased(ratio);
    if parent_based { Sampler::ParentBased(Box::new(sampler)) } else { sampler }
}

/// Sends spans.
///
/// # Errors
/// When the settings make no exporter.
pub(super) fn spans(endpoint: &str) -> Result<Told<opentelemetry_otlp::SpanExporter>, ExporterBuildError> {
    let builder = opentelemetry_otlp::SpanExporter::builder().with_tonic();
    let exporter = secured(builder, endpoint).build()?;
    Ok(Told { exporter, trouble: Seldom::default() })
}

/// Sends metrics.
///
/// # Errors
/// As [`spans`].
pub(super) fn metrics(endpoint: &str) -> Result<Told<opentelemetry_otlp::MetricExporter>, ExporterBuildError> {
    let builder = opentelemetry_otlp::MetricExporter::builder().with_tonic();
    let exporter = secured(builder, endpoint).build()?;
    Ok(Told { exporter, trouble: Seldom::default() })
}

/// With the system's authorities, where it is TLS.
fn secured<B: WithTonicConfig>(builder: B, endpoint: &str) -> B {
    if endpoint.starts_with("https:") {
        builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots())
    } else {
        builder
    }
}

/// An exporter whose trouble is told now and then.
#[derive(Debug)]
pub(super) struct Told<E> {
    exporter: E,
    trouble: Seldom,
}

impl<E> Told<E> {
    fn tell(&self, outcome: OTelSdkResult, what: &str) -> OTelSdkResult {
        outcome.inspect_err(|error| {
            if let Some(times) = self.trouble.again() {
                tracing::warn!(%error, what, others = times - 1, "the collector of telemetry does not take it: it is lost");
            }
        })
    }
}

impl SpanExporter for Told<opentelemetry_otlp::SpanExporter> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.tell(self.exporter.export(batch).await, "spans")
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl PushMetricExporter for Told<opentelemetry_otlp::MetricExporter> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.tell(self.exporter.export(metrics).await, "metrics")
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
