//! Which lists are asked for? Each case is one kind of filter, with many values: both sides get the same ones.

use photometa::pb;

use super::reader::Read;
use super::world::World;

/// Values of each filter.
const VARIANTS: usize = 30;
const PAGE_SIZE: i32 = 50;

/// One kind of filter.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it asks for, as it is told.
    pub name: &'static str,
    /// The request with the values of a number.
    ask: fn(&World, usize) -> pb::ListPhotosRequest,
    /// It has a page 1000 in the large organization.
    pub deep: bool,
    /// Even the smallest organization fills a page, so that sizes can be compared.
    pub grows: bool,
}

impl Case {
    /// The reads in an organization.
    pub fn reads(&self, world: &World) -> Vec<Read> {
        self.requests(world).into_iter().map(Read::of).collect()
    }

    /// The requests in an organization.
    pub fn requests(&self, world: &World) -> Vec<pb::ListPhotosRequest> {
        (0..VARIANTS)
            .map(|number| pb::ListPhotosRequest { page_size: PAGE_SIZE, ..(self.ask)(world, number) })
            .collect()
    }
}

fn filter(filter: pb::PhotoFilter) -> pb::ListPhotosRequest {
    pb::ListPhotosRequest { filter: Some(filter), ..pb::ListPhotosRequest::default() }
}

fn ordered(order_by: &str, request: pb::ListPhotosRequest) -> pb::ListPhotosRequest {
    pb::ListPhotosRequest { order_by: order_by.to_owned(), ..request }
}

const fn case(name: &'static str, ask: fn(&World, usize) -> pb::ListPhotosRequest) -> Case {
    Case { name, ask, deep: false, grows: false }
}

impl Case {
    const fn deep(self) -> Self {
        Self { deep: true, ..self }
    }

    const fn grows(self) -> Self {
        Self { grows: true, ..self }
    }
}

/// All of them: each filter alone, then pairs that people use.
pub const CASES: &[Case] = &[
    case("no filter", |_, _| pb::ListPhotosRequest::default()).deep().grows(),
    case("oldest first", |_, _| ordered("create_time", pb::ListPhotosRequest::default())).deep().grows(),
    case("by capture_time", |_, _| ordered("capture_time desc", pb::ListPhotosRequest::default())).deep().grows(),
    case("a project", |world, n| {
        filter(pb::PhotoFilter { project_ids: vec![world.project(n)], ..pb::PhotoFilter::default() })
    })
    .grows(),
    case("three projects", |world, n| {
        let project_ids = (0..3).map(|next| world.project(n + next)).collect();
        filter(pb::PhotoFilter { project_ids, ..pb::PhotoFilter::default() })
    })
    .grows(),
    case("a person", |world, n| {
        filter(pb::PhotoFilter { user_ids: vec![world.person(n)], ..pb::PhotoFilter::default() })
    })
    .grows(),
    case("create_time, 30 days", |world, n| {
        filter(pb::PhotoFilter { create_time: world.days(n, 30), ..pb::PhotoFilter::default() })
    })
    .grows(),
    case("capture_time, 30 days", |world, n| {
        filter(pb::PhotoFilter { capture_time: world.days(n, 30), ..pb::PhotoFilter::default() })
    })
    .grows(),
    case("upload_time, 30 days", |world, n| {
        filter(pb::PhotoFilter { upload_time: world.days(n, 30), ..pb::PhotoFilter::default() })
    })
    .grows(),
    case("s3_key_prefix, a project's month", |world, n| {
        filter(pb::PhotoFilter { s3_key_prefix: world.month(n), ..pb::PhotoFilter::default() })
    }),
    case("a project, part of its time", |world, n| {
        let project_ids = vec![world.project(n)];
        filter(pb::PhotoFilter { project_ids, create_time: Some(world.project_time(n)), ..pb::PhotoFilter::default() })
    }),
    case("a project, by capture_time", |world, n| {
        let project_ids = vec![world.project(n)];
        ordered("capture_time desc", filter(pb::PhotoFilter { project_ids, ..pb::PhotoFilter::default() }))
    })
    .grows(),
    case("a project and a person", |world, n| {
        let (project_ids, user_ids) = (vec![world.project(n)], vec![world.person(n)]);
        filter(pb::PhotoFilter { project_ids, user_ids, ..pb::PhotoFilter::default() })
    }),
    case("a person and 30 days", |world, n| {
        let user_ids = vec![world.person(n)];
        filter(pb::PhotoFilter { user_ids, create_time: world.days(n, 30), ..pb::PhotoFilter::default() })
    }),
];
