//! Bytes that are no message of ours, or too many of them.

use photometa::pb;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::harness::{A, App, details, photo, reason};

/// Has a byte string where other messages have a message.
#[derive(Clone, PartialEq, prost::Message)]
struct Bytes {
    #[prost(bytes = "vec", tag = "1")]
    first: Vec<u8>,
}

/// Has a number where other messages have a message.
#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(uint64, tag = "1")]
    first: u64,
}

async fn send<M: prost::Message + 'static>(app: &App, path: &'static str, message: M) -> Result<(), Status> {
    let mut client = Grpc::new(app.authenticated(A.as_service()));
    client.ready().await.unwrap();
    let codec = ProstCodec::<M, pb::CreatePhotoResponse>::default();
    client.unary(Request::new(message), PathAndQuery::from_static(path), codec).await.map(|_| ())
}

const CREATE_PHOTO: &str = "/photometa.v1.PhotoService/CreatePhoto";

#[tokio::test]
async fn create_photo_is_malformed_for_other_bytes() {
    let app = App::start().await;
    let before = app.rows().await;

    // A tag without a value; a length past the end; a group's end; an s3_key that is no UTF-8.
    for first in [
        &b"\x08"[..],
        b"\x32\xff\xff\xff\x7f",
        b"\x0c",
        b"\x32\x02\xc3\x28",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let status = send(&app, CREATE_PHOTO, Bytes { first: first.to_vec() }).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{first:?}: {status:?}");
        assert_eq!(reason(&status), "MALFORMED_MESSAGE");
    }
    let status = send(&app, CREATE_PHOTO, Number { first: 7 }).await.unwrap_err();

    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "MALFORMED_MESSAGE"));
    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn create_photo_is_too_large_over_four_mebibytes() {
    let app = App::start().await;
    let before = app.rows().await;
    let large = pb::Photo { s3_url: "x".repeat(4 * 1024 * 1024), ..photo(A.house, "large.jpg") };

    let status =
        app.photos(A.as_service()).create_photo(pb::CreatePhotoRequest { photo: Some(large) }).await.unwrap_err();

    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn update_masks_of_many_paths_are_refused_at_once() {
    let app = App::start().await;
    let mask = prost_types::FieldMask { paths: vec![String::new(); 1_000_000] };

    let request = pb::UpdatePhotoRequest { photo: Some(pb::Photo::default()), update_mask: Some(mask) };
    let status = app.photos(A.as_service()).update_photo(request).await.unwrap_err();

    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
    let details = details(&status);
    let mask = details.bad_request().unwrap().field_violations.iter().find(|one| one.field == "update_mask.paths");
    assert!(mask.is_some_and(|mask| mask.description.contains("0 to 100")), "{status:?}");
}

#[tokio::test]
async fn unknown_rpc_is_unimplemented() {
    let app = App::start().await;

    for path in
        ["/photometa.v1.PhotoService/DropPhotos", "/photometa.v1.NoService/Get", "/photometa.v2.PhotoService/GetPhoto"]
    {
        let status = send(&app, path, Number { first: 1 }).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}: {status:?}");
        assert_eq!(reason(&status), "RPC_NOT_FOUND");
    }
}

#[tokio::test]
async fn refusals_fit_into_headers() {
    let app = App::start().await;
    let mut photos = app.photos(A.as_service());
    let bad = pb::Photo { id: "\u{1f600}".repeat(100), s3_key: "\0".to_owned(), ..Default::default() };
    let stored = app.photo(A, &"\u{1f600}".repeat(500)).await;
    let other = pb::Photo { width: None, ..photo(A.house, &stored.s3_key) };
    let mask = prost_types::FieldMask { paths: vec!["\u{1f600}".repeat(500_000)] };

    let request = pb::BatchCreatePhotosRequest { photos: vec![bad; 1000], partial: false };
    let many = photos.batch_create_photos(request).await.unwrap_err();
    let taken = photos.create_photo(pb::CreatePhotoRequest { photo: Some(other) }).await.unwrap_err();
    let request = pb::UpdatePhotoRequest { photo: Some(stored), update_mask: Some(mask) };
    let long = photos.update_photo(request).await.unwrap_err();

    // Statuses travel in HTTP/2 headers: percent-encoded words and base64 details, of which peers take 8 KiB.
    for (status, code, expected) in [
        (&many, Code::InvalidArgument, "INVALID_FIELDS"),
        (&taken, Code::AlreadyExists, "PHOTO_ALREADY_EXISTS"),
        (&long, Code::InvalidArgument, "INVALID_FIELDS"),
    ] {
        assert_eq!((status.code(), reason(status).as_str()), (code, expected), "{status:?}");
        let bytes = status.message().len() * 3 + status.details().len() * 4 / 3;
        assert!(bytes < 7500, "{bytes} bytes: {status:?}");
    }
    assert!(details(&many).bad_request().unwrap().field_violations.len() > 10);
    assert!(many.message().contains("and 3999 more"), "{}", many.message());
}
