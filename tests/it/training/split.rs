//! Splits: every photo is in one part, decided by its key and the seed alone.

use std::collections::{BTreeMap, BTreeSet};

use photometa::pb::{self, ExportTrainingDataRequest, SplitKey, SplitPart, TrainingDataSplit};
use serde_json::Value;
use sha2_by_hand::part_of;

use super::{document, everything};
use crate::harness::{A, App, photo};

/// Which part a key is in, as the contract's readers may compute it.
mod sha2_by_hand {
    use ring::digest::{SHA256, digest};
    use uuid::Uuid;

    pub fn part_of(seed: &str, key: &str, validation: u128, test: u128) -> &'static str {
        let text = [seed.as_bytes(), b"\0", Uuid::parse_str(key).unwrap().as_bytes()].concat();
        let first: [u8; 8] = digest(&SHA256, &text).as_ref()[..8].try_into().unwrap();
        match u128::from(u64::from_be_bytes(first)) * 100 / (1 << 64) {
            percent if percent < validation => "validation",
            percent if percent < validation + test => "test",
            _ => "train",
        }
    }
}

/// The photos of a document, by id, with their parts and projects.
fn photos(document: &Value) -> BTreeMap<String, (String, String)> {
    let text = |image: &Value, name: &str| image[name].as_str().unwrap().to_owned();
    let images = document["images"].as_array().unwrap().iter();
    images.map(|image| (text(image, "photo_id"), (text(image, "split"), text(image, "project_id")))).collect()
}

fn split(key: SplitKey, seed: &str, part: SplitPart) -> ExportTrainingDataRequest {
    let split = TrainingDataSplit {
        key: key.into(),
        validation_percent: 20,
        test_percent: 10,
        seed: seed.to_owned(),
        part: part.into(),
    };
    ExportTrainingDataRequest { split: Some(split), ..everything() }
}

const PARTS: [(SplitPart, &str); 3] =
    [(SplitPart::Train, "train"), (SplitPart::Validation, "validation"), (SplitPart::Test, "test")];

#[tokio::test]
async fn parts_are_disjoint_complete_and_stay_when_data_are_added() {
    let app = App::start().await;
    super::cuts::fill(&app, A, &vec![(1, 1); 300], 0).await;
    let all = photos(&document(&app, split(SplitKey::Photo, "s", SplitPart::Unspecified)).await);
    assert_eq!(all.len(), 300);

    let mut joined = BTreeMap::new();
    for (part, name) in PARTS {
        let found = document(&app, split(SplitKey::Photo, "s", part)).await;
        assert_eq!(found["images"].as_array().unwrap().len(), found["annotations"].as_array().unwrap().len());
        let found = photos(&found);
        assert!(found.values().all(|(part, _)| part == name));
        joined.extend(found);
    }

    assert_eq!(joined, all);
    for (id, (part, _)) in &all {
        assert_eq!(part, part_of("s", id, 20, 10));
    }
    let count = |name: &str| all.values().filter(|(part, _)| part == name).count();
    assert!((30..100).contains(&count("validation")) && (10..60).contains(&count("test")), "{all:?}");
    let other = photos(&document(&app, split(SplitKey::Photo, "other", SplitPart::Unspecified)).await);
    assert_ne!(other, all);

    let more = app.photo(A, "more.jpg").await;
    app.detection(A, &more.id).await;
    let mut later = photos(&document(&app, split(SplitKey::Photo, "s", SplitPart::Unspecified)).await);
    assert!(later.remove(&more.id).is_some());
    assert_eq!(later, all);
}

#[tokio::test]
async fn projects_stay_together_where_they_are_the_key() {
    let app = App::start().await;
    let mut photos_made = Vec::new();
    for number in 0..12 {
        let project = pb::Project { name: format!("Site {number}"), ..Default::default() };
        let request = pb::CreateProjectRequest { project: Some(project) };
        let project = app.projects(A.as_admin()).create_project(request).await.unwrap().into_inner().project.unwrap();
        for nth in 0..3 {
            photos_made.push(photo(project.id.parse().unwrap(), &format!("{number}/{nth}.jpg")));
        }
    }
    for made in photos_made {
        let made = super::registered(&app, made).await;
        app.detection(A, &made.id).await;
    }

    let found = photos(&document(&app, split(SplitKey::Project, "s", SplitPart::Unspecified)).await);

    let mut parts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (part, project) in found.values() {
        parts.entry(project).or_default().insert(part);
        assert_eq!(part, part_of("s", project, 20, 10));
    }
    assert_eq!((found.len(), parts.len()), (36, 12));
    assert!(parts.values().all(|parts| parts.len() == 1), "{parts:?}");
}
