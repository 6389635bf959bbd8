//! Edits of a detection's objects: checked on the way in, by themselves and against what stands.

use std::collections::{HashMap, HashSet};

use super::new::Placed;
use crate::check::{At, Violations};
use crate::detection::{Corrections, Edit, object};
use crate::geometry::Rectangle;
use crate::pb::{self, object_edit};

/// Reads the edits of one feedback, whose message is at `at`.
pub(super) fn read_all(checks: &mut Violations, at: &At<'_>, edits: Vec<pb::ObjectEdit>) -> Vec<Placed> {
    let mut read_edits: Vec<Placed> = Vec::with_capacity(edits.len());
    let mut earlier: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, edit) in edits.into_iter().enumerate() {
        let edit_at = at.item("edits", index);
        let Some(edit) = read(checks, &edit_at, edit) else { continue };
        let known = earlier.entry(edit.object_id().to_owned()).or_default();
        let clash = known.iter().map(|&place| &read_edits[place]).find(|first| !edit.goes_with(&first.edit));
        let clash = clash.filter(|_| !edit.object_id().is_empty());
        let refused = clash.is_some() || edit.object_id().is_empty();
        if let Some(first) = clash {
            let problem = format!(
                "names an object that edits[{}] has changed; give each object one move and one relabel, or one remove",
                first.index
            );
            refuse_object(checks, &edit_at, &edit, &problem);
        }
        known.push(read_edits.len());
        read_edits.push(Placed { edit, index, refused });
    }
    read_edits
}

fn read(checks: &mut Violations, at: &At<'_>, edit: pb::ObjectEdit) -> Option<Edit> {
    let pb::ObjectEdit { edit } = edit;
    let Some(edit) = edit else {
        checks.refuse(at, "is empty; give one of move, relabel, remove, add");
        return None;
    };
    Some(match edit {
        object_edit::Edit::Move(pb::MoveObject { object_id, r#box }) => {
            let at = at.field("move");
            let object_id = checks.text(&at.field("object_id"), object_id, 1..=100);
            let box_at = at.field("box");
            // An absent box is one violation, not one per side.
            let bounding_box = if let Some(place) = r#box {
                object::bounding_box(checks, &box_at, place)
            } else {
                checks.refuse(&box_at, "is required");
                Rectangle::default()
            };
            Edit::Move { object_id, bounding_box }
        }
        object_edit::Edit::Relabel(pb::RelabelObject { object_id, label }) => {
            let at = at.field("relabel");
            let object_id = checks.text(&at.field("object_id"), object_id, 1..=100);
            let label = checks.text(&at.field("label"), label, 1..=200);
            Edit::Relabel { object_id, label }
        }
        object_edit::Edit::Remove(pb::RemoveObject { object_id }) => {
            let object_id = checks.text(&at.field("remove").field("object_id"), object_id, 1..=100);
            Edit::Remove { object_id }
        }
        object_edit::Edit::Add(pb::AddObject { object }) => {
            let at = at.field("add");
            let at = at.field("object");
            let Some(object) = object else {
                checks.refuse(&at, "is required");
                return None;
            };
            if object.pixel_box.is_some() {
                checks.refuse(&at.field("pixel_box"), "is not possible here; give box");
            }
            let (object, _) = object::read(checks, &at, pb::DetectedObject { pixel_box: None, ..object });
            Edit::Add { object }
        }
    })
}

/// Refuses edits that do not fit what stands of their detection, whose model saw objects with the ids `seen`: unknown
/// objects to change, known ones to add.
pub(super) fn refer(
    checks: &mut Violations,
    at: &At<'_>,
    edits: &[Placed],
    seen: &HashSet<&str>,
    corrections: &Corrections,
) {
    for Placed { edit, index, .. } in edits.iter().filter(|placed| !placed.refused) {
        let object_id = edit.object_id();
        let there = corrections.show(object_id, seen);
        let problem = match edit {
            Edit::Add { .. } if there => "names an object that the detection has already",
            Edit::Add { .. } if seen.contains(object_id) => {
                "names an object that the detection had, and that was removed"
            }
            Edit::Move { .. } | Edit::Relabel { .. } | Edit::Remove { .. } if there => continue,
            Edit::Move { .. } | Edit::Relabel { .. } | Edit::Remove { .. } => "names no object of the detection",
            Edit::Add { .. } => continue,
        };
        refuse_object(checks, &at.item("edits", *index), edit, problem);
    }
}

