//! Chance, so that those who were told something together do not act on it together. No secret hangs on it.

use std::hash::{BuildHasher as _, RandomState};

/// A fraction from 0 up to 1.
pub fn fraction() -> f64 {
    // The keys of a map's hasher differ each time, and cost no system call.
    let [.., a, b, c, d] = RandomState::new().hash_one(0_u8).to_be_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

/// A number below `end`, which is not 0.
pub fn below(end: usize) -> usize {
    let random = RandomState::new().hash_one(0_u8) % u64::try_from(end).unwrap_or(u64::MAX);
    usize::try_from(random).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_all_over_their_range() {
        let fractions: Vec<f64> = (0..10_000).map(|_| fraction()).collect();

        assert!(fractions.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        for tenth in 0..10 {
            let bounds = f64::from(tenth) / 10.0..f64::from(tenth + 1) / 10.0;
            let count = fractions.iter().filter(|fraction| bounds.contains(fraction)).count();
            assert!((700..1300).contains(&count), "{count} in {bounds:?}");
        }
    }
}
