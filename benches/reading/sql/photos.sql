-- The photos. Nine in ten know when, and six in seven where they were taken; some were taken long before they were
-- registered. bench.cameras has the EXIF documents.

set session_replication_role = replica;
set synchronize_seqscans = off;

insert into companycam_photos.photos
    (organization_id, id, project_id, user_id, s3_url, s3_key, file_size_bytes, mime_type, width, height, exif_data, captured_at,
     latitude, longitude, orientation, uploaded_at, created_at, updated_at, content_digest)
select s.organization_id, s.photo_id, s.project_id,
       case when s.n % 11 > 0 then bench.name(2, s.tenant, s.project % 6 + 6 * floor(7 * bench.chance(s.n, 21) ^ 2)::int) end,
       's3://bench/' || key, key, 1500000 + s.n % 3000000, 'image/jpeg', c.width, c.height,
       case when not s.lean then c.exif
           || case when taken.at is null then '{}' else jsonb_build_object('EXIF DateTimeOriginal', to_char(taken.at, 'YYYY:MM:DD HH24:MI:SS')) end
           || case when here.latitude is null then '{}' else jsonb_build_object('GPS GPSLatitude', here.latitude, 'GPS GPSLongitude', here.longitude) end
       end,
       taken.at, here.latitude, here.longitude, case when s.n % 5 = 4 then 6 else 1 end,
       s.at - interval '2 seconds', s.at, s.at, uuid_send(s.photo_id)
from bench.shots s
join bench.cameras c on c.number = s.n * 7 % (select count(*) from bench.cameras)
cross join lateral (
    select 'projects/' || s.project_id || to_char(s.at at time zone 'UTC', '/YYYY/MM/DD/') || s.photo_id || '.jpg' as key
) as k
cross join lateral (
    select case when s.n % 10 > 0 then s.at - interval '1 minute' - bench.chance(s.n, 22) * case when s.n % 19 = 0 then interval '40 days' else interval '20 minutes' end end as at
) as taken
cross join lateral (
    select case when s.n % 7 > 0 then round((s.latitude + (bench.chance(s.n, 23) - 0.5) * 0.004)::numeric, 6)::float8 end as latitude,
           case when s.n % 7 > 0 then round((s.longitude + (bench.chance(s.n, 24) - 0.5) * 0.004)::numeric, 6)::float8 end as longitude
) as here;
