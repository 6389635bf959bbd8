//! Field rules: turns request fields into model values and collects every violation with its proto path, so
//! that a caller sees all of its mistakes at once. A refused field yields a placeholder; [`Violations::finish`]
//! is what lets values through.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::error::{Error, Result, Violation};

/// Most paths of an update mask.
const MAX_PATHS: usize = 100;

/// Where a field is: a path that costs nothing until it is shown.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    parent: Option<&'a At<'a>>,
    name: &'a str,
    index: Option<usize>,
}

impl<'a> At<'a> {
    /// The request itself.
    pub const REQUEST: At<'static> = At { parent: None, name: "", index: None };

    /// A field of this message.
    pub fn field(&'a self, name: &'a str) -> At<'a> {
        At { parent: Some(self), name, index: None }
    }

    /// An item of a repeated field of this message.
    pub fn item(&'a self, name: &'a str, index: usize) -> At<'a> {
        At { parent: Some(self), name, index: Some(index) }
    }
}

impl Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if !parent.name.is_empty() {
                f.write_str(".")?;
            }
        }
        f.write_str(self.name)?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

/// Collects broken field rules.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Starts with none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with those that were found before.
    pub fn of(found: Vec<Violation>) -> Self {
        Self(found)
    }

    /// Ends the checks with all violations, if there is one: for those who look further.
    pub fn found(self) -> Vec<Violation> {
        self.0
    }

    /// Adds one.
    pub fn refuse(&mut self, at: &At<'_>, problem: impl Into<String>) {
        self.0.push(Violation { path: at.to_string(), problem: problem.into() });
    }

    /// Ends the checks.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all violations, if there is one.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }

    /// Tells whether nothing was refused so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a required UUID.
    pub fn id<I: From<Uuid>>(&mut self, at: &At<'_>, text: &str) -> I {
        if text.is_empty() {
            self.refuse(at, "is required");
            return Uuid::nil().into();
        }
        self.optional_id(at, text).unwrap_or_else(|| Uuid::nil().into())
    }

    /// Reads a UUID that may be empty.
    pub fn optional_id<I: From<Uuid>>(&mut self, at: &At<'_>, text: &str) -> Option<I> {
        if text.is_empty() {
            return None;
        }
        match Uuid::try_parse(text) {
            Ok(uuid) if text.len() == 36 && !uuid.is_nil() => Some(uuid.into()),
            _ => {
                self.refuse(at, "is not a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057");
                None
            }
        }
    }

    /// Reads a list of UUIDs whose number is bounded.
    pub fn ids<I: From<Uuid>>(
        &mut self,
        at: &At<'_>,
        name: &str,
        texts: &[String],
        count: RangeInclusive<usize>,
    ) -> Vec<I> {
        if !self.count(&at.field(name), texts.len(), count) {
            return Vec::new();
        }
        texts.iter().enumerate().map(|(index, text)| self.id(&at.item(name, index), text)).collect()
    }

    /// Checks the number of items of a repeated field; answers whether it is right.
    pub fn count(&mut self, at: &At<'_>, found: usize, allowed: RangeInclusive<usize>) -> bool {
        if allowed.contains(&found) {
            return true;
        }
        let (least, most) = allowed.into_inner();
        self.refuse(at, format!("has {found} items; {least} to {most} are allowed"));
        false
    }

    /// Reads a text whose number of characters is bounded. NUL characters are refused: PostgreSQL cannot keep them.
    pub fn text(&mut self, at: &At<'_>, text: String, characters: RangeInclusive<usize>) -> String {
        // Most texts are short: the byte length settles it without counting.
        let (least, most) = (*characters.start(), *characters.end());
        if text.is_empty() && least > 0 {
            self.refuse(at, "is required");
        } else if text.len() > most && text.chars().count() > most {
            self.refuse(at, format!("is longer than {most} characters"));
        } else if text.len() < least {
            self.refuse(at, format!("is shorter than {least} characters"));
        } else if text.contains('\0') {
            self.refuse(at, "contains a NUL character");
        }
        text
    }

    /// Reads an optional text: absent stays absent, empty is refused.
    pub fn optional_text(&mut self, at: &At<'_>, text: Option<String>, most: usize) -> Option<String> {
        text.map(|text| self.text(at, text, 1..=most))
    }

    /// Reads a list of required texts, of which number and characters are bounded.
    pub fn texts(
        &mut self,
        at: &At<'_>,
        name: &str,
        texts: Vec<String>,
        most: usize,
        characters: usize,
    ) -> Vec<String> {
        if !self.count(&at.field(name), texts.len(), 0..=most) {
            return Vec::new();
        }
        let texts = texts.into_iter().enumerate();
        texts.map(|(index, text)| self.text(&at.item(name, index), text, 1..=characters)).collect()
    }

    /// Reads a number within a range.
    pub fn within<N: PartialOrd + Display + Copy>(
        &mut self,
        at: &At<'_>,
        number: Option<N>,
        allowed: RangeInclusive<N>,
    ) -> Option<N> {
        let number = number?;
        if !allowed.contains(&number) {
            // NaN is in no range.
            self.refuse(at, format!("is {number}; {} to {} is allowed", allowed.start(), allowed.end()));
        }
        Some(number)
    }

    /// Reads a confidence, 0 to 1.
    pub fn confidence(&mut self, at: &At<'_>, confidence: Option<f64>) -> Option<f64> {
        // JSONB knows no negative zero.
        self.within(at, confidence, 0.0..=1.0).map(|confidence| confidence + 0.0)
    }

    /// Reads a time. Nanoseconds below a microsecond are cut off: PostgreSQL keeps microseconds.
    pub fn time(&mut self, at: &At<'_>, time: Option<prost_types::Timestamp>) -> Option<Timestamp> {
        let time = time?;
        // 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z, as google.protobuf.Timestamp says.
        let whole =
            (-62_135_596_800..=253_402_300_799).contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos);
        let micros = time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos / 1000));
        match Timestamp::from_microsecond(micros) {
            Ok(time) if whole => Some(time),
            _ => {
                self.refuse(at, "is no time between the years 1 and 9999");
                None
            }
        }
    }

    /// Reads a half-open range of time, one end of which may be absent.
    pub fn time_range(
        &mut self,
        at: &At<'_>,
        range: Option<crate::pb::TimeRange>,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let Some(crate::pb::TimeRange { start, end }) = range else { return (None, None) };
        if start.is_none() && end.is_none() {
            self.refuse(at, "has neither start nor end");
        }
        let start = self.time(&at.field("start"), start);
        let end = self.time(&at.field("end"), end);
        if start.zip(end).is_some_and(|(start, end)| start >= end) {
            self.refuse(at, "ends before it starts, or is empty");
        }
        (start, end)
    }

    /// Reads a span of time within `allowed`, which `told` says in words.
    pub fn duration(
        &mut self,
        at: &At<'_>,
        given: prost_types::Duration,
        allowed: RangeInclusive<Duration>,
        told: &str,
    ) -> Option<Duration> {
        // prost's own conversion overflows with the lowest number of seconds.
        let nanos = u32::try_from(given.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
        let found = u64::try_from(given.seconds).ok().zip(nanos).map(|(seconds, nanos)| Duration::new(seconds, nanos));
        let found = found.filter(|found| allowed.contains(found));
        if found.is_none() {
            self.refuse(at, format!("is no duration of {told}"));
        }
        found
    }

    /// Reads a required message field.
    pub fn required<M: Default>(&mut self, at: &At<'_>, message: Option<M>) -> M {
        message.unwrap_or_else(|| {
            self.refuse(at, "is required");
            M::default()
        })
    }

    /// Reads an enum of which 0 is refused.
    pub fn known<E: TryFrom<i32> + Default + PartialEq>(&mut self, at: &At<'_>, number: i32) -> E {
        let value = self.known_or_default(at, number);
        if number == 0 {
            self.refuse(at, "is required");
        }
        value
    }

    /// Reads an enum of which 0 means the default.
    pub fn known_or_default<E: TryFrom<i32> + Default>(&mut self, at: &At<'_>, number: i32) -> E {
        E::try_from(number).unwrap_or_else(|_| {
            self.refuse(at, format!("has no value {number}"));
            E::default()
        })
    }

    /// Reads an update mask: the paths to change out of `mutable`, or `None` for "all that are set". Paths that
    /// are unknown or immutable are refused by name.
    pub fn mask(
        &mut self,
        at: &At<'_>,
        mask: Option<prost_types::FieldMask>,
        mutable: &[&'static str],
        immutable: &[&str],
    ) -> Option<Vec<&'static str>> {
        let paths = mask.map(|mask| mask.paths).unwrap_or_default();
        if paths.is_empty() || paths == ["*"] {
            return None;
        }
        // Each wrong one is told with all that would be right.
        if !self.count(&at.field("paths"), paths.len(), 0..=MAX_PATHS) {
            return None;
        }
        let mut chosen = Vec::with_capacity(paths.len());
        for (index, path) in paths.iter().enumerate() {
            if let Some(known) = mutable.iter().find(|known| **known == path.as_str()) {
                chosen.push(*known);
            } else if immutable.contains(&path.as_str()) {
                self.refuse(
                    &at.item("paths", index),
                    format!("names {path}, which cannot be changed; {} can", mutable.join(", ")),
                );
            } else {
                self.refuse(
                    &at.item("paths", index),
                    format!("names {path:?}, which is no field; {} can be changed", mutable.join(", ")),
                );
            }
        }
        Some(chosen)
    }
}

