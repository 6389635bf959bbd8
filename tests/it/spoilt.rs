//! Batches with items that are refused, of every kind and at every place: unless the batch is partial it stores
//! nothing and names the item, and otherwise each is told what it would be told alone.

use std::fmt::Debug;

use photometa::pb::WriteOutcome;
use tonic::{Code, Status};

use crate::harness::{App, details, paths, reason};
use crate::random::Random;

mod detections;
mod photos;

/// What becomes of an item.
#[derive(Debug, Clone)]
enum Expected {
    Created,
    Unchanged,
    Refused(Refusal),
}

/// How an item is refused.
#[derive(Debug, Clone, Default, PartialEq)]
struct Refusal {
    reason: String,
    /// What it complains of, from the item.
    paths: Vec<String>,
    /// What it names: a resource, or the subject of a precondition.
    name: String,
}

impl Refusal {
    fn fields(paths: impl IntoIterator<Item = impl Into<String>>) -> Expected {
        let paths = paths.into_iter().map(Into::into).collect();
        Expected::Refused(Self { reason: "INVALID_FIELDS".to_owned(), paths, name: String::new() })
    }

    fn of(reason: &str, name: &str) -> Expected {
        Expected::Refused(Self { reason: reason.to_owned(), paths: Vec::new(), name: name.to_owned() })
    }

    fn told(status: &Status) -> Self {
        let details = details(status);
        let resource = details.resource_info().map(|resource| resource.resource_name.clone());
        let subject = || details.precondition_failure().map(|failure| failure.violations[0].subject.clone());
        Self { reason: reason(status), paths: paths(status), name: resource.or_else(subject).unwrap_or_default() }
    }

    /// What the batch says of it, if it is at this place.
    fn at(&self, field: &str, place: usize) -> Self {
        let paths = self.paths.iter().map(|path| format!("{field}[{place}].{path}")).collect();
        Self { paths, ..self.clone() }
    }
}

/// What each item was answered.
type Answers = Vec<Result<WriteOutcome, Status>>;

/// The status of an item, as a client reads it.
fn status(status: tonic_types::Status) -> Status {
    let bytes = prost::Message::encode_to_vec(&status);
    Status::with_details(Code::from(status.code), status.message, bytes.into())
}

/// A kind of batch: what its items are called in the request, and how it is sent.
struct Batches<'a, S> {
    app: &'a App,
    field: &'static str,
    send: S,
}

impl<S> Batches<'_, S> {
    /// Sends items together, and then partially, and asserts what becomes of them.
    async fn assert<T: Clone + Debug>(&self, what: &str, items: &[(T, Expected)])
    where
        S: AsyncFn(Vec<T>, bool) -> Result<Answers, Status>,
    {
        let before = self.app.rows().await;
        let given: Vec<T> = items.iter().map(|(item, _)| item.clone()).collect();
        let refusals = items.iter().enumerate().filter_map(|(place, (_, expected))| match expected {
            Expected::Refused(refusal) => Some(refusal.at(self.field, place)),
            Expected::Created | Expected::Unchanged => None,
        });
        let refusals: Vec<Refusal> = refusals.collect();
        // All fields that are wrong are told together, before anything else.
        let paths: Vec<String> = refusals.iter().flat_map(|refusal| refusal.paths.clone()).collect();
        let whole = match refusals.iter().find(|refusal| !refusal.paths.is_empty()).or(refusals.first()) {
            Some(refusal) => Refusal { paths, ..refusal.clone() },
            None => panic!("{what}: nothing is wrong"),
        };

        let refused = (self.send)(given.clone(), false).await.expect_err(what);

        assert_eq!(Refusal::told(&refused), whole, "{what}: {items:?}");
        assert_eq!(self.app.rows().await, before, "{what}");

        let answers = (self.send)(given, true).await.unwrap();

        assert_eq!(answers.len(), items.len(), "{what}");
        for (place, (answer, (item, expected))) in answers.iter().zip(items).enumerate() {
            match (answer, expected) {
                (Ok(WriteOutcome::Created), Expected::Created) | (Ok(WriteOutcome::Unchanged), Expected::Unchanged) => {
                }
                (Err(status), Expected::Refused(refusal)) => {
                    assert_eq!(Refusal::told(status), refusal.at(self.field, place), "{what}: {item:?}");
                }
                other => panic!("{what}: {other:?} at {place} of {items:?}"),
            }
        }
    }

    /// Sends each bad item at every place of a batch of three.
    async fn assert_everywhere<T: Clone + Debug>(&self, good: impl Fn() -> T, bad: &[(String, T, Expected)])
    where
        S: AsyncFn(Vec<T>, bool) -> Result<Answers, Status>,
    {
        for (what, item, expected) in bad {
            for place in 0..3 {
                let mut items: Vec<_> = (0..3).map(|_| (good(), Expected::Created)).collect();
                items[place] = (item.clone(), expected.clone());
                self.assert(what, &items).await;
            }
        }
    }

    /// Sends batches of twelve in which about a third is bad, in some way or other, and another third repeats a good
    /// one before it: as it is, or spoilt.
    async fn assert_mixed<T: Clone + Debug>(
        &self,
        good: impl Fn() -> T,
        bad: &[(String, T, Expected)],
        repeat: impl Fn(&T, usize) -> (T, Expected),
    ) where
        S: AsyncFn(Vec<T>, bool) -> Result<Answers, Status>,
    {
        let mut random = Random::seeded();
        for round in 0..40 {
            let (mut items, mut firsts, mut whats) = (Vec::new(), Vec::<T>::new(), Vec::new());
            for place in 0..12 {
                let chance = random.below(3);
                if chance == 0 || (place == 11 && whats.is_empty()) {
                    let (what, item, expected) = &bad[random.below(bad.len())];
                    items.push((item.clone(), expected.clone()));
                    whats.push(what.as_str());
                } else if chance == 1 && !firsts.is_empty() {
                    let repeated = repeat(&firsts[random.below(firsts.len())], random.below(12));
                    items.push(repeated);
                } else {
                    firsts.push(good());
                    items.push((firsts.last().unwrap().clone(), Expected::Created));
                }
            }
            self.assert(&format!("{round}: {}", whats.join(", ")), &items).await;
        }
    }
}
