-- CreateDetection as the service does it, without the service: one round trip for each statement.
-- Keep it like INSERT in src/detection/write.rs and context() in src/db/tx.rs. The organization is the demo's.
\set photo random(1, 1000)
begin;
set local role org_service;
set local app.org_id = 'de300101-0000-8000-8000-000000000001';
set local app.user_id = 'de300101-0000-8000-8000-000000000001';
set local statement_timeout = 30000;
with d as (
    insert into companycam_photos.detections as d
      (organization_id, id, project_id, photo_id, detection_type, model_version, run_id, results, confidence,
       processing_time_ms, created_at, updated_at, content_digest)
    select p.organization_id, u.id, p.project_id, p.id, u.detection_type, u.model_version, u.run_id, u.results,
           u.confidence, u.processing_time_ms, now(), now(), u.content_digest
    from unnest(
             -- In order of time, as the service's UUIDv7 are: random ones would scatter over the index.
             array[encode(overlay(uuid_send(gen_random_uuid())
                 placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
                 'hex')::uuid],
             array[('be9c0000-0000-8000-8000-' || lpad(to_hex(:photo::int), 12, '0'))::uuid],
             array['damage'], array['bench-1.0.0'], array[null::text],
             array['{"objects": [{"object_id": "1", "label": "missing_slate", "confidence": 0.94, "box": {"x": 0.22, "y": 0.31, "width": 0.18, "height": 0.12}}, {"object_id": "2", "label": "cracked_slate", "confidence": 0.71, "box": {"x": 0.55, "y": 0.4, "width": 0.09, "height": 0.08}}]}'::jsonb],
             array[0.94::float8], array[1500], array[uuid_send(gen_random_uuid())])
         as u (id, photo_id, detection_type, model_version, run_id, results, confidence, processing_time_ms, content_digest)
    join companycam_photos.photos p on p.organization_id = 'de300101-0000-8000-8000-000000000001' and p.id = u.photo_id
    where p.organization_id = 'de300101-0000-8000-8000-000000000001'
    on conflict do nothing
    returning d.*
), event as (
    insert into companycam_photos.detection_events as e
      (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version, processing_time_ms, payload)
    select d.organization_id, d.created_at, d.id, d.project_id, d.photo_id, d.id, 'created', d.model_version,
           d.processing_time_ms, jsonb_build_object('detection_type', d.detection_type)
    from d
)
select d.id, d.project_id, d.photo_id, d.detection_type, d.model_version, d.run_id, d.confidence, d.processing_time_ms,
       d.created_at, d.updated_at, d.user_confirmed, d.user_feedback, d.version, d.results
from d;
commit;
