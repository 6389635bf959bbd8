//! Where the hours, days, weeks and months of a time zone begin, as instants. A clock that is put forward or back
//! is the only difficulty: so time is taken in stretches in which nobody touches it, where all is arithmetic.

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Seconds in which every clock that was put back has caught up: no zone repeated more than a day.
const LOOK_BACK: i64 = 2 * DAY;
const DAY: i64 = 24 * HOUR;
const HOUR: i64 = 60 * 60;
const EPOCH: Date = date(1970, 1, 1);

/// A zone of the IANA database that is in the program; none of that name, or of an unknown place.
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown())
}

/// What time is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// By the clock, and ended by a change of the clock.
    Hour,
    /// A date, from its first instant on.
    Day,
    /// Seven dates from a Monday on.
    Week,
    /// The dates of a month.
    Month,
}

impl Unit {
    /// The number of the unit in which a clock shows this second, counted from 1970 by that clock.
    fn number(self, second: i64) -> i64 {
        let day = second.div_euclid(DAY);
        match self {
            Self::Hour => second.div_euclid(HOUR),
            Self::Day => day,
            // 1970 began on a Thursday.
            Self::Week => (day + 3).div_euclid(7),
            Self::Month => {
                let date = EPOCH.saturating_add(jiff::SignedDuration::from_secs(day * DAY));
                i64::from(date.year()) * 12 + i64::from(date.month()) - 1
            }
        }
    }

    /// The second at which a clock shows the beginning of the unit of this number.
    fn beginning(self, number: i64) -> i64 {
        match self {
            Self::Hour => number * HOUR,
            Self::Day => number * DAY,
            Self::Week => (number * 7 - 3) * DAY,
            Self::Month => {
                let year = i16::try_from(number.div_euclid(12)).unwrap_or(i16::MAX);
                let month = i8::try_from(number.rem_euclid(12) + 1).unwrap_or(1);
                Date::new(year, month, 1).map_or(i64::MAX, |first| first.duration_since(EPOCH).as_secs())
            }
        }
    }
}

/// Seconds since 1970, in UTC, during which the clock of a zone is not changed.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    start: i64,
    end: i64,
    /// What the clock shows more than UTC.
    offset: i64,
}

/// The stretches of a zone within `start..end`.
fn stretches(zone: &TimeZone, start: i64, end: i64) -> impl Iterator<Item = Stretch> {
    let from = Timestamp::from_second(start).unwrap_or(Timestamp::MIN);
    let offset = i64::from(zone.to_offset(from).seconds());
    let changes = zone.following(from).map(|change| (change.timestamp().as_second(), change.offset().seconds()));
    let changes = changes.map(|(at, offset)| (at, i64::from(offset))).take_while(move |(at, _)| *at < end);
    let mut before = offset;
    // A change that leaves the offset as it was only gives the zone's time another name.
    let changes = changes.filter(move |(_, after)| std::mem::replace(&mut before, *after) != *after);
    let mut current = (start, offset);
    changes.chain([(end, 0)]).map(move |next| {
        let (start, offset) = std::mem::replace(&mut current, next);
        Stretch { start, end: next.0, offset }
    })
}

/// Cuts `start..end`, which is not empty, into units of a zone's calendar; the first and the last one may be parts.
/// Answers where each begins. It takes time for changes of the clock and for what it answers, not for the range.
///
/// # Errors
/// How many there are, when they are more than `most`.
pub fn cut(
    zone: &TimeZone,
    unit: Unit,
    (start, end): (Timestamp, Timestamp),
    most: usize,
) -> Result<Vec<Timestamp>, usize> {
    const MICROSECONDS: i64 = 1_000_000;
    let from = start.as_microsecond().div_euclid(MICROSECONDS);
    let to = -(-end.as_microsecond()).div_euclid(MICROSECONDS);
    let mut reached = reached(zone, unit, from);
    let mut starts = vec![start];
    let mut count = 1;
    for Stretch { start, end, offset } in stretches(zone, from, to) {
        if unit == Unit::Hour && start > from {
            // A clock that was just changed begins an hour, whichever it shows.
            reached = unit.number(start + offset) - 1;
        }
        let first = unit.number(start + offset).max(reached + 1);
        let last = unit.number(end - 1 + offset);
        reached = reached.max(last);
        count += usize::try_from(last - first + 1).unwrap_or_default();
        if count <= most {
            let begin = |number| (unit.beginning(number) - offset).max(start);
            starts.extend((first..=last).filter_map(|number| Timestamp::from_second(begin(number)).ok()));
        }
    }
    if count > most { Err(count) } else { Ok(starts) }
}

/// The number of the unit that contains a second: the last one that has begun by then. A clock that was put back
/// over midnight shows the day before again, which is over.
fn reached(zone: &TimeZone, unit: Unit, second: i64) -> i64 {
    let look_back = if unit == Unit::Hour { 0 } else { LOOK_BACK };
    let stretches = stretches(zone, second - look_back, second + 1);
    stretches.map(|stretch| unit.number(stretch.end - 1 + stretch.offset)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests;
