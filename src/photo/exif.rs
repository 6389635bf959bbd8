//! What EXIF says of time, place and orientation, as the usual readers print it: exifread
//! (`"GPS GPSLatitude": "[43, 28, 1407/500]"`), exiftool (`"GPSLatitude": "43 deg 28' 2.81\" N"`), and plain
//! numbers. EXIF is what cameras write, broken or not: what cannot be read is absent, never an error.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Map, Value};

/// The value of a tag, whatever group name stands before it (`EXIF X`, `EXIF:X`, `X`).
fn tag<'a>(exif: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    exif.get(name).or_else(|| {
        exif.iter().find_map(|(key, value)| {
            let group = key.strip_suffix(name)?;
            group.ends_with([' ', ':']).then_some(value)
        })
    })
}

fn text<'a>(exif: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    tag(exif, name)?.as_str().map(str::trim)
}

/// When the picture was taken: `DateTimeOriginal`, else `DateTimeDigitized` or `CreateDate`, in the zone of
/// `OffsetTimeOriginal`, else UTC.
pub(super) fn capture_time(exif: &Map<String, Value>) -> Option<Timestamp> {
    let written = text(exif, "DateTimeOriginal")
        .or_else(|| text(exif, "DateTimeDigitized"))
        .or_else(|| text(exif, "CreateDate"))?;
    let (date, rest) = written.split_at_checked(10)?;
    let civil: DateTime = format!("{}T{}", date.replace(':', "-"), rest.trim().get(..8)?).parse().ok()?;
    let zone = text(exif, "OffsetTimeOriginal").and_then(offset).unwrap_or(Offset::UTC);
    TimeZone::fixed(zone).to_timestamp(civil).ok()
}

/// `+03:00`.
fn offset(written: &str) -> Option<Offset> {
    let (sign, rest) = written.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    let seconds =
        hours.parse::<i32>().ok()?.checked_mul(3600)?.checked_add(minutes.parse::<i32>().ok()?.checked_mul(60)?)?;
    Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()
}

/// Degrees north and east, when both are there and on the globe.
pub(super) fn position(exif: &Map<String, Value>) -> Option<(f64, f64)> {
    let latitude = coordinate(exif, "GPSLatitude", "GPSLatitudeRef", 90.0)?;
    let longitude = coordinate(exif, "GPSLongitude", "GPSLongitudeRef", 180.0)?;
    Some((latitude, longitude))
}

fn coordinate(exif: &Map<String, Value>, name: &str, reference: &str, most: f64) -> Option<f64> {
    let value = tag(exif, name)?;
    let degrees = match value {
        Value::Number(number) => number.as_f64()?,
        Value::Array(parts) => sexagesimal(&parts.iter().map(number).collect::<Option<Vec<_>>>()?)?,
        Value::String(written) => {
            let parts = written
                .split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '/' | '-')))
                .filter(|part| !part.is_empty())
                .map(fraction)
                .collect::<Option<Vec<_>>>()?;
            sexagesimal(&parts)?
        }
        _ => return None,
    };
    let hemisphere = text(exif, reference)
        .or(value.as_str())
        .and_then(|text| text.chars().next_back())
        .map(|c| c.to_ascii_uppercase());
    let south_or_west =
        matches!(hemisphere, Some('S' | 'W')) || matches!(text(exif, reference), Some("South" | "West"));
    let signed = if south_or_west { -degrees.abs() } else { degrees };
    (signed.is_finite() && signed.abs() <= most).then_some(signed)
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| fraction(value.as_str()?))
}

/// `12`, `12.5` or `25/2`.
fn fraction(written: &str) -> Option<f64> {
    let value = match written.split_once('/') {
        Some((numerator, denominator)) => numerator.parse::<f64>().ok()? / denominator.parse::<f64>().ok()?,
        None => written.parse().ok()?,
    };
    value.is_finite().then_some(value)
}

/// Degrees, minutes, seconds; the last two may be missing.
fn sexagesimal(parts: &[f64]) -> Option<f64> {
    match *parts {
        [degrees] => Some(degrees),
        [degrees, minutes] => Some(degrees + minutes / 60.0),
        [degrees, minutes, seconds] => Some(degrees + minutes / 60.0 + seconds / 3600.0),
        _ => None,
    }
}

