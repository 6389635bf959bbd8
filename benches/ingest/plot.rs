//! docs/ingest.svg (placeholder)
use super::report::Report;
pub fn draw(_report: &Report) -> String {
    String::new()
}
