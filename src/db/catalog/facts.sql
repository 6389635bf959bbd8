-- Everything a version declares, one fact a row: kind, object, text. Names are qualified by what `search_path` leaves
-- unsaid, so it has to be empty. Leaves out refinery's own table, but for who may read it.
with tables as (
    select oid, relname::text as name, relkind, relpersistence, relrowsecurity, relforcerowsecurity, relowner, reloptions, relacl
    from pg_catalog.pg_class
    where relnamespace = pg_catalog.to_regnamespace('companycam_photos') and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
), ours as (
    select * from tables where name <> 'refinery_schema_history'
), roles as (
    select oid, rolname::text as name from pg_catalog.pg_roles
    union all
    select 0, 'PUBLIC'
)
select 'table' as kind, name as object,
       case relpersistence when 'u' then 'unlogged ' else '' end || case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' when 'f' then 'foreign table' else 'table' end
       || ' of ' || relowner::pg_catalog.regrole::text
       || case when relkind in ('v', 'm') and coalesce(reloptions, '{}') && '{security_invoker=true,security_invoker=on}' then ' with security_invoker' else '' end as fact
from ours
union all
select 'row security', name,
       case when relrowsecurity and relforcerowsecurity then 'forced' when relrowsecurity then 'enabled' else 'off' end
from ours where relkind in ('r', 'p')
union all
select 'column', ours.name || '.' || attname,
       pg_catalog.format_type(atttypid, atttypmod)
       || case when attcollation <> 0 and collname <> 'default' then ' collate ' || collname else '' end
       || case when attnotnull then ' not null' else '' end
       || coalesce(' default ' || pg_catalog.pg_get_expr(adbin, adrelid), '')
from ours
join pg_catalog.pg_attribute on attrelid = ours.oid and attnum > 0 and not attisdropped
left join pg_catalog.pg_collation c on c.oid = attcollation
left join pg_catalog.pg_attrdef on adrelid = attrelid and adnum = attnum
where relkind <> 'S'
union all
select 'constraint', ours.name || '.' || conname,
       pg_catalog.pg_get_constraintdef(k.oid) || case when not convalidated then ' (never validated)' else '' end
from pg_catalog.pg_constraint k join ours on ours.oid = conrelid
where contype in ('p', 'u', 'f', 'c', 'x')
union all
select 'index', ours.name || '.' || i.relname,
       regexp_replace(pg_catalog.pg_get_indexdef(i.oid), '^CREATE (UNIQUE )?INDEX \S+ ON (ONLY )?\S+ ', '\1')
       || case when not indisvalid then ' (invalid)' else '' end
from pg_catalog.pg_index join ours on ours.oid = indrelid join pg_catalog.pg_class i on i.oid = indexrelid
union all
select 'policy', ours.name || '.' || polname,
       case when polpermissive then 'permissive' else 'restrictive' end || ' for '
       || case polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end
       || ' to ' || (select string_agg(roles.name, ', ' order by roles.name) from roles where roles.oid = any (polroles))
       || coalesce(' using (' || pg_catalog.pg_get_expr(polqual, polrelid) || ')', '')
       || coalesce(' with check (' || pg_catalog.pg_get_expr(polwithcheck, polrelid) || ')', '')
from pg_catalog.pg_policy join ours on ours.oid = polrelid
union all
select 'grant', tables.name || ' to ' || grantee.name,
       string_agg(lower(privilege_type) || case when is_grantable then ' with grant option' else '' end, ', ' order by privilege_type)
from tables, pg_catalog.aclexplode(relacl) as granted join roles as grantee on grantee.oid = granted.grantee
where granted.grantee <> relowner
  -- A reader of everything, where it could be made: only what is more than that is worth a fact.
  and not (grantee.name = 'photometa_backup' and privilege_type = 'SELECT' and not is_grantable)
group by tables.name, grantee.name
union all
select 'grant', ours.name || '.' || attname || ' to ' || grantee.name,
       string_agg(lower(privilege_type) || case when is_grantable then ' with grant option' else '' end, ', ' order by privilege_type)
