//! Any list with its request: asked for page by page, and worked out.

use photometa::pb;
use tonic::Status;

use super::naive;
use super::rows::World;
use crate::harness::{App, Who};

/// A list and what is asked of it.
#[derive(Clone, Debug)]
pub enum Request {
    /// ListPhotos.
    Photos(Box<pb::ListPhotosRequest>),
    /// ListDetections.
    Detections(pb::ListDetectionsRequest),
    /// ListPendingDetections.
    Queue(pb::ListPendingDetectionsRequest),
    /// ListTagCounts.
    TagCounts(pb::ListTagCountsRequest),
    /// ListFeedback.
    Feedback(pb::ListFeedbackRequest),
}

impl Request {
    /// Everything that it must show, in order: ids, and words with their counts.
    pub fn expected(&self, world: &World, who: Who) -> Vec<String> {
        match self {
            Self::Photos(request) => naive::photos(world, who, request),
            Self::Detections(request) => naive::detections(world, who, request),
            Self::Queue(request) => naive::queue(world, who, request),
            Self::TagCounts(request) => naive::tag_counts(world, who, request),
            Self::Feedback(request) => naive::feedback(world, who, request),
        }
    }

    /// One page, and the token of the next.
    pub async fn page(
        &self,
        app: &App,
        who: Who,
        (page_size, token): (i32, &str),
    ) -> Result<(Vec<String>, String), Status> {
        let page_token = token.to_owned();
        Ok(match self.clone() {
            Self::Photos(request) => {
                let request = pb::ListPhotosRequest { page_size, page_token, ..*request };
                let page = app.photos(who).list_photos(request).await?.into_inner();
                (page.photos.into_iter().map(|photo| photo.id).collect(), page.next_page_token)
            }
            Self::Detections(request) => {
                let request = pb::ListDetectionsRequest { page_size, page_token, ..request };
                let page = app.detections(who).list_detections(request).await?.into_inner();
                (page.detections.into_iter().map(|detection| detection.id).collect(), page.next_page_token)
            }
            Self::Queue(request) => {
                let request = pb::ListPendingDetectionsRequest { page_size, page_token, ..request };
                let page = app.detections(who).list_pending_detections(request).await?.into_inner();
                (page.detections.into_iter().map(|detection| detection.id).collect(), page.next_page_token)
            }
            Self::TagCounts(request) => {
                let request = pb::ListTagCountsRequest { page_size, page_token, ..request };
                let page = app.tags(who).list_tag_counts(request).await?.into_inner();
                let counts = page.tag_counts.into_iter().map(|count| format!("{}: {}", count.tag, count.count));
                (counts.collect(), page.next_page_token)
            }
            Self::Feedback(request) => {
                let request = pb::ListFeedbackRequest { page_size, page_token, ..request };
                let page = app.feedback(who).list_feedback(request).await?.into_inner();
                (page.feedback.into_iter().map(|feedback| feedback.id).collect(), page.next_page_token)
            }
        })
    }
}