/// The values of a list, each once, in order: statements read them one by one, and must not read one twice.
pub fn each_once<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}

/// Shows a time as the wire does.
pub fn to_pb_time(time: Timestamp) -> prost_types::Timestamp {
    let micros = time.as_microsecond();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        #[expect(clippy::cast_possible_truncation, reason = "below a million microseconds")]
        nanos: (micros.rem_euclid(1_000_000) * 1000) as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_takes_what_is_allowed() {
        let read = |seconds, nanos| {
            let (mut checks, given) = (Violations::new(), prost_types::Duration { seconds, nanos });
            let allowed = Duration::from_secs(1)..=Duration::from_secs(86_400);
            let found = checks.duration(&At::REQUEST.field("duration"), given, allowed, "1 second to 1 day");
            assert_eq!(checks.is_empty(), found.is_some());
            found
        };

        assert_eq!(read(1, 0), Some(Duration::from_secs(1)));
        assert_eq!(read(86_399, 999_999_999), Some(Duration::new(86_399, 999_999_999)));
        for (seconds, nanos) in [
            (0, 999_999_999),
            (86_400, 1),
            (2, -1),
            (-1, 0),
            (1, 1_000_000_000),
            (i64::MIN, 0),
            (i64::MIN, i32::MIN),
            (i64::MAX, i32::MAX),
        ] {
            assert_eq!(read(seconds, nanos), None, "{seconds} s {nanos} ns");
        }
    }
}
