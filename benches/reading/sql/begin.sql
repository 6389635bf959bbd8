-- Before the rows come: what the generator keeps for itself, and no index but those of constraints, because one that is
-- built afterwards costs a fraction.

create schema bench;

create table bench.indexes as
select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as definition, obj_description(i.indexrelid, 'pg_class') as comment
from pg_index i
join pg_class c on c.oid = i.indrelid
where c.relnamespace = 'companycam_photos'::regnamespace and c.relkind = 'r'
  and (c.relname = 'photos' or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'photo_id'))
  and not exists (select from pg_constraint where conindid = i.indexrelid);

do $$
declare
    dropped text;
begin
    for dropped in select name from bench.indexes loop
        execute 'drop index ' || dropped;
    end loop;
end $$;
