-- $objects / 4 photos with one detection each, of four objects; every second object has an outline. A tenth was confirmed,
-- a twentieth corrected, a fiftieth rejected. Always the same rows.
set session_replication_role = replica;
insert into companycam_photos.organizations (id, name, created_at)
values ('00000001-0000-4000-8000-000000000000', 'export', now());
insert into companycam_photos.projects (organization_id, id, name, created_at, updated_at)
values ('00000001-0000-4000-8000-000000000000', '00000002-0000-4000-8000-000000000000', 'house', now(), now());
create temp table n as select number, ('00000003-0000-4000-8000-' || lpad(to_hex(number), 12, '0'))::uuid as photo_id,
    ('00000004-0000-4000-8000-' || lpad(to_hex(number), 12, '0'))::uuid as detection_id,
    timestamptz '2026-01-01' + number * interval '1 second' as at
from generate_series(1, (select current_setting('bench.objects')::bigint / 4)) number;
insert into companycam_photos.photos
    (organization_id, id, project_id, s3_url, s3_key, width, height, orientation, uploaded_at, created_at, updated_at, content_digest)
select '00000001-0000-4000-8000-000000000000', photo_id, '00000002-0000-4000-8000-000000000000', 'https://photos.example.com/site/' || number || '.jpg',
       'site/' || number || '.jpg', 4032, 3024, 1 + number % 8, at, at, at, decode(repeat('00', 16), 'hex')
from n order by number;
insert into companycam_photos.detections
    (organization_id, id, project_id, photo_id, photo_created_at, detection_type, model_version, results, object_count, confidence,
     processing_time_ms, created_at, updated_at, user_confirmed, user_feedback, corrections, content_digest)
select '00000001-0000-4000-8000-000000000000', detection_id, '00000002-0000-4000-8000-000000000000', photo_id, at, 'damage', 'cracks-7',
       jsonb_build_object('objects', (
           select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               'object_id', o::text, 'label', (array['crack', 'leak', 'dent', 'stain', 'mould'])[1 + (number + o) % 5], 'confidence', 0.5 + (number * o % 500) / 1000.0,
               'box', jsonb_build_object('x', 0.1 * o, 'y', (number % 97) / 200.0, 'width', 0.1 + (number % 13) / 100.0, 'height', 0.25),
               'polygon', case when o % 2 = 0 then jsonb_build_object('points', (
                   select jsonb_agg(jsonb_build_object('x', round((0.5 + cos(p) / 4)::numeric, 6), 'y', round((0.5 + sin(p) / 5)::numeric, 6))) from generate_series(1, 8) p)) end)))
           from generate_series(1, 4) o)),
       4, 0.9, 250, at, at, verdict is not null and verdict <> 'reject',
       case when verdict is not null then jsonb_build_object('feedback_id', detection_id, 'user_id', photo_id, 'verdict', verdict, 'edits', edits, 'comment', '', 'create_time', '2026-01-01T00:00:00Z') end,
       nullif(edits, '[]'), decode(repeat('00', 16), 'hex')
from n cross join lateral (select case when number % 50 = 0 then 'reject' when number % 20 = 1 then 'correct' when number % 10 = 2 then 'confirm' end as verdict) v
cross join lateral (select case when verdict = 'correct'
    then '[{"move": {"object_id": "1", "box": {"x": 0.5, "y": 0.5, "width": 0.25, "height": 0.25}}}, {"relabel": {"object_id": "2", "label": "rust"}}]'::jsonb else '[]'::jsonb end as edits) e
order by number;
set session_replication_role = origin;
vacuum (analyze) companycam_photos.photos;
vacuum (analyze) companycam_photos.detections;
checkpoint;
