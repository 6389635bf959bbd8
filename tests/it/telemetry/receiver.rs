//! A collector: what it is sent over the wire, it keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use super::PATIENCE;
use crate::tls::authority::Pair;

/// Attributes by their names.
pub type Attributes = BTreeMap<String, String>;

#[derive(Clone, Default)]
struct Kept {
    traces: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
}

/// A collector that runs.
pub struct Receiver {
    kept: Kept,
    endpoint: String,
    server: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.traces.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Kept {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

impl Receiver {
    /// Starts one.
    pub async fn start() -> Self {
        Self::serve(Server::builder(), "http://127.0.0.1").await
    }

    /// Starts one that speaks TLS, as localhost.
    pub async fn start_with_tls(pair: &Pair) -> Self {
        let identity = Identity::from_pem(&pair.certificate, &pair.key);
        let server = Server::builder().tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
        Self::serve(server, "https://localhost").await
    }

    async fn serve(mut server: Server, place: &str) -> Self {
        let kept = Kept::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("{place}:{}", listener.local_addr().unwrap().port());
        let serving = server
            .add_service(TraceServiceServer::new(kept.clone()))
            .add_service(MetricsServiceServer::new(kept.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        let server = tokio::spawn(async move { serving.await.unwrap() });
        Self { kept, endpoint, server }
    }

    /// Where it is, as `OTEL_EXPORTER_OTLP_ENDPOINT` says it.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        let requests = self.kept.traces.lock().unwrap().clone();
        let scopes =
            requests.into_iter().flat_map(|request| request.resource_spans).flat_map(|spans| spans.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The names of all metrics so far.
    pub fn metrics(&self) -> BTreeSet<String> {
        let requests = self.kept.metrics.lock().unwrap();
        let scopes =
            requests.iter().flat_map(|request| &request.resource_metrics).flat_map(|metrics| &metrics.scope_metrics);
        scopes.flat_map(|scope| &scope.metrics).map(|metric| metric.name.clone()).collect()
    }

    /// Whose spans they are.
    pub fn resource(&self) -> Attributes {
        let requests = self.kept.traces.lock().unwrap();
        let resource = requests[0].resource_spans[0].resource.clone().unwrap();
        attributes(&resource.attributes)
    }

    /// Everything that was sent, in words.
    pub fn words(&self) -> String {
        format!("{:?} {:?}", self.kept.traces.lock().unwrap(), self.kept.metrics.lock().unwrap())
    }

    /// Waits for so many spans of a name, and answers them.
    pub async fn named(&self, name: &str, count: usize) -> Vec<Span> {
        self.wait(
            name,
            || Some(self.spans().into_iter().filter(|span| span.name == name).collect()),
            |spans: &Vec<_>| spans.len() >= count,
        )
        .await
    }

    /// Waits until something is there and good enough.
    pub async fn wait<T>(&self, what: &str, look: impl Fn() -> Option<T>, done: impl Fn(&T) -> bool) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look().filter(&done) {
                return found;
            }
            let names: Vec<_> = self.spans().into_iter().map(|span| span.name).collect();
            assert!(started.elapsed() < PATIENCE, "no {what} among {names:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Attributes as the wire has them.
pub fn attributes(sent: &[KeyValue]) -> Attributes {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => format!("number {number}"),
        other => format!("{other:?}"),
    };
    sent.iter().map(|attribute| (attribute.key.clone(), text(&attribute.value))).collect()
}
