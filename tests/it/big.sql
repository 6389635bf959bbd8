-- A hundred thousand rows and more in every table that grows, on top of fixture.sql: what plans are judged on.
-- Always the same rows. Those of all organizations are mixed, as they come in over time.

-- Foreign keys hold by construction; asking them row by row would take most of the time.
set session_replication_role = replica;

-- Ids as the harness makes them: the first eight digits say whose it is, the last twelve what.
create function pg_temp.id(prefix text, last bigint) returns uuid language sql immutable
    return (prefix || '-0000-4000-8000-' || lpad(to_hex(last), 12, '0'))::uuid;
-- 0, 1 and 2 are the fixture's admin, member and outsider.
create function pg_temp.person(prefix text, n bigint) returns uuid language sql immutable
    return pg_temp.id(prefix, n + case when n < 3 then x'11'::int else x'1000'::int end);
-- 0 and 1 are the fixture's House and Bridge.
create function pg_temp.project(prefix text, n bigint) returns uuid language sql immutable
    return pg_temp.id(prefix, n + case when n < 2 then x'21'::int else x'2000'::int end);
create function pg_temp.photo(prefix text, n bigint) returns uuid language sql immutable
    return pg_temp.id(prefix, x'100000'::int + n);
create function pg_temp.detection(prefix text, n bigint) returns uuid language sql immutable
    return pg_temp.id(prefix, x'200000'::int + n);
create function pg_temp.tag(prefix text, n bigint) returns uuid language sql immutable
    return pg_temp.id(prefix, x'300000'::int + n);
create function pg_temp.feedback(prefix text, n bigint) returns uuid language sql immutable
    return pg_temp.id(prefix, x'400000'::int + n);
create function pg_temp.day_one() returns timestamptz language sql immutable
    return timestamptz '2024-01-01 00:00Z';

-- 0 is A, 1 is B; 2 to 51 have as much as A; the others have no photos yet, and the last ten have nothing.
create temp table tenants as
select n, pg_temp.id(prefix, 1) as id, prefix
from generate_series(0, 1009) as n,
     lateral (select case n when 0 then 'a0000000' when 1 then 'b0000000' else 'c' || lpad(n::text, 7, '0') end as prefix) as p;
create unique index on tenants (n);
analyze tenants;

insert into companycam_photos.organizations (id, name, created_at)
select id, 'Organization ' || prefix, pg_temp.day_one() + n * interval '1 hour' from tenants
on conflict do nothing;

-- Twenty-four people in each, the last four without photos.
insert into companycam_photos.users (organization_id, id, email, first_name, last_name, role, created_at, updated_at)
select t.id, pg_temp.person(t.prefix, p), 'person' || p || '@' || t.prefix || '.example', 'Person', p::text,
       (array['contractor', 'insurance_adjuster', 'project_manager'])[1 + p % 3], pg_temp.day_one(), pg_temp.day_one()
from tenants t, generate_series(0, 23) as p
where t.n < 1000
on conflict do nothing;

-- Twelve projects in each, the last four without photos.
insert into companycam_photos.projects (organization_id, id, name, status, created_at, updated_at)
select t.id, pg_temp.project(t.prefix, p), 'Project ' || p, (array['active', 'active', 'completed'])[1 + p % 3], pg_temp.day_one(), pg_temp.day_one()
from tenants t, generate_series(0, 11) as p
where t.n < 1000
on conflict do nothing;

-- Each person belongs to three projects: House is one of the member's, Bridge one of the outsider's.
insert into companycam_photos.project_members (organization_id, user_id, project_id, created_at)
select t.id, pg_temp.person(t.prefix, p), pg_temp.project(t.prefix, (p + 11 + m * 4) % 12), pg_temp.day_one()
from tenants t, generate_series(0, 23) as p, generate_series(0, 2) as m
where t.n < 1000
on conflict do nothing;

-- Every tenth photo is B's; the others are shared out evenly. `nth` counts those of one organization.
create temp table shots as
select s.n, s.nth, t.id as organization_id, t.prefix, pg_temp.photo(t.prefix, s.n) as photo_id, pg_temp.project(t.prefix, s.nth % 8) as project_id,
       pg_temp.person(t.prefix, s.nth / 8 % 20) as user_id, pg_temp.day_one() + s.n * interval '7 minutes' as at
from (select n,
             case when n % 10 = 0 then 1 when (n - n / 10) % 51 = 0 then 0 else (n - n / 10) % 51 + 1 end as tenant,
             case when n % 10 = 0 then n / 10 else (n - n / 10) / 51 end as nth
      from generate_series(1, 110000) as n) as s
join tenants t on t.n = s.tenant;

insert into companycam_photos.photos
    (organization_id, id, project_id, user_id, s3_url, s3_key, file_size_bytes, mime_type, width, height, exif_data, captured_at,
     latitude, longitude, orientation, uploaded_at, created_at, updated_at, content_digest)
