//! The service against pgbench: GetPhoto, and ListPhotos with each filter.

use photometa::pb;

use super::Failure;
use super::capture::capture;
use super::cases::CASES;
use super::comparison::{Bound, Line, Unit};
use super::plan::Plan;
use super::reader::{self, Read, Reader, Role};
use super::report::{Report, Timing};
use super::script::{Form, Scripts};
use super::server::Server;
use super::world::{LARGE, World};

/// Clients of each side.
const CLIENTS: usize = 8;
/// Photos that are asked for: pgbench takes 128 scripts at most.
const PHOTOS: i64 = 100;
/// What is shown of a photo.
const SAMPLE: &str = "
    select p.id::text from companycam_photos.photos p
    join companycam_photos.project_members m
      on m.organization_id = p.organization_id and m.project_id = p.project_id and m.user_id::text = $2
    where p.organization_id::text = $1 order by md5(p.id::text) limit $3";

/// GetPhoto in view FULL, as both roles.
///
/// # Errors
/// When a side fails.
pub async fn get_photo(plan: &Plan, server: &Server, report: &mut Report) -> Result<(), Failure> {
    let world = World::read(server, LARGE).await?;
    let sample = server.superuser().await?.query(SAMPLE, &[&world.organization(), &world.member(), &PHOTOS]).await?;
    let mut reads = Vec::new();
    for row in sample {
        let view = pb::PhotoView::Full.into();
        reads.push(Read::Get(pb::GetPhotoRequest { id: row.try_get(0)?, view }));
    }
    for role in [Role::Admin, Role::Member] {
        let name = format!("GetPhoto FULL as {}, {CLIENTS} clients", role.name());
        let mut readers = reader::connect(server, &world, role, CLIENTS).await?;
        let forms = [Form::Plain, Form::Pipelined];
        let (ours, theirs, photos) = against(plan, server, &mut readers, &reads, &forms).await?;
        report.keep(
            "GetPhoto",
            &name,
            photos,
            &[("service", &ours), ("pgbench", &theirs[0]), ("pgbench, pipelined", &theirs[1])],
        );
        let line = |against: &str, theirs: &[Timing]| {
            Line::of(&name, against, Unit::CallsPerSecond, &rates(&ours), &rates(theirs))
        };
        report.add("GetPhoto", Line { bound: Bound::AtLeast(0.6), ..line("pgbench", &theirs[0]) });
        report.add("GetPhoto", line("pgbench, pipelined", &theirs[1]));
    }
    Ok(())
}

/// ListPhotos with each filter, as an administrator.
///
/// # Errors
/// When a side fails.
pub async fn filters(plan: &Plan, server: &Server, report: &mut Report) -> Result<(), Failure> {
    let world = World::read(server, LARGE).await?;
    let mut readers = reader::connect(server, &world, Role::Admin, CLIENTS).await?;
    for case in CASES {
        let (ours, theirs, photos) = against(plan, server, &mut readers, &case.reads(&world), &[Form::Plain]).await?;
        report.keep("ListPhotos", case.name, photos, &[("service", &ours), ("pgbench", &theirs[0])]);
        let measure = format!("ListPhotos, {}", case.name);
        let line = Line::of(&measure, "pgbench", Unit::CallsPerSecond, &rates(&ours), &rates(&theirs[0]));
        report.add("ListPhotos", Line { bound: Bound::AtLeast(0.5), ..line });
        let (p99, p50): (Vec<f64>, Vec<f64>) = ours.iter().map(|timing| (timing.p99_ms, timing.p50_ms)).unzip();
        let line = Line::of(&format!("{measure}, 99th percentile"), "its median", Unit::Milliseconds, &p99, &p50);
        report.add("ListPhotos, tail", Line { bound: Bound::AtMost(10.0), ..line });
    }
    Ok(())
}

fn rates(rounds: &[Timing]) -> Vec<f64> {
    rounds.iter().map(|timing| timing.rate).collect()
}

/// The rounds of the service, those of pgbench in each form, and how many photos an answer has.
async fn against(
    plan: &Plan,
    server: &Server,
    readers: &mut [Reader],
    reads: &[Read],
    forms: &[Form],
) -> Result<(Vec<Timing>, Vec<Vec<Timing>>, f64), Failure> {
    let (transactions, photos) = capture(server, &mut readers[0], reads).await?;
    let mut scripts = Vec::new();
    for form in forms {
        scripts.push(Scripts::write(server, *form, &transactions)?);
    }
    let (mut ours, mut theirs) = (Vec::new(), vec![Vec::new(); forms.len()]);
    let sides: Vec<Option<usize>> = std::iter::once(None).chain((0..forms.len()).map(Some)).collect();
    for side in plan.turns(&sides) {
        if let Some(form) = side {
            theirs[form].push(scripts[form].run(server, CLIENTS, plan.warmup, plan.duration).await?);
        } else {
            let times = (plan.warmup, plan.duration);
            ours.push(reader::repeat(server, readers, reads, times).await?.timing);
        }
    }
    Ok((ours, theirs, photos))
}
