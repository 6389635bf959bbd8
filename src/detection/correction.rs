//! Corrections: what people's edits make of the objects that a model saw. Edits are taken in their order; what they come
//! to is kept with the detection as edits again, as few as say it.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::{Object, Results};
use crate::geometry::{Rectangle, intersection_over_union};

/// One edit of one object, and how it is kept: `{"move": {…}}` and its like.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edit {
    /// The object is elsewhere.
    Move {
        /// Which one.
        object_id: String,
        /// Where it really is.
        #[serde(rename = "box")]
        bounding_box: Rectangle,
    },
    /// The object is something else.
    Relabel {
        /// Which one.
        object_id: String,
        /// What it really is.
        label: String,
    },
    /// The object is not there.
    Remove {
        /// Which one.
        object_id: String,
    },
    /// The model missed an object.
    Add {
        /// The object.
        object: Object,
    },
}

impl Edit {
    /// The object that it is about.
    pub fn object_id(&self) -> &str {
        match self {
            Self::Move { object_id, .. } | Self::Relabel { object_id, .. } | Self::Remove { object_id } => object_id,
            Self::Add { object } => &object.object_id,
        }
    }

    /// Its name on the wire and in the database.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Move { .. } => "move",
            Self::Relabel { .. } => "relabel",
            Self::Remove { .. } => "remove",
            Self::Add { .. } => "add",
        }
    }

    /// Reads kept edits, and passes over those of another shape, which the service did not write.
    pub fn all_of(kept: &Value) -> Vec<Self> {
        kept.as_array().into_iter().flatten().filter_map(|edit| Self::deserialize(edit).ok()).collect()
    }

    /// Whether one answer may hold both edits of one object.
    pub fn goes_with(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Move { .. }, Self::Relabel { .. }) | (Self::Relabel { .. }, Self::Move { .. }))
    }
}

/// What became of one of the model's objects.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    /// It is there, perhaps elsewhere, perhaps as something else.
    Stays { place: Option<Rectangle>, label: Option<String> },
    /// It is not there.
    Removed,
}

/// The corrections of a detection that stand. Kept as an array of edits in one order, so that equal ones are equal bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Edit>", into = "Vec<Edit>")]
pub struct Corrections {
    /// Of the model's objects, by their ids.
    changes: BTreeMap<String, Change>,
    /// Those that the model missed, in the order in which they were added.
    added: Vec<Object>,
}

