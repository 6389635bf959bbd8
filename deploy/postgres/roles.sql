-- Roles and schema of photometa: run once per database by an administrator (superuser, or CREATEROLE and
-- CREATE on the database), again at any time. `photometa serve` and `photometa migrate` run it themselves
-- when the migrating role may. Afterwards give the login role a password: alter role photometa_app password '…'.
--
--   photometa_owner     owns the schema and every table; nobody logs in as it
--   photometa_app       the service logs in as it; has no right on any table, becomes one of the next four
--   org_admin, org_user, org_service, photometa_operator   what a credential's role may do, per transaction
--   photometa_backup    reads past row security, for dumps (needs a superuser to create)

do $roles$
declare
    wanted record;
begin
    for wanted in
        select * from (values
            ('photometa_owner', 'nologin'),
            ('photometa_app', 'login noinherit'),
            ('org_admin', 'nologin'),
            ('org_user', 'nologin'),
            ('org_service', 'nologin'),
            ('photometa_operator', 'nologin')
        ) as roles (name, attributes)
    loop
        if not exists (select from pg_roles where rolname = wanted.name) then
            begin
                execute format('create role %I %s', wanted.name, wanted.attributes);
            exception when duplicate_object or unique_violation then
                null; -- another replica was first
            end;
        end if;
    end loop;

    if not exists (select from pg_roles where rolname = 'photometa_backup')
       and (select rolsuper from pg_roles where rolname = current_user) then
        begin
            create role photometa_backup nologin bypassrls;
        exception when duplicate_object or unique_violation then
            null;
        end;
    end if;

    -- The migrating role acts as the owner; the service becomes a data role, and nothing else.
    -- Since 16 whoever made a role is a member without the right to act as it.
    if not pg_has_role(current_user, 'photometa_owner',
                       case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end) then
        execute format('grant photometa_owner to %I', current_user);
    end if;
    if not pg_has_role('photometa_app', 'org_admin', 'member')
       or not pg_has_role('photometa_app', 'org_user', 'member')
       or not pg_has_role('photometa_app', 'org_service', 'member')
       or not pg_has_role('photometa_app', 'photometa_operator', 'member') then
        grant org_admin, org_user, org_service, photometa_operator to photometa_app;
    end if;
end
$roles$;

-- What a program that died had asked ends within seconds and frees what it holds, while it waits for a lock too. A value
-- of yours stays. Left out where this role may not change photometa_app, or the server's system cannot tell.
do $abandoned$
begin
    if not exists (select from pg_db_role_setting, unnest(setconfig) as setting
                   where setrole = 'photometa_app'::regrole and setting like 'client_connection_check_interval=%') then
        alter role photometa_app set client_connection_check_interval = '2s';
    end if;
exception when insufficient_privilege or invalid_parameter_value or unique_violation or internal_error then
    null; -- the last two: another replica was first
end
$abandoned$;

do $schema$
begin
    if not exists (select from pg_namespace where nspname = 'companycam_photos') then
        create schema companycam_photos authorization photometa_owner;
    end if;
end
$schema$;

revoke all on schema companycam_photos from public;
grant usage on schema companycam_photos
    to photometa_app, org_admin, org_user, org_service, photometa_operator;

do $backup$
declare
    unreadable regclass;
begin
    if exists (select from pg_roles where rolname = 'photometa_backup') then
        grant usage on schema companycam_photos to photometa_backup;
        -- What later versions make, refinery's history included, and what is older than the role.
        alter default privileges for role photometa_owner in schema companycam_photos
            grant select on tables to photometa_backup;
        alter default privileges for role photometa_owner in schema companycam_photos
            grant select on sequences to photometa_backup;
        for unreadable in
            select oid from pg_class
            where relnamespace = 'companycam_photos'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')
              and not has_table_privilege('photometa_backup', oid, 'select')
        loop
            execute format('grant select on %s to photometa_backup', unreadable);
        end loop;
    end if;
end
$backup$;
