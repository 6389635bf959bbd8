//! Statements that a plan is tried with, besides those of the versions.

use photometa::db::migrate::Work;

/// Statements that versions to come may hold, on tables that are there, with the work each does.
pub const OTHERS: &[(&str, Work)] = &[
    ("alter table companycam_photos.photos add column note text", Work::Catalogue),
    ("alter table companycam_photos.photos alter column note set default 'x'", Work::Catalogue),
    ("alter table companycam_photos.photos drop column note", Work::Catalogue),
    ("alter table companycam_photos.photos add constraint photos_a_check check (width > 0) not valid", Work::Catalogue),
    ("alter table companycam_photos.photos validate constraint photos_a_check", Work::Reads),
    ("alter table companycam_photos.photos add constraint photos_b_check check (height > 0)", Work::Reads),
    ("alter table companycam_photos.photos drop constraint photos_b_check", Work::Catalogue),
    ("alter table companycam_photos.photos alter column s3_url type varchar(3000)", Work::Rewrites),
    ("alter table companycam_photos.tags alter column confidence set not null", Work::Reads),
    ("alter table companycam_photos.tags alter column tag set statistics 200", Work::Catalogue),
    ("alter table companycam_photos.tags drop constraint tags_photo_id_fkey", Work::Catalogue),
    (
        "alter table companycam_photos.tags add constraint tags_photo_id_fkey foreign key (organization_id, project_id, photo_id) references companycam_photos.photos (organization_id, project_id, id) not valid",
        Work::Catalogue,
    ),
    ("create index tags_a_idx on companycam_photos.tags (organization_id, source)", Work::Reads),
    (
        "do $$ begin create unique index tags_b_idx on companycam_photos.tags (organization_id, id, source); end $$",
        Work::Reads,
    ),
    ("drop index companycam_photos.tags_a_idx", Work::Catalogue),
    (
        "create policy tags_extra on companycam_photos.tags for select to org_user using (exists (select from companycam_photos.projects))",
        Work::Catalogue,
    ),
    ("drop policy tags_extra on companycam_photos.tags", Work::Catalogue),
    ("alter table companycam_photos.tags no force row level security", Work::Catalogue),
    ("insert into companycam_photos.tags select * from companycam_photos.tags where false", Work::Writes),
    ("update companycam_photos.tags set tag = tag where false", Work::Writes),
    ("delete from companycam_photos.tags where false", Work::Writes),
    ("comment on table companycam_photos.users is 'The people.'", Work::Catalogue),
    ("comment on column companycam_photos.users.email is 'Address.'", Work::Catalogue),
    (
        "create table companycam_photos.notes (organization_id uuid, id uuid, user_id uuid, foreign key (organization_id, user_id) references companycam_photos.users (organization_id, id))",
        Work::Catalogue,
    ),
    (
        "alter table companycam_photos.photos add column note text, add column weight integer not null default 7",
        Work::Catalogue,
    ),
    ("alter table companycam_photos.photos drop column note, drop column if exists weight", Work::Catalogue),
    ("alter table companycam_photos.photos add seen timestamp with time zone not null default now()", Work::Catalogue),
    (
        "alter table companycam_photos.photos add column kind text not null default 'a, b'::varchar(9) collate \"C\"",
        Work::Catalogue,
    ),
    (
        "alter table companycam_photos.photos add column marks text[] default '{}'::text[], add column price numeric(9, 2) default -1.5",
        Work::Catalogue,
    ),
    (
        "alter table companycam_photos.photos add column stars integer constraint photos_stars_check check (stars > 0)",
        Work::Reads,
    ),
    (
        "alter table companycam_photos.photos add column rank integer default 1 check (rank > 0), alter column stars set default 1",
        Work::Reads,
    ),
    ("alter table companycam_photos.photos add column code text unique", Work::Reads),
    ("alter table companycam_photos.organizations no force row level security", Work::Catalogue),
    ("alter table companycam_photos.users no force row level security", Work::Catalogue),
    (
        "alter table companycam_photos.users add column home uuid references companycam_photos.organizations (id) on delete set null",
        Work::Catalogue,
    ),
    (
        "alter table companycam_photos.users add column owner uuid default 'a0000000-0000-4000-8000-000000000001' references companycam_photos.organizations (id)",
        Work::Reads,
    ),
    ("alter table companycam_photos.users drop column home", Work::Catalogue),
    ("alter table companycam_photos.users alter column owner type uuid", Work::Rewrites),
    ("alter table companycam_photos.photos drop column user_id", Work::Catalogue),
    (
        "alter table companycam_photos.photos alter column kind set statistics 10, alter column code set statistics 10",
        Work::Catalogue,
    ),
    (
        "alter table companycam_photos.photos alter column kind set statistics 20, alter column code drop default",
        Work::Catalogue,
    ),
    (
        "alter table companycam_photos.photos add constraint photos_c_check check (width <> 1) not valid, alter column kind set not null",
        Work::Reads,
    ),
    (
        "alter table companycam_photos.photos validate constraint photos_c_check, alter column kind drop not null",
        Work::Reads,
    ),
    (
        "alter table companycam_photos.photos add column valid boolean, add constraint photos_valid_check check (not valid)",
        Work::Reads,
    ),
    (
        "alter table companycam_photos.photos alter column width type bigint, drop constraint photos_c_check",
        Work::Rewrites,
    ),
    ("alter table companycam_photos.photos add unique (organization_id, id, s3_url)", Work::Reads),
    ("alter table companycam_photos.photos rename column kind to sort", Work::Catalogue),
    ("alter table companycam_photos.photos alter sort set storage external", Work::Catalogue),
    ("alter table companycam_photos.photos alter column sort set compression pglz", Work::Catalogue),
    ("alter table companycam_photos.photos owner to photometa_owner", Work::Catalogue),
    (
        "alter table only companycam_photos.photos set (fillfactor = 90, toast.autovacuum_enabled = false)",
        Work::Catalogue,
    ),
    ("alter table if exists companycam_photos.photos reset (fillfactor)", Work::Catalogue),
    ("alter table companycam_photos.photos disable trigger user", Work::Catalogue),
    ("comment on constraint photos_pkey on companycam_photos.photos is 'Identity.'", Work::Catalogue),
    ("comment on policy photos_member on companycam_photos.photos is 'Members.'", Work::Catalogue),
    (
        "do $$ begin
             alter table companycam_photos.photos drop constraint photos_height_check;
             alter table companycam_photos.photos add constraint photos_height_check check (height > 0) not valid;
             alter table companycam_photos.photos validate constraint photos_height_check;
             alter table companycam_photos.photos alter column height set default 1;
         end $$",
        Work::Reads,
    ),
    (
        "do $$ begin
             alter table companycam_photos.photos validate constraint photos_height_check;
             alter table companycam_photos.photos alter column height drop default;
         end $$",
        Work::Reads,
    ),
    ("create index photos_code_idx on companycam_photos.photos (organization_id, code)", Work::Reads),
    ("create unique index photos_other_key on companycam_photos.photos (organization_id, id, code)", Work::Reads),
    (
        "alter table companycam_photos.photos add constraint photos_other_key unique using index photos_other_key",
        Work::Catalogue,
    ),
    ("alter table companycam_photos.photos drop constraint photos_organization_id_s3_key_key", Work::Catalogue),
    ("alter table companycam_photos.notes add primary key (organization_id, id)", Work::Reads),
    (
        "alter table companycam_photos.notes add constraint notes_user_id_check check (user_id is not null) not valid",
        Work::Catalogue,
    ),
    ("truncate companycam_photos.feedback", Work::Loses),
    ("drop table companycam_photos.feedback", Work::Loses),
];

