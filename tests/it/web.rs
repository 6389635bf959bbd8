//! Browsers: gRPC-Web over HTTP/1 and HTTP/2, which pages may call (CORS), and that what guards gRPC guards it too.
//! examples/browser has the same from inside of a real browser.

pub mod client;
mod cors;
mod life;

use photometa::pb;
use photometa::server::Connections;
use prost::Message as _;
use tonic::Code;

use self::client::{Http1, Reply, frames, http2};
use crate::harness::{A, App, details, paths, reason, token};

/// A page that may call.
const PAGE: &str = "https://app.example.com";
/// Any call.
const WHO_AM_I: &str = "photometa.v1.SessionService/WhoAmI";

async fn start() -> App {
    App::start_for_browsers(&[PAGE, "http://localhost:3000"], Connections::default()).await
}

fn bearer() -> String {
    format!("Bearer {}", token(A.as_admin()))
}

/// Calls over both versions of HTTP.
async fn both(app: &App, rpc: &str, authorization: &str, message: &impl prost::Message) -> [Reply; 2] {
    let headers =
        [("authorization", authorization), ("origin", PAGE), ("x-grpc-web", "1"), ("x-request-id", "asked-1")];
    let mut http1 = Http1::connect(app.address).await;
    let over_http2 = http2(app.address, rpc, &headers, &frames(message)).await;
    assert!(!over_http2.trailers, "no browser would see the status");
    [http1.call(rpc, &headers, &frames(message)).await, over_http2]
}

