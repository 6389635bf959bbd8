//! What ends a stream from outside: shutdown, the caller's deadline, the end of its credential. What was received is good,
//! and the last token goes on. Who does not read holds no connection.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use photometa::auth::token::Claims;
use photometa::pb;
use photometa::pb::feedback_service_client::FeedbackServiceClient;
use tokio_stream::StreamExt as _;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use super::{everything, export, in_lines};
use crate::harness::{A, App, Bearer, reason, sign, token};

type Answers = Streaming<pb::ExportTrainingDataResponse>;

/// Takes the first message, then nothing for a while, then the rest.
async fn rest(answers: &mut Answers) -> (Vec<pb::ExportTrainingDataResponse>, Option<Status>) {
    let mut messages = Vec::new();
    loop {
        match answers.next().await {
            Some(Ok(message)) => messages.push(message),
            Some(Err(status)) => return (messages, Some(status)),
            None => return (messages, None),
        }
    }
}

/// More than the transport takes in while nobody reads.
pub async fn fill(app: &App) {
    super::cuts::fill(app, A, &[(30, 40); 30], 0).await;
}

/// A client with a connection of its own: what nobody reads takes the connection's share.
async fn apart(app: &App) -> FeedbackServiceClient<InterceptedService<Channel, Bearer>> {
    let channel = app.connect().await;
    let bearer = Bearer::new(&format!("Bearer {}", token(A.as_admin())));
    FeedbackServiceClient::new(InterceptedService::new(channel, bearer))
}

fn told(end: Option<Status>) -> (Code, String) {
    let status = end.unwrap();
    (status.code(), reason(&status))
}

#[tokio::test]
async fn slow_readers_hold_no_connection_and_a_draining_server_ends_their_streams() {
    let app = App::start().await;
    fill(&app).await;
    let whole = export(&app, A.as_admin(), in_lines(everything())).await.unwrap();
    let mut streams = Vec::new();
    // More than there are connections.
    for _ in 0..12 {
        let mut client = apart(&app).await;
        let mut answers = client.export_training_data(in_lines(everything())).await.unwrap().into_inner();
        let first = answers.next().await.unwrap().unwrap();
        streams.push((first, answers));
    }

    let photo = app.photo(A, "later.jpg").await;
    app.detection(A, &photo.id).await;
    let busy = "select count(*) from pg_stat_activity
                where datname = current_database() and application_name = 'photometa' and state <> 'idle'";
    let started = Instant::now();
    // The readiness check may be on one.
    while app.count(busy).await > 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "a stream holds a connection");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let other = app.replica().await;
    let (first, answers) = streams.swap_remove(0);
    let mut answers = answers;
    drop(streams);
    let ((), (messages, end)) = tokio::join!(app.stop(), async {
        // The server drains by now.
        tokio::time::sleep(Duration::from_millis(600)).await;
        rest(&mut answers).await
    });

    assert_eq!(told(end), (Code::Unavailable, "DRAINING".to_owned()));
    let last = messages.last().unwrap_or(&first).resume_token.clone();
    let request = pb::ExportTrainingDataRequest { resume_token: last, ..in_lines(everything()) };
    let more = export(&other, A.as_admin(), request).await.unwrap();
    let joined = super::Exported([vec![first], messages, more.0].concat());
    // The same rows: nothing was reviewed, and of the moment of each nothing was different.
    assert_eq!(joined.bytes().len(), whole.bytes().len());
}

#[tokio::test]
async fn deadline_of_the_caller_ends_the_stream() {
    let app = App::start().await;
    fill(&app).await;
    let mut request = Request::new(everything());
    request.set_timeout(Duration::from_millis(700));

    let mut answers = app.feedback(A.as_admin()).export_training_data(request).await.unwrap().into_inner();
    tokio::time::sleep(Duration::from_millis(900)).await;
    // On a busy machine it is over before the first message.
    let (messages, end) = rest(&mut answers).await;

    assert!(messages.iter().all(|message| !message.progress.unwrap().done));
    let status = end.unwrap();
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()), "{status:?}");
}

#[tokio::test]
async fn stream_ends_when_its_credential_does() {
    let app = App::start().await;
    fill(&app).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let who = A.as_admin();
    let claims = Claims { sub: who.subject, org: who.organization, role: who.role, exp: now + 4, iss: None, aud: None };
    let mut client = FeedbackServiceClient::new(app.with_authorization(&format!("Bearer {}", sign(&claims))));

    let mut answers = client.export_training_data(everything()).await.unwrap().into_inner();
    let first = answers.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(5200)).await;
    let (messages, end) = rest(&mut answers).await;

    assert_eq!(told(end), (Code::Unauthenticated, "CREDENTIAL_EXPIRED".to_owned()));
    let last = messages.last().unwrap_or(&first).resume_token.clone();
    let request = pb::ExportTrainingDataRequest { resume_token: last, ..everything() };
    assert!(export(&app, who, request).await.unwrap().progress().done);
}

#[tokio::test]
async fn who_hangs_up_leaves_nothing_running() {
    let app = App::start().await;
    fill(&app).await;
    for _ in 0..8 {
        let mut answers = app.feedback(A.as_admin()).export_training_data(everything()).await.unwrap().into_inner();
        answers.next().await.unwrap().unwrap();
    }

    let busy = "select count(*) from pg_stat_activity
                where datname = current_database() and application_name = 'photometa' and state <> 'idle'";
    let started = Instant::now();
    while app.count(busy).await > 0 {
        assert!(started.elapsed() < Duration::from_secs(5), "an export goes on without its reader");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