/// The orientation, 1 to 8, from its number or from exifread's and exiftool's words for it.
pub(super) fn orientation(exif: &Map<String, Value>) -> Option<i16> {
    let value = tag(exif, "Orientation")?;
    if let Some(number) = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok()) {
        return i16::try_from(number).ok().filter(|number| (1..=8).contains(number));
    }
    Some(match value.as_str()?.trim() {
        "Horizontal (normal)" => 1,
        "Mirrored horizontal" | "Mirror horizontal" => 2,
        "Rotated 180" | "Rotate 180" => 3,
        "Mirrored vertical" | "Mirror vertical" => 4,
        "Mirrored horizontal then rotated 90 CCW" | "Mirror horizontal and rotate 270 CW" => 5,
        "Rotated 90 CW" | "Rotate 90 CW" => 6,
        "Mirrored horizontal then rotated 90 CW" | "Mirror horizontal and rotate 90 CW" => 7,
        "Rotated 90 CCW" | "Rotate 270 CW" => 8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exif(value: impl std::borrow::Borrow<Value>) -> Map<String, Value> {
        value.borrow().as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn position_reads_exifread_exiftool_and_numbers() {
        for (written, expected) in [
            (
                serde_json::json!({"GPS GPSLatitude": "[43, 28, 1407/500]", "GPS GPSLatitudeRef": "N", "GPS GPSLongitude": "[11, 53, 30]", "GPS GPSLongitudeRef": "W"}),
                (43.467_448, -11.891_667),
            ),
            (
                serde_json::json!({"GPSLatitude": "43 deg 28' 2.81\" S", "GPSLongitude": "11 deg 53' 30.00\" E"}),
                (-43.467_447, 11.891_667),
            ),
            (serde_json::json!({"GPSLatitude": -43.5, "GPSLongitude": 11.25}), (-43.5, 11.25)),
        ] {
            let (latitude, longitude) = position(&exif(written)).expect("a position");

            assert!(
                (latitude - expected.0).abs() < 1e-5 && (longitude - expected.1).abs() < 1e-5,
                "{latitude} {longitude}"
            );
        }
    }

    #[test]
    fn position_is_absent_when_broken_or_off_the_globe() {
        for written in [
            serde_json::json!({"GPS GPSLatitude": "[43, 28, 1/0]", "GPS GPSLongitude": "[11, 53, 30]"}),
            serde_json::json!({"GPS GPSLatitude": "[143, 28, 1]", "GPS GPSLongitude": "[11, 53, 30]"}),
            serde_json::json!({"GPS GPSLatitude": "[43, 28, 1]"}),
            serde_json::json!({"GPS GPSLatitude": "[]", "GPS GPSLongitude": "[]"}),
        ] {
            assert_eq!(position(&exif(written)), None);
        }
    }

    #[test]
    fn capture_time_takes_the_offset_and_refuses_zeros() {
        let with_offset = exif(
            serde_json::json!({"EXIF DateTimeOriginal": "2022:08:14 14:12:32", "EXIF OffsetTimeOriginal": "+03:00"}),
        );
        let zeros = exif(serde_json::json!({"EXIF DateTimeOriginal": "0000:00:00 00:00:00"}));

        assert_eq!(capture_time(&with_offset), Some("2022-08-14T11:12:32Z".parse().expect("a time")));
        assert_eq!(capture_time(&zeros), None);
    }

    #[test]
    fn orientation_reads_numbers_and_words() {
        for (value, expected) in [
            (serde_json::json!(6), Some(6)),
            (serde_json::json!("8"), Some(8)),
            (serde_json::json!("Rotated 90 CW"), Some(6)),
            (serde_json::json!("Mirror horizontal and rotate 270 CW"), Some(5)),
            (serde_json::json!(9), None),
            (serde_json::json!("unknown"), None),
        ] {
            assert_eq!(orientation(&exif(serde_json::json!({"Image Orientation": value}))), expected);
        }
    }
}
