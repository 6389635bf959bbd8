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

/// Labels of damages and materials that many photos have.
const COMMON: [&str; 4] = ["missing_shingle", "asphalt_shingle", "cracked_slate", "concrete"];
/// Labels that few have.
const RARE: [&str; 3] = ["sinkhole", "asbestos", "snow"];
/// A model of each type.
const MODELS: [&str; 3] = ["damage-net-2.1.0", "material-net-1.4.1", "volume-depth-0.9.0"];

fn a_type(number: usize) -> i32 {
    [pb::DetectionType::Damage, pb::DetectionType::Material, pb::DetectionType::Volume][number % 3].into()
}

fn any() -> pb::PhotoDetectionFilter {
    pb::PhotoDetectionFilter::default()
}

fn labelled(label: &str) -> pb::PhotoDetectionFilter {
    pb::PhotoDetectionFilter { labels: vec![label.to_owned()], ..any() }
}

fn detection(detection: pb::PhotoDetectionFilter) -> pb::ListPhotosRequest {
    filter(pb::PhotoFilter { detection: Some(detection), ..pb::PhotoFilter::default() })
}

fn without(r#type: pb::DetectionType, model: &str) -> pb::ListPhotosRequest {
    let without = pb::PhotoWithoutDetectionFilter { r#type: r#type.into(), model_version: model.to_owned() };
    filter(pb::PhotoFilter { without_detection: Some(without), ..pb::PhotoFilter::default() })
}

/// Tags by their rank: 0 is the commonest, the last twenty of three hundred are rare.
fn tags_all(world: &World, ranks: &[usize]) -> pb::ListPhotosRequest {
    let tags_all = ranks.iter().map(|rank| world.tag(*rank)).collect();
    filter(pb::PhotoFilter { tags_all, ..pb::PhotoFilter::default() })
}

/// A square around a project, so many degrees from its middle to its sides.
fn geo_box(world: &World, number: usize, degrees: f64) -> pb::ListPhotosRequest {
    let (latitude, longitude) = world.place(number);
    let geo_box = pb::GeoBox {
        south: Some(latitude - degrees),
        west: Some(longitude - degrees),
        north: Some(latitude + degrees),
        east: Some(longitude + degrees),
    };
    filter(pb::PhotoFilter { geo_box: Some(geo_box), ..pb::PhotoFilter::default() })
}

/// A request whose filter says more.
fn also(mut request: pb::ListPhotosRequest, more: impl FnOnce(&mut pb::PhotoFilter)) -> pb::ListPhotosRequest {
    more(request.filter.get_or_insert_default());
    request
}

fn within(world: &World, number: usize, request: pb::ListPhotosRequest) -> pb::ListPhotosRequest {
    also(request, |filter| filter.project_ids = vec![world.project(number)])
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
    case("tags_all, a common tag", |world, n| tags_all(world, &[n % 5])).deep().grows(),
    case("tags_all, a rare tag", |world, n| tags_all(world, &[285 + n % 15])),
    case("tags_all, two common tags", |world, n| tags_all(world, &[n % 5, (n + 2) % 5 + 5])).grows(),
    case("tags_all, a common and a rare tag", |world, n| tags_all(world, &[n % 5, 285 + n % 15])),
    case("tags_any, three tags", |world, n| {
        let tags_any = (0..3).map(|next| world.tag(n + 20 * next)).collect();
        filter(pb::PhotoFilter { tags_any, ..pb::PhotoFilter::default() })
    })
    .deep()
    .grows(),
    case("tags_none, two common tags", |world, n| {
        let tags_none = vec![world.tag(n % 5), world.tag(n % 5 + 1)];
        filter(pb::PhotoFilter { tags_none, ..pb::PhotoFilter::default() })
    })
    .deep()
    .grows(),
    case("detection, a type", |_, n| detection(pb::PhotoDetectionFilter { types: vec![a_type(n)], ..any() })).deep(),
    case("detection, a type and a model", |_, n| {
        let (types, model_versions) = (vec![a_type(n)], vec![MODELS[n % 3].to_owned()]);
        detection(pb::PhotoDetectionFilter { types, model_versions, ..any() })
    })
    .deep(),
    case("detection, min_confidence 0.9", |_, _| {
        detection(pb::PhotoDetectionFilter { min_confidence: Some(0.9), ..any() })
    })
    .deep()
    .grows(),
    case("detection, a common label", |_, n| detection(labelled(COMMON[n % COMMON.len()]))).deep(),
    case("detection, a common label of every size", |_, _| detection(labelled(COMMON[0]))).grows(),
    case("detection, a rare label", |_, n| detection(labelled(RARE[n % RARE.len()]))),
    case("detection, confirmed", |_, _| detection(pb::PhotoDetectionFilter { user_confirmed: Some(true), ..any() })),
    case("detection, a label, 0.9 and a type", |_, n| {
        let types = vec![pb::DetectionType::Damage.into()];
        detection(pb::PhotoDetectionFilter { types, min_confidence: Some(0.9), ..labelled(COMMON[n % 2]) })
    }),
    case("without_detection, a newer model", |_, _| without(pb::DetectionType::Damage, "damage-net-2.1.0")),
    case("without_detection, an unknown model", |_, _| without(pb::DetectionType::Damage, "damage-net-3.0.0")).grows(),
    case("geo_box, a site", |world, n| geo_box(world, n, 0.003)).grows(),
    case("geo_box, a city", |world, n| geo_box(world, n, 0.2)).grows(),
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
    case("a project and a common tag", |world, n| within(world, n, tags_all(world, &[n % 5]))).grows(),
    case("a project and a common label", |world, n| within(world, n, detection(labelled(COMMON[n % 2])))),
    case("a project without a detection", |world, n| {
        within(world, n, without(pb::DetectionType::Damage, "damage-net-3.0.0"))
    })
    .grows(),
    case("a common tag and 30 days", |world, n| {
        also(tags_all(world, &[n % 5]), |filter| filter.create_time = world.days(n, 30))
    })
    .grows(),
    case("a common tag and a common label", |world, n| {
        also(tags_all(world, &[n % 5]), |filter| filter.detection = Some(labelled(COMMON[n % 2])))
    }),
    case("a city and a common tag", |world, n| {
        also(geo_box(world, n, 0.2), |filter| filter.tags_all = vec![world.tag(n % 5)])
    }),
    case("a common tag, by capture_time", |world, n| ordered("capture_time desc", tags_all(world, &[n % 5]))).grows(),
];