/// Refuses the object id of the edit at `at`.
fn refuse_object(checks: &mut Violations, at: &At<'_>, edit: &Edit, problem: &str) {
    let at = at.field(edit.name());
    match edit {
        Edit::Add { .. } => checks.refuse(&at.field("object").field("object_id"), problem),
        Edit::Move { .. } | Edit::Relabel { .. } | Edit::Remove { .. } => {
            checks.refuse(&at.field("object_id"), problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn relabel(object_id: &str) -> pb::ObjectEdit {
        let edit = pb::RelabelObject { object_id: object_id.to_owned(), label: "crack".to_owned() };
        pb::ObjectEdit { edit: Some(object_edit::Edit::Relabel(edit)) }
    }

    fn place(object_id: &str) -> pb::ObjectEdit {
        let r#box = Some(pb::BoundingBox { x: 0.0, y: 0.25, width: 1.0, height: 0.5 });
        pb::ObjectEdit {
            edit: Some(object_edit::Edit::Move(pb::MoveObject { object_id: object_id.to_owned(), r#box })),
        }
    }

    fn remove(object_id: &str) -> pb::ObjectEdit {
        pb::ObjectEdit { edit: Some(object_edit::Edit::Remove(pb::RemoveObject { object_id: object_id.to_owned() })) }
    }

    fn add(object_id: &str) -> pb::ObjectEdit {
        let object =
            pb::DetectedObject { object_id: object_id.to_owned(), label: "dent".to_owned(), ..Default::default() };
        pb::ObjectEdit { edit: Some(object_edit::Edit::Add(pb::AddObject { object: Some(object) })) }
    }

    fn paths(checks: Violations) -> Vec<String> {
        match checks.finish() {
            Err(Error::Invalid(violations)) => violations.into_iter().map(|violation| violation.path).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn edits_survive_keeping_and_showing() {
        let mut checks = Violations::new();
        let given = vec![place("a"), relabel("a"), remove("b"), add("c")];

        let edits = read_all(&mut checks, &At::REQUEST.field("feedback"), given.clone());

        assert!(checks.is_empty());
        let kept = serde_json::to_value(edits.into_iter().map(|edit| edit.edit).collect::<Vec<_>>()).expect("JSON");
        let shown: Vec<_> = Edit::all_of(&kept).into_iter().map(object::show_edit).collect();
        assert_eq!(shown, given);
    }

    #[test]
    fn read_all_refuses_contradictions() {
        let mut checks = Violations::new();
        let given = vec![place("a"), place("a"), remove("b"), relabel("b"), add("c"), add("c"), add(""), add("")];

        read_all(&mut checks, &At::REQUEST.field("feedback"), given);

        let found = paths(checks);
        assert_eq!(
            found,
            [
                "feedback.edits[1].move.object_id",
                "feedback.edits[3].relabel.object_id",
                "feedback.edits[5].add.object.object_id"
            ]
        );
    }

    #[test]
    fn refer_names_every_edit_that_does_not_fit() {
        let mut checks = Violations::new();
        let at = At::REQUEST.item("feedback", 2);
        let edits = read_all(&mut checks, &at, vec![place("a"), remove("x"), add("b"), add("new")]);

        refer(&mut checks, &at, &edits, &HashSet::from(["a", "b"]), &Corrections::default());

        assert_eq!(
            paths(checks),
            ["feedback[2].edits[1].remove.object_id", "feedback[2].edits[2].add.object.object_id"]
        );
    }
}
