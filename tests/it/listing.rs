//! What lists show, against every row held against the filter one by one: same rows, same order, same pages, whoever
//! asks and whichever replica answers. PHOTOMETA_TEST_LIST_REQUESTS asks for another number of requests, and
//! PHOTOMETA_TEST_SEED for those that were before.

mod crowd;
mod draw;
mod grow;
mod naive;
mod refused;
mod request;
mod rows;
mod writers;

use photometa::auth::Role;

use self::draw::Draw;
use self::request::Request;
use self::rows::World;
use crate::harness::{A, App, B, Organization, Who};
use crate::random::{Random, asked};

/// About half of them list photos; each field of that filter is asked for in some forty of those.
const REQUESTS: usize = 300;

/// What the requests of a run have shown.
#[derive(Debug, Default)]
struct Tally {
    requests: usize,
    empty: usize,
    several_pages: usize,
    rows: usize,
    pages: usize,
}

/// Somebody who may list, of any role.
fn anybody(organization: Organization, random: &mut Random) -> Who {
    let people =
        [organization.as_admin(), organization.as_service(), organization.as_member(), organization.as_outsider()];
    random.pick(&people)
}

/// Walks a list and compares each page, now and then on another replica than the one before.
async fn compare(apps: [&App; 2], world: &World, (who, request): (Who, &Request), random: &mut Random) -> Tally {
    let expected = request.expected(world, who);
    let pages = 1 + random.below(8);
    let size = match random.below(8) {
        // The default, and as many as there are.
        0 => 0,
        1 => expected.len().clamp(1, 1000),
        2 => 1000 + random.below(2),
        _ => expected.len().div_ceil(pages).clamp(1, 1000),
    };
    let page_size = i32::try_from(size).unwrap();
    let size = if size == 0 { 50 } else { size.min(1000) };
    let mut chunks: Vec<_> = expected.chunks(size).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }

    let mut token = String::new();
    for (number, chunk) in chunks.iter().enumerate() {
        let app = apps[random.below(2)];
        let page = request.page(app, who, (page_size, &token)).await;
        let (found, next) = page.unwrap_or_else(|status| panic!("{status:?} for {request:?}"));
        assert_eq!(found, *chunk, "page {number} of {} of {request:?} as {who:?}", chunks.len());
        assert_eq!(next.is_empty(), number + 1 == chunks.len(), "page {number} of {request:?} as {who:?}");
        token = next;
    }
    Tally {
        requests: 1,
        empty: usize::from(expected.is_empty()),
        several_pages: usize::from(chunks.len() > 1),
        rows: expected.len(),
        pages: chunks.len(),
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.empty += other.empty;
        self.several_pages += other.several_pages;
        self.rows += other.rows;
        self.pages += other.pages;
    }
}

#[tokio::test]
async fn every_list_shows_what_fulfils_its_filter_in_order_on_every_replica() {
    let requests = asked("PHOTOMETA_TEST_LIST_REQUESTS").unwrap_or(REQUESTS);
    let seed = Random::seeded();
    let app = App::start().await;
    let replica = app.replica().await;
    let worlds = [
        World::grow(&app, A, 350, &mut seed.of(u64::MAX)).await,
        World::grow(&app, B, 60, &mut seed.of(u64::MAX - 1)).await,
    ];
    let mut total = Tally::default();

    for number in 0..requests {
        let random = &mut seed.of(u64::try_from(number).unwrap());
        let world = &worlds[usize::from(random.one_in(6))];
        let mut who = anybody(world.organization, random);
        let request = Draw::new(world, random).request();
        if let Request::TagCounts(counts) = &request
            && counts.project_id.is_some()
            && who.role == Role::OrgUser
        {
            // A project that somebody does not see is an error, which others test.
            who = world.organization.as_admin();
        }
        total += compare([&app, &replica], world, (who, &request), random).await;
    }

    println!("{total:?}");
    assert!(total.empty * 2 < total.requests, "{total:?}");
    assert!(total.several_pages * 4 > total.requests, "{total:?}");
}
