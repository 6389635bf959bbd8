//! The program killed in the middle of streams: started again and sent everything again, it has exactly the whole.

use std::time::Duration;

use photometa::pb::photo_service_client::PhotoServiceClient;
use photometa::pb::{self, WriteOutcome, detection_service_client::DetectionServiceClient};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::{Client, Ingest, items};
use crate::harness::Bearer;
use crate::program::{Folder, ORGANIZATION, PROJECT, run, serve};

const ITEMS: i64 = 2000;

#[tokio::test]
async fn program_killed_in_the_middle_of_a_stream_has_exactly_the_whole_after_sending_again() {
    let folder = Folder::new("ingest");
    let mut program = serve(&folder.0);
    let output = run(&folder.0, &["token", "--role", "service", "--org", ORGANIZATION]);
    let bearer = Bearer::new(&format!("Bearer {}", String::from_utf8(output.stdout).unwrap().trim()));
    let channel = Channel::from_shared(format!("http://{}", program.address)).unwrap().connect().await.unwrap();
    let photo = pb::Photo {
        project_id: PROJECT.to_owned(),
        s3_url: "https://example.com/killed.jpg".to_owned(),
        s3_key: "killed.jpg".to_owned(),
        ..Default::default()
    };
    let mut photos = PhotoServiceClient::new(InterceptedService::new(channel.clone(), bearer.clone()));
    let request = pb::CreatePhotoRequest { photo: Some(photo) };
    let photo = photos.create_photo(request).await.unwrap().into_inner().photo.unwrap();

    let mut acknowledged = Vec::new();
    for round in 0..2 {
        let channel = Channel::from_shared(format!("http://{}", program.address)).unwrap().connect().await.unwrap();
        let client: Client = DetectionServiceClient::new(InterceptedService::new(channel, bearer.clone()));
        let mut ingest = Ingest::open_with(client, None).await.unwrap();
        let sender = ingest.messages.take().unwrap();
        let all = items(0..ITEMS, &photo.id);
        let sending = tokio::spawn(async move {
            for items in all.chunks(20) {
                let message = pb::IngestDetectionsRequest { items: items.to_vec() };
                if sender.send(message).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        let enough = 200 * (round + 1);
        while acknowledged.len() < enough {
            acknowledged.extend(ingest.answers.message().await.unwrap().unwrap().acks);
        }
        // SIGKILL: nothing is said to the database or to the client.
        program.child.kill().unwrap();
        program.child.wait().unwrap();
        let (more, end) = ingest.rest().await;
        assert!(end.is_err(), "the stream ended well");
        acknowledged.extend(more);
        sending.abort();
        program = serve(&folder.0);
    }

    let channel = Channel::from_shared(format!("http://{}", program.address)).unwrap().connect().await.unwrap();
    let client = DetectionServiceClient::new(InterceptedService::new(channel.clone(), bearer.clone()));
    let mut whole = std::collections::HashMap::new();
    for chunk in items(0..ITEMS, &photo.id).chunks(1000) {
        whole.extend(Ingest::open_with(client.clone(), None).await.unwrap().whole(chunk.to_vec()).await);
    }

    assert_eq!(i64::try_from(whole.len()).unwrap(), ITEMS);
    for ack in &acknowledged {
        let again = &whole[&ack.sequence];
        assert_eq!((again.outcome(), &again.detection_id), (WriteOutcome::Unchanged, &ack.detection_id));
    }
    let mut client = client;
    let (mut stored, mut page_token) = (0, String::new());
    loop {
        let request = pb::ListDetectionsRequest {
            filter: Some(pb::DetectionFilter { photo_ids: vec![photo.id.clone()], ..Default::default() }),
            page_size: 1000,
            page_token,
            ..Default::default()
        };
        let page = client.list_detections(request).await.unwrap().into_inner();
        stored += i64::try_from(page.detections.len()).unwrap();
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(stored, ITEMS);
}