#[tokio::test(flavor = "multi_thread")]
async fn call_from_a_page_is_answered_over_both_versions_of_http() {
    let app = start().await;
    let photo = app.photo(A, "site/1.jpg").await;

    let request = pb::GetPhotoRequest { id: photo.id.clone(), view: 0 };
    for reply in both(&app, "photometa.v1.PhotoService/GetPhoto", &bearer(), &request).await {
        let (messages, status) = reply.grpc();

        assert_eq!((reply.http, status.code()), (200, Code::Ok));
        let found = pb::GetPhotoResponse::decode(messages[0].as_slice()).unwrap().photo.unwrap();
        assert_eq!((found.id, messages.len()), (photo.id.clone(), 1));
        assert_eq!(reply.header("content-type"), "application/grpc-web+proto");
        assert_eq!(reply.header("access-control-allow-origin"), PAGE);
        assert_eq!(reply.header("x-request-id"), "asked-1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_from_a_page_tells_its_position_and_pages_may_read_it() {
    let app = start().await;

    let request = pb::CreatePhotoRequest { photo: Some(crate::harness::photo(A.house, "site/1.jpg")) };
    for reply in both(&app, "photometa.v1.PhotoService/CreatePhoto", &bearer(), &request).await {
        assert_eq!(reply.grpc().1.code(), Code::Ok);
        let exposed = reply.header("access-control-expose-headers").to_owned();
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-request-id", "x-photometa-lsn"] {
            assert!(exposed.split(',').any(|header| header.trim() == name), "{name}: {exposed}");
        }
    }
    // The second one was there already, and has written nothing.
    assert_eq!(app.count("select count(*) from companycam_photos.photos").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_call_from_a_page_has_reason_and_details() {
    let app = start().await;

    let request = pb::CreatePhotoRequest { photo: Some(pb::Photo { width: Some(-1), ..Default::default() }) };
    for reply in both(&app, "photometa.v1.PhotoService/CreatePhoto", &bearer(), &request).await {
        let (messages, status) = reply.grpc();

        assert_eq!((reply.http, status.code(), messages.len()), (200, Code::InvalidArgument, 0));
        assert_eq!(reason(&status), "INVALID_FIELDS");
        assert!(paths(&status).iter().any(|path| path == "photo.width"), "{:?}", details(&status));
    }
    for reply in both(&app, WHO_AM_I, "Bearer nonsense", &pb::WhoAmIRequest {}).await {
        let status = reply.grpc().1;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CREDENTIAL_INVALID"));
        assert_eq!(reply.header("access-control-allow-origin"), PAGE);
    }
    for reply in both(&app, "photometa.v1.PhotoService/Nothing", &bearer(), &pb::WhoAmIRequest {}).await {
        assert_eq!(reason(&reply.grpc().1), "RPC_NOT_FOUND");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deadline_of_a_page_is_kept() {
    let app = start().await;
    let mut http1 = Http1::connect(app.address).await;
    let authorization = bearer();

    for (timeout, expected) in [("0m", "DEADLINE_EXCEEDED"), ("soon", "INVALID_FIELDS")] {
        let headers = [("authorization", authorization.as_str()), ("grpc-timeout", timeout)];
        let reply = http1.call(WHO_AM_I, &headers, &frames(&pb::WhoAmIRequest {})).await;

        assert_eq!(reason(&reply.grpc().1), expected, "{timeout}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_to_a_page_has_all_its_messages_and_its_status() {
    let app = start().await;
    for number in 0..5 {
        let photo = app.photo(A, &format!("site/{number}.jpg")).await;
        app.detection(A, &photo.id).await;
    }

    let request = pb::ExportTrainingDataRequest {
        format: pb::TrainingDataFormat::JsonLines.into(),
        include_unreviewed: true,
        ..Default::default()
    };
    for reply in both(&app, "photometa.v1.FeedbackService/ExportTrainingData", &bearer(), &request).await {
        let (messages, status) = reply.grpc();

        assert_eq!(status.code(), Code::Ok, "{status:?}");
        let parts: Vec<_> =
            messages.iter().map(|part| pb::ExportTrainingDataResponse::decode(part.as_slice()).unwrap()).collect();
        let text: Vec<u8> = parts.iter().flat_map(|part| part.chunk.clone()).collect();
        assert_eq!(String::from_utf8(text).unwrap().lines().count(), 5);
        assert!(parts.last().unwrap().progress.as_ref().unwrap().done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_form_of_grpc_web_is_understood() {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    let app = start().await;
    let mut http1 = Http1::connect(app.address).await;
    let body = BASE64_STANDARD.encode(frames(&pb::WhoAmIRequest {}));
    let authorization = bearer();
    let kind = "application/grpc-web-text";
    let headers = [("authorization", authorization.as_str()), ("content-type", kind), ("accept", kind)];

    let reply = http1.post(WHO_AM_I, &headers, body.as_bytes()).await;

    // Each piece is a whole base64 of its own.
    let text = String::from_utf8(reply.body.clone()).unwrap();
    assert!(reply.header("content-type").starts_with(kind), "{text}");
    let first = BASE64_STANDARD.decode(&text[..text.find('=').map_or(text.len(), |end| (end / 4 + 1) * 4)]).unwrap();
    assert_eq!(first[0], 0, "a message");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_itself_goes_on_beside_it() {
    let app = start().await;

    let answer = app.sessions(A.as_admin()).who_am_i(pb::WhoAmIRequest {}).await.unwrap();

    let told: Vec<_> = answer.metadata().keys().map(|key| format!("{key:?}")).collect();
    assert!(!told.iter().any(|name| name.contains("access-control") || name.contains("vary")), "{told:?}");
    assert_eq!(answer.into_inner().role, "org_admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_origins_there_are_neither_browsers_nor_http1() {
    let app = App::start().await;
    let authorization = bearer();
    let headers = [("authorization", authorization.as_str()), ("origin", PAGE)];

    let over_http1 = Http1::connect(app.address).await.call(WHO_AM_I, &headers, &frames(&pb::WhoAmIRequest {})).await;
    let over_http2 = http2(app.address, WHO_AM_I, &headers, &frames(&pb::WhoAmIRequest {})).await;

    assert_eq!((over_http1.http, over_http2.http), (505, 415));
    assert!(String::from_utf8_lossy(&over_http2.body).contains("PHOTOMETA_CORS_ALLOW_ORIGIN"), "{over_http2:?}");
    for reply in [over_http1, over_http2] {
        assert!(!reply.headers.iter().any(|(name, _)| name.starts_with("access-control")), "{:?}", reply.headers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_grpc_web_over_http1_is_told_what_is_spoken() {
    let app = start().await;
    for (method, kind) in [("GET", ""), ("POST", "application/grpc"), ("POST", "application/json"), ("PRI", "x")] {
        let mut http1 = Http1::connect(app.address).await;

        let reply = http1.request(method, WHO_AM_I, &[("content-type", kind)], b"").await;

        assert_eq!(reply.http, 415, "{method} {kind}");
        assert!(String::from_utf8_lossy(&reply.body).contains("gRPC-Web"), "{method} {kind}");
    }
    let reply = Http1::connect(app.address)
        .await
        .request("PUT", WHO_AM_I, &[("content-type", "application/grpc-web")], b"")
        .await;
    assert_eq!(reply.http, 405);
}
