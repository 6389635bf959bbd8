//! Certificates of clients: who needs one, whom one stands for, and that a token decides where there is one.

use std::time::{Duration, Instant};

use photometa::config::ClientAuth;
use photometa::pb::{self, feedback_service_client::FeedbackServiceClient};
use tonic::Code;
use uuid::Uuid;

use super::authority::{Authority, UPLOADER, dns, uri};
use super::{Files, entry, who_am_i};
use crate::harness::{A, reason, token};

const SUBJECT: Uuid = Uuid::from_u128(0x5e1f);

#[tokio::test]
async fn certificate_stands_for_the_service_account_of_its_identity() {
    let files = Files::mutual(ClientAuth::Required, &entry("uri", UPLOADER, SUBJECT));
    let app = files.start().await;
    let known = files.clients.client(vec![dns("worker.photometa.test"), uri(UPLOADER)]);
    let unknown = files.clients.client(vec![uri("spiffe://photometa.test/somebody")]);

    let me = who_am_i(files.channel(&app, Some(&known)).await.unwrap(), None).await.unwrap();
    let nobody = who_am_i(files.channel(&app, Some(&unknown)).await.unwrap(), None).await.unwrap_err();

    assert_eq!(
        (me.subject, me.organization_id, me.role),
        (SUBJECT.to_string(), A.id.to_string(), "service".to_owned())
    );
    assert_eq!((nobody.code(), reason(&nobody).as_str()), (Code::Unauthenticated, "CREDENTIAL_MISSING"));
}

#[tokio::test]
async fn certificate_may_be_known_by_its_fingerprint_or_its_dns_name() {
    let files = Files::mutual(ClientAuth::Required, "");
    let (by_name, by_print) = (files.clients.client(vec![dns("Worker.photometa.test")]), files.clients.client(vec![]));
    let print = ring::digest::digest(&ring::digest::SHA256, &by_print.der);
    let hex: Vec<_> = print.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    files.identities(&[entry("dns", "worker.photometa.test", one), entry("sha256", &hex.join(":"), two)].join(","));
    let app = files.start().await;

    for (pair, subject) in [(by_name, one), (by_print, two)] {
        let me = who_am_i(files.channel(&app, Some(&pair)).await.unwrap(), None).await.unwrap();

        assert_eq!(me.subject, subject.to_string());
    }
}

#[tokio::test]
async fn certificate_is_a_service_and_may_do_nothing_else() {
    let files = Files::mutual(ClientAuth::Required, &entry("uri", UPLOADER, SUBJECT));
    let app = files.start().await;
    let channel = files.channel(&app, Some(&files.clients.client(vec![uri(UPLOADER)]))).await.unwrap();

    let refused = FeedbackServiceClient::new(channel).create_feedback(pb::CreateFeedbackRequest::default()).await;

    let refused = refused.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ROLE_NOT_ALLOWED"));
}

#[tokio::test]
async fn token_decides_and_a_bad_one_is_not_made_up_for_by_a_certificate() {
    let files = Files::mutual(ClientAuth::Required, &entry("uri", UPLOADER, SUBJECT));
    let app = files.start().await;
    let channel = files.channel(&app, Some(&files.clients.client(vec![uri(UPLOADER)]))).await.unwrap();

    let admin = who_am_i(channel.clone(), Some(&format!("Bearer {}", token(A.as_admin())))).await.unwrap();
    assert_eq!((admin.subject, admin.role), (A.admin.to_string(), "org_admin".to_owned()));

    for bad in ["Bearer x.y.z", "Bearer ", "Basic dXNlcjpwYXNz", ""] {
        let refused = who_am_i(channel.clone(), Some(bad)).await.unwrap_err();

        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::Unauthenticated, "CREDENTIAL_INVALID"),
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn client_without_a_certificate_of_the_authority_is_not_heard_where_one_is_required() {
    let files = Files::mutual(ClientAuth::Required, &entry("uri", UPLOADER, SUBJECT));
    let app = files.start().await;
    let stranger = Authority::new("strangers").client(vec![uri(UPLOADER)]);
    let server = files.clients.server(&["photometa.test"]);
    let bearer = format!("Bearer {}", token(A.as_admin()));

    for own in [None, Some(&stranger), Some(&server)] {
        // With TLS 1.3 the client is done before the server has looked.
        let heard = match files.channel(&app, own).await {
            Ok(channel) => who_am_i(channel, Some(&bearer)).await.map_err(|status| status.code()),
            Err(_) => Err(Code::Unavailable),
        };

        assert!(heard.is_err(), "{heard:?}");
    }
}

#[tokio::test]
async fn client_without_a_certificate_needs_a_token_where_one_is_optional() {
    let files = Files::mutual(ClientAuth::Optional, &entry("uri", UPLOADER, SUBJECT));
    let app = files.start().await;
    let plain = files.channel(&app, None).await.unwrap();
    let known = files.channel(&app, Some(&files.clients.client(vec![uri(UPLOADER)]))).await.unwrap();
    let stranger = Authority::new("strangers").client(vec![uri(UPLOADER)]);

    let nobody = who_am_i(plain.clone(), None).await.unwrap_err();
    let admin = who_am_i(plain, Some(&format!("Bearer {}", token(A.as_admin())))).await.unwrap();
    let service = who_am_i(known, None).await.unwrap();
    let strange = match files.channel(&app, Some(&stranger)).await {
        Ok(channel) => who_am_i(channel, None).await.err(),
        Err(_) => None,
    };

    assert_eq!(reason(&nobody), "CREDENTIAL_MISSING");
    assert_eq!((admin.role.as_str(), service.subject), ("org_admin", SUBJECT.to_string()));
    // One that no authority of ours has signed is not taken for none.
    assert!(strange.is_none_or(|status| status.code() != Code::Unauthenticated));
}

#[tokio::test]
async fn connection_outlives_a_certificate_and_its_calls_are_refused() {
    let files = Files::mutual(ClientAuth::Required, &entry("uri", UPLOADER, SUBJECT));
    let app = files.start().await;
    let short = files.clients.client_for(vec![uri(UPLOADER)], Duration::from_secs(3));
    let channel = files.channel(&app, Some(&short)).await.unwrap();
    assert!(who_am_i(channel.clone(), None).await.is_ok());

    let started = Instant::now();
    let refused = loop {
        assert!(started.elapsed() < Duration::from_secs(20), "its certificate has expired, and it is still heard");
        match who_am_i(channel.clone(), None).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(status) => break status,
        }
    };

    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "CREDENTIAL_EXPIRED"));
}