impl Corrections {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.added.is_empty()
    }

    /// How many objects are there, after the corrections, of `seen` that the model saw.
    pub fn count(&self, seen: usize) -> usize {
        let removed = self.changes.values().filter(|change| **change == Change::Removed).count();
        (seen + self.added.len()).saturating_sub(removed)
    }

    /// Whether an object is there, after the corrections, of a detection whose model saw objects with the ids `seen`.
    pub fn show(&self, object_id: &str, seen: &HashSet<&str>) -> bool {
        let removed = self.changes.get(object_id) == Some(&Change::Removed);
        seen.contains(object_id) && !removed || self.added.iter().any(|object| object.object_id == object_id)
    }

    /// Takes in one edit more. One of an object that is not there changes nothing: the answer that added it may have been
    /// taken back. An object that is added again is added last.
    pub fn take(&mut self, edit: &Edit, seen: &HashSet<&str>) {
        if let Edit::Add { object } = edit {
            self.added.retain(|added| added.object_id != object.object_id);
            if !seen.contains(object.object_id.as_str()) {
                self.added.push(object.clone());
            }
            return;
        }
        if !seen.contains(edit.object_id()) {
            return self.change_added(edit);
        }
        let change = self.changes.entry(edit.object_id().to_owned());
        let change = change.or_insert(Change::Stays { place: None, label: None });
        match (change, edit) {
            (Change::Stays { place, .. }, Edit::Move { bounding_box, .. }) => *place = Some(*bounding_box),
            (Change::Stays { label, .. }, Edit::Relabel { label: new, .. }) => *label = Some(new.clone()),
            (change, Edit::Remove { .. }) => *change = Change::Removed,
            (Change::Removed, _) | (_, Edit::Add { .. }) => {}
        }
    }

    fn change_added(&mut self, edit: &Edit) {
        let Some(place) = self.added.iter().position(|object| object.object_id == edit.object_id()) else { return };
        match edit {
            Edit::Move { bounding_box, .. } => self.added[place].move_to(*bounding_box),
            Edit::Relabel { label, .. } => self.added[place].label.clone_from(label),
            Edit::Remove { .. } => drop(self.added.remove(place)),
            Edit::Add { .. } => {}
        }
    }

    /// What people make of `results`.
    pub fn applied_to(&self, results: &Results) -> Results {
        let stay = results.objects.iter().filter_map(|object| {
            let mut object = object.clone();
            match self.changes.get(&object.object_id) {
                Some(Change::Removed) => return None,
                Some(Change::Stays { place, label }) => {
                    if let Some(place) = place {
                        object.move_to(*place);
                    }
                    if let Some(label) = label {
                        object.label.clone_from(label);
                    }
                }
                None => {}
            }
            Some(object)
        });
        let objects = stay.chain(self.added.iter().cloned()).collect();
        Results { objects, extra: results.extra.clone() }
    }

    /// Whether one of the model's objects stands elsewhere.
    pub fn moved(&self, object_id: &str) -> bool {
        matches!(self.changes.get(object_id), Some(Change::Stays { place: Some(_), .. }))
    }

    /// The objects of `results` that people removed.
    pub fn removed_from<'a>(&self, results: &'a Results) -> impl Iterator<Item = &'a Object> {
        results.objects.iter().filter(|object| self.changes.get(&object.object_id) == Some(&Change::Removed))
    }

    /// How many objects of `results` people moved, and the sum of intersection over union of their boxes before and after.
    /// None when nobody moved any; one without a box before does not count.
    pub fn overlap(&self, results: &Results) -> Option<(i32, f64)> {
        let pairs = results.objects.iter().filter_map(|object| match self.changes.get(&object.object_id) {
            Some(Change::Stays { place: Some(place), .. }) => Some((object.bounding_box?, *place)),
            _ => None,
        });
        let add = |(count, sum), (before, after)| (count + 1, sum + intersection_over_union(before, after));
        Some(pairs.fold((0, 0.0), add)).filter(|(count, _)| *count > 0)
    }
}

impl From<Vec<Edit>> for Corrections {
    fn from(edits: Vec<Edit>) -> Self {
        // What is kept changes the model's objects, or those that it adds.
        let (adds, changes): (Vec<_>, Vec<_>) = edits.iter().partition(|edit| matches!(edit, Edit::Add { .. }));
        let added: HashSet<_> = adds.into_iter().map(Edit::object_id).collect();
        let seen = changes.into_iter().map(Edit::object_id).filter(|object_id| !added.contains(object_id)).collect();
        let mut corrections = Self::default();
        for edit in &edits {
            corrections.take(edit, &seen);
        }
        corrections
    }
}

