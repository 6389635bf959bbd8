-- Words on the photos: three hundred of them, the commonest on a third of the photos, the last twenty on a handful.

set session_replication_role = replica;
set synchronize_seqscans = off;

create table bench.words as
select aspect * 12 + subject - 11 as number, (array['roof', 'wall', 'window', 'gutter', 'chimney', 'floor', 'ceiling', 'door', 'foundation', 'insulation', 'scaffold', 'siding'])[subject]
       || ' ' || (array['before', 'after', 'overview', 'close-up', 'hail', 'crack', 'rot', 'rust', 'leak', 'mould', 'stain', 'missing', 'loose', 'new', 'delivery', 'measure', 'safety', 'inspection', 'north', 'south', 'east', 'west', 'interior', 'permit', 'done'])[aspect] as tag
from generate_series(1, 25) as aspect, generate_series(1, 12) as subject;
create unique index on bench.words (number);
analyze bench.words;

-- Models tag within seconds, people within hours.
insert into companycam_photos.tags
    (organization_id, id, project_id, photo_id, photo_created_at, tag, tag_folded, source, confidence, created_at)
select s.organization_id, bench.id(tagged.at, s.n * 512 + w.number, 4), s.project_id, s.photo_id, s.at,
       case when byuser then initcap(w.tag) else w.tag end, lower(w.tag), case when byuser then 'user' else 'ai' end,
       case when not byuser then round((0.5 + bench.chance(s.n * 512 + w.number, 72) / 2)::numeric, 3)::float8 end, tagged.at
from bench.shots s
cross join lateral (
    select distinct case when drawn <= 280 or bench.chance(s.n * 16 + draw, 74) < 0.005 then drawn else drawn - 280 end as number
    from generate_series(1, case when s.lean then 1 + (s.n % 2)::int else 4 + (s.n % 5)::int end) as draw
    cross join lateral (select floor(301 ^ bench.chance(s.n * 16 + draw, 71))::int as drawn) as z
) as k
join bench.words w on w.number = k.number
cross join lateral (select bench.chance(s.n * 512 + w.number, 73) < 0.2 as byuser) as b
cross join lateral (
    select s.at + case when byuser then bench.chance(s.n, 75) * interval '8 hours' else interval '30 seconds' end as at
) as tagged;
