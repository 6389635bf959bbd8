//! Settings of what the server takes on at once.

use std::time::Duration;

use clap::Args;

use super::positive;

/// What the server takes on at once, and how long it waits for a client.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Calls in flight beyond which more are refused as RESOURCE_EXHAUSTED. Too few: a crowd's creates cannot share
    /// transactions. Too many: all of them wait longer, and memory grows.
    #[arg(long, env = "PHOTOMETA_MAX_CONCURRENT_CALLS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_concurrent_calls: u32,

    /// The same of streams (IngestDetections, ExportTrainingData), which are counted apart.
    #[arg(long, env = "PHOTOMETA_MAX_CONCURRENT_STREAMS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_concurrent_streams: u32,

    /// How long a stream waits for a client that sends nothing, or reads nothing, before it ends.
    #[arg(long, env = "PHOTOMETA_STREAM_IDLE_TIMEOUT", default_value = "5m", value_parser = positive)]
    pub stream_idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_concurrent_calls: 512,
            max_concurrent_streams: 128,
            stream_idle_timeout: Duration::from_secs(5 * 60),
        }
    }
}
