//! The worst requests: every field rule is told with code, reason and path, all at once, and nothing is written.

use std::fmt::Debug;

use photometa::json::Struct;
use photometa::pb;
use prost_types::value::Kind;
use prost_types::{FieldMask, Timestamp, Value};
use tonic::{Code, Response, Status};

use crate::harness::{A, App, paths, photo, reason};

mod batch;
pub mod detection;
mod lists;
mod wire;

/// A UUID of nothing.
const NOBODY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// Asserts that a call was refused for exactly these fields.
pub fn assert_refused<T: Debug>(what: &str, answer: Result<Response<T>, Status>, expected: &[&str]) {
    let status = answer.expect_err(what);
    assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
    assert_eq!(reason(&status), "INVALID_FIELDS", "{what}");
    assert_eq!(paths(&status), expected, "{what}: {}", status.message());
}

/// JSON in which `levels` objects or arrays stand inside one another.
pub fn nested(levels: usize, list: bool) -> Struct {
    let mut value = Value { kind: Some(Kind::BoolValue(true)) };
    for _ in 1..levels {
        let kind = if list {
            Kind::ListValue(prost_types::ListValue { values: vec![value] })
        } else {
            Kind::StructValue(tree("a", value))
        };
        value = Value { kind: Some(kind) };
    }
    tree("a", value).into()
}

fn tree(name: &str, value: Value) -> prost_types::Struct {
    prost_types::Struct { fields: [(name.to_owned(), value)].into() }
}

/// JSON of one name.
pub fn json(name: &str, kind: Kind) -> Struct {
    tree(name, Value { kind: Some(kind) }).into()
}

/// JSON that no database keeps, and JSON that is too much.
pub fn bad_json() -> Vec<Struct> {
    let list = prost_types::ListValue { values: vec![Value { kind: Some(Kind::NumberValue(f64::NAN)) }] };
    vec![
        json("a\0b", Kind::BoolValue(true)),
        json("a", Kind::StringValue("\0".to_owned())),
        json("a", Kind::NumberValue(f64::NAN)),
        json("a", Kind::NumberValue(f64::INFINITY)),
        json("a", Kind::NumberValue(f64::NEG_INFINITY)),
        json("a", Kind::ListValue(list)),
        json("a", Kind::StructValue(tree("\0", Value { kind: Some(Kind::NullValue(0)) }))),
        nested(33, false),
        nested(33, true),
        nested(200, false),
        nested(200, true),
        json("a", Kind::StringValue("x".repeat(256 * 1024))),
    ]
}

