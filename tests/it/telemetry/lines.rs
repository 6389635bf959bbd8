//! Lines of the log: whose call they are about, and in which trace.

use photometa::pb;
use photometa::pb::session_service_client::SessionServiceClient;
use serde_json::Value;

use super::receiver::Receiver;
use super::traces::{CALLER, TRACE, WHO_AM_I, hex};
use super::{end, of, sending_to};
use crate::harness::{A, App};
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
