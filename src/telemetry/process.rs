//! What the process costs, as Linux tells it; elsewhere it is not told.

use std::fs;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use rustix::param::{clock_ticks_per_second, page_size};

/// Tells it whenever it is asked.
pub(super) fn observe(meter: &Meter) {
    meter
        .i64_observable_up_down_counter("process.memory.usage")
        .with_unit("By")
        .with_description("Resident memory of the process")
        .with_callback(|memory| {
            if let Some(bytes) = memory_usage() {
                memory.observe(bytes, &[]);
            }
        })
        .build();
    meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("Processor time of the process")
        .with_callback(|time| {
            for (mode, seconds) in ["user", "system"].into_iter().zip(cpu_time().into_iter().flatten()) {
                time.observe(seconds, &[KeyValue::new("cpu.mode", mode)]);
            }
        })
        .build();
}

/// Bytes of memory that are the process's.
fn memory_usage() -> Option<i64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * i64::try_from(page_size()).ok()?)
}

/// Seconds in the program's own code, and in the kernel for it.
fn cpu_time() -> Option<[f64; 2]> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may have anything in it. It is the second field; the times are the 14th and 15th.
    let mut fields = text.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut seconds = || {
        let ticks: u32 = fields.next()?.parse().ok()?;
        let each: u32 = clock_ticks_per_second().try_into().ok()?;
        Some(f64::from(ticks) / f64::from(each))
    };
    Some([seconds()?, seconds()?])
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn own_process_has_memory_and_has_worked() {
        assert!(memory_usage().is_some_and(|bytes| bytes > 1 << 20));
        assert!(cpu_time().is_some_and(|[user, system]| user >= 0.0 && system >= 0.0));
    }
}
