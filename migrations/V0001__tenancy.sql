-- Tenancy: who asks, how a table is protected, and the directory (organizations, users, projects, members).
-- Old code meanwhile: there is none. Undo: undo/U0001__tenancy.sql.

set local citus.multi_shard_modify_mode = 'sequential';

-- Who asks. Set per transaction with SET LOCAL; after that transaction the setting reads as '', not null.
create function companycam_photos.current_org() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.org_id', true), '')::uuid;
comment on function companycam_photos.current_org() is 'Organization of this transaction, or null.';

create function companycam_photos.current_user_id() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.user_id', true), '')::uuid;
comment on function companycam_photos.current_user_id() is 'Person or service account of this transaction, or null.';

-- Where a table lives on a distributed PostgreSQL: 'reference', 'none' (sharded by organization), or the
-- table to be colocated with. Does nothing where the citus extension is absent.
create function companycam_photos.place(tbl regclass, how text) returns void
    language plpgsql as $place$
begin
    if not exists (select from pg_extension where extname = 'citus') then
        return;
    end if;
    if how = 'reference' then
        execute 'select create_reference_table($1)' using tbl;
    else
        execute 'select create_distributed_table($1, ''organization_id'', colocate_with => $2)' using tbl, how;
    end if;
end
$place$;
comment on function companycam_photos.place(regclass, text) is 'Places a new table on a distributed PostgreSQL; does nothing elsewhere.';

-- The only place that says what a tenant may see. Row security is forced, so that it binds the owner too.
-- Whole-organization roles see their organization; ordinary users see what `member_rule` lets them see.
-- In `member_rule`, %1$s stands for the table.
create function companycam_photos.protect(
    tbl regclass,
    member_rule text default
        'exists (select 1 from companycam_photos.project_members m'
        ' where m.organization_id = %1$s.organization_id'
        ' and m.project_id = %1$s.project_id'
        ' and m.user_id = companycam_photos.current_user_id())'
) returns void
    language plpgsql as $protect$
declare
    name text := (select relname from pg_class where oid = tbl);
    same_organization constant text := 'organization_id = companycam_photos.current_org()';
    member text := format('%s and %s', same_organization, format(member_rule, tbl));
begin
    execute format('alter table %s enable row level security', tbl);
    execute format('alter table %s force row level security', tbl);
    execute format(
        'create policy %I on %s to org_admin, org_service using (%s) with check (%s)',
        name || '_organization', tbl, same_organization, same_organization);
    execute format(
        'create policy %I on %s to org_user using (%s) with check (%s)',
        name || '_member', tbl, member, member);
end
$protect$;
comment on function companycam_photos.protect(regclass, text) is 'Forces row security on a tenant table and gives it its two policies.';

revoke all on function companycam_photos.place(regclass, text) from public;
revoke all on function companycam_photos.protect(regclass, text) from public;

create table companycam_photos.organizations (
    id uuid not null,
    name text not null,
    created_at timestamptz not null,
    constraint organizations_pkey primary key (id),
    constraint organizations_name_key unique (name),
    constraint organizations_name_check check (char_length(name) between 1 and 255)
);
select companycam_photos.place('companycam_photos.organizations', 'reference');
comment on table companycam_photos.organizations is 'The tenants. Written by operators only.';
comment on column companycam_photos.organizations.id is 'Identity, UUIDv7 or chosen by the client.';
comment on column companycam_photos.organizations.name is 'Unique name.';
comment on column companycam_photos.organizations.created_at is 'When it was created.';

alter table companycam_photos.organizations enable row level security;
alter table companycam_photos.organizations force row level security;
create policy organizations_operator on companycam_photos.organizations
    to photometa_operator using (true) with check (true);
create policy organizations_own on companycam_photos.organizations
    for select to org_admin, org_user, org_service using (id = companycam_photos.current_org());
grant select, insert, delete on companycam_photos.organizations to photometa_operator;
grant select on companycam_photos.organizations to org_admin, org_user, org_service;

