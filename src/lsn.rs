//! Positions in PostgreSQL's write-ahead log: what a call has written, what a caller has seen, and how far a standby is.
//! In metadata they travel as PostgreSQL writes them, such as `16/B374D848`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The metadata that carries a position: after a write to the caller, and from there to the reads that must show it.
pub const HEADER: &str = "x-photometa-lsn";

/// A position in the log: bytes since its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lsn(u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & u64::from(u32::MAX))
    }
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotALsn;

impl FromStr for Lsn {
    type Err = NotALsn;

    fn from_str(text: &str) -> Result<Self, NotALsn> {
        let (high, low) = text.split_once('/').ok_or(NotALsn)?;
        let half = |digits: &str| {
            // Signs would be read too.
            let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u32::from_str_radix(digits, 16).ok().filter(|_| plain && digits.len() <= 8).ok_or(NotALsn)
        };
        Ok(Self(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }
}

/// Where in the log the commits of a call are: at this position all of them are over. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Written(Arc<AtomicU64>);

impl Written {
    /// Takes in a position after a commit.
    pub fn raise(&self, to: Lsn) {
        self.0.fetch_max(to.0, Ordering::AcqRel);
    }

    /// The position after the last commit; none before the first.
    pub fn position(&self) -> Option<Lsn> {
        Some(self.0.load(Ordering::Acquire)).filter(|position| *position > 0).map(Lsn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_written_as_it_was_read() {
        for text in ["0/0", "0/1", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(text.parse::<Lsn>().unwrap().to_string(), text);
        }
        assert_eq!("16/b374d848".parse::<Lsn>().unwrap().to_string(), "16/B374D848");
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in
            ["", "/", "1/", "/1", "16", "16/B374D848/0", "+1/2", "1/-2", "1 /2", "1/2, 1/3", "123456789/0", "G/0"]
        {
            assert_eq!(text.parse::<Lsn>(), Err(NotALsn), "{text}");
        }
    }

    #[test]
    fn positions_are_ordered_as_the_log_is() {
        let positions: Vec<Lsn> = ["0/9", "0/10", "0/FFFFFFFF", "1/0", "10/0"].map(|text| text.parse().unwrap()).into();

        assert!(positions.is_sorted());
    }

    #[test]
    fn written_keeps_the_last_of_its_positions() {
        let written = Written::default();
        assert_eq!(written.position(), None);

        written.clone().raise(Lsn(7));
        written.raise(Lsn(5));

        assert_eq!(written.position(), Some(Lsn(7)));
    }
}
