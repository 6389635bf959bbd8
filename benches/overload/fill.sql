-- Two organizations, each with a project and 50,000 photos with a detection each, over ten weeks. Always the same rows.
set session_replication_role = replica;
create temp table o as select id::uuid, replace(id, '0000000a', '0000000b')::uuid as project_id
from unnest(array['0000000a-0000-4000-8000-000000000001', '0000000a-0000-4000-8000-000000000002']) id;
insert into companycam_photos.organizations (id, name, created_at) select id, 'overload ' || right(id::text, 1), now() from o;
insert into companycam_photos.projects (organization_id, id, name, created_at, updated_at) select id, project_id, 'house', now(), now() from o;
create temp table n as select id as organization_id, project_id,
    ('00000003-0000-4000-8000-' || lpad(to_hex(number * 2 + right(id::text, 1)::int), 12, '0'))::uuid as photo_id,
    ('00000004-0000-4000-8000-' || lpad(to_hex(number * 2 + right(id::text, 1)::int), 12, '0'))::uuid as detection_id,
    number, timestamptz '2026-01-01' + number * interval '2 minutes' as at
from o cross join generate_series(1, 50000) number;
insert into companycam_photos.photos
    (organization_id, id, project_id, s3_url, s3_key, width, height, uploaded_at, created_at, updated_at, content_digest)
select organization_id, photo_id, project_id, 'https://photos.example.com/site/' || number || '.jpg', 'site/' || number || '.jpg',
       4032, 3024, at, at, at, decode(repeat('00', 16), 'hex')
from n order by number;
insert into companycam_photos.detections
    (organization_id, id, project_id, photo_id, photo_created_at, detection_type, model_version, results, object_count, confidence,
     processing_time_ms, created_at, updated_at, content_digest)
select organization_id, detection_id, project_id, photo_id, at, 'damage', 'cracks-' || number % 3,
       jsonb_build_object('objects', jsonb_build_array(jsonb_build_object('object_id', '1', 'label', 'crack', 'confidence', 0.9,
           'box', jsonb_build_object('x', 0.1, 'y', 0.2, 'width', 0.25, 'height', 0.25)))),
       1, 0.9, 100 + number % 400, at, at, decode(repeat('00', 16), 'hex')
from n order by number;
set session_replication_role = origin;
vacuum (analyze) companycam_photos.photos;
vacuum (analyze) companycam_photos.detections;
checkpoint;