create table companycam_photos.users (
    organization_id uuid not null,
    id uuid not null,
    email text collate "C" not null,
    first_name text not null default '',
    last_name text not null default '',
    role text not null default 'contractor',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint users_pkey primary key (organization_id, id),
    constraint users_organization_id_fkey foreign key (organization_id)
        references companycam_photos.organizations (id),
    constraint users_email_check check (char_length(email) between 3 and 255),
    constraint users_first_name_check check (char_length(first_name) <= 100),
    constraint users_last_name_check check (char_length(last_name) <= 100),
    constraint users_role_check check (role in ('contractor', 'insurance_adjuster', 'project_manager'))
);
select companycam_photos.place('companycam_photos.users', 'reference');
-- Emails are unique in the whole service, without regard to case; the conflict's answer names no one.
do $$ begin create unique index users_email_key on companycam_photos.users (lower(email)); end $$;
-- ListUsers: an organization's users by email.
do $$ begin create index users_organization_id_email_idx on companycam_photos.users (organization_id, email); end $$;
comment on table companycam_photos.users is 'The people of an organization.';
comment on column companycam_photos.users.organization_id is 'Tenant.';
comment on column companycam_photos.users.id is 'Identity within the organization; the sub claim of the person''s credential.';
comment on column companycam_photos.users.email is 'Address, unique in the whole service without regard to case.';
comment on column companycam_photos.users.first_name is 'Given name, may be empty.';
comment on column companycam_photos.users.last_name is 'Family name, may be empty.';
comment on column companycam_photos.users.role is 'Trade: contractor, insurance_adjuster or project_manager. Grants no rights.';
comment on column companycam_photos.users.created_at is 'When it was created.';
comment on column companycam_photos.users.updated_at is 'When it last changed.';
select companycam_photos.protect('companycam_photos.users', 'id = companycam_photos.current_user_id()');
grant select, insert, update, delete on companycam_photos.users to org_admin;
grant select on companycam_photos.users to org_user, org_service;

create table companycam_photos.projects (
    organization_id uuid not null,
    id uuid not null,
    name text collate "C" not null,
    description text not null default '',
    status text not null default 'active',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint projects_pkey primary key (organization_id, id),
    -- Also serves ListProjects: an organization's projects by name.
    constraint projects_organization_id_name_key unique (organization_id, name),
    constraint projects_organization_id_fkey foreign key (organization_id)
        references companycam_photos.organizations (id),
    constraint projects_name_check check (char_length(name) between 1 and 255),
    constraint projects_description_check check (char_length(description) <= 10000),
    constraint projects_status_check check (status in ('active', 'completed', 'archived'))
);
select companycam_photos.place('companycam_photos.projects', 'reference');
comment on table companycam_photos.projects is 'Building sites.';
comment on column companycam_photos.projects.organization_id is 'Tenant.';
comment on column companycam_photos.projects.id is 'Identity within the organization.';
comment on column companycam_photos.projects.name is 'Name, unique within the organization.';
comment on column companycam_photos.projects.description is 'Free text, may be empty.';
comment on column companycam_photos.projects.status is 'active, completed or archived; archived projects take no new photos.';
comment on column companycam_photos.projects.created_at is 'When it was created.';
comment on column companycam_photos.projects.updated_at is 'When it last changed.';

create table companycam_photos.project_members (
    organization_id uuid not null,
    user_id uuid not null,
    project_id uuid not null,
    created_at timestamptz not null,
    -- In this order for the membership rule: one user's projects.
    constraint project_members_pkey primary key (organization_id, user_id, project_id),
    constraint project_members_user_id_fkey foreign key (organization_id, user_id)
        references companycam_photos.users (organization_id, id) on delete cascade,
    constraint project_members_project_id_fkey foreign key (organization_id, project_id)
        references companycam_photos.projects (organization_id, id) on delete cascade
);
select companycam_photos.place('companycam_photos.project_members', 'reference');
-- ListProjectMembers, and the cascade from projects.
do $$ begin create index project_members_project_id_idx on companycam_photos.project_members (organization_id, project_id, user_id); end $$;
comment on table companycam_photos.project_members is 'Who belongs to which project: what row security asks for ordinary users.';
comment on column companycam_photos.project_members.organization_id is 'Tenant.';
comment on column companycam_photos.project_members.user_id is 'The person.';
comment on column companycam_photos.project_members.project_id is 'The project.';
comment on column companycam_photos.project_members.created_at is 'When the membership began.';
-- Own rows only for ordinary users: enough for the membership rule, and no recursion.
select companycam_photos.protect('companycam_photos.project_members', 'user_id = companycam_photos.current_user_id()');
grant select, insert, delete on companycam_photos.project_members to org_admin;
grant select on companycam_photos.project_members to org_user;

-- After project_members, which its rule reads.
select companycam_photos.protect('companycam_photos.projects',
    'exists (select 1 from companycam_photos.project_members m'
    ' where m.organization_id = %1$s.organization_id and m.project_id = %1$s.id'
    ' and m.user_id = companycam_photos.current_user_id())');
grant select, insert, update, delete on companycam_photos.projects to org_admin;
grant select on companycam_photos.projects to org_user, org_service;
