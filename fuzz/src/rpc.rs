//! Requests: decoded by our codec, checked by their services, as far as the database.

use std::sync::LazyLock;

use photometa::pb;
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage as _, Value};
use tonic::Code;

use crate::entropy::{Entropy, edited};
use crate::memory::within;
use crate::message::{RPCS, write};
use crate::stack::{Answer, Stack};

/// Bytes that a call may hold at one time: so many for each byte of its message, and so many more. Two bytes are an empty
/// detection, or a list of one; the codec's bound for large messages has a test of its own.
const PER_BYTE: usize = 600;
const FLAT: usize = 512 * 1024;
/// Largest message that is made of many copies of a small one.
const LARGE: usize = 8 * 1024;
/// Largest message of which it is looked up whether the items are there that a refusal names.
const LOOKED_UP: usize = 4 * 1024;

thread_local! {
    static STACK: Stack = Stack::default();
}

/// Bytes for an RPC, as an input says.
pub struct Case {
    rpc: usize,
    role: usize,
    /// Whether what is decoded is sent too, as it is encoded.
    twice: bool,
    message: Vec<u8>,
}

impl Case {
    /// First byte: which RPC; second: who; third: how the rest is read, as bytes of a message or as choices of what is
    /// in it.
    pub fn of(data: &[u8]) -> Self {
        let mut entropy = Entropy::new(data);
        let rpc = entropy.below(RPCS.len());
        let (role, mode, many) = (usize::from(entropy.byte()), entropy.byte(), entropy.one_in_256(3));
        let mut message = if mode % 4 == 3 {
            entropy.rest().to_vec()
        } else {
            let mut edits = entropy.clone();
            let skipped = if mode % 4 == 0 { 0 } else { 13 };
            entropy.take(skipped);
            let message = write(&RPCS[rpc].1.input(), &mut entropy);
            if skipped == 0 { message } else { edited(message, &mut edits) }
        };
        if many && !message.is_empty() {
            // Copies of a message behind one another are one message, with all their items.
            message = message.repeat((LARGE / message.len()).clamp(1, 50_000));
        }
        Self { rpc, role: role % 5, twice: mode & 4 != 0, message }
    }

    /// The path of the RPC.
    pub fn path(&self) -> &'static str {
        &RPCS[self.rpc].0
    }
}

/// Checks what an RPC makes of bytes.
pub fn rpc(data: &[u8]) {
    answered(data);
}

/// The same, and answers the RPC's path, and whether everything was right with the bytes.
///
/// # Panics
/// When something does not hold that always should.
pub fn answered(data: &[u8]) -> (&'static str, bool) {
    let case = Case::of(data);
    let input = RPCS[case.rpc].1.input();
    let again = reencoded(&input, &case.message);
    let answer = STACK.with(|stack| {
        let budget = FLAT + PER_BYTE * case.message.len();
        let answer = within(budget, || stack.call(case.path(), role(&case), &case.message));
        if let Some(again) = again.as_ref().filter(|_| case.twice) {
            let other = stack.call(case.path(), role(&case), again);
            assert_eq!((answer.status.code(), answer.reason()), (other.status.code(), other.reason()), "{other:?}");
        }
        answer
    });
    check(&input, &case.message, &answer);
    let malformed = answer.reason() == "MALFORMED_MESSAGE";
    assert!(!malformed || again.is_none(), "our types decode this: {answer:?}");
    (case.path(), answer.is_valid())
}

/// Most calls are by whoever may make them.
fn role(case: &Case) -> usize {
    if case.role == 4 {
        return 3;
    }
    let operators = case.path().contains("Organization");
    let people = ["Claim", "Release", "CreateFeedback", "Members"].iter().any(|name| case.path().contains(name));
    if operators {
        3
    } else if people {
        0
    } else {
        case.role
    }
}

fn check(input: &MessageDescriptor, message: &[u8], answer: &Answer) {
    let code = answer.status.code();
    let known = [Code::Ok, Code::InvalidArgument, Code::ResourceExhausted, Code::PermissionDenied];
    assert!(known.contains(&code), "{answer:?}");
    assert!(code == Code::Ok || !answer.reason().is_empty(), "without a reason: {answer:?}");
    // HTTP/2 headers are bounded, and a status is one.
    assert!(answer.status.details().len() + answer.status.message().len() < 6 * 1024, "{answer:?}");
    let details = answer.details();
    let Some(request) = details.bad_request() else { return };
    let sent = (message.len() <= LOOKED_UP).then(|| DynamicMessage::decode(input.clone(), message).ok()).flatten();
    for violation in &request.field_violations {
        let path = &violation.field;
        assert!(exists(input, path), "{path} is no field of {}", input.name());
        if let Some(sent) = &sent {
            assert!(is_there(sent, path), "{path} names an item that was not sent");
        }
    }
}

