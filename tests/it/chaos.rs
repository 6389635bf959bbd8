//! Everything breaks at random while a model keeps what was acknowledged: the service, PostgreSQL and the connections
//! between them and to them are killed, frozen, cut, stalled and slowed. Nothing acknowledged is lost, doubled or shown to
//! others, and no call outlasts its deadline. PHOTOMETA_TEST_CHAOS_SECONDS asks for longer than twenty seconds.

use std::time::{Duration, Instant};

use crate::random::{Random, asked};

mod audit;
mod caller;
mod fault;
mod proxy;
mod record;
mod worker;
mod world;

use fault::Fault;
use record::Record;
use worker::Worker;
use world::World;

/// How long it goes on unless it is said.
const SECONDS: u64 = 20;
/// Callers, of which every other one is of the same organization.
const WORKERS: usize = 8;
/// How much longer than its deadline a call may take. In the short form, beside hundreds of other tests on a machine
/// that others use too, more.
const SLACK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// Longest pause between two faults, in milliseconds.
const CALM: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_doubled_or_shown_to_others_whatever_breaks() {
    let long: Option<u64> = asked("PHOTOMETA_TEST_CHAOS_SECONDS");
    let mut random = Random::seeded();
    let record = Record::new(if long.is_some() { SLACK.0 } else { SLACK.1 });
    let mut world = World::start().await;
    let workers = (0..WORKERS).map(|number| {
        let random = random.of(u64::try_from(number).unwrap());
        tokio::spawn(Worker::new(number, &world.address(), record.clone(), random).run())
    });
    let workers: Vec<_> = workers.collect();
    let end = Instant::now() + Duration::from_secs(long.unwrap_or(SECONDS));

    let mut turns = Fault::ALL;
    // A worker ends before its time when it has seen what must not be.
    'chaos: loop {
        random.shuffle(&mut turns);
        for fault in turns {
            if Instant::now() >= end || workers.iter().any(tokio::task::JoinHandle::is_finished) {
                break 'chaos;
            }
            tokio::time::sleep(Duration::from_millis(u64::try_from(random.below(CALM)).unwrap())).await;
            fault.strike(&mut world, &record, &mut random).await;
        }
    }
    record.stop();

    let mut models = Vec::new();
    for worker in workers {
        models.push(worker.await.unwrap());
    }
    audit::audit(&world, &models).await;
    println!("{}", record.summary());
    assert!(record.acknowledged() > 100, "the callers have hardly come through: {}", record.summary());
}
