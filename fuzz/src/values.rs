//! Small values that come as text or numbers: positions in the log, ids, and boxes.

use photometa::check::{At, Violations};
use photometa::geometry::{Picture, Rectangle, intersection_over_union, pixels, upright};
use photometa::lsn::Lsn;
use uuid::Uuid;

use crate::entropy::Entropy;

/// Checks what is made of a value.
///
/// # Panics
/// When something does not hold that always should.
pub fn values(data: &[u8]) {
    let mut entropy = Entropy::new(data);
    match entropy.below(4) {
        0 => position(&String::from_utf8_lossy(entropy.rest())),
        1 => id(&String::from_utf8_lossy(entropy.rest())),
        2 => time(&mut entropy),
        _ => place(&mut entropy),
    }
}

fn position(text: &str) {
    let Ok(position) = text.parse::<Lsn>() else { return };
    let written = position.to_string();
    assert_eq!(written.parse(), Ok(position), "{text}");
    assert!(text.len() <= 17 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'/'), "{text}");
}

fn id(text: &str) {
    let mut checks = Violations::new();
    let id: Uuid = checks.id(&At::REQUEST.field("id"), text);
    if checks.is_empty() {
        assert!(!id.is_nil());
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "numbers at random")]
fn time(entropy: &mut Entropy<'_>) {
    let (seconds, nanos) = (entropy.word() as i64 >> entropy.below(64), entropy.word() as i32 >> entropy.below(32));
    let given = prost_types::Timestamp { seconds, nanos };
    let mut checks = Violations::new();
    let time = checks.time(&At::REQUEST.field("time"), Some(given));
    assert_eq!(time.is_some(), checks.is_empty());
    if let Some(time) = time {
        let shown = photometa::check::to_pb_time(time);
        assert_eq!((shown.seconds, shown.nanos), (given.seconds, given.nanos / 1000 * 1000));
    }
}

/// A box inside of its image is inside of the upright image, whichever way that is turned, and comes back.
fn place(entropy: &mut Entropy<'_>) {
    let mut part = || f64::from(u32::try_from(entropy.word() >> 32).unwrap_or_default()) / f64::from(u32::MAX);
    let (x, y) = (part(), part());
    let (width, height) = (part() * (1.0 - x), part() * (1.0 - y));
    let size = (1.0 + (part() * 1e6).floor(), 1.0 + (part() * 1e6).floor());
    let stored = Rectangle { x: x * size.0, y: y * size.1, width: width * size.0, height: height * size.1 };
    let orientation = i16::from(entropy.byte() % 10);
    let shown = upright(stored, size, orientation);
    let Rectangle { x, y, width, height } = shown;
    assert!(x >= 0.0 && y >= 0.0 && x + width <= 1.0 && y + height <= 1.0, "{shown:?}");
    let back = pixels(shown, Picture::Stored, size, orientation);
    let near = |one: f64, other: f64| (one - other).abs() < 1e-6;
    assert!(
        near(back.x, stored.x)
            && near(back.y, stored.y)
            && near(back.width, stored.width)
            && near(back.height, stored.height),
        "{orientation}: {stored:?} {back:?}"
    );
    let shared = intersection_over_union(shown, shown);
    assert!((0.0..=1.0).contains(&shared));
}