/// Whether a path leads to a field.
fn exists(message: &MessageDescriptor, path: &str) -> bool {
    let mut message = Some(message.clone());
    path.split('.').all(|step| {
        let (name, indexed) = step.split_once('[').map_or((step, false), |(name, _)| (name, true));
        let Some(field) = message.take().and_then(|message| message.get_field_by_name(name)) else { return false };
        message = field.kind().as_message().cloned();
        field.is_list() || !indexed
    })
}

/// Whether the items that a path names are there. What is missing may be named too, when it is no item.
fn is_there(message: &DynamicMessage, path: &str) -> bool {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let (name, index) = match step.split_once('[') {
        None => (step, None),
        Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
    };
    let Some(value) = message.get_field_by_name(name) else { return false };
    let value = match (value.as_ref(), index) {
        (Value::List(items), Some(index)) => items.get(index),
        (other, _) => Some(other),
    };
    match (rest, value) {
        // What is nested too deeply is told without the numbers of the items.
        (None, Some(_)) | (Some(_), Some(Value::List(_))) => true,
        (Some(rest), Some(Value::Message(inner))) => {
            inner.descriptor().full_name() == "google.protobuf.Struct" || is_there(inner, rest)
        }
        _ => false,
    }
}

/// How our types encode what they decode, if they do. Encoding is the same each time, as long as was said, and decoded to
/// what it came from.
fn reencoded(input: &MessageDescriptor, message: &[u8]) -> Option<Vec<u8>> {
    let round = ROUNDS.iter().find(|(name, _)| *name == input.name()).map(|(_, round)| round);
    round.unwrap_or_else(|| panic!("no type for {}", input.name()))(message)
}

fn round<M: Message + Default>(message: &[u8]) -> Option<Vec<u8>> {
    let decoded = M::decode(message).ok()?;
    let encoded = decoded.encode_to_vec();
    assert_eq!(encoded.len(), decoded.encoded_len());
    let again = M::decode(encoded.as_slice()).expect("what was encoded can be decoded");
    assert_eq!(again.encode_to_vec(), encoded);
    Some(encoded)
}

type Round = fn(&[u8]) -> Option<Vec<u8>>;

macro_rules! rounds {
    ($($request:ident),+ $(,)?) => { vec![$((stringify!($request), round::<pb::$request> as Round)),+] };
}

/// The type of each request.
static ROUNDS: LazyLock<Vec<(&str, Round)>> = LazyLock::new(|| {
    rounds![
        CreateDetectionRequest,
        BatchCreateDetectionsRequest,
        IngestDetectionsRequest,
        GetDetectionRequest,
        ListDetectionsRequest,
        ListPendingDetectionsRequest,
        ClaimPendingDetectionsRequest,
        ReleaseClaimedDetectionsRequest,
        DeleteDetectionRequest,
        DeleteDetectionsByModelRequest,
        GetDetectionStatsRequest,
        GetModelBacklogsRequest,
        CreateFeedbackRequest,
        BatchCreateFeedbackRequest,
        ListFeedbackRequest,
        ExportTrainingDataRequest,
        ListCategoriesRequest,
        RegisterCategoriesRequest,
        CreateOrganizationRequest,
        GetOrganizationRequest,
        ListOrganizationsRequest,
        DeleteOrganizationRequest,
        CreatePhotoRequest,
        BatchCreatePhotosRequest,
        GetPhotoRequest,
        BatchGetPhotosRequest,
        ListPhotosRequest,
        UpdatePhotoRequest,
        DeletePhotoRequest,
        CreateProjectRequest,
        GetProjectRequest,
        ListProjectsRequest,
        UpdateProjectRequest,
        DeleteProjectRequest,
        AddProjectMembersRequest,
        RemoveProjectMembersRequest,
        ListProjectMembersRequest,
        WhoAmIRequest,
        AddTagsRequest,
        RemoveTagsRequest,
        ListTagsRequest,
        ListTagCountsRequest,
        CreateUserRequest,
        GetUserRequest,
        ListUsersRequest,
        UpdateUserRequest,
        DeleteUserRequest,
    ]
});