from ours
join pg_catalog.pg_attribute on attrelid = ours.oid and not attisdropped,
     pg_catalog.aclexplode(attacl) as granted join roles as grantee on grantee.oid = granted.grantee
group by ours.name, attname, grantee.name
union all
select 'schema', nspname::text, 'of ' || nspowner::pg_catalog.regrole::text from pg_catalog.pg_namespace where nspname = 'companycam_photos'
union all
select 'schema', nspname || ' to ' || grantee.name,
       string_agg(lower(privilege_type) || case when is_grantable then ' with grant option' else '' end, ', ' order by privilege_type)
from pg_catalog.pg_namespace, pg_catalog.aclexplode(nspacl) as granted join roles as grantee on grantee.oid = granted.grantee
where nspname = 'companycam_photos' and granted.grantee <> nspowner
  -- Whoever else may find names here can do nothing with them.
  and (privilege_type <> 'USAGE' or is_grantable
       or grantee.name in ('PUBLIC', 'photometa_app', 'org_admin', 'org_user', 'org_service', 'photometa_operator'))
group by nspname, grantee.name
union all
select 'default grant', defaclrole::pg_catalog.regrole || ' ' || defaclobjtype::text || ' to ' || grantee.name,
       string_agg(lower(privilege_type), ', ' order by privilege_type)
from pg_catalog.pg_default_acl, pg_catalog.aclexplode(defaclacl) as granted join roles as grantee on grantee.oid = granted.grantee
where (defaclnamespace = 0 or defaclnamespace = pg_catalog.to_regnamespace('companycam_photos'))
  and granted.grantee <> defaclrole and not (grantee.name = 'photometa_backup' and privilege_type = 'SELECT')
  and (granted.grantee = 0 or grantee.name in ('photometa_backup', 'photometa_app', 'org_admin', 'org_user', 'org_service', 'photometa_operator'))
group by defaclrole, defaclobjtype, grantee.name
union all
select 'function', p.oid::pg_catalog.regprocedure::text,
       case when prosecdef then 'security definer' else 'security invoker' end
       || case provolatile when 'i' then ', immutable' when 's' then ', stable' else ', volatile' end
       || case when proleakproof then ', leakproof' else '' end
       || ', in ' || lanname || ' for ' || pg_catalog.format_type(prorettype, null) || ' of ' || proowner::pg_catalog.regrole::text
       || coalesce(', with ' || pg_catalog.array_to_string(proconfig, ' and '), '')
       || coalesce(', executed by ' || (
              select string_agg(grantee.name, ', ' order by grantee.name)
              from pg_catalog.aclexplode(coalesce(proacl, pg_catalog.acldefault('f', proowner))) as granted
              join roles as grantee on grantee.oid = granted.grantee
              where granted.grantee <> proowner), '')
       || ', body ' || pg_catalog.md5(coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), prosrc))
from pg_catalog.pg_proc p join pg_catalog.pg_language l on l.oid = prolang
where pronamespace = pg_catalog.to_regnamespace('companycam_photos')
union all
select 'trigger', ours.name || '.' || tgname,
       pg_catalog.pg_get_triggerdef(t.oid) || case tgenabled when 'O' then '' when 'D' then ' (disabled)' else ' (enabled otherwise)' end
from pg_catalog.pg_trigger t join ours on ours.oid = tgrelid
where case
    -- Foreign keys' own triggers are no facts while they do what they are for.
    when tgisinternal then tgenabled <> 'O'
    -- TimescaleDB keeps rows out of a hypertable's parent.
    else not exists (
        select from pg_catalog.pg_depend d join pg_catalog.pg_extension e on e.oid = d.refobjid
        where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = tgfoid and d.deptype = 'e' and e.extname = 'timescaledb')
end
union all
select 'rule', ours.name || '.' || rulename, pg_catalog.pg_get_ruledef(r.oid)
from pg_catalog.pg_rewrite r join ours on ours.oid = ev_class
where rulename <> '_RETURN'
order by 1, 2, 3
