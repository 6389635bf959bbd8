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
    /// What its message must contain.
    pub named: &'static str,
    /// What the suite's own rules must say; none where they look at fresh databases only.
    pub by_suite: Option<&'static str>,
}

const fn case(illness: &'static str, check: &'static str, named: &'static str, by_suite: &'static str) -> Case {
    Case { illness, recovery: "", check, named, by_suite: Some(by_suite) }
}

/// What only a database in use can have, so that no rule of the suite looks for it.
const fn drift(illness: &'static str, check: &'static str, named: &'static str) -> Case {
    Case { illness, recovery: "", check, named, by_suite: None }
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
        named: "the role org_user has BYPASSRLS",
        by_suite: Some("org_user goes past row security"),
    },
    Case {
        illness: "alter role photometa_app inherit createrole",
        recovery: "alter role photometa_app noinherit nocreaterole",
        check: "roles",
        named: "photometa_app may create roles and inherits",
        by_suite: Some("photometa_app inherits"),
    },
    Case {
        illness: "grant photometa_owner to photometa_app",
        recovery: "revoke photometa_owner from photometa_app",
        check: "login role",
        named: "it may become photometa_owner",
        by_suite: None,
    },
    Case {
        illness: "alter role photometa_backup nobypassrls",
        recovery: "alter role photometa_backup bypassrls",
        check: "roles",
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
        "peek() is a function that runs with the rights",
        "peek goes past row security",
    ),
    drift(
        "create function public.peek() returns bigint language sql security definer
         as 'select count(*) from companycam_photos.photos'",
        "tenancy",
        "peek() is a function that runs with the rights",
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
];
