//! The illnesses: what makes a healthy database ill, what takes it back where a role is concerned, and who has to
//! name what.

/// One illness.
pub struct Case {
    /// The SQL that brings it.
    pub illness: &'static str,
    /// The SQL that ends what outlives the database.
    pub recovery: &'static str,
    /// The doctor's check that must fail.
    pub check: &'static str,
    /// How serious it must find it: `failed`, or `warning` for what somebody may have wanted.
    pub state: &'static str,
    /// What its message must contain.
    pub named: &'static str,
    /// What the suite's own rules must say; none where they look at fresh databases only.
    pub by_suite: Option<&'static str>,
}

const fn case(illness: &'static str, check: &'static str, named: &'static str, by_suite: &'static str) -> Case {
    Case { illness, recovery: "", check, state: "failed", named, by_suite: Some(by_suite) }
}

/// What only a database in use can have, so that no rule of the suite looks for it.
const fn drift(illness: &'static str, check: &'static str, named: &'static str) -> Case {
    Case { illness, recovery: "", check, state: "failed", named, by_suite: None }
}

/// As [`drift`], for what outlives the database.
const fn role(illness: &'static str, recovery: &'static str, check: &'static str, named: &'static str) -> Case {
    Case { illness, recovery, check, state: "failed", named, by_suite: None }
}

/// What may be meant so.
const fn doubt(illness: &'static str, recovery: &'static str, check: &'static str, named: &'static str) -> Case {
    Case { illness, recovery, check, state: "warning", named, by_suite: None }
}

