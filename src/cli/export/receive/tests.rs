//! Receiving from a server that follows a script.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures_util::stream::{self, Stream};
use tonic::{Code, Request, Response};
use tonic_types::ErrorDetails;

use super::super::draft::Draft;
use super::*;
use crate::config;
use crate::pb::feedback_service_server::{FeedbackService, FeedbackServiceServer};

type Answer = Result<pb::ExportTrainingDataResponse, Status>;

/// A server that answers each export with the next of its streams.
struct Script {
    streams: Mutex<VecDeque<Vec<Answer>>>,
    /// The tokens it was asked with.
    tokens: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl FeedbackService for Script {
    type ExportTrainingDataStream = Pin<Box<dyn Stream<Item = Answer> + Send>>;

    async fn export_training_data(
        &self,
        request: Request<pb::ExportTrainingDataRequest>,
    ) -> Result<Response<Self::ExportTrainingDataStream>, Status> {
        self.tokens.lock().expect("no panic").push(request.into_inner().resume_token);
        let answers = self.streams.lock().expect("no panic").pop_front();
        let answers = answers.ok_or_else(|| Status::failed_precondition("the script is at its end"))?;
        Ok(Response::new(Box::pin(stream::iter(answers))))
    }

    async fn create_feedback(
        &self,
        _: Request<pb::CreateFeedbackRequest>,
    ) -> Result<Response<pb::CreateFeedbackResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn batch_create_feedback(
        &self,
        _: Request<pb::BatchCreateFeedbackRequest>,
    ) -> Result<Response<pb::BatchCreateFeedbackResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_feedback(
        &self,
        _: Request<pb::ListFeedbackRequest>,
    ) -> Result<Response<pb::ListFeedbackResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_categories(
        &self,
        _: Request<pb::ListCategoriesRequest>,
    ) -> Result<Response<pb::ListCategoriesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn register_categories(
        &self,
        _: Request<pb::RegisterCategoriesRequest>,
    ) -> Result<Response<pb::RegisterCategoriesResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

fn message(chunk: &str, token: &str, images: i64, done: bool) -> pb::ExportTrainingDataResponse {
    pb::ExportTrainingDataResponse {
        chunk: chunk.as_bytes().to_vec(),
        resume_token: token.to_owned(),
        skipped: vec![pb::SkippedData { photo_id: token.to_owned(), ..pb::SkippedData::default() }],
        progress: Some(pb::TrainingDataProgress { images, done, ..pb::TrainingDataProgress::default() }),
    }
}

fn changed() -> Answer {
    let details = ErrorDetails::with_error_info("CONCURRENT_CHANGE", "photometa.v1", std::collections::HashMap::new());
    Err(Status::with_error_details(Code::Aborted, "something was deleted", details))
}

/// A file of this test's own; gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("photometa-{name}-{}.json", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Receives from a server with a script; also answers the tokens that it was asked with.
async fn receive(
    streams: Vec<Vec<Answer>>,
    sink: &mut Sink,
    skipped: &mut Skipped,
) -> (Result<Written, Failure>, Vec<String>) {
    let tokens = Arc::default();
    let script = Script { streams: Mutex::new(streams.into()), tokens: Arc::clone(&tokens) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let incoming = stream::unfold(listener, async |listener| {
        let connection = listener.accept().await.map(|(connection, _)| connection);
        Some((connection, listener))
    });
    let server = tonic::transport::Server::builder().add_service(FeedbackServiceServer::new(script));
    let server = tokio::spawn(server.serve_with_incoming(incoming));
    let token = Some("token".parse().expect("a secret"));
    let clients = Clients::of(config::Client { address, token, tls: config::ClientTls::default() }).await;
    let clients = clients.expect("the server answers");

    let written = Receiver::new(&clients, sink, skipped).receive(pb::ExportTrainingDataRequest::default()).await;

    server.abort();
    let tokens = tokens.lock().expect("no panic").clone();
    (written, tokens)
}

#[tokio::test]
async fn receive_goes_on_behind_the_last_message() {
    let scratch = Scratch::new("resumed");
    let mut sink = Sink::File(Draft::begin(&scratch.0).expect("a file"));
    let mut skipped = Skipped::new(None);
    let script = vec![
        vec![Ok(message("one ", "1", 1, false)), Err(Status::unavailable("going away"))],
        // It ends before its end.
        vec![Ok(message("two ", "2", 2, false))],
        vec![Ok(message("three", "3", 3, true))],
    ];

    let (written, tokens) = receive(script, &mut sink, &mut skipped).await;

    let written = written.expect("it is whole");
    sink.finish().expect("it has its name");
    assert_eq!(tokens, ["", "1", "2"]);
    assert_eq!((written.images, written.bytes), (3, 13));
    assert_eq!(std::fs::read_to_string(&scratch.0).expect("the file"), "one two three");
}

#[tokio::test]
async fn receive_begins_again_when_something_was_deleted() {
    let (scratch, list) = (Scratch::new("begun-again"), Scratch::new("begun-again-skipped"));
    let mut sink = Sink::File(Draft::begin(&scratch.0).expect("a file"));
    let mut skipped = Skipped::new(Some(Draft::begin(&list.0).expect("a file")));
    let script =
        vec![vec![Ok(message("old old old", "1", 7, false)), changed()], vec![Ok(message("new", "2", 1, true))]];

    let (written, tokens) = receive(script, &mut sink, &mut skipped).await;

    let written = written.expect("it is whole");
    sink.finish().expect("it has its name");
    skipped.finish().expect("it has its name");
    assert_eq!(tokens, ["", ""]);
    assert_eq!((written.images, written.bytes), (1, 3));
    assert_eq!(std::fs::read_to_string(&scratch.0).expect("the file"), "new");
    let listed = std::fs::read_to_string(&list.0).expect("the file");
    assert_eq!(listed, "{\"reason\":\"UNSPECIFIED\",\"photo_id\":\"2\"}\n");
}

#[tokio::test]
async fn receive_ends_with_a_refusal_that_stands_and_leaves_no_file() {
    let scratch = Scratch::new("refused");
    let mut sink = Sink::File(Draft::begin(&scratch.0).expect("a file"));
    let script = vec![vec![Ok(message("half", "1", 1, false)), Err(Status::permission_denied("no more"))]];

    let (written, _) = receive(script, &mut sink, &mut Skipped::new(None)).await;
    let second = Draft::begin(&scratch.0).expect_err("it is being written");
    drop(sink);

    assert!(written.expect_err("it is refused").to_string().contains("no more"));
    assert!(second.to_string().contains("another export is writing"), "{second}");
    assert!(!scratch.0.exists() && !scratch.0.with_extension("json.part").exists());
}
