//! Every RPC of the contract as the suites see it: who may call it, a request that is right in every field, and a
//! way to call it without its generated client.

use std::sync::LazyLock;

use photometa::auth::Role::{self, Operator, OrgAdmin, OrgUser, Service};
use photometa::pb;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use prost_types::FileDescriptorSet;
use serde_json::Value;
use tokio_stream::StreamExt as _;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::harness::{App, Who, token};

/// The contract, read from what reflection serves, and the messages in the details of errors.
pub static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::decode(pb::DESCRIPTOR).unwrap();
    let details = FileDescriptorSet::decode(tonic_types::pb::FILE_DESCRIPTOR_SET).unwrap();
    let new = details.file.into_iter().filter(|file| file.name().ends_with("error_details.proto"));
    pool.add_file_descriptor_protos(new).unwrap();
    pool
});

/// What the suites know of one RPC.
pub struct Rpc {
    /// `PhotoService/GetPhoto`.
    pub name: &'static str,
    /// Who may call it.
    pub roles: &'static [Role],
    /// A request as JSON; `$photo` and its like stand for ids.
    pub request: &'static str,
}

const EVERYONE: &[Role] = &[Operator, OrgAdmin, OrgUser, Service];
const READERS: &[Role] = &[OrgAdmin, OrgUser, Service];
const WRITERS: &[Role] = &[OrgAdmin, Service];
const PEOPLE: &[Role] = &[OrgAdmin, OrgUser];

const fn rpc(name: &'static str, roles: &'static [Role], request: &'static str) -> Rpc {
    Rpc { name, roles, request }
}

