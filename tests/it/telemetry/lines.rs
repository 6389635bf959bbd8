//! Lines of the log: whose call they are about, and in which trace.

use std::time::Instant;

use photometa::pb;
use photometa::pb::photo_service_client::PhotoServiceClient;
use photometa::pb::session_service_client::SessionServiceClient;
use serde_json::Value;

use super::receiver::Receiver;
use super::traces::{CALLER, TRACE, WHO_AM_I, hex};
use super::{end, of, sending_to};
use crate::harness::{A, App, reason};
use crate::health::{allow, throw_out};
use crate::replica::Replica;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_the_log_name_the_request_and_its_trace_sampled_or_not() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let exported = || receiver.spans().into_iter().filter(|span| span.name == WHO_AM_I);
    let unsampled = CALLER.replace("-01", "-00");
    for (sampler, takes, [sampled, alone]) in [
        (("OTEL_SDK_DISABLED", "true"), false, [false; 2]),
        (("OTEL_TRACES_SAMPLER", "always_off"), true, [false; 2]),
        (("OTEL_TRACES_SAMPLER", "parentbased_always_on"), true, [true; 2]),
    ] {
        let mut replica = sending_to(&receiver, &app, &[("RUST_LOG", "photometa=debug"), sampler]);
        let mut client = SessionServiceClient::new(replica.channel().await);
        for (id, caller, traced) in
            [("sampled", Some(CALLER), sampled), ("unsampled", Some(unsampled.as_str()), false), ("alone", None, alone)]
        {
            let mut request = of(A.as_admin(), pb::WhoAmIRequest {});
            if let Some(caller) = caller {
                request.metadata_mut().insert("traceparent", caller.parse().unwrap());
            }
            request.metadata_mut().insert("x-request-id", id.parse().unwrap());
            client.who_am_i(request).await.unwrap();

            let ended = |replica: &Replica| {
                let log = replica.log();
                let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                lines.find(|line| line["span"]["request.id"] == id && line["fields"]["message"] == "ended")
            };
            replica.wait("line", |replica| ended(replica).is_some());
            let line = ended(&replica).unwrap();
            assert_eq!(line["spans"].as_array().map(Vec::len), Some(1), "{line}");
            let (trace, span) = (line["span"]["trace_id"].as_str(), line["span"]["span_id"].as_str());
            match caller {
                Some(_) => assert_eq!(trace, Some(TRACE), "{line}"),
                None => assert_eq!(trace.map(str::len), takes.then_some(32), "{line}"),
            }
            assert_eq!(span.is_some(), traced, "{line}");
            if let Some(span) = span {
                let its = || exported().find(|exported| hex(&exported.span_id) == span);
                let its = receiver.wait("span", its, |_| true).await;
                assert_eq!(trace, Some(hex(&its.trace_id).as_str()), "{line}");
            }
        }
        end(&mut replica);
        assert_eq!(exported().count(), usize::from(sampled) + usize::from(alone));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_an_outage_refuses_are_counted_and_not_a_line_each() {
    let app = App::start().await;
    let url = app.database.url("photometa_app");
    let mut replica = Replica::start("outage", &[("PHOTOMETA_DATABASE_URL", &url)], &[]);
    replica.wait("ready", Replica::is_ready);
    let mut photos = PhotoServiceClient::new(replica.channel().await);
    allow(&app, false).await;
    throw_out(&app).await;
    let started = Instant::now();

    for _ in 0..30 {
        let refused = photos.list_photos(of(A.as_admin(), pb::ListPhotosRequest::default())).await.unwrap_err();
        assert_eq!(reason(&refused), "DATABASE_UNAVAILABLE");
    }

    let most = 1 + started.elapsed().as_secs() / 10;
    allow(&app, true).await;
    let log = replica.log();
    let lines = log.lines().filter(|line| line.contains("the database cannot be reached") && line.contains("others"));
    assert!((1..=most).contains(&u64::try_from(lines.count()).unwrap()), "{log}");
}