select organization_id, photo_id, project_id, case when nth % 7 > 0 then user_id end, 'https://example.com/' || n,
       to_char(at at time zone 'UTC', 'YYYY/MM/DD/') || n || '.jpg', 1000000 + n, 'image/jpeg', 4000, 3000, '{"Make": "Camera", "Model": "One"}',
       case when nth % 20 > 0 then at - n % 100 * interval '1 minute' end, 52.5, 13.4, 1, at, at, at, decode(md5('photo ' || n), 'hex')
from shots order by n;

-- One run on each photo, a second one on some; half of them are reviewed, and two in three of those confirmed.
create temp table runs as
select s.*, s.n + run * 110000 as run_n, pg_temp.detection(s.prefix, s.n + run * 110000) as detection_id, 'model-' || (s.nth + run) % 8 as model_version,
       (array['damage', 'material', 'volume'])[1 + s.nth % 3] as detection_type, 'label ' || s.nth % 40 as label, (s.nth + run) % 2 = 0 as reviewed, (s.nth + run) % 6 > 1 as confirmed
from shots s, generate_series(0, 1) as run
where run = 0 or s.nth % 10 = 1;

insert into companycam_photos.detections
    (organization_id, id, project_id, photo_id, photo_created_at, detection_type, model_version, run_id, results, object_count,
     confidence, processing_time_ms, created_at, updated_at, user_confirmed, user_feedback, content_digest)
select organization_id, detection_id, project_id, photo_id, at, detection_type, model_version, case when nth % 4 < 2 then 'run-' || run_n end,
       jsonb_build_object('objects', jsonb_build_array(jsonb_build_object('object_id', 'o1', 'label', label, 'confidence', 0.75))), 1, case when nth % 50 > 0 then nth % 1000 / 1000.0 end, 250,
       at + interval '1 minute', case nth when 8 then '2100-01-01 00:00Z' else at + interval '1 minute' end, reviewed and confirmed,
       case when reviewed then jsonb_build_object(
           'feedback_id', pg_temp.feedback(prefix, run_n * 2 + 1), 'user_id', user_id, 'verdict', case when confirmed then 'confirm' else 'reject' end,
           'edits', '[]'::jsonb, 'comment', '', 'create_time', '2026-01-01T00:00:00Z') end,
       decode(md5('detection ' || run_n), 'hex')
from runs order by run_n;

insert into companycam_photos.detection_labels (organization_id, label, photo_created_at, photo_id, detection_id, project_id)
select organization_id, label, at, photo_id, detection_id, project_id
from runs order by run_n;

insert into companycam_photos.detection_events
    (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version, processing_time_ms, payload)
select organization_id, at + interval '1 minute', detection_id, project_id, photo_id, detection_id, 'created', model_version, 250,
       jsonb_build_object('detection_type', detection_type)
from runs order by run_n;

-- Two verdicts on each reviewed run; the second one counts.
insert into companycam_photos.feedback
    (organization_id, id, project_id, photo_id, detection_id, user_id, verdict, created_at, content_digest)
select organization_id, pg_temp.feedback(prefix, run_n * 2 + second), project_id, photo_id, detection_id, user_id,
       case when confirmed and second = 1 then 'confirm' else 'reject' end, at + (1 + second) * interval '1 hour',
       decode(md5('feedback ' || run_n * 2 + second), 'hex')
from runs, generate_series(0, 1) as second
where reviewed
order by run_n, second;

-- Some of what waits for review is claimed, half of that by a claim that has ended.
insert into companycam_photos.review_claims (organization_id, detection_id, project_id, user_id, expires_at)
select organization_id, detection_id, project_id, user_id, at + case when nth % 12 = 1 then interval '100 years' else interval '1 hour' end
from runs
where not reviewed and nth % 3 = 1
order by run_n;

-- Two thousand labels with numbers in each organization that has photos.
insert into companycam_photos.categories (organization_id, name, category_id, supercategory, created_at)
select t.id, 'label ' || c, c, '', pg_temp.day_one()
from tenants t, generate_series(0, 1999) as c
where t.n < 52;

-- A model's tag on each photo, a person's on every second one; some words are more frequent than others.
insert into companycam_photos.tags
    (organization_id, id, project_id, photo_id, photo_created_at, tag, tag_folded, source, confidence, created_at)
select organization_id, pg_temp.tag(prefix, n * 2 + person), project_id, photo_id, at, 'Word ' || word, 'word ' || word,
       case person when 0 then 'ai' else 'user' end, case person when 0 then n % 100 / 100.0 end, at + interval '1 minute'
from shots, generate_series(0, 1) as person, lateral (select (nth % 30 * (nth % 17) + person) % 300 as word) as w
where person = 0 or nth % 2 = 0
order by n, person;

reset session_replication_role;
