-- What models saw on the photos, in order of time, and what people say of it.

set session_replication_role = replica;
set synchronize_seqscans = off;
set work_mem = '512MB';

-- Two thousand different results for each type: one to four objects, few labels on most of them, and one label for
-- each type in a single result.
create unlogged table bench.results as
with labels (detection_type, rare, labels) as (values
    ('damage', 'sinkhole', array['missing_shingle', 'cracked_slate', 'hail_impact', 'water_stain', 'rot', 'crack', 'mould', 'rust', 'loose_flashing', 'dented_gutter', 'broken_window', 'burn_mark', 'termite_trace', 'subsidence']),
    ('material', 'asbestos', array['asphalt_shingle', 'concrete', 'timber', 'brick', 'drywall', 'steel', 'glass', 'insulation', 'copper', 'slate', 'marble']),
    ('volume', 'snow', array['debris', 'soil', 'gravel', 'sand', 'mulch'])
), objects as (
    select l.detection_type, nr, o,
           case when nr = 777 then rare else l.labels[1 + floor(cardinality(l.labels) * bench.chance(salt, 31) ^ 3)::int] end as label,
           round((0.35 + 0.64 * bench.chance(salt, 32) ^ 0.5)::numeric, 3)::float8 as confidence,
           round((bench.chance(salt, 33) * 0.7)::numeric, 4) as x, round((bench.chance(salt, 34) * 0.7)::numeric, 4) as y,
           round((0.02 + bench.chance(salt, 35) * 0.25)::numeric, 4) as width, round((0.02 + bench.chance(salt, 36) * 0.25)::numeric, 4) as height
    from labels l
    cross join generate_series(0, 1999) as nr
    cross join lateral generate_series(1, case when nr % 2 = 0 then 1 when nr % 4 = 1 then 2 when nr % 8 = 3 then 3 else 4 end) as o
    cross join lateral (select cardinality(l.labels) * 100000 + nr * 10 + o as salt) as s
)
select detection_type, nr, count(*)::int as objects, max(confidence) as confidence, array_agg(distinct label) as labels,
       jsonb_build_object('objects', jsonb_agg(jsonb_build_object('object_id', o::text, 'label', label, 'confidence', confidence,
           'box', jsonb_build_object('x', x, 'y', y, 'width', width, 'height', height)) order by o)) as results
from objects
group by detection_type, nr;
analyze bench.results;

-- The damage model got a new version, which then ran on nearly half of the older photos too. Half of the photos of the
-- last ten days still wait for their models.
create unlogged table bench.runs as
with runs as (
    select s.organization_id, s.tenant, s.project_id, s.photo_id, s.at as photo_at, s.n, kind.*
    from bench.shots s
    cross join lateral (
        select 'damage', case when s.at < timestamptz '2025-03-01Z' then 'damage-net-1.8.0' else 'damage-net-2.1.0' end, 1,
               s.at + interval '20 seconds' + bench.chance(s.n, 41) * interval '1 minute'
        where not s.lean or s.n % 2 = 0
        union all
        select 'damage', 'damage-net-2.1.0', 2, timestamptz '2025-03-01Z' + bench.chance(s.n, 42) * interval '30 days'
        where s.at < timestamptz '2025-03-01Z' and bench.chance(s.n, 43) < 0.45 and not s.lean
        union all
        select 'material', 'material-net-1.4.1', 3, s.at + interval '40 seconds' + bench.chance(s.n, 44) * interval '2 minutes'
        where bench.chance(s.n, 45) < 0.95 and not s.lean
        union all
        select 'volume', 'volume-depth-0.9.0', 4, s.at + interval '1 minute' + bench.chance(s.n, 46) * interval '4 minutes'
        where bench.chance(s.n, 47) < 0.8 and not s.lean
    ) as kind (detection_type, model_version, kind, at)
    where s.at < bench.last_day() - interval '10 days' or bench.chance(s.n, 48) < 0.5
)
select row_number() over (order by at, n, kind) as n, organization_id, tenant, project_id, photo_id, photo_at, detection_type, model_version, at,
       bench.id(at, n * 8 + kind, 2) as detection_id, (bench.chance(n * 8 + kind, 51) * 2000)::int % 2000 as nr,
       -- One in twenty is reviewed.
       case when bench.chance(n * 8 + kind, 52) < 0.05 then (array['confirm', 'confirm', 'confirm', 'confirm', 'confirm', 'confirm', 'confirm', 'correct', 'correct', 'reject'])[1 + n % 10] end as verdict
from runs;
analyze bench.runs;

create unlogged table bench.verdicts as
select d.n, d.organization_id, d.project_id, d.photo_id, d.detection_id, d.verdict, bench.name(2, d.tenant, d.n % 42) as user_id, reviewed.at,
       bench.id(reviewed.at, d.n, 3) as feedback_id,
       case when d.verdict = 'correct' then jsonb_build_array(jsonb_build_object('relabel', jsonb_build_object('object_id', '1', 'label', 'old_damage'))) else '[]' end as edits
from bench.runs d
cross join lateral (select d.at + interval '1 hour' + bench.chance(d.n, 61) * interval '5 days' as at) as reviewed
where d.verdict is not null;
analyze bench.verdicts;

insert into companycam_photos.feedback
    (organization_id, id, project_id, photo_id, detection_id, user_id, verdict, edits, created_at, content_digest)
select organization_id, feedback_id, project_id, photo_id, detection_id, user_id, verdict, edits, at, uuid_send(feedback_id)
from bench.verdicts order by at;

insert into companycam_photos.detections
    (organization_id, id, project_id, photo_id, photo_created_at, detection_type, model_version, run_id, results,
     object_count, confidence, processing_time_ms, created_at, updated_at, user_confirmed, user_feedback, content_digest)
select d.organization_id, d.detection_id, d.project_id, d.photo_id, d.photo_at, d.detection_type, d.model_version, 'run-' || d.n, r.results, r.objects, r.confidence,
       200 + (bench.chance(d.n, 62) * 3000)::int, d.at, coalesce(v.at, d.at), v.verdict in ('confirm', 'correct') and v.verdict is not null,
       case when v.n is not null then jsonb_build_object('feedback_id', v.feedback_id, 'user_id', v.user_id, 'verdict', v.verdict, 'edits', v.edits, 'comment', '',
           'create_time', to_char(v.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) end,
       uuid_send(d.detection_id)
from bench.runs d
join bench.results r on r.detection_type = d.detection_type and r.nr = d.nr
left join bench.verdicts v on v.n = d.n;

insert into companycam_photos.detection_labels (organization_id, label, photo_created_at, photo_id, detection_id, project_id)
select d.organization_id, l.label, d.photo_at, d.photo_id, d.detection_id, d.project_id
from bench.runs d
join bench.results r on r.detection_type = d.detection_type and r.nr = d.nr
cross join lateral unnest(r.labels) as l (label);
