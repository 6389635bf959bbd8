//! Lists of photos by a tag, label or model that so many rows carry that the order leads, not they.

use photometa::pb;

use super::draw::Draw;
use super::grow::{detection, photo};
use super::request::Request;
use super::rows::{Photo, World, time};
use super::{Tally, anybody, compare};
use crate::harness::{A, App};
use crate::random::{Random, asked};

/// What all of the crowd has: as tag, label and model.
const CROWD: &str = "crowd";
const REQUESTS: usize = 60;

/// How many carriers lists gather, as their source says.
fn few() -> usize {
    let source = include_str!("../../../src/photo/list.rs");
    let (_, rest) = source.split_once("const FEW: i64 = ").unwrap();
    rest.split_once(';').unwrap().0.parse().unwrap()
}

/// Adds photos until more than a few rows carry each of these; past the API, which would take its time.
async fn crowd(app: &App, world: &mut World, random: &mut Random) {
    let before = (world.photos.len(), world.detections.len());
    for number in 0..few() / 2 + 100 {
        let tags = vec![(CROWD.to_owned(), false), (CROWD.to_owned(), true)];
        let made = Photo { tags, ..photo(world, before.0 + number, random) };
        for _ in 0..2 {
            let seen = detection(&made, random);
            let kind = pb::DetectionType::Material;
            let (model, labels) = (CROWD.to_owned(), vec![CROWD.to_owned()]);
            world.detections.push(super::rows::Detection { kind, model, labels, ..seen });
        }
        world.photos.push(made);
    }
    let (photos, detections) = (&world.photos[before.0..], &world.detections[before.1..]);
    macro_rules! column {
        ($rows:ident, $row:ident => $value:expr) => {
            &$rows.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    let at = |micros| jiff::Timestamp::from_microsecond(micros).unwrap();
    let insert_photos = "
        insert into companycam_photos.photos (organization_id, id, project_id, user_id, s3_url, s3_key, uploaded_at,
            created_at, updated_at, captured_at, latitude, longitude, content_digest)
        select $1, u.*, repeat('x', 16)::bytea
        from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
            $7::timestamptz[], $8::timestamptz[], $9::float8[], $10::float8[]) u";
    let insert_tags = "
        insert into companycam_photos.tags (organization_id, id, project_id, photo_id, photo_created_at, tag, tag_folded,
            source, created_at)
        select p.organization_id, gen_random_uuid(), p.project_id, p.id, p.created_at, $2, $2, s.source, now()
        from companycam_photos.photos p cross join (values ('ai'), ('user')) s (source)
        where p.organization_id = $1 and p.id = any($3)";
    let insert_detections = "
        with new as (
            insert into companycam_photos.detections (organization_id, id, project_id, photo_id, photo_created_at,
                detection_type, model_version, results, object_count, confidence, created_at, updated_at, content_digest)
            select $1, u.id, p.project_id, p.id, p.created_at, 'material', $2, '{\"objects\": []}', 0, u.confidence,
                u.created_at, u.created_at, repeat('x', 16)::bytea
            from unnest($3::uuid[], $4::uuid[], $5::float8[], $6::timestamptz[]) u (id, photo_id, confidence, created_at)
            join companycam_photos.photos p on p.organization_id = $1 and p.id = u.photo_id
            returning *
        )
        insert into companycam_photos.detection_labels
            (organization_id, label, photo_created_at, photo_id, detection_id, project_id)
        select n.organization_id, $2, n.photo_created_at, n.photo_id, n.id, n.project_id from new n";
    let organization = &world.organization.id;
    app.postgres
        .execute(
            insert_photos,
            &[
                organization,
                column!(photos, photo => photo.id),
                column!(photos, photo => photo.project),
                column!(photos, photo => photo.user),
                column!(photos, photo => photo.s3_key.as_str()),
                column!(photos, photo => at(photo.uploaded)),
                column!(photos, photo => at(photo.created)),
                column!(photos, photo => photo.captured.map(at)),
                column!(photos, photo => photo.place.map(|(latitude, _)| latitude)),
                column!(photos, photo => photo.place.map(|(_, longitude)| longitude)),
            ],
        )
        .await
        .unwrap();
    app.postgres.execute(insert_tags, &[organization, &CROWD, column!(photos, photo => photo.id)]).await.unwrap();
    app.postgres
        .execute(
            insert_detections,
            &[
                organization,
                &CROWD,
                column!(detections, seen => seen.id),
                column!(detections, seen => seen.photo),
                column!(detections, seen => seen.confidence),
                column!(detections, seen => at(seen.created)),
            ],
        )
        .await
        .unwrap();
    app.postgres.batch_execute("analyze").await.unwrap();
}

/// Asks for the crowd in one of the ways that lists know, mostly where its order cannot lead.
fn demand(request: &mut pb::ListPhotosRequest, world: &World, random: &mut Random) {
    let mut filter = request.filter.take().unwrap();
    let seen = filter.detection.take().unwrap_or_default();
    let (tags_all, tags_any) = (std::mem::take(&mut filter.tags_all), std::mem::take(&mut filter.tags_any));
    filter.tags_none.clear();
    filter.without_detection = None;
    match random.below(4) {
        0 => filter.tags_all = vec![CROWD.to_uppercase()],
        1 => filter.tags_any = [tags_all, tags_any, vec![CROWD.to_owned()]].concat(),
        2 => {
            let labels = [seen.labels, vec![CROWD.to_owned()]].concat();
            let min_confidence = seen.min_confidence;
            filter.detection = Some(pb::PhotoDetectionFilter { labels, min_confidence, ..Default::default() });
        }
        _ => {
            let model_versions = [seen.model_versions, vec![CROWD.to_owned()]].concat();
            filter.detection = Some(pb::PhotoDetectionFilter { types: Vec::new(), model_versions, ..seen });
        }
    }
    match random.below(4) {
        0 => "capture_time desc".clone_into(&mut request.order_by),
        1 => filter.user_ids = world.people.iter().map(ToString::to_string).collect(),
        2 => {
            let early = world.photos.iter().map(|photo| photo.uploaded).min();
            filter.upload_time = Some(pb::TimeRange { start: early.map(time), end: None });
        }
        _ => {}
    }
    request.filter = Some(filter);
}

#[tokio::test]
async fn list_photos_shows_a_crowd_in_order_when_the_crowd_does_not_lead() {
    let requests = asked("PHOTOMETA_TEST_LIST_REQUESTS").map_or(REQUESTS, |asked: usize| asked.div_ceil(5));
    let seed = Random::seeded();
    let app = App::start().await;
    let mut world = World::grow(&app, A, 50, &mut seed.of(u64::MAX)).await;
    crowd(&app, &mut world, &mut seed.of(u64::MAX - 1)).await;
    let mut total = Tally::default();

    for number in 0..requests {
        let random = &mut seed.of(u64::try_from(number).unwrap());
        let who = anybody(A, random);
        let mut request = Draw::new(&world, random).photos();
        demand(&mut request, &world, random);
        total += compare([&app; 2], &world, (who, &Request::Photos(Box::new(request))), random).await;
    }

    println!("{total:?}");
    assert!(total.empty * 2 < total.requests, "{total:?}");
    assert!(total.several_pages * 4 > total.requests, "{total:?}");
}
