//! How much processor time does the service need to show what PostgreSQL found?

use std::time::Duration;

use photometa::pb;

use super::Failure;
use super::comparison::{Bound, Line, Unit};
use super::plan::Plan;
use super::reader::{self, Read, Role};
use super::report::Report;
use super::server::Server;
use super::world::{LARGE, World};

const CLIENTS: usize = 8;
const PAGE_SIZE: i32 = 50;
/// Projects whose first page is read.
const PROJECTS: usize = 30;

/// Pages of 50 photos with EXIF, and without.
///
/// # Errors
/// When the service refuses.
pub async fn run(plan: &Plan, server: &Server, report: &mut Report) -> Result<(), Failure> {
    let world = World::read(server, LARGE).await?;
    let mut readers = reader::connect(server, &world, Role::Admin, CLIENTS).await?;
    for (view, name, bound) in
        [(pb::PhotoView::WithExif, "WITH_EXIF", Bound::AtMost(0.5)), (pb::PhotoView::Basic, "BASIC", Bound::Shown)]
    {
        let reads: Vec<Read> = (0..PROJECTS)
            .map(|number| {
                let project_ids = vec![world.project(number)];
                let filter = Some(pb::PhotoFilter { project_ids, ..pb::PhotoFilter::default() });
                Read::of(pb::ListPhotosRequest {
                    filter,
                    page_size: PAGE_SIZE,
                    view: view.into(),
                    ..pb::ListPhotosRequest::default()
                })
            })
            .collect();
        let photos = reader::once(&mut readers[0], &reads).await?;
        let (mut service, mut postgres, mut timings) = (Vec::new(), Vec::new(), Vec::new());
        for () in plan.turns(&[()]) {
            let run = reader::repeat(server, &readers, &reads, (plan.warmup, plan.duration)).await?;
            service.push(each(run.used.service, run.answers));
            postgres.push(each(run.used.postgres, run.answers));
            timings.push(run.timing);
        }
        report.keep("encoding", name, photos, &[("service", &timings)]);
        let measure = format!("service CPU, a page of {photos:.0} photos {name}");
        let line = Line::of(&measure, "PostgreSQL CPU", Unit::Microseconds, &service, &postgres);
        report.add("encoding", Line { bound, ..line });
    }
    Ok(())
}

/// Microseconds for each answer.
#[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
fn each(used: Option<Duration>, answers: usize) -> f64 {
    used.unwrap_or_default().as_secs_f64() * 1e6 / answers as f64
}
