-- Which photos there are, in order of time, those of all organizations mixed as they come in. People visit a site three
-- times a week and take many photos each time.

set session_replication_role = replica;
set synchronize_seqscans = off;

create unlogged table bench.shots as
with shots as (
    select p.tenant, p.number as project, p.organization_id, p.id as project_id, p.latitude, p.longitude, t.lean,
           salt, p.begins + (floor(bench.chance(salt, 11) * visits) / visits) * p.lasts + bench.chance(salt, 12) * interval '3 hours' as at
    from bench.projects p
    join bench.tenants t on t.number = p.tenant
    cross join lateral generate_series(1, p.photos) as n
    cross join lateral (select (p.tenant * 64 + p.number)::bigint * 4000000 + n as salt, ceil(extract(epoch from p.lasts) / 604800 * 3) as visits) as s
)
select row_number() over (order by at, salt) as n, tenant, project, organization_id, project_id, latitude, longitude, lean, at,
       bench.id(at, salt, 1) as photo_id
from shots;
analyze bench.shots;
