//! What the server has already: the photos that a file refers to, and the numbers of its labels.

use std::collections::HashSet;
use std::fmt::Write as _;

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::coco::{Category, Coco};
use crate::cli::Failure;
use crate::cli::client::{Clients, refused, retry};
use crate::pb;

/// Photos that are asked for at a time.
const ASKED: usize = 200;
/// Categories that are sent at a time: the contract's most.
const CATEGORIES: usize = 1000;
/// Most labels that are told.
const TOLD: usize = 10;

/// Finds the photos that images say they are: the indexes of those images whose photos are there.
///
/// # Errors
/// When asking is refused for good.
pub(super) async fn photos(clients: &Clients, data: &Coco, concurrency: usize) -> Result<HashSet<usize>, Failure> {
    let named: Vec<(usize, String)> =
        data.images.iter().enumerate().filter_map(|(index, image)| Some((index, image.photo()?.to_string()))).collect();
    let asked = named.chunks(ASKED).map(|chunk| async move {
        let request = pb::BatchGetPhotosRequest {
            ids: chunk.iter().map(|(_, id)| id.clone()).collect(),
            view: pb::PhotoView::Basic.into(),
        };
        let found = retry(|| {
            let (mut photos, request) = (clients.photos.clone(), request.clone());
            async move { photos.batch_get_photos(request).await }
        });
        let missing: HashSet<String> = found.await.map_err(refused)?.missing_ids.into_iter().collect();
        let there = chunk.iter().filter(|(_, id)| !missing.contains(id)).map(|(index, _)| *index);
        Ok::<Vec<usize>, Failure>(there.collect())
    });
    let found: Vec<Vec<usize>> = futures_util::stream::iter(asked).buffer_unordered(concurrency).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Gives the labels of a file the numbers that they have there. A label keeps one that it has; answers those, in a line.
///
/// # Errors
/// When that is refused for good.
pub(super) async fn categories(clients: &Clients, data: &Coco) -> Result<Option<String>, Failure> {
    let mut wanted: Vec<pb::Category> = data.categories.iter().map(category).collect();
    // Those without a number of their own come last, so that they take none that another one asks for.
    wanted.sort_by_key(|category| category.id.is_none());
    let mut others = Vec::new();
    for chunk in wanted.chunks(CATEGORIES) {
        let registered = retry(|| {
            let (mut feedback, categories) = (clients.feedback.clone(), chunk.to_vec());
            async move { feedback.register_categories(pb::RegisterCategoriesRequest { categories }).await }
        });
        let registered = registered.await.map_err(refused)?.categories;
        others.extend(chunk.iter().cloned().zip(registered).filter(|(asked, given)| asked.id != given.id));
    }
    Ok(told(&others))
}

fn category(category: &Category) -> pb::Category {
    pb::Category {
        id: i32::try_from(category.id).ok().filter(|id| *id >= 0),
        name: category.name.clone(),
        supercategory: category.supercategory.clone().unwrap_or_default(),
    }
}

fn told(others: &[(pb::Category, pb::Category)]) -> Option<String> {
    if others.is_empty() {
        return None;
    }
    let mut text = format!("{} labels have other category ids here than in the file:", others.len());
    for (index, (asked, given)) in others.iter().take(TOLD).enumerate() {
        let _ = write!(text, "{} {:?} is {}", if index == 0 { "" } else { "," }, given.name, given.id());
        if let Some(id) = asked.id {
            let _ = write!(text, ", not {id}");
        }
    }
    if others.len() > TOLD {
        let _ = write!(text, " and {} more", others.len() - TOLD);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_names_labels_with_both_ids() {
        let category = |id, name: &str| pb::Category { id, name: name.to_owned(), ..pb::Category::default() };
        let others = [
            (category(Some(7), "crack"), category(Some(1), "crack")),
            (category(None, "dent"), category(Some(2), "dent")),
        ];

        assert_eq!(told(&[]), None);
        assert_eq!(
            told(&others).as_deref(),
            Some("2 labels have other category ids here than in the file: \"crack\" is 1, not 7, \"dent\" is 2")
        );
    }
}