/// Every illness.
pub const CASES: &[Case] = &[
    case(
        "drop policy photos_member on companycam_photos.photos",
        "declared schema",
        "policy photos.photos_member is missing",
        "photos is open",
    ),
    Case {
        illness: "alter role org_user bypassrls",
        recovery: "alter role org_user nobypassrls",
        check: "roles",
        state: "failed",
        named: "the role org_user has BYPASSRLS",
        by_suite: Some("org_user goes past row security"),
    },
    Case {
        illness: "alter role photometa_app inherit createrole",
        recovery: "alter role photometa_app noinherit nocreaterole",
        check: "roles",
        state: "failed",
        named: "photometa_app may create roles and inherits",
        by_suite: Some("photometa_app inherits"),
    },
    Case {
        illness: "grant photometa_owner to photometa_app",
        recovery: "revoke photometa_owner from photometa_app",
        check: "login role",
        state: "failed",
        named: "it may become photometa_owner",
        by_suite: None,
    },
    Case {
        illness: "alter role photometa_backup nobypassrls",
        recovery: "alter role photometa_backup bypassrls",
        check: "roles",
        state: "failed",
        named: "photometa_backup lacks BYPASSRLS",
        by_suite: None,
    },
    case(
        "alter table companycam_photos.tags no force row level security",
        "declared schema",
        "row security tags is enabled, declared as forced",
        "tags is open",
    ),
    case(
        "alter table companycam_photos.feedback disable row level security",
        "isolation",
        "org_admin reads another organization's rows of feedback",
        "feedback is open",
    ),
    case(
        "create table companycam_photos.notes (organization_id uuid not null, id uuid, primary key (organization_id, id));
         grant select on companycam_photos.notes to org_user",
        "tenancy",
        "notes has no policy",
        "notes is open",
    ),
    case(
        "alter table companycam_photos.photos add constraint photos_id_key unique (id);
         alter table companycam_photos.tags add constraint tags_photo_fkey foreign key (photo_id) references companycam_photos.photos (id)",
        "tenancy",
        "tags_photo_fkey is a key that does not begin with the organization",
        "tags_photo_fkey is without its tenant",
    ),
    case(
        "create view companycam_photos.everything as select * from companycam_photos.photos;
         grant select on companycam_photos.everything to org_user",
        "tenancy",
        "everything is a view that reads with its owner's rights",
        "everything goes past row security",
    ),
    case(
        "create materialized view companycam_photos.copied as select * from companycam_photos.photos",
        "tenancy",
        "copied is a view that reads with its owner's rights",
        "copied goes past row security",
    ),
    case(
        "create function companycam_photos.peek() returns bigint language sql security definer
         as 'select count(*) from companycam_photos.photos'",
        "tenancy",
        "peek() of postgres is a function that runs with the rights",
        "peek goes past row security",
    ),
    drift(
        "create function public.peek() returns bigint language sql security definer
         as 'select count(*) from companycam_photos.photos'",
        "tenancy",
        "peek() of postgres is a function that runs with the rights",
    ),
    case(
        "grant select on companycam_photos.photos to public",
        "tenancy",
        "photos (PUBLIC) lets everybody",
        "photos for everybody lets in",
    ),
    case(
        "grant select on companycam_photos.users to photometa_app",
        "tenancy",
        "users (photometa_app) lets everybody, or the login role itself, in",
        "users for photometa_app lets in",
    ),
    case(
        "grant update on companycam_photos.feedback to org_admin",
        "declared schema",
        "grant feedback to org_admin is insert, select, update, declared as insert, select",
        "feedback by org_admin (UPDATE) can be rewritten",
    ),
    case(
        "grant select on companycam_photos.detection_events to org_service",
        "declared schema",
        "grant detection_events to org_service is not declared (select)",
        "org_service: SELECT would be inherited by the chunks",
    ),
    drift(
        "alter policy photos_organization on companycam_photos.photos using (true) with check (true)",
        "isolation",
        "org_service reads another organization's rows of photos (2)",
    ),
    drift(
        "alter policy detections_organization on companycam_photos.detections with check (true)",
        "isolation",
        "org_admin writes rows of another organization into detections",
    ),
    drift(
        "alter policy tags_member on companycam_photos.tags using (organization_id = companycam_photos.current_org())",
        "isolation",
        "org_user reads rows of tags of a project it is no member of (2)",
    ),
    drift(
        "alter policy detections_member on companycam_photos.detections
           using (organization_id = companycam_photos.current_org()) with check (organization_id = companycam_photos.current_org())",
        "isolation",
        "org_user changes rows of detections of a project it is no member of (1)",
    ),
    drift(
        "alter policy photos_member on companycam_photos.photos with check (organization_id = companycam_photos.current_org())",
        "isolation",
        "org_user writes rows of photos of a project it is no member of",
    ),
    drift(
        "create or replace function companycam_photos.current_org() returns uuid language sql stable
         return 'a0000000-0000-4000-8000-000000000001'::uuid",
        "declared schema",
        "function companycam_photos.current_org() is",
    ),
    case(
        "alter table companycam_photos.tags drop constraint tags_photo_id_fkey;
         alter table companycam_photos.tags add constraint tags_photo_id_fkey foreign key (photo_id, organization_id, project_id)
           references companycam_photos.photos (id, organization_id, project_id)",
        "tenancy",
        "tags_photo_id_fkey is a key that does not begin with the organization",
        "tags_photo_id_fkey is without its tenant",
    ),
    drift(
        "update pg_index set indisvalid = false where indexrelid = 'companycam_photos.photos_created_at_idx'::regclass",
        "indexes",
        "the index photos_created_at_idx is invalid",
    ),
    drift(
        "drop index companycam_photos.photos_created_at_idx",
        "declared schema",
        "index photos.photos_created_at_idx is missing",
    ),
    drift(
        "alter table companycam_photos.photos drop constraint photos_width_check;
         alter table companycam_photos.photos add constraint photos_width_check check (width > 0) not valid",
        "declared schema",
        "constraint photos.photos_width_check is CHECK ((width > 0)) NOT VALID (never validated), declared as",
    ),
    drift(
        "alter table companycam_photos.photos add column secret text",
        "declared schema",
        "column photos.secret is not declared",
    ),
    drift(
        "create rule quiet as on delete to companycam_photos.tags do instead nothing",
        "declared schema",
        "rule tags.quiet is not declared",
    ),
    drift(
        "create trigger late before insert on companycam_photos.tags for each row execute function suppress_redundant_updates_trigger()",
        "declared schema",
        "trigger tags.late is not declared",
    ),
    drift(
        "alter table companycam_photos.tags owner to postgres",
        "declared schema",
        "table tags is table of postgres, declared as table of photometa_owner",
    ),
    // What lies outside of the schema.
    drift(
        "create view public.everything as select * from companycam_photos.photos; grant select on public.everything to org_user",
        "tenancy",
        "public.everything (org_user) is outside of the schema",
    ),
    drift(
        "create table public.copied as select * from companycam_photos.photos; grant select (s3_key) on public.copied to org_service",
        "tenancy",
        "public.copied (org_service) is outside of the schema",
    ),
    drift(
        "create schema archive; grant usage on schema archive to public;
         create materialized view archive.all_photos as select * from companycam_photos.photos; grant select on archive.all_photos to public",
        "tenancy",
        "archive.all_photos (org_admin) is outside of the schema",
    ),
    drift(
        "create table public.parent (organization_id uuid not null); alter table companycam_photos.users inherit public.parent",
        "tenancy",
        "companycam_photos.users and public.parent is a parent or child",
    ),
    drift(
        "create function public.open() returns bigint language sql security definer as 'select 1::bigint';
         alter function public.open() owner to photometa_owner",
        "tenancy",
        "public.open() of photometa_owner is a function that runs with the rights",
    ),
    drift(
        "create function public.leak(text) returns boolean language sql leakproof as 'select true'",
        "tenancy",
        "public.leak(text) is a function that is called before row security",
    ),
    drift(
        "grant create on schema companycam_photos to org_user",
        "tenancy",
        "org_user is a role that may make things in our schema",
    ),
    drift(
        "grant create on schema companycam_photos to org_user",
        "declared schema",
        "schema companycam_photos to org_user is create, usage, declared as usage",
    ),
    drift(
        "revoke select on companycam_photos.photos from photometa_backup",
        "tenancy",
        "photos cannot be read by photometa_backup",
    ),
    drift(
        "create table companycam_photos.\"photos t; commit; select 1 --\" (organization_id uuid)",
        "tenancy",
        "photos t; commit; select 1 -- has no policy",
    ),
    doubt(
        "grant create on schema public to org_user",
        "",
        "tenancy",
        "public (org_user) is a schema in which a role of the service may make things",
    ),
    doubt(
        "create publication everything for table companycam_photos.photos",
        "",
        "tenancy",
        "everything publishes tenants' rows",
    ),
    doubt(
        "create function public.watch() returns event_trigger language plpgsql as 'begin end';
         create event trigger watcher on ddl_command_end execute function public.watch()",
        "",
        "tenancy",
        "watcher is an event trigger",
    ),
    // What a role is given beside its grants.
    role(
        "grant pg_read_all_data to org_user",
        "revoke pg_read_all_data from org_user",
        "login role",
        "it may become pg_read_all_data",
    ),
    role(
        "grant pg_execute_server_program to org_service",
        "revoke pg_execute_server_program from org_service",
        "roles",
        "org_service may become pg_execute_server_program",
    ),
    role("grant org_admin to org_user", "revoke org_admin from org_user", "roles", "org_user may become org_admin"),
    role(
        "grant org_admin to photometa_app with admin option",
        "revoke admin option for org_admin from photometa_app",
        "roles",
        "photometa_app may become, and let others become, org_admin",
    ),
    doubt(
        "create role stranger login; grant org_admin to stranger",
        "drop role stranger",
        "roles",
        "stranger may become org_admin, and so act for any organization",
    ),
    role(
        "grant set on parameter session_replication_role to org_admin",
        "revoke set on parameter session_replication_role from org_admin",
        "tenancy",
        "org_admin is a role that may switch triggers off",
    ),
    doubt(
        "alter role photometa_app set client_connection_check_interval = 0",
        "alter role photometa_app reset client_connection_check_interval",
        "abandoned statements",
        "what a program that was killed had asked goes on",
    ),
    role(
        "alter role photometa_app set app.org_id = 'a0000000-0000-4000-8000-000000000001'",
        "alter role photometa_app reset app.org_id",
        "tenancy",
        "app.org_id=a0000000-0000-4000-8000-000000000001 for photometa_app decides",
    ),
    drift(
        "do $$ begin execute format('alter database %I set row_security = off', current_database()); end $$",
        "tenancy",
        "row_security=off for everybody decides",
    ),
    drift(
        "do $$ begin execute format('alter database %I owner to photometa_app', current_database()); end $$",
        "login role",
        "photometa_app: it owns the database",
    ),
    // What facts other than definitions can hide.
    drift(
        "create trigger ts_insert_blocker before update on companycam_photos.tags for each row execute function suppress_redundant_updates_trigger()",
        "declared schema",
        "trigger tags.ts_insert_blocker is not declared",
    ),
    drift(
        "alter table companycam_photos.organizations disable trigger all",
        "declared schema",
        "(disabled)",
    ),
    drift(
        "alter function companycam_photos.current_user_id() set app.user_id = 'a0000000-0000-4000-8000-000000000011'",
        "declared schema",
        "with app.user_id=a0000000-0000-4000-8000-000000000011",
    ),
    drift(
        "alter default privileges for role photometa_owner in schema companycam_photos grant select on tables to org_user",
        "declared schema",
        "default grant photometa_owner r to org_user is not declared (select)",
    ),
    drift(
        "grant select (tag) on companycam_photos.tags to org_user with grant option",
        "declared schema",
        "grant tags.tag to org_user is not declared (select with grant option)",
    ),
    drift(
        "grant delete on companycam_photos.photos to photometa_backup",
        "declared schema",
        "grant photos to photometa_backup is not declared (delete)",
    ),
    drift(
        "alter table companycam_photos.detection_events set unlogged",
        "declared schema",
        "table detection_events is unlogged table",
    ),
];