impl From<Corrections> for Vec<Edit> {
    fn from(Corrections { changes, added }: Corrections) -> Self {
        let mut edits = Self::with_capacity(changes.len() + added.len());
        for (object_id, change) in changes {
            match change {
                Change::Removed => edits.push(Edit::Remove { object_id }),
                Change::Stays { place, label } => {
                    let moved = place.map(|bounding_box| Edit::Move { object_id: object_id.clone(), bounding_box });
                    let relabelled = label.map(|label| Edit::Relabel { object_id, label });
                    edits.extend(moved.into_iter().chain(relabelled));
                }
            }
        }
        edits.extend(added.into_iter().map(|object| Edit::Add { object }));
        edits
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn results() -> Results {
        let object = |object_id: &str, x: f64| {
            json!({"object_id": object_id, "label": "crack", "box": {"x": x, "y": 0.0, "width": 0.5, "height": 1.0},
                   "polygon": {"points": [{"x": 0.0, "y": 0.0}, {"x": 0.5, "y": 0.0}, {"x": 0.5, "y": 1.0}]}})
        };
        serde_json::from_value(json!({"objects": [object("a", 0.0), object("b", 0.5)]})).expect("results")
    }

    fn taken(edits: &[serde_json::Value]) -> Corrections {
        let results = results();
        let seen = results.objects.iter().map(|object| object.object_id.as_str()).collect();
        let mut corrections = Corrections::default();
        for edit in edits {
            corrections.take(&serde_json::from_value(edit.clone()).expect("an edit"), &seen);
        }
        corrections
    }

    fn shown(corrections: &Corrections) -> Vec<(String, String, f64)> {
        let applied = corrections.applied_to(&results()).objects.into_iter();
        applied
            .map(|object| (object.object_id, object.label, object.bounding_box.map_or(-1.0, |place| place.x)))
            .collect()
    }

    fn place(x: f64) -> serde_json::Value {
        json!({"x": x, "y": 0.0, "width": 0.5, "height": 1.0})
    }

    #[test]
    fn corrections_add_up() {
        let found = taken(&[
            json!({"move": {"object_id": "a", "box": place(0.25)}}),
            json!({"add": {"object": {"object_id": "n", "label": "dent"}}}),
            json!({"relabel": {"object_id": "a", "label": "stain"}}),
            json!({"move": {"object_id": "n", "box": place(0.1)}}),
            json!({"remove": {"object_id": "b"}}),
            json!({"move": {"object_id": "a", "box": place(0.3)}}),
        ]);

        let expected = [("a", "stain", 0.3), ("n", "dent", 0.1)];
        assert_eq!(shown(&found), expected.map(|(id, label, x)| (id.to_owned(), label.to_owned(), x)));
        assert_eq!(found.removed_from(&results()).map(|object| object.object_id.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_moved_object_loses_its_outlines() {
        let applied = taken(&[json!({"move": {"object_id": "a", "box": place(0.25)}})]).applied_to(&results());

        assert_eq!(applied.objects[0].polygon, None);
        assert!(applied.objects[1].polygon.is_some());
    }

    #[test]
    fn edits_of_what_is_not_there_change_nothing() {
        let found = taken(&[
            json!({"move": {"object_id": "x", "box": place(0.25)}}),
            json!({"remove": {"object_id": "a"}}),
            json!({"relabel": {"object_id": "a", "label": "stain"}}),
            json!({"add": {"object": {"object_id": "b", "label": "dent"}}}),
        ]);

        assert_eq!(shown(&found), [("b".to_owned(), "crack".to_owned(), 0.5)]);
    }

    #[test]
    fn what_is_kept_is_read_again_as_it_was() {
        let found = taken(&[
            json!({"relabel": {"object_id": "b", "label": "stain"}}),
            json!({"move": {"object_id": "b", "box": place(0.0)}}),
            json!({"add": {"object": {"object_id": "n", "label": "dent", "attributes": {"deep": [1, 2.50]}}}}),
            json!({"remove": {"object_id": "a"}}),
        ]);

        let kept = serde_json::to_string(&found).expect("JSON");
        let read: Corrections = serde_json::from_str(&kept).expect("corrections");

        assert_eq!(serde_json::to_string(&read).expect("JSON"), kept);
        assert_eq!(shown(&read), shown(&found));
    }

    #[test]
    fn overlap_is_of_the_objects_that_were_moved() {
        assert_eq!(taken(&[json!({"relabel": {"object_id": "a", "label": "stain"}})]).overlap(&results()), None);

        let (count, sum) = taken(&[
            json!({"move": {"object_id": "a", "box": place(0.25)}}),
            json!({"move": {"object_id": "b", "box": place(0.5)}}),
        ])
        .overlap(&results())
        .expect("two were moved");

        // Half of the first box is in both: 0.25 / 0.75; the second one stays where it was.
        assert_eq!(count, 2);
        assert!((sum - 4.0 / 3.0).abs() < 1e-12, "{sum}");
    }
}
