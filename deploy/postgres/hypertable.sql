-- Makes detection_events a hypertable of TimescaleDB: run by a superuser, in one transaction, again at any time.
-- `photometa migrate hypertable` runs it; by hand: psql --single-transaction --set=ON_ERROR_STOP=1 --file=hypertable.sql
--
-- What it guards against was seen on 2.28.3, the last line for PostgreSQL 15:
--   * chunks inherit the table's grants and not its policies: whoever may read a chunk reads every tenant's rows;
--   * some functions, such as drop_chunk, check no rights: any role could destroy every tenant's rows.
-- It ends with a proof, and changes nothing where the proof fails.

set local lock_timeout = '10s';
do $transaction$
begin
    -- Outside of a transaction each statement is one of its own, and begins with it.
    if now() = statement_timestamp() then
        raise exception 'not converted: run it in one transaction (psql --single-transaction)';
    end if;
end
$transaction$;
select pg_advisory_xact_lock(hashtext('photometa migrate'));

-- A schema of its own, which the service's roles cannot use: its functions are not found by name.
create schema if not exists timescaledb authorization photometa_owner;
create extension if not exists timescaledb with schema timescaledb;

do $others$
declare
    other text;
begin
    select format('%I.%I', hypertable_schema, hypertable_name) into other from timescaledb_information.hypertables
    where (hypertable_schema, hypertable_name) <> ('companycam_photos', 'detection_events') limit 1;
    if other is not null then
        raise exception 'not converted: this database also has the hypertable %, whose users need rights that would be taken away', other
            using hint = 'keep photometa in a database of its own';
    end if;
end
$others$;

do $functions$
declare
    routine regprocedure;
begin
    for routine in
        select p.oid from pg_depend d
        join pg_extension e on e.oid = d.refobjid and d.refclassid = 'pg_extension'::regclass
        join pg_proc p on p.oid = d.objid and d.classid = 'pg_proc'::regclass
        where e.extname = 'timescaledb' and d.deptype = 'e'
    loop
        execute format('revoke execute on routine %s from public', routine);
        execute format('grant execute on routine %s to photometa_owner', routine);
    end loop;
end
$functions$;

-- The service's roles need USAGE here, or inserting into a chunk that is there already fails (2.23 to 2.28).
create schema if not exists companycam_chunks authorization photometa_owner;
revoke all on schema companycam_chunks from public;
grant usage on schema companycam_chunks to org_admin, org_user, org_service;
do $backup$
begin
    if exists (select from pg_roles where rolname = 'photometa_backup') then
        grant usage on schema companycam_chunks to photometa_backup;
    end if;
end
$backup$;

-- Moving the rows reads and writes them, and forced row security would hide them from their owner.
set local role photometa_owner;
set local row_security = off;
alter table companycam_photos.detection_events no force row level security;
do $convert$
begin
    execute format(
        'select %I.create_hypertable(''companycam_photos.detection_events'', ''occurred_at'','
        ' chunk_time_interval => interval ''7 days'', associated_schema_name => ''companycam_chunks'','
        ' migrate_data => true, if_not_exists => true, create_default_indexes => false)',
        (select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where extname = 'timescaledb'));
end
$convert$;
alter table companycam_photos.detection_events force row level security;

do $chunks$
declare
    chunk regclass;
begin
    for chunk in select inhrelid from pg_inherits where inhparent = 'companycam_photos.detection_events'::regclass loop
        execute format('revoke all on %s from public, org_admin, org_service, org_user, photometa_operator, photometa_app', chunk);
    end loop;
end
$chunks$;
reset role;

do $proof$
declare
    roles constant name[] := array['photometa_app', 'org_admin', 'org_user', 'org_service', 'photometa_operator'];
    found text;
begin
    select format('%s may reach the chunk %s', r.rolname, c.oid::regclass) into found
    from pg_inherits i join pg_class c on c.oid = i.inhrelid, pg_roles r
    where i.inhparent = 'companycam_photos.detection_events'::regclass and r.rolname = any (roles)
      and (has_any_column_privilege(r.oid, c.oid, 'select, insert, update, references')
           or has_table_privilege(r.oid, c.oid, 'select, insert, update, delete, truncate, references, trigger'));
    if found is null then
        select format('%s has a right on the whole of detection_events, which new chunks inherit', r.rolname) into found
        from pg_roles r
        where r.rolname = any (roles)
          and has_table_privilege(r.oid, 'companycam_photos.detection_events', 'select, insert, update, delete, truncate, references, trigger');
    end if;
    if found is null then
        select format('%s may call %s', r.rolname, p.oid::regprocedure) into found
        from pg_depend d
        join pg_extension e on e.oid = d.refobjid and d.refclassid = 'pg_extension'::regclass
        join pg_proc p on p.oid = d.objid and d.classid = 'pg_proc'::regclass, pg_roles r
        where e.extname = 'timescaledb' and d.deptype = 'e' and r.rolname = any (roles)
          and has_function_privilege(r.oid, p.oid, 'execute')
        limit 1;
    end if;
    if found is not null then
        raise exception 'not converted: %', found
            using hint = 'run it as a superuser: only one may take the rights on the extension''s functions away';
    end if;
end
$proof$;
