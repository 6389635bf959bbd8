//! What the demo's people do with the photos: their own tags, and verdicts on what the models saw.

use uuid::Uuid;

use super::demo::{Kind, SHOTS, id};
use crate::pb::{self, DetectionType, Verdict, object_edit::Edit};

const MANAGER: usize = 0;
const ADJUSTER: usize = 2;

/// The manager marks the first photo of each visit; the adjuster sorts what to look at again.
pub(super) fn user_tags(company: usize, photos: &[pb::Photo]) -> Vec<(Uuid, pb::AddTagsRequest)> {
    let request = |photos: Vec<&pb::Photo>, words: &[&str]| pb::AddTagsRequest {
        photo_ids: photos.into_iter().map(|photo| photo.id.clone()).collect(),
        tags: words
            .iter()
            .map(|word| pb::Tag { tag: (*word).to_owned(), source: pb::TagSource::User.into(), ..pb::Tag::default() })
            .collect(),
    };
    vec![
        (
            id(Kind::User, company, MANAGER),
            request(photos.iter().step_by(SHOTS).collect(), &["overview", "Before repair"]),
        ),
        (id(Kind::User, company, ADJUSTER), request(photos.iter().skip(1).step_by(5).collect(), &["second look"])),
    ]
}

/// Verdicts of all three kinds, corrections with every kind of edit among them.
pub(super) fn feedback(company: usize, detections: &[pb::Detection]) -> Vec<(Uuid, pb::Feedback)> {
    let of = |kind: DetectionType| detections.iter().filter(move |detection| detection.detection_type() == kind);
    let mut damage = of(DetectionType::Damage)
        .filter(|detection| detection.results.as_ref().is_some_and(|results| !results.objects.is_empty()));
    let mut material = of(DetectionType::Material);
    let verdicts = [
        (
            damage.next(),
            ADJUSTER,
            Verdict::Correct,
            "the slate is broken, not cracked, and there is a third one",
            missed_one(),
        ),
        (damage.next(), ADJUSTER, Verdict::Confirm, "", Vec::new()),
        (damage.next(), ADJUSTER, Verdict::Correct, "that is shade, no rust; the gutter goes further left", not_rust()),
        (damage.next(), MANAGER, Verdict::Reject, "the stain is older than the claim", Vec::new()),
        (material.next(), MANAGER, Verdict::Confirm, "", Vec::new()),
        (material.next(), MANAGER, Verdict::Confirm, "", Vec::new()),
    ];
    let given =
        verdicts.into_iter().enumerate().filter_map(|(number, (detection, person, verdict, comment, edits))| {
            let feedback = pb::Feedback {
                id: id(Kind::Feedback, company, number).to_string(),
                detection_id: detection?.id.clone(),
                verdict: verdict.into(),
                edits,
                comment: comment.to_owned(),
                ..pb::Feedback::default()
            };
            Some((id(Kind::User, company, person), feedback))
        });
    given.collect()
}

fn missed_one() -> Vec<pb::ObjectEdit> {
    let missed = pb::DetectedObject {
        object_id: "adjuster-1".to_owned(),
        label: "missing_slate".to_owned(),
        r#box: Some(pb::BoundingBox { x: 0.7, y: 0.55, width: 0.08, height: 0.07 }),
        ..pb::DetectedObject::default()
    };
    edits([
        Edit::Relabel(pb::RelabelObject { object_id: "2".to_owned(), label: "broken_slate".to_owned() }),
        Edit::Add(pb::AddObject { object: Some(missed) }),
    ])
}

fn not_rust() -> Vec<pb::ObjectEdit> {
    let further_left = pb::BoundingBox { x: 0.06, y: 0.6, width: 0.74, height: 0.12 };
    edits([
        Edit::Move(pb::MoveObject { object_id: "1".to_owned(), r#box: Some(further_left) }),
        Edit::Remove(pb::RemoveObject { object_id: "2".to_owned() }),
    ])
}

fn edits<const N: usize>(edits: [Edit; N]) -> Vec<pb::ObjectEdit> {
    edits.into_iter().map(|edit| pb::ObjectEdit { edit: Some(edit) }).collect()
}