/// Statements of which nothing may be said without reading them: most of them read or rewrite every row, and the others
/// lock what is not named.
pub const UNKNOWN: &[&str] = &[
    "alter table companycam_photos.photos add column note uuid default gen_random_uuid()",
    "alter table companycam_photos.photos add column note double precision not null default random()",
    "alter table companycam_photos.photos add column note timestamptz default clock_timestamp()",
    "alter table companycam_photos.photos add column note integer default 1 + 1",
    "alter table companycam_photos.photos add column note bigint generated always as identity",
    "alter table companycam_photos.photos add column note bigserial",
    "alter table companycam_photos.photos add column note serial",
    "alter table companycam_photos.photos add column note integer generated always as (width * 2) stored",
    "alter table companycam_photos.photos add column note companycam_photos.some_domain",
    "alter table companycam_photos.photos add column note text, add column other uuid default gen_random_uuid()",
    "alter table companycam_photos.photos add column note text default 'x', set unlogged",
    "alter table companycam_photos.photos alter column width set statistics 10, set tablespace pg_default",
    "alter table companycam_photos.photos rename to pictures",
    "alter table companycam_photos.photos set unlogged",
    "alter table companycam_photos.photos set logged",
    "alter table companycam_photos.photos set tablespace pg_default",
    "alter table companycam_photos.photos set schema public",
    "alter table companycam_photos.photos set access method heap",
    "alter table companycam_photos.photos set (user_catalog_table = true)",
    "alter table companycam_photos.photos set without cluster",
    "alter table companycam_photos.photos cluster on photos_pkey",
    "alter table companycam_photos.photos replica identity full",
    "alter table companycam_photos.photos alter column width add generated always as identity",
    "alter table companycam_photos.photos alter column width set generated always",
    "alter table companycam_photos.photos alter column width drop identity",
    "alter table companycam_photos.photos alter column width drop expression",
    "alter table companycam_photos.photos alter constraint photos_user_id_fkey deferrable",
    "alter table companycam_photos.photos drop column user_id cascade",
    "alter table companycam_photos.photos drop constraint photos_pkey cascade",
    "alter table companycam_photos.photos add constraint photos_key primary key using index photos_key",
    "alter table companycam_photos.photos inherit companycam_photos.tags",
    "alter table companycam_photos.photos attach partition companycam_photos.tags default",
    "alter table companycam_photos.photos",
    "alter index companycam_photos.photos_pkey set (fillfactor = 90)",
    "create table companycam_photos.some () inherits (companycam_photos.photos)",
    "create table companycam_photos.some partition of companycam_photos.photos default",
    "drop table companycam_photos.photos cascade",
    "drop schema companycam_photos cascade",
    "truncate companycam_photos.photos cascade",
    "lock table companycam_photos.photos",
    "cluster companycam_photos.photos using photos_pkey",
    "do $$ begin alter table companycam_photos.photos add column note text; perform 1; end $$",
    "do $$ begin execute 'alter table companycam_photos.photos set unlogged'; end $$",
];
