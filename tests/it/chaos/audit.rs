//! What is in the database in the end, past everything: exactly what was acknowledged.

use super::worker::Model;
use super::world::World;

/// Asserts that the rows are those of the models, and that each detection has one event of its creation.
pub async fn audit(world: &World, models: &[Model]) {
    let postgres = world.superuser().await;
    for model in models {
        let photos: Vec<_> = model.photos.values().collect();
        let detections: Vec<_> = photos.iter().flat_map(|photo| photo.detections.values()).collect();
        let expected = [
            photos.len(),
            photos.iter().map(|photo| photo.tags.len()).sum(),
            detections.len(),
            detections.iter().map(|detection| detection.answers).sum(),
            detections.len(),
        ];
        let row = postgres
            .query_one(
                "with p as (select id from companycam_photos.photos where organization_id = $1 and s3_key ^@ $2)
                 select (select count(*) from p),
                        (select count(*) from companycam_photos.tags where photo_id in (table p)),
                        (select count(*) from companycam_photos.detections where photo_id in (table p)),
                        (select count(*) from companycam_photos.feedback where photo_id in (table p)),
                        (select count(*) from companycam_photos.detection_events
                         where photo_id in (table p) and event_type = 'created')",
                &[&model.organization.id, &model.prefix],
            )
            .await
            .unwrap();
        let found: [i64; 5] = std::array::from_fn(|column| row.try_get(column).unwrap());
        assert_eq!(
            found,
            expected.map(|count| i64::try_from(count).unwrap()),
            "photos, tags, detections, answers and events of creation of {}",
            model.prefix
        );
    }
    // Nothing of an organization hangs on another one's.
    let strays = "select count(*) from companycam_photos.detections d
                  join companycam_photos.photos p on p.id = d.photo_id where p.organization_id <> d.organization_id";
    assert_eq!(postgres.query_one(strays, &[]).await.unwrap().try_get::<_, i64>(0).unwrap(), 0);
}
