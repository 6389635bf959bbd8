//! Every instrument, in one place: what docs/telemetry.md lists. While nobody takes metrics they cost nothing. Labels are
//! few and their values are known beforehand: none is an organization's, a person's, or an error's words.

use std::sync::LazyLock;

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};
use opentelemetry::{KeyValue, global};

use super::process;

/// The method of an RPC, as traces name it too.
pub const RPC_METHOD: &str = "rpc.method";
/// The name of a call's status code.
pub const RPC_STATUS_CODE: &str = "rpc.status_code";
/// What a failure was, where it was one.
pub const ERROR_TYPE: &str = "error.type";
/// Of several things that are counted together, which.
pub const KIND: &str = "kind";

/// Seconds of calls, statements and waiting, from a statement's tenth to a stream's minutes.
const SECONDS: [f64; 15] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Items of groups and rows of pages.
const SIZES: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics::new(&meter()));

/// The instruments of this process.
pub fn metrics() -> &'static Metrics {
    &METRICS
}

/// Makes instruments: for one that looks at something when it is asked, such as a pool. It must be listed too.
pub fn meter() -> Meter {
    global::meter("photometa")
}

/// The instruments that are told what happens.
#[derive(Debug)]
pub struct Metrics {
    /// How long calls took, by method and status code: their number is in it.
    pub call_duration: Histogram<f64>,
    /// Calls and streams that have a permit.
    pub calls_in_flight: UpDownCounter<i64>,
    /// Calls that were refused because there was too much to do: without a permit, or without a connection in time.
    pub calls_refused: Counter<u64>,
    /// How long it took to get a connection.
    pub connection_wait: Histogram<f64>,
    /// Those who did not get one in time.
    pub connection_timeouts: Counter<u64>,
    /// How long flights took.
    pub operation_duration: Histogram<f64>,
    /// Items that were stored by one statement.
    pub group_size: Histogram<u64>,
    /// Items that wait for a statement.
    pub group_waiting: UpDownCounter<i64>,
    /// Items of streams, by what became of them.
    pub ingest_items: Counter<u64>,
    /// Streams that are read.
    pub ingest_streams: UpDownCounter<i64>,
    /// Rows of pages.
    pub page_size: Histogram<u64>,
    /// Whether the server is ready: 1 or 0.
    pub ready: Gauge<u64>,
}

impl Metrics {
    fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, help: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(help);
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        let sizes = |name: &'static str, unit: &'static str, help: &'static str| {
            let histogram = meter.u64_histogram(name).with_unit(unit).with_description(help);
            histogram.with_boundaries(SIZES.to_vec()).build()
        };
        let level = |name: &'static str, unit: &'static str, help: &'static str| {
            meter.i64_up_down_counter(name).with_unit(unit).with_description(help).build()
        };
        let counter = |name: &'static str, unit: &'static str, help: &'static str| {
            meter.u64_counter(name).with_unit(unit).with_description(help).build()
        };
        process::observe(meter);
        let metrics = Self {
            call_duration: seconds(
                "rpc.server.call.duration",
                "How long calls took, from their beginning to their answer's end",
            ),
            calls_in_flight: level("photometa.calls.in_flight", "{call}", "Calls and streams that have a permit"),
            calls_refused: counter(
                "photometa.calls.refused",
                "{call}",
                "Calls that were refused because there was too much to do",
            ),
            connection_wait: seconds(
                "db.client.connection.wait_time",
                "How long it took to get a connection to the database",
            ),
            connection_timeouts: counter(
                "db.client.connection.timeouts",
                "{timeout}",
                "Calls that did not get a connection to the database in time",
            ),
            operation_duration: seconds("db.client.operation.duration", "How long flights to the database took"),
            group_size: sizes("photometa.group.size", "{item}", "Creates that shared a statement"),
            group_waiting: level("photometa.group.waiting", "{item}", "Creates that wait for a statement"),
            ingest_items: counter(
                "photometa.ingest.items",
                "{item}",
                "Items of IngestDetections that were acknowledged",
            ),
            ingest_streams: level("photometa.ingest.streams", "{stream}", "Streams of IngestDetections that are open"),
            page_size: sizes("photometa.page.size", "{row}", "Rows of pages that lists gave"),
            ready: meter.u64_gauge("photometa.ready").with_description("Whether the server takes calls").build(),
        };
        metrics.begin();
        metrics
    }

    /// What has not happened yet is 0, and not unknown: an alert compares with it.
    fn begin(&self) {
        for kind in ["call", "stream"] {
            self.calls_in_flight.add(0, &[KeyValue::new(KIND, kind)]);
        }
        for reason in ["permits", "pool"] {
            self.calls_refused.add(0, &[KeyValue::new("reason", reason)]);
        }
        for outcome in ["created", "unchanged", "failed"] {
            self.ingest_items.add(0, &[KeyValue::new("outcome", outcome)]);
        }
        self.ingest_streams.add(0, &[]);
        self.ready.record(0, &[]);
    }
}

/// One more of something, until it is dropped.
#[derive(Debug)]
pub struct Held {
    level: &'static UpDownCounter<i64>,
    kind: Option<KeyValue>,
}

impl Held {
    /// One more, of a kind where there are several.
    pub fn new(level: &'static UpDownCounter<i64>, kind: Option<&'static str>) -> Self {
        let kind = kind.map(|kind| KeyValue::new(KIND, kind));
        level.add(1, kind.as_slice());
        Self { level, kind }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.level.add(-1, self.kind.as_slice());
    }
}
