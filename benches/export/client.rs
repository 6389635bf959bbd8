//! A client that exports, whole or in pieces, and keeps nothing but a digest.

use photometa::pb::{self, feedback_service_client::FeedbackServiceClient};
use ring::digest::{Context, SHA256};

use super::Failure;
use super::session::Session;

/// What came.
#[derive(Debug, Clone, Default)]
pub struct Exported {
    /// SHA-256 of all bytes.
    pub digest: Vec<u8>,
    /// How many bytes.
    pub bytes: u64,
    /// Messages of a stream.
    pub messages: usize,
    /// Annotations and negatives.
    pub objects: u64,
}

/// Exports as one organization's administrator.
pub struct Client(FeedbackServiceClient<Session>);

impl Client {
    /// Through a connection.
    pub fn new(session: Session) -> Self {
        Self(FeedbackServiceClient::new(session))
    }

    fn request(format: i32, resume_token: String) -> pb::ExportTrainingDataRequest {
        let verdicts = [pb::Verdict::Confirm, pb::Verdict::Correct, pb::Verdict::Reject].map(i32::from).to_vec();
        pb::ExportTrainingDataRequest { format, verdicts, include_unreviewed: true, resume_token, ..Default::default() }
    }

    /// Exports everything in one stream.
    ///
    /// # Errors
    /// When the service refuses, or ends early.
    pub async fn whole(&mut self, format: i32) -> Result<Exported, Failure> {
        self.cut(format, 0, usize::MAX).await
    }

    /// Exports everything, and hangs up `times` times, evenly over about `messages` messages.
    ///
    /// # Errors
    /// As [`Client::whole`].
    pub async fn cut(&mut self, format: i32, times: usize, messages: usize) -> Result<Exported, Failure> {
        let (mut context, mut exported, mut token) = (Context::new(&SHA256), Exported::default(), String::new());
        let each = (messages / (times + 1)).max(1);
        let mut cuts = 0;
        loop {
            let mut stream = self.0.export_training_data(Self::request(format, token.clone())).await?.into_inner();
            let mut taken = 0;
            while let Some(message) = stream.message().await? {
                context.update(&message.chunk);
                exported.bytes += message.chunk.len() as u64;
                exported.messages += 1;
                token = message.resume_token;
                let progress = message.progress.unwrap_or_default();
                exported.objects = u64::try_from(progress.annotations + progress.negatives)?;
                if progress.done {
                    if cuts < times {
                        return Err(format!("only {cuts} cuts fitted into {} messages", exported.messages).into());
                    }
                    exported.digest = context.finish().as_ref().to_vec();
                    return Ok(exported);
                }
                taken += 1;
                if cuts < times && taken >= each {
                    cuts += 1;
                    break;
                }
            }
            if cuts == 0 || cuts > times {
                return Err("the stream ended early".into());
            }
        }
    }
}
