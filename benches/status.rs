//! What the system says of a process.

use super::Failure;

/// A line of `/proc/PID/status`.
pub fn mebibytes(status: &str, name: &str) -> Result<f64, Failure> {
    let text = std::fs::read_to_string(status)?;
    let kibibytes =
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse().ok());
    kibibytes.map(|kibibytes: f64| kibibytes / 1024.0).ok_or_else(|| format!("{status} has no {name}").into())
}