/// Every RPC, in the order of the contract's files.
pub const RPCS: &[Rpc] = &[
    rpc(
        "DetectionService/CreateDetection",
        WRITERS,
        r#"{"detection": {"photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "new-1", "processing_time": "0.1s",
            "results": {"objects": [{"label": "crack"}]}}}"#,
    ),
    rpc(
        "DetectionService/BatchCreateDetections",
        WRITERS,
        r#"{"partial": true, "detections": [{"photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "new-2", "processing_time": "0.1s"}]}"#,
    ),
    // Of the streams of a client the suites send one message.
    rpc(
        "DetectionService/IngestDetections",
        WRITERS,
        r#"{"items": [{"sequence": 1, "detection": {"photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "new-3", "processing_time": "0.1s"}}]}"#,
    ),
    rpc("DetectionService/GetDetection", READERS, r#"{"id": "$detection"}"#),
    rpc(
        "DetectionService/ListDetections",
        READERS,
        r#"{"filter": {"photo_ids": ["$photo"], "project_ids": ["$project"]}}"#,
    ),
    rpc("DetectionService/ListPendingDetections", READERS, r#"{"project_ids": ["$project"]}"#),
    rpc(
        "DetectionService/ClaimPendingDetections",
        PEOPLE,
        r#"{"project_ids": ["$project"], "count": 3, "duration": "60s"}"#,
    ),
    rpc("DetectionService/ReleaseClaimedDetections", PEOPLE, r#"{"ids": ["$detection"]}"#),
    rpc("DetectionService/DeleteDetection", WRITERS, r#"{"id": "$detection"}"#),
    rpc(
        "DetectionService/DeleteDetectionsByModel",
        WRITERS,
        r#"{"model_version": "cracks-1", "include_reviewed": true}"#,
    ),
    rpc(
        "DetectionService/GetDetectionStats",
        READERS,
        r#"{"time": {"start": "2020-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}, "bucket": "STATS_BUCKET_MONTH", "project_ids": ["$project"],
            "group_by": ["STATS_GROUP_TYPE", "STATS_GROUP_MODEL_VERSION", "STATS_GROUP_PROJECT"]}"#,
    ),
    rpc("DetectionService/GetModelBacklogs", WRITERS, r#"{"window": "3600s"}"#),
    rpc(
        "FeedbackService/CreateFeedback",
        PEOPLE,
        r#"{"feedback": {"detection_id": "$detection", "verdict": "VERDICT_REJECT"}}"#,
    ),
    rpc(
        "FeedbackService/BatchCreateFeedback",
        PEOPLE,
        r#"{"partial": true, "feedback": [{"detection_id": "$detection", "verdict": "VERDICT_REJECT"}]}"#,
    ),
    rpc(
        "FeedbackService/ListFeedback",
        READERS,
        r#"{"detection_id": "$detection", "photo_id": "$photo", "user_id": "$user"}"#,
    ),
    rpc(
        "FeedbackService/ExportTrainingData",
        READERS,
        r#"{"filter": {"photo_ids": ["$photo"], "project_ids": ["$project"]}, "include_unreviewed": true}"#,
    ),
    rpc("FeedbackService/ListCategories", READERS, "{}"),
    rpc("FeedbackService/RegisterCategories", WRITERS, r#"{"categories": [{"name": "new"}]}"#),
    rpc("OrganizationService/CreateOrganization", &[Operator], r#"{"organization": {"name": "New"}}"#),
    rpc("OrganizationService/GetOrganization", &[Operator], r#"{"id": "$org"}"#),
    rpc("OrganizationService/ListOrganizations", &[Operator], "{}"),
    rpc("OrganizationService/DeleteOrganization", &[Operator], r#"{"id": "$org"}"#),
    rpc(
        "PhotoService/CreatePhoto",
        READERS,
        r#"{"photo": {"project_id": "$project", "user_id": "$user", "s3_url": "https://example.com/new", "s3_key": "new"}}"#,
    ),
    rpc(
        "PhotoService/BatchCreatePhotos",
        READERS,
        r#"{"partial": true, "photos": [{"project_id": "$project", "user_id": "$user", "s3_url": "https://example.com/new", "s3_key": "new"}]}"#,
    ),
    rpc("PhotoService/GetPhoto", READERS, r#"{"id": "$photo", "view": "PHOTO_VIEW_FULL"}"#),
    rpc("PhotoService/BatchGetPhotos", READERS, r#"{"ids": ["$photo"], "view": "PHOTO_VIEW_FULL"}"#),
    rpc("PhotoService/ListPhotos", READERS, r#"{"filter": {"project_ids": ["$project"], "user_ids": ["$user"]}}"#),
    rpc("PhotoService/UpdatePhoto", WRITERS, r#"{"photo": {"id": "$photo", "mime_type": "image/png"}}"#),
    rpc("PhotoService/DeletePhoto", WRITERS, r#"{"id": "$photo"}"#),
    rpc("ProjectService/CreateProject", &[OrgAdmin], r#"{"project": {"name": "New"}}"#),
    rpc("ProjectService/GetProject", READERS, r#"{"id": "$project"}"#),
    rpc("ProjectService/ListProjects", READERS, "{}"),
    rpc("ProjectService/UpdateProject", &[OrgAdmin], r#"{"project": {"id": "$project", "description": "other"}}"#),
    rpc("ProjectService/DeleteProject", &[OrgAdmin], r#"{"id": "$project"}"#),
    rpc("ProjectService/AddProjectMembers", &[OrgAdmin], r#"{"project_id": "$project", "user_ids": ["$user"]}"#),
    rpc("ProjectService/RemoveProjectMembers", &[OrgAdmin], r#"{"project_id": "$project", "user_ids": ["$user"]}"#),
    rpc("ProjectService/ListProjectMembers", PEOPLE, r#"{"project_id": "$project"}"#),
    rpc("SessionService/WhoAmI", EVERYONE, "{}"),
    rpc("TagService/AddTags", READERS, r#"{"photo_ids": ["$photo"], "tags": [{"tag": "new"}]}"#),
    rpc("TagService/RemoveTags", READERS, r#"{"photo_ids": ["$photo"], "tags": ["Tag 1"]}"#),
    rpc("TagService/ListTags", READERS, r#"{"photo_id": "$photo"}"#),
    rpc("TagService/ListTagCounts", READERS, r#"{"project_id": "$project"}"#),
    rpc("UserService/CreateUser", &[OrgAdmin], r#"{"user": {"email": "new@example.com"}}"#),
    rpc("UserService/GetUser", READERS, r#"{"id": "$user"}"#),
    rpc("UserService/ListUsers", READERS, "{}"),
    rpc("UserService/UpdateUser", &[OrgAdmin], r#"{"user": {"id": "$user", "first_name": "Other"}}"#),
    rpc("UserService/DeleteUser", &[OrgAdmin], r#"{"id": "$user"}"#),
];

/// The ids that stand for the placeholders of a request.
#[derive(Debug, Clone)]
pub struct Ids(Vec<(&'static str, String)>);

/// Every placeholder, in the order of [`Ids::new`].
pub const PLACEHOLDERS: [&str; 5] = ["$org", "$project", "$user", "$photo", "$detection"];

impl Ids {
    /// The ids of one organization's things.
    pub fn new(organization: Uuid, project: Uuid, user: Uuid, photo: &str, detection: &str) -> Self {
        let ids =
            [organization.to_string(), project.to_string(), user.to_string(), photo.to_owned(), detection.to_owned()];
        Self(PLACEHOLDERS.into_iter().zip(ids).collect())
    }

    /// The id that stands for a placeholder.
    pub fn of(&self, placeholder: &str) -> &str {
        &self.0.iter().find(|(name, _)| *name == placeholder).unwrap().1
    }

    /// The same ids but one.
    pub fn with(&self, placeholder: &str, id: &str) -> Self {
        let replaced = |(name, old): &(&'static str, String)| {
            (*name, if *name == placeholder { id.to_owned() } else { old.clone() })
        };
        Self(self.0.iter().map(replaced).collect())
    }

    /// Puts the ids into a request.
    pub fn fill(&self, request: &str) -> Value {
        let filled = self.0.iter().fold(request.to_owned(), |request, (name, id)| request.replace(name, id));
        serde_json::from_str(&filled).unwrap()
    }
}

impl Rpc {
    /// The RPC of this name.
    pub fn named(name: &str) -> &'static Self {
        RPCS.iter().find(|rpc| rpc.name == name).unwrap_or_else(|| panic!("no RPC {name}"))
    }

    /// Its descriptor.
    pub fn method(&self) -> MethodDescriptor {
        methods().into_iter().find(|method| name(method) == self.name).unwrap_or_else(|| panic!("no RPC {}", self.name))
    }

    /// Calls it for somebody, and answers what came as JSON: one message, or all of a stream.
    pub async fn call(&self, app: &App, who: Who, request: Value) -> Result<Value, Status> {
        self.call_with(app, Some(&format!("Bearer {}", token(who))), request).await
    }

    /// Calls it with this authorization entry.
    pub async fn call_with(&self, app: &App, authorization: Option<&str>, request: Value) -> Result<Value, Status> {
        self.exchange(app, authorization, request).await.map(|(_, answer)| answer)
    }

    /// Calls it, and answers the metadata of the answer too, from before and after it.
    pub async fn exchange(
        &self,
        app: &App,
        authorization: Option<&str>,
        request: Value,
    ) -> Result<(MetadataMap, Value), Status> {
        let method = self.method();
        let message = DynamicMessage::deserialize(method.input(), request)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let path = format!("photometa.v1.{}", self.name);
        let (metadata, answers) = exchange(app, &path, authorization, message.encode_to_vec()).await?;
        let mut answers: Vec<Value> = answers.iter().map(|bytes| json(method.output(), bytes)).collect();
        let answer = if method.is_server_streaming() { Value::Array(answers) } else { answers.pop().unwrap() };
        Ok((metadata, answer))
    }
}

/// Every RPC of the descriptor, those of the contract only.
pub fn methods() -> Vec<MethodDescriptor> {
    let services = POOL.services().filter(|service| service.package_name() == "photometa.v1");
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// `PhotoService/GetPhoto`.
pub fn name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().name(), method.name())
}

fn json(message: MessageDescriptor, bytes: &[u8]) -> Value {
    serde_json::to_value(DynamicMessage::decode(message, bytes).unwrap()).unwrap()
}

/// Calls any path with bytes, and answers all bytes that came.
pub async fn raw(app: &App, path: &str, authorization: Option<&str>, message: Vec<u8>) -> Result<Vec<Vec<u8>>, Status> {
    exchange(app, path, authorization, message).await.map(|(_, answers)| answers)
}

async fn exchange(
    app: &App,
    path: &str,
    authorization: Option<&str>,
    message: Vec<u8>,
) -> Result<(MetadataMap, Vec<Vec<u8>>), Status> {
    let mut client = tonic::client::Grpc::new(app.channel.clone()).max_decoding_message_size(64 << 20);
    client.ready().await.unwrap();
    let mut request = Request::new(tokio_stream::once(message));
    if let Some(authorization) = authorization {
        request.metadata_mut().insert("authorization", authorization.parse().unwrap());
    }
    let response = client.streaming(request, format!("/{path}").parse().unwrap(), Bytes).await?;
    let (mut metadata, mut answers, _) = response.into_parts();
    let mut found = Vec::new();
    while let Some(answer) = answers.next().await {
        // Of a stream that has begun, the end alone does not quote the call's id.
        found.push(answer.map_err(|mut status| {
            status.metadata_mut().as_mut().extend(metadata.as_ref().clone());
            status
        })?);
    }
    if let Some(trailers) = answers.trailers().await? {
        metadata.as_mut().extend(trailers.into_headers());
    }
    Ok((metadata, found))
}

/// Messages as they are.
#[derive(Debug, Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; bytes::Buf::remaining(buffer)];
        bytes::Buf::copy_to_slice(buffer, &mut item);
        Ok(Some(item))
    }
}
