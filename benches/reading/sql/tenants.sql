-- Who is there: organizations, people, projects and memberships. Always the same rows. The settings bench.scale and
-- bench.growth say how many photos are to come.

set session_replication_role = replica;

-- A number in [0, 1), always the same for n and salt.
create function bench.chance(n bigint, salt int) returns float8 language sql immutable parallel safe
    return (hashint8extended(n, salt) & 9007199254740991)::float8 / 9007199254740992;

-- An id in order of time, as the service makes them.
create function bench.id(at timestamptz, n bigint, salt int) returns uuid language sql immutable parallel safe
    return (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n || ' ' || salt), 1, 3)
        || '8' || substr(md5(n || ' ' || salt), 4, 15))::uuid;

-- An organization, person or project: kind 1, 2 or 3.
create function bench.name(kind int, tenant bigint, n bigint) returns uuid language sql immutable parallel safe
    return ('be9c000' || kind || '-' || lpad(to_hex(tenant), 4, '0') || '-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid;

-- Two years of work.
create function bench.day_one() returns timestamptz language sql immutable parallel safe
    return timestamptz '2024-01-01 00:00Z';
create function bench.last_day() returns timestamptz language sql immutable parallel safe
    return timestamptz '2026-01-01 00:00Z';

-- 1 is the large organization; 2 to 200 share the rest, few of them most of it. From 201 on they have the same shape in
-- several sizes, to compare reads by size: a detection on every other photo, few tags, and no EXIF.
create table bench.tenants as
select n as number, bench.name(1, n, 0) as id, false as lean,
       (current_setting('bench.scale')::float8 * case when n = 1 then 300000 else 700000.0 / (n + 2) / sum(1.0 / (n + 2)) filter (where n > 1) over () end)::int as photos
from generate_series(1, 200) as n
union all
select 200 + n, bench.name(1, 200 + n, 0), true, photos
from unnest(string_to_array(current_setting('bench.growth'), ',')::int[]) with ordinality as growth (photos, n);

insert into companycam_photos.organizations (id, name, created_at)
select id, 'Bench ' || number, bench.day_one() from bench.tenants;

-- Projects live for some weeks, in one of ten cities; few of them have most of the photos.
create table bench.projects as
with shapes as (
    select t.number as tenant, p as number, t.photos, 0.1 + bench.chance(salt, 1) ^ 3 * 3 as weight,
           interval '1 week' * (4 + 16 * bench.chance(salt, 2) ^ 2) as lasts, bench.chance(salt, 3) as begins,
           cities.latitude + (bench.chance(salt, 4) - 0.5) * 0.3 as latitude, cities.longitude + (bench.chance(salt, 5) - 0.5) * 0.4 as longitude
    from bench.tenants t
    cross join lateral generate_series(0, case when t.photos >= 300000 * current_setting('bench.scale')::float8 or t.lean then 59 else greatest(1, least(59, t.photos / 1500)) end) as p
    -- The shape of those that are compared does not depend on which one it is.
    cross join lateral (select case when t.lean then 0 else t.number end * 1000 + p as salt) as s
    join (values (0, 41.26, -95.94), (1, 41.88, -87.63), (2, 39.74, -104.99), (3, 33.75, -84.39), (4, 32.78, -96.80),
                 (5, 47.61, -122.33), (6, 40.71, -74.01), (7, 44.98, -93.27), (8, 29.76, -95.37), (9, 39.10, -94.58)) as cities (number, latitude, longitude)
      on cities.number = (bench.chance(salt, 6) * 4 + t.number)::int % 10
)
select tenant, number, bench.name(3, tenant, number) as id, bench.name(1, tenant, 0) as organization_id,
       round(photos * weight / sum(weight) over (partition by tenant))::int as photos,
       bench.day_one() + (bench.last_day() - bench.day_one() - lasts) * begins as begins, lasts, latitude, longitude
from shapes;

insert into companycam_photos.projects (organization_id, id, name, status, created_at, updated_at)
select organization_id, id, 'Project ' || number, case when begins + lasts < bench.last_day() - interval '30 days' then 'completed' else 'active' end, begins, begins
from bench.projects;

-- Forty-two people in each; each belongs to every sixth project.
insert into companycam_photos.users (organization_id, id, email, first_name, last_name, role, created_at, updated_at)
select id, bench.name(2, number, p), 'person' || p || '@' || number || '.bench.example', 'Person', p::text,
       (array['contractor', 'insurance_adjuster', 'project_manager'])[1 + p % 3], bench.day_one(), bench.day_one()
from bench.tenants, generate_series(0, 41) as p;

insert into companycam_photos.project_members (organization_id, user_id, project_id, created_at)
select organization_id, bench.name(2, tenant, p), id, begins
from bench.projects, generate_series(0, 41) as p
where p % 6 = number % 6;
