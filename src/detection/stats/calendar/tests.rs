//! Days and hours that are not as long as others, by hand; then every kind of zone against a walk from minute to
//! minute.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use super::{Unit, cut, zone};

/// The length of each bucket in minutes.
fn minutes(name: &str, unit: Unit, start: &str, end: &str) -> Vec<i64> {
    let starts = starts(name, unit, start, end);
    let ends = starts.iter().skip(1).copied().chain([instant(end)]);
    starts.iter().zip(ends).map(|(start, end)| end.duration_since(*start).as_secs() / 60).collect()
}

fn starts(name: &str, unit: Unit, start: &str, end: &str) -> Vec<Timestamp> {
    cut(&zone(name).unwrap(), unit, (instant(start), instant(end)), 2000).unwrap()
}

fn shown(starts: &[Timestamp]) -> Vec<String> {
    starts.iter().map(ToString::to_string).collect()
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn days_have_23_or_25_hours_where_the_clock_is_changed() {
    let spring = starts("Europe/Berlin", Unit::Day, "2026-03-27T23:00Z", "2026-03-30T22:00Z");
    let autumn = starts("Europe/Berlin", Unit::Day, "2026-10-23T22:00Z", "2026-10-26T23:00Z");

    assert_eq!(shown(&spring), ["2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]);
    assert_eq!(shown(&autumn), ["2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"]);
}

#[test]
fn hours_that_happen_twice_are_two_and_those_that_do_not_are_none() {
    assert_eq!(minutes("Europe/Berlin", Unit::Hour, "2026-03-28T23:00Z", "2026-03-29T22:00Z"), [60; 23]);
    assert_eq!(minutes("Europe/Berlin", Unit::Hour, "2026-10-24T22:00Z", "2026-10-25T23:00Z"), [60; 25]);
}

#[test]
fn hours_are_of_the_zone_and_half_ones_where_the_clock_is_changed_by_half() {
    let india = starts("Asia/Kolkata", Unit::Hour, "2026-01-01T00:00Z", "2026-01-01T02:00Z");
    // From 02:00 to 02:30, and from 02:00 back to 01:30.
    let forward = minutes("Australia/Lord_Howe", Unit::Hour, "2026-10-03T14:30Z", "2026-10-03T17:00Z");
    let back = minutes("Australia/Lord_Howe", Unit::Hour, "2026-04-04T14:00Z", "2026-04-04T16:30Z");

    assert_eq!(shown(&india), ["2026-01-01T00:00:00Z", "2026-01-01T00:30:00Z", "2026-01-01T01:30:00Z"]);
    assert_eq!(forward, [60, 30, 60]);
    assert_eq!(back, [60, 30, 60]);
    assert_eq!(minutes("Australia/Lord_Howe", Unit::Day, "2026-10-03T13:30Z", "2026-10-04T13:00Z"), [23 * 60 + 30]);
}

#[test]
fn hours_go_on_where_time_only_gets_another_name() {
    // At 13:30 the time of the war became that of the peace.
    assert_eq!(minutes("Pacific/Honolulu", Unit::Hour, "1945-08-14T21:30Z", "1945-08-15T00:30Z"), [60; 3]);
}

#[test]
fn days_that_a_zone_skipped_are_none_and_days_begin_where_midnight_does_not_exist() {
    // Apia went from the 29th of December to the 31st; its Friday is missing in the week too.
    let apia = starts("Pacific/Apia", Unit::Day, "2011-12-29T10:00Z", "2011-12-31T10:00Z");
    let week = minutes("Pacific/Apia", Unit::Week, "2011-12-26T10:00Z", "2012-01-01T10:00Z");
    // 00:00 became 01:00.
    let brazil = starts("America/Sao_Paulo", Unit::Day, "2018-11-03T03:00Z", "2018-11-05T02:00Z");
    let lebanon = starts("Asia/Beirut", Unit::Day, "2026-03-27T22:00Z", "2026-03-29T21:00Z");
    // 23:30 became 00:30.
    let canada = starts("America/Toronto", Unit::Day, "1919-03-30T05:00Z", "1919-04-01T04:00Z");

    assert_eq!(shown(&apia), ["2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"]);
    assert_eq!(week, [6 * 24 * 60]);
    assert_eq!(shown(&brazil), ["2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"]);
    assert_eq!(shown(&lebanon), ["2026-03-27T22:00:00Z", "2026-03-28T22:00:00Z"]);
    assert_eq!(shown(&canada), ["1919-03-30T05:00:00Z", "1919-03-31T04:30:00Z"]);
}

#[test]
fn days_that_have_begun_are_not_taken_back() {
    // 00:01 became 23:01 of the day before; the new day had begun at 00:00.
    let all = starts("America/St_Johns", Unit::Day, "2010-11-06T02:30Z", "2010-11-08T03:30Z");
    let late = starts("America/St_Johns", Unit::Day, "2010-11-07T03:00Z", "2010-11-08T03:30Z");

    assert_eq!(shown(&all), ["2010-11-06T02:30:00Z", "2010-11-07T02:30:00Z"]);
    assert_eq!(shown(&late), ["2010-11-07T03:00:00Z"]);
}

#[test]
fn weeks_begin_on_mondays_and_months_on_their_first() {
    let weeks = starts("America/New_York", Unit::Week, "2026-02-25T12:00Z", "2026-03-17T00:00Z");
    let months = starts("America/New_York", Unit::Month, "2026-02-25T12:00Z", "2026-05-01T04:00Z");
    let early = starts("UTC", Unit::Month, "1969-11-15T00:00Z", "1970-02-01T00:00Z");

    let mondays = ["2026-03-02T05:00:00Z", "2026-03-09T04:00:00Z", "2026-03-16T04:00:00Z"];
    assert_eq!(shown(&weeks)[1..], mondays);
    assert_eq!(shown(&months)[1..], ["2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"]);
    assert_eq!(shown(&early)[1..], ["1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z"]);
}

#[test]
fn ranges_are_cut_to_the_microsecond_at_both_ends() {
    let within = starts("UTC", Unit::Hour, "2026-01-01T00:00:00.000001Z", "2026-01-01T01:00Z");
    let over = starts("UTC", Unit::Hour, "2026-01-01T00:59:59.999999Z", "2026-01-01T01:00:00.000001Z");

    assert_eq!(shown(&within), ["2026-01-01T00:00:00.000001Z"]);
    assert_eq!(shown(&over), ["2026-01-01T00:59:59.999999Z", "2026-01-01T01:00:00Z"]);
}

#[test]
fn too_many_are_counted_to_the_last_one() {
    let all = (instant("0001-01-01T00:00Z"), instant("9999-12-30T22:00Z"));
    let count = |name, unit, most| cut(&zone(name).unwrap(), unit, all, most).map(|starts| starts.len());

    assert_eq!(count("UTC", Unit::Hour, 2000), Err(3_652_058 * 24 - 2));
    assert_eq!(count("UTC", Unit::Day, 2000), Err(3_652_058));
    // The last date has begun in Apia, and another one was skipped.
    assert_eq!(count("Pacific/Apia", Unit::Day, 2000), Err(3_652_058));
    assert_eq!(count("Pacific/Apia", Unit::Month, 2000), Err(9999 * 12));
    assert_eq!(count("Europe/Berlin", Unit::Month, 9999 * 12).unwrap(), 9999 * 12);
}

#[test]
fn zones_have_the_names_of_the_database() {
    for name in ["UTC", "Etc/GMT+5", "Europe/Berlin", "europe/berlin", "America/Argentina/Buenos_Aires", "US/Eastern"] {
        assert!(zone(name).is_some(), "{name}");
    }
    for name in ["", "Etc/Unknown", "Berlin", "+02:00", "CEST", "EST5EDT4", "Europe/Berlin ", "../etc/passwd", "Local"]
    {
        assert!(zone(name).is_none(), "{name}");
    }
}

/// What a clock shows: the first date of the unit, or its hour and its difference from UTC.
fn label(zone: &TimeZone, unit: Unit, at: Timestamp) -> (i64, i32) {
    let shown = at.to_zoned(zone.clone());
    let date = match unit {
        Unit::Hour => {
            let offset = shown.offset().seconds();
            return ((at.as_second() + i64::from(offset)).div_euclid(3600), offset);
        }
        Unit::Day => shown.date(),
        Unit::Week => {
            let days = shown.weekday().to_monday_zero_offset();
            shown.date() - SignedDuration::from_hours(24 * i64::from(days))
        }
        Unit::Month => shown.date().first_of_month(),
    };
    (date.duration_since(super::EPOCH).as_secs(), 0)
}

#[test]
fn buckets_are_those_of_a_walk_from_minute_to_minute() {
    let minute = SignedDuration::from_mins(1);
    let names: Vec<_> = TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect();
    assert!(names.len() > 400, "{}", names.len());
    // Each zone about one of its changes, another one for each.
    for (index, name) in names.iter().enumerate() {
        let zone = zone(name).unwrap();
        let changes: Vec<_> = zone.following(instant("1973-01-01T00:00Z")).take(60).collect();
        let Some(change) = changes.get(index % changes.len().max(1)) else { continue };
        let about = Timestamp::from_second(change.timestamp().as_second().div_euclid(60) * 60).unwrap();
        let start = about - SignedDuration::from_mins(60 + i64::try_from(index % 120).unwrap());
        let end = about + SignedDuration::from_mins(180);
        for unit in [Unit::Hour, Unit::Day, Unit::Week, Unit::Month] {
            let (mut walked, mut reached) = (vec![start], label(&zone, unit, start));
            let mut at = start + minute;
            while at < end {
                let found = label(&zone, unit, at);
                if found > reached || unit == Unit::Hour && found != reached {
                    walked.push(at);
                    reached = found;
                }
                at += minute;
            }
            let found = cut(&zone, unit, (start, end), 2000).unwrap();
            assert_eq!(shown(&found), shown(&walked), "{unit:?} in {name}");
        }
    }
}
