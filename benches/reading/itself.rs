//! The service against itself: late pages, large organizations, members.

use photometa::pb;

use super::Failure;
use super::cases::CASES;
use super::comparison::{Bound, Line, Unit};
use super::plan::Plan;
use super::reader::{self, Read, Reader, Role};
use super::report::{Report, Timing};
use super::server::Server;
use super::world::{FIRST_OF_SHAPE, LARGE, World};

/// Requests of a case that are followed to their late page.
const FOLLOWED: usize = 3;
/// Rows of a page while it is sought.
const STRIDE: usize = 1000;

/// One client and what it asks for.
struct Side {
    reader: Reader,
    reads: Vec<Read>,
}

impl Side {
    /// Makes each read once; answers how many photos come, on average.
    async fn once(&self) -> Result<f64, Failure> {
        reader::once(&mut self.reader.clone(), &self.reads).await
    }
}

/// A late page against the first one.
///
/// # Errors
/// When the service refuses, or has no such page.
pub async fn deep(plan: &Plan, server: &Server, report: &mut Report) -> Result<(), Failure> {
    let world = World::read(server, LARGE).await?;
    let readers = reader::connect(server, &world, Role::Admin, 2).await?;
    for case in CASES.iter().filter(|case| case.deep) {
        let first: Vec<_> = case.requests(&world).into_iter().take(FOLLOWED).collect();
        let mut late = Vec::new();
        for request in &first {
            let page_token = token(&mut readers[0].clone(), request, plan.page).await?;
            late.push(Read::of(pb::ListPhotosRequest { page_token, ..request.clone() }));
        }
        let first = first.into_iter().map(Read::of).collect();
        let sides = [late, first]
            .into_iter()
            .zip(&readers)
            .map(|(reads, reader)| Side { reader: reader.clone(), reads })
            .collect::<Vec<_>>();
        let photos = sides[0].once().await?;
        let rounds = compare(plan, server, &sides).await?;
        let name = format!("page {}", plan.page);
        report.keep("late page", case.name, photos, &[(&name, &rounds[0]), ("page 1", &rounds[1])]);
        let measure = format!("ListPhotos, {}, {name}", case.name);
        report.add("late page", slower(&measure, "page 1", &rounds[0], &rounds[1], 1.3));
    }
    Ok(())
}

/// The token of a page of a request, by as few calls as can be.
async fn token(reader: &mut Reader, request: &pb::ListPhotosRequest, page: usize) -> Result<String, Failure> {
    let size = usize::try_from(request.page_size)?;
    let (mut left, mut page_token) = ((page - 1) * size, String::new());
    while left > 0 {
        let rows = left.min(STRIDE);
        let next = pb::ListPhotosRequest { page_size: i32::try_from(rows)?, page_token, ..request.clone() };
        page_token = reader.list(next).await?.next_page_token;
        if page_token.is_empty() {
            return Err(format!("there is no page {page} of {:?}", request.filter).into());
        }
        left -= rows;
    }
    Ok(page_token)
}

/// Organizations of one shape and different sizes.
///
/// # Errors
/// When the service refuses.
pub async fn growth(plan: &Plan, server: &Server, report: &mut Report) -> Result<(), Failure> {
    let mut worlds = Vec::new();
    for (tenant, photos) in (FIRST_OF_SHAPE..).zip(plan.growth) {
        let world = World::read(server, tenant).await?;
        worlds.push((reader::connect(server, &world, Role::Admin, 1).await?.remove(0), world, photos));
    }
    let sizes: Vec<String> = worlds.iter().map(|(_, _, photos)| format!("{photos} photos")).collect();
    for case in CASES.iter().filter(|case| case.grows) {
        let sides: Vec<Side> =
            worlds.iter().map(|(reader, world, _)| Side { reader: reader.clone(), reads: case.reads(world) }).collect();
        let photos = sides[0].once().await?;
        let rounds = compare(plan, server, &sides).await?;
        let told: Vec<(&str, &[Timing])> =
            sizes.iter().zip(&rounds).map(|(size, rounds)| (size.as_str(), rounds.as_slice())).collect();
        report.keep("growth", case.name, photos, &told);
        let (Some((few, first)), Some((many, last))) = (told.first(), told.last()) else { continue };
        let measure = format!("ListPhotos, {}, {many}", case.name);
        report.add("growth", slower(&measure, few, last, first, 1.3));
    }
    Ok(())
}

/// A member of some projects against an administrator. Both ask for what the member may see.
///
/// # Errors
/// When the service refuses.
pub async fn member(plan: &Plan, server: &Server, report: &mut Report) -> Result<(), Failure> {
    let world = World::read(server, LARGE).await?.of_member();
    let mut readers = Vec::new();
    for role in [Role::Member, Role::Admin] {
        readers.extend(reader::connect(server, &world, role, 1).await?);
    }
    for case in CASES {
        let side = |reader: &Reader| Side { reader: reader.clone(), reads: case.reads(&world) };
        let sides: Vec<Side> = readers.iter().map(side).collect();
        let photos = sides[0].once().await?;
        let rounds = compare(plan, server, &sides).await?;
        let (member, admin) = (Role::Member.name(), Role::Admin.name());
        report.keep("member", case.name, photos, &[(member, &rounds[0]), (admin, &rounds[1])]);
        let measure = format!("ListPhotos, {}, as {member}", case.name);
        report.add("member", slower(&measure, &format!("as {admin}"), &rounds[0], &rounds[1], 2.0));
    }
    Ok(())
}

/// The rounds of each side, one client at a time.
async fn compare(plan: &Plan, server: &Server, sides: &[Side]) -> Result<Vec<Vec<Timing>>, Failure> {
    let mut rounds = vec![Vec::new(); sides.len()];
    for number in plan.turns(&(0..sides.len()).collect::<Vec<_>>()) {
        let Side { reader, reads } = &sides[number];
        let times = (plan.warmup, plan.short);
        rounds[number].push(reader::repeat(server, std::slice::from_ref(reader), reads, times).await?.timing);
    }
    Ok(rounds)
}

/// A comparison of median latencies of one client.
fn slower(measure: &str, against: &str, ours: &[Timing], theirs: &[Timing], most: f64) -> Line {
    let medians = |rounds: &[Timing]| rounds.iter().map(|timing| timing.p50_ms).collect::<Vec<_>>();
    let line = Line::of(measure, against, Unit::Milliseconds, &medians(ours), &medians(theirs));
    Line { bound: Bound::AtMost(most), ..line }
}
