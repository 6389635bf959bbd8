//! Edits of a detection's objects: checked on the way in, kept as an array of `{move|relabel|remove|add: {…}}`,
//! shown on the way out.

use std::collections::{HashMap, HashSet};

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::model::{Edit, EditKind};
use crate::check::{At, Violations};
use crate::detection::object;
use crate::detection::{Object, Results};
use crate::geometry::Rectangle;
use crate::json::raw;
use crate::pb::{self, object_edit};

impl EditKind {
    /// The name on the wire and in the database.
    fn name(self) -> &'static str {
        match self {
            Self::Move => "move",
            Self::Relabel => "relabel",
            Self::Remove => "remove",
            Self::Add => "add",
        }
    }

    /// Whether an object that has had the edit `earlier` may have this one too.
    fn may_follow(self, earlier: Self) -> bool {
        matches!((earlier, self), (Self::Move, Self::Relabel) | (Self::Relabel, Self::Move))
    }
}

/// Reads the edits of one feedback, whose message is at `at`.
pub(super) fn read_all(checks: &mut Violations, at: &At<'_>, edits: Vec<pb::ObjectEdit>) -> Vec<Edit> {
    let mut read_edits = Vec::with_capacity(edits.len());
    let mut earlier: HashMap<String, Vec<(usize, EditKind)>> = HashMap::new();
    for (index, edit) in edits.into_iter().enumerate() {
        let edit_at = at.item("edits", index);
        let Some(edit) = read(checks, &edit_at, edit) else { continue };
        let known = earlier.entry(edit.object_id.clone()).or_default();
        if let Some((first, _)) =
            known.iter().find(|(_, kind)| !edit.object_id.is_empty() && !edit.kind.may_follow(*kind))
        {
            refuse_object(
                checks,
                &edit_at,
                edit.kind,
                &format!(
                    "names an object that edits[{first}] has changed; give each object one move and one relabel, or one remove"
                ),
            );
        }
        known.push((index, edit.kind));
        read_edits.push(edit);
    }
    read_edits
}

fn read(checks: &mut Violations, at: &At<'_>, edit: pb::ObjectEdit) -> Option<Edit> {
    let pb::ObjectEdit { edit } = edit;
    let Some(edit) = edit else {
        checks.refuse(at, "is empty; give one of move, relabel, remove, add");
        return None;
    };
    let (kind, object_id, value) = match edit {
        object_edit::Edit::Move(pb::MoveObject { object_id, r#box }) => {
            let at = at.field("move");
            let object_id = checks.text(&at.field("object_id"), object_id, 1..=100);
            let box_at = at.field("box");
            // An absent box is one violation, not one per side.
            let place = if let Some(place) = r#box {
                json!(object::bounding_box(checks, &box_at, place))
            } else {
                checks.refuse(&box_at, "is required");
                Value::Null
            };
            let value = json!({"object_id": object_id, "box": place});
            (EditKind::Move, object_id, value)
        }
        object_edit::Edit::Relabel(pb::RelabelObject { object_id, label }) => {
            let at = at.field("relabel");
            let object_id = checks.text(&at.field("object_id"), object_id, 1..=100);
            let label = checks.text(&at.field("label"), label, 1..=200);
            let value = json!({"object_id": object_id, "label": label});
            (EditKind::Relabel, object_id, value)
        }
        object_edit::Edit::Remove(pb::RemoveObject { object_id }) => {
            let object_id = checks.text(&at.field("remove").field("object_id"), object_id, 1..=100);
            let value = json!({"object_id": object_id});
            (EditKind::Remove, object_id, value)
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
            let value = json!({"object": object});
            (EditKind::Add, object.object_id, value)
        }
    };
    let kept = Value::Object([(kind.name().to_owned(), value)].into_iter().collect());
    Some(Edit { kind, object_id, kept })
}

/// Refuses edits that do not fit the objects of their detection: unknown ones to change, known ones to add.
pub(super) fn refer(checks: &mut Violations, at: &At<'_>, edits: &[Edit], results: &Results) {
    let known: HashSet<&str> = results.objects.iter().map(|object| object.object_id.as_str()).collect();
    for (index, edit) in edits.iter().enumerate() {
        let problem = match (edit.kind, known.contains(edit.object_id.as_str())) {
            (EditKind::Add, true) => "names an object that the detection has already",
            (EditKind::Move | EditKind::Relabel | EditKind::Remove, false) => "names no object of the detection",
            (EditKind::Add, false) | (EditKind::Move | EditKind::Relabel | EditKind::Remove, true) => continue,
        };
        refuse_object(checks, &at.item("edits", index), edit.kind, problem);
    }
}

/// Refuses the object id of the edit at `at`.
fn refuse_object(checks: &mut Violations, at: &At<'_>, kind: EditKind, problem: &str) {
    let at = at.field(kind.name());
    match kind {
        EditKind::Add => checks.refuse(&at.field("object").field("object_id"), problem),
        EditKind::Move | EditKind::Relabel | EditKind::Remove => checks.refuse(&at.field("object_id"), problem),
    }
}

/// The edits as they are kept.
pub(super) fn edits_to_json(edits: &[Edit]) -> Value {
    edits.iter().map(|edit| edit.kept.clone()).collect()
}

/// Shows kept edits.
pub(crate) fn edits_from_json(kept: &Value) -> Vec<pb::ObjectEdit> {
    let edits = kept.as_array().map(Vec::as_slice).unwrap_or_default();
    edits.iter().filter_map(edit_from_json).map(|edit| pb::ObjectEdit { edit: Some(edit) }).collect()
}

fn edit_from_json(kept: &Value) -> Option<object_edit::Edit> {
    let (kind, value) = kept.as_object()?.iter().next()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "move" => {
            let r#box = value.get("box").and_then(|kept| Rectangle::deserialize(kept).ok()).map(object::show_box);
            Some(object_edit::Edit::Move(pb::MoveObject { object_id: text("object_id"), r#box }))
        }
        "relabel" => {
            Some(object_edit::Edit::Relabel(pb::RelabelObject { object_id: text("object_id"), label: text("label") }))
        }
        "remove" => Some(object_edit::Edit::Remove(pb::RemoveObject { object_id: text("object_id") })),
        "add" => {
            let object = value.get("object").map(|kept| object::show(Object::of(&raw(kept))));
            Some(object_edit::Edit::Add(pb::AddObject { object }))
        }
        _ => None,
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
        assert_eq!(edits_from_json(&edits_to_json(&edits)), given);
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

        let object = |object_id: &str| Object { object_id: object_id.to_owned(), ..Object::default() };
        refer(&mut checks, &at, &edits, &Results { objects: vec![object("a"), object("b")], extra: None });

        assert_eq!(
            paths(checks),
            ["feedback[2].edits[1].remove.object_id", "feedback[2].edits[2].add.object.object_id"]
        );
    }
}
