//! Killed at a random moment of every kind of load: whatever was acknowledged is there, once and whole, and sending
//! the rest again gives exactly the whole. PHOTOMETA_TEST_KILL_ROUNDS asks for other than fifty rounds, and
//! PHOTOMETA_TEST_SEED for rounds that were before.

use std::time::{Duration, Instant};

use photometa::pb;

use crate::harness::photo;
use crate::program::PROJECT;
use crate::random::{Random, asked};

mod audit;
mod ledger;
mod load;
mod victim;

use audit::{Found, audit};
use ledger::{Round, assert_to_be_retried};
use load::Load;
use victim::{Kill, Victim};

/// Each kill meets each load once in 42.
const ROUNDS: usize = 50;
/// How long load may run before somebody dies, in microseconds: long enough for hundreds of answers, and for none.
const LONGEST: usize = 120_000;

/// A round on a photo of its own, so that what it stores is told apart.
async fn begin(victim: &Victim, number: usize) -> Round {
    let request = pb::CreatePhotoRequest {
        photo: Some(photo(PROJECT.parse().unwrap(), &format!("photo-of-round-{number}.jpg"))),
    };
    let answer = victim.clients.photos.clone().create_photo(request).await.unwrap().into_inner();
    Round::new(number, answer.photo.unwrap().id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creates_killed_at_random_keep_what_was_acknowledged_and_sending_again_gives_the_whole() {
    let rounds = asked("PHOTOMETA_TEST_KILL_ROUNDS").unwrap_or(ROUNDS);
    let random = Random::seeded();
    let mut victim = Victim::start().await;
    // Without these, a killed PostgreSQL or machine loses what was acknowledged.
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(victim.setting(setting).await, "on", "{setting}");
    }
    let mut total = Found::default();

    for number in 0..rounds {
        let random = &mut random.of(u64::try_from(number).unwrap());
        let (kill, load) = (Kill::TURNS[number % Kill::TURNS.len()], Load::TURNS[number % Load::TURNS.len()]);
        let delay = Duration::from_micros(u64::try_from(random.below(LONGEST)).unwrap());
        let started = Instant::now();
        println!("round {number}: {load:?}, and after {delay:?} {kill:?} dies");
        let round = begin(&victim, number).await;

        let clients = victim.clients.clone();
        tokio::join!(load.run(&round, &clients), async {
            tokio::time::sleep(delay).await;
            victim.kill(kill, random).await;
            round.end();
        });
        if kill.spares_the_program() {
            round.refusals.borrow().iter().for_each(assert_to_be_retried);
        } else {
            victim.restart(kill).await;
        }
        let found = audit(&victim, round).await;

        println!("  {found:?} in {:?}", started.elapsed());
        // A tidy end answers everybody.
        assert!(kill != Kill::Nobody || found.silent == 0, "{found:?}");
        total += found;
    }

    println!("{rounds} rounds: {total:?}");
    assert!(total.acknowledged > 0);
    let stored =
        "select (select count(*) from companycam_photos.detections) + (select count(*) from companycam_photos.photos)";
    let stored: i64 = victim.postgres.query_one(stored, &[]).await.unwrap().try_get(0).unwrap();
    // Each round has a photo of its own.
    assert_eq!(usize::try_from(stored).unwrap(), total.acknowledged + total.silent + total.lost + rounds);
}
