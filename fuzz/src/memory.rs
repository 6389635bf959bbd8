//! What an input costs: the most memory that is taken at one time, counted by the allocator. A count is the same on every
//! machine, which a time is not.

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Does some work, and answers the most bytes that it held at one time. Nothing else may run meanwhile.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let done = work();
    (done, MEMORY.peak_usage().saturating_sub(before))
}

/// Does some work that may hold so many bytes at one time.
///
/// # Panics
/// It held more.
pub fn within<T>(most: usize, work: impl FnOnce() -> T) -> T {
    let (done, held) = peak(work);
    assert!(held <= most, "{held} bytes were held; {most} are allowed");
    done
}