pub type PhotoCase = (&'static str, fn(&mut pb::Photo), &'static [&'static str]);

pub const PHOTOS: &[PhotoCase] = &[
    ("short id", |p| p.id = "1234".into(), &["photo.id"]),
    ("braced id", |p| p.id = format!("{{{NOBODY}}}"), &["photo.id"]),
    ("urn id", |p| p.id = format!("urn:uuid:{NOBODY}"), &["photo.id"]),
    ("id without dashes", |p| p.id = NOBODY.replace('-', ""), &["photo.id"]),
    ("nil id", |p| p.id = uuid::Uuid::nil().to_string(), &["photo.id"]),
    ("id with a line end", |p| p.id = format!("{NOBODY}\n"), &["photo.id"]),
    ("sql as id", |p| p.id = "'; drop table photos; -- ".into(), &["photo.id"]),
    ("no project", |p| p.project_id.clear(), &["photo.project_id"]),
    ("nil project", |p| p.project_id = uuid::Uuid::nil().to_string(), &["photo.project_id"]),
    ("bad user", |p| p.user_id = "me".into(), &["photo.user_id"]),
    ("no url", |p| p.s3_url.clear(), &["photo.s3_url"]),
    ("long url", |p| p.s3_url = "x".repeat(2001), &["photo.s3_url"]),
    ("no key", |p| p.s3_key.clear(), &["photo.s3_key"]),
    ("long key", |p| p.s3_key = "\u{1f600}".repeat(501), &["photo.s3_key"]),
    ("nul in key", |p| p.s3_key = "a\0b".into(), &["photo.s3_key"]),
    ("nul in url", |p| p.s3_url = "\0".into(), &["photo.s3_url"]),
    ("empty media type", |p| p.mime_type = Some(String::new()), &["photo.mime_type"]),
    ("long media type", |p| p.mime_type = Some("x".repeat(101)), &["photo.mime_type"]),
    ("nul in media type", |p| p.mime_type = Some("a\0".to_owned()), &["photo.mime_type"]),
    ("negative size", |p| p.file_size_bytes = Some(-1), &["photo.file_size_bytes"]),
    ("least size", |p| p.file_size_bytes = Some(i64::MIN), &["photo.file_size_bytes"]),
    ("no width", |p| p.width = Some(0), &["photo.width"]),
    ("wide", |p| p.width = Some(1_000_001), &["photo.width"]),
    ("negative height", |p| p.height = Some(i32::MIN), &["photo.height"]),
    ("lone latitude", |p| p.latitude = Some(1.0), &["photo.longitude"]),
    ("lone longitude", |p| p.longitude = Some(1.0), &["photo.latitude"]),
    ("latitude nan", |p| (p.latitude, p.longitude) = (Some(f64::NAN), Some(0.0)), &["photo.latitude"]),
    (
        "off the globe",
        |p| (p.latitude, p.longitude) = (Some(90.1), Some(-180.1)),
        &["photo.latitude", "photo.longitude"],
    ),
    ("longitude inf", |p| (p.latitude, p.longitude) = (Some(0.0), Some(f64::INFINITY)), &["photo.longitude"]),
    ("orientation 0", |p| p.orientation = Some(0), &["photo.orientation"]),
    ("orientation 9", |p| p.orientation = Some(9), &["photo.orientation"]),
    ("orientation over 16 bits", |p| p.orientation = Some(65_537), &["photo.orientation"]),
    ("year 10000", |p| p.capture_time = Some(time(253_402_300_800, 0)), &["photo.capture_time"]),
    ("year 0", |p| p.capture_time = Some(time(-62_135_596_801, 0)), &["photo.capture_time"]),
    ("end of time", |p| p.upload_time = Some(time(i64::MAX, i32::MAX)), &["photo.upload_time"]),
    ("beginning of time", |p| p.upload_time = Some(time(i64::MIN, i32::MIN)), &["photo.upload_time"]),
    ("negative nanos", |p| p.upload_time = Some(time(0, -1)), &["photo.upload_time"]),
    ("a second of nanos", |p| p.upload_time = Some(time(0, 1_000_000_000)), &["photo.upload_time"]),
];

fn time(seconds: i64, nanos: i32) -> Timestamp {
    Timestamp { seconds, nanos }
}

#[tokio::test]
async fn create_photo_refuses_bad_fields() {
    let app = App::start().await;
    let mut photos = app.photos(A.as_service());
    let before = app.rows().await;

    for (what, spoil, expected) in PHOTOS {
        let mut bad = photo(A.house, "bad.jpg");
        spoil(&mut bad);
        assert_refused(what, photos.create_photo(pb::CreatePhotoRequest { photo: Some(bad) }).await, expected);
    }
    for exif_data in bad_json().into_iter().chain([json("a", Kind::StringValue("x".repeat(64 * 1024 - 7)))]) {
        let bad = pb::Photo { exif_data: Some(exif_data), ..photo(A.house, "bad.jpg") };
        let request = pb::CreatePhotoRequest { photo: Some(bad) };
        assert_refused("exif", photos.create_photo(request).await, &["photo.exif_data"]);
    }
    assert_refused(
        "nothing",
        photos.create_photo(pb::CreatePhotoRequest { photo: None }).await,
        &["photo", "photo.project_id", "photo.s3_key", "photo.s3_url"],
    );

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn create_photo_accepts_the_extremes() {
    let app = App::start().await;
    let mut photos = app.photos(A.as_service());
    let extremes: &[fn(&mut pb::Photo)] = &[
        |p| p.s3_key = "\u{1f600}".repeat(500),
        |p| p.s3_url = "\u{1f600}".repeat(2000),
        |p| p.id = NOBODY.to_uppercase(),
        |p| p.file_size_bytes = Some(i64::MAX),
        |p| (p.width, p.height) = (Some(1), Some(1_000_000)),
        |p| (p.latitude, p.longitude) = (Some(-90.0), Some(180.0)),
        |p| p.capture_time = Some(time(-62_135_596_800, 0)),
        |p| p.upload_time = Some(time(253_402_207_199, 999_999_999)),
        |p| p.exif_data = Some(nested(32, false)),
        |p| p.exif_data = Some(nested(32, true)),
        |p| p.exif_data = Some(json("a", Kind::StringValue("x".repeat(64 * 1024 - 8)))),
        |p| p.exif_data = Some(json("", Kind::StringValue("\u{1}\u{202e}\u{feff}".to_owned()))),
    ];

    for (number, extreme) in extremes.iter().enumerate() {
        let mut given = photo(A.house, &format!("{number}.jpg"));
        extreme(&mut given);
        let stored = photos.create_photo(pb::CreatePhotoRequest { photo: Some(given.clone()) }).await;
        let stored = stored.unwrap_or_else(|status| panic!("extreme {number}: {status:?}")).into_inner().photo.unwrap();
        assert_eq!(stored.s3_key, given.s3_key);
        assert_eq!(stored.exif_data, given.exif_data);
    }
}

type MaskCase = (&'static [&'static str], fn(&mut pb::Photo), &'static [&'static str]);

#[tokio::test]
async fn update_photo_refuses_bad_masks_and_values() {
    let app = App::start().await;
    let mut photos = app.photos(A.as_service());
    let stored = app.photo(A, "site/1.jpg").await;
    let cases: &[MaskCase] = &[
        (&["nonsense"], |_| (), &["update_mask.paths[0]"]),
        (&["mime_type", "S3_URL", ""], |_| (), &["update_mask.paths[1]", "update_mask.paths[2]"]),
        (&["*", "mime_type"], |_| (), &["update_mask.paths[0]"]),
        (&["exif_data.Make"], |_| (), &["update_mask.paths[0]"]),
        (&["mime_type\0"], |_| (), &["update_mask.paths[0]"]),
        (
            &["id", "organization_id", "project_id", "user_id", "s3_key", "etag", "create_time"],
            |_| (),
            &[
                "update_mask.paths[0]",
                "update_mask.paths[1]",
                "update_mask.paths[2]",
                "update_mask.paths[3]",
                "update_mask.paths[4]",
                "update_mask.paths[5]",
                "update_mask.paths[6]",
            ],
        ),
        (&["s3_url"], |p| p.s3_url.clear(), &["photo.s3_url"]),
        (&["upload_time"], |p| p.upload_time = None, &["photo.upload_time"]),
        (&["latitude"], |p| (p.latitude, p.longitude) = (Some(1.0), Some(1.0)), &["update_mask"]),
        (&["width", "height"], |p| (p.width, p.height) = (Some(0), Some(-1)), &["photo.width", "photo.height"]),
        (&[], |p| p.orientation = Some(99), &["photo.orientation"]),
        (&["*"], |p| p.exif_data = Some(nested(33, true)), &["photo.exif_data"]),
        (&[], |p| p.id.clear(), &["photo.id"]),
    ];

    for (mask, spoil, expected) in cases {
        let mut bad = stored.clone();
        spoil(&mut bad);
        let mask = FieldMask { paths: mask.iter().map(ToString::to_string).collect() };
        let request = pb::UpdatePhotoRequest { photo: Some(bad), update_mask: Some(mask.clone()) };
        assert_refused(&format!("{mask:?}"), photos.update_photo(request).await, expected);
    }

    let request = pb::GetPhotoRequest { id: stored.id.clone(), view: pb::PhotoView::WithExif.into() };
    assert_eq!(photos.get_photo(request).await.unwrap().into_inner().photo, Some(stored));
}
