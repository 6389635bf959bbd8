//! Which pages may call: browsers ask first.

use photometa::pb;
use photometa::server::Connections;
use tonic::Code;

use super::client::{Http1, Reply, frames, http2};
use super::{PAGE, WHO_AM_I, bearer, start};
use crate::harness::App;

/// What Chromium asks before a call of connect-web.
async fn asked(app: &App, origin: &str) -> Reply {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,grpc-timeout,x-grpc-web,x-user-agent"),
    ];
    Http1::connect(app.address).await.request("OPTIONS", WHO_AM_I, &headers, b"").await
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_that_asks_for_a_page_that_may_call_is_told_so_for_two_hours() {
    let app = start().await;

    for origin in [PAGE, "http://localhost:3000"] {
        let reply = asked(&app, origin).await;

        assert_eq!((reply.http, reply.header("access-control-allow-origin")), (200, origin));
        assert_eq!(reply.header("access-control-allow-methods"), "POST");
        assert_eq!(reply.header("access-control-max-age"), "7200");
        assert!(reply.header("vary").to_ascii_lowercase().contains("origin"), "{reply:?}");
        assert_eq!(reply.header("access-control-allow-credentials"), "", "nothing is sent that a page has not named");
        let taken = reply.header("access-control-allow-headers").to_owned();
        for name in [
            "authorization",
            "content-type",
            "x-grpc-web",
            "grpc-timeout",
            "x-user-agent",
            "x-request-id",
            "traceparent",
            "x-photometa-lsn",
        ] {
            assert!(taken.split(',').any(|header| header.trim() == name), "{name}: {taken}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_that_may_not_call_is_refused_and_its_call_not_made() {
    let app = start().await;
    let authorization = bearer();

    for origin in ["https://evil.example.com", "https://app.example.com.evil.example", "http://app.example.com", "null"]
    {
        let reply = asked(&app, origin).await;
        assert_eq!((reply.http, reply.header("access-control-allow-origin")), (403, ""), "{origin}");
        assert!(String::from_utf8_lossy(&reply.body).contains("PHOTOMETA_CORS_ALLOW_ORIGIN"));

        let request =
            pb::CreatePhotoRequest { photo: Some(crate::harness::photo(crate::harness::A.house, "site/1.jpg")) };
        let headers = [("origin", origin), ("authorization", authorization.as_str())];
        let rpc = "photometa.v1.PhotoService/CreatePhoto";
        for reply in [
            Http1::connect(app.address).await.call(rpc, &headers, &frames(&request)).await,
            http2(app.address, rpc, &headers, &frames(&request)).await,
        ] {
            assert_eq!((reply.http, reply.header("access-control-allow-origin")), (403, ""), "{origin}");
        }
    }

    assert_eq!(app.count("select count(*) from companycam_photos.photos").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn star_lets_every_page_call_which_still_needs_a_credential() {
    let app = App::start_for_browsers(&["*"], Connections::default()).await;
    let origin = "https://anywhere.example";

    assert_eq!(asked(&app, origin).await.header("access-control-allow-origin"), "*");
    let reply = http2(app.address, WHO_AM_I, &[("origin", origin)], &frames(&pb::WhoAmIRequest {})).await;

    assert_eq!((reply.header("access-control-allow-origin"), reply.grpc().1.code()), ("*", Code::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_say_that_it_is_grpc_is_no_call() {
    let authorization = super::bearer();
    let request = pb::CreatePhotoRequest { photo: Some(crate::harness::photo(crate::harness::A.house, "site/1.jpg")) };
    for app in [App::start().await, super::start().await] {
        // The first ones are those that a page may send without being asked for.
        for kind in
            ["text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "application/json", "application/grpcx"]
        {
            let headers =
                [("content-type", kind), ("origin", "https://evil.example"), ("authorization", authorization.as_str())];

            let reply = http2(app.address, "photometa.v1.PhotoService/CreatePhoto", &headers, &frames(&request)).await;

            assert_eq!(reply.http, 415, "{kind}: {reply:?}");
        }
        assert_eq!(app.count("select count(*) from companycam_photos.photos").await, 0);
    }
}
