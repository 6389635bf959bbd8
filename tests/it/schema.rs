//! Rules of the house for the schema as it stands in a database after every migration. They are independent of
//! `photometa doctor` on purpose: what breaks one of them is named by both.

use photometa::db::migrate::Migrator;
use photometa::db::{catalog, describe};
use tokio_postgres::Client;

use crate::cluster::{TestDatabase, connect};

/// refinery makes its own table, outside of the rules.
macro_rules! ours {
    () => {
        "relnamespace = 'companycam_photos'::regnamespace and relname <> 'refinery_schema_history'"
    };
}

/// Each rule becomes a test of its name: its query answers what breaks the rule, by name.
macro_rules! rules {
    ($($test:ident: $complaint:literal, $($part:expr),+;)+) => {
        /// The rules: what is wrong with a thing, and the query that names such things.
        pub const RULES: &[(&str, &str)] = &[$(($complaint, concat!($($part),+))),+];
        $(#[tokio::test]
        async fn $test() {
            let database = TestDatabase::clone_template().await;
            let broken = names(&connect(&database.superuser()).await, concat!($($part),+)).await;
            assert!(broken.is_empty(), "{}: {broken:?}", $complaint);
        })+
    };
}

async fn names(postgres: &Client, query: &str) -> Vec<String> {
    postgres.query(query, &[]).await.unwrap().iter().map(|row| row.try_get(0).unwrap()).collect()
}

/// What breaks a rule in a database, with the rule.
pub async fn broken(postgres: &Client) -> Vec<String> {
    let mut broken = Vec::new();
    for (complaint, query) in RULES {
        broken.extend(names(postgres, query).await.into_iter().map(|name| format!("{name} {complaint}")));
    }
    broken
}

rules! {
    every_table_column_index_and_function_has_a_comment: "has no comment",
        "select relname::text from pg_class
         where ", ours!(), " and relkind in ('r', 'p', 'v', 'm') and obj_description(oid, 'pg_class') is null
         union all
         select relname || '.' || attname from pg_class join pg_attribute on attrelid = pg_class.oid
         where ", ours!(), " and relkind in ('r', 'p', 'v', 'm') and attnum > 0 and not attisdropped
           and col_description(attrelid, attnum) is null
         union all
         select i.relname::text from pg_index join pg_class i on i.oid = indexrelid join pg_class t on t.oid = indrelid
         where t.relnamespace = 'companycam_photos'::regnamespace and t.relname <> 'refinery_schema_history'
           and obj_description(i.oid, 'pg_class') is null
         union all
         select proname::text from pg_proc
         where pronamespace = 'companycam_photos'::regnamespace and obj_description(oid, 'pg_proc') is null";

    every_table_forces_row_security_with_two_policies: "is open",
        "select relname::text from pg_class
         where ", ours!(), " and relkind in ('r', 'p')
           and not (relrowsecurity and relforcerowsecurity
                    and (select count(*) from pg_policy where polrelid = pg_class.oid and polpermissive) >= 2)
         union all
         select polname::text from pg_policy join pg_class on pg_class.oid = polrelid
         where ", ours!(), " and (polroles = '{0}' or polpermissive and polcmd = '*' and polwithcheck is null)";

    every_table_but_organizations_has_a_tenant_that_leads_its_keys: "is without its tenant",
        "select relname::text from pg_class
         where ", ours!(), " and relkind in ('r', 'p') and relname <> 'organizations'
           and not exists (select from pg_attribute where attrelid = pg_class.oid and attname = 'organization_id' and attnotnull)
         union all
         select conname::text from pg_constraint
         join pg_class on pg_class.oid = conrelid
         join pg_attribute on attrelid = conrelid and attnum = conkey[1]
         where ", ours!(), " and relname <> 'organizations' and contype in ('p', 'u', 'f') and attname <> 'organization_id'";

    public_and_the_login_have_no_right_on_anything: "lets in whom it should not",
        "select relname || ' for everybody' from pg_class, aclexplode(relacl) as granted
         where relnamespace = 'companycam_photos'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S') and granted.grantee = 0
         union all
         select nspname || ' for everybody' from pg_namespace, aclexplode(nspacl) as granted
         where nspname = 'companycam_photos' and granted.grantee = 0
         union all
         select proname || ' for everybody' from pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) as granted
         where pronamespace = 'companycam_photos'::regnamespace and granted.grantee = 0
         union all
         select relname || ' for ' || grantee.rolname from pg_class, aclexplode(relacl) as granted
         join pg_roles as grantee on grantee.oid = granted.grantee
         where relnamespace = 'companycam_photos'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')
           and grantee.rolname = 'photometa_app'";

    history_is_added_to_only: "can be rewritten",
        "select relname || ' by ' || granted.grantee::regrole || ' (' || granted.privilege_type || ')'
         from pg_class, aclexplode(relacl) as granted
         where ", ours!(), " and relname in ('feedback', 'detection_events') and granted.grantee <> relowner
           and granted.privilege_type not in ('SELECT', 'INSERT')
         union all
         select relname || '.' || attname || ' by ' || granted.grantee::regrole
         from pg_class join pg_attribute on attrelid = pg_class.oid, aclexplode(attacl) as granted
         where ", ours!(), " and relname in ('feedback', 'detection_events') and granted.privilege_type not in ('SELECT', 'INSERT')";

    events_are_granted_by_column: "would be inherited by the chunks of a hypertable",
        "select granted.grantee::regrole || ': ' || granted.privilege_type from pg_class, aclexplode(relacl) as granted
         where relname = 'detection_events' and relnamespace = 'companycam_photos'::regnamespace
           and granted.grantee not in (relowner, (select oid from pg_roles where rolname = 'photometa_backup'))
         union all
         select attname || ' is not granted to ' || r.rolname from pg_attribute, pg_roles r
         where attrelid = 'companycam_photos.detection_events'::regclass and attnum > 0 and not attisdropped
           and r.rolname in ('org_admin', 'org_user', 'org_service')
           and not has_column_privilege(r.oid, attrelid, attnum, 'select')";

    nothing_runs_with_the_rights_of_its_owner: "goes past row security",
        "select proname::text from pg_proc where pronamespace = 'companycam_photos'::regnamespace and prosecdef
         union all
         select relname::text from pg_class
         where relnamespace = 'companycam_photos'::regnamespace and relkind in ('v', 'm')
           and not coalesce(reloptions, '{}') && '{security_invoker=true,security_invoker=on}'
         union all
         select rolname::text from pg_roles
         where rolname in ('photometa_app', 'org_admin', 'org_user', 'org_service', 'photometa_operator', 'photometa_owner')
           and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb)
         union all
         select rolname || ' inherits' from pg_roles where rolname = 'photometa_app' and rolinherit";

    every_constraint_and_index_is_named_after_its_table: "has another name",
        "select conname::text from pg_constraint join pg_class on pg_class.oid = conrelid
         where ", ours!(), " and contype in ('p', 'u', 'f', 'c')
           and conname !~ ('^' || relname || '(_[a-z0-9_]+)?_' || case contype when 'p' then 'pkey' when 'u' then 'key' when 'f' then 'fkey' else 'check' end || '$')
         union all
         select i.relname::text from pg_index
         join pg_class i on i.oid = indexrelid join pg_class t on t.oid = indrelid
         where t.relnamespace = 'companycam_photos'::regnamespace and t.relname <> 'refinery_schema_history'
           and i.relname !~ ('^' || t.relname || '_([a-z0-9_]+_)?(pkey|key|idx)$')";

    every_foreign_key_has_an_index_on_its_side: "is without an index",
        "select conname::text from pg_constraint join pg_class on pg_class.oid = conrelid
         where ", ours!(), " and contype = 'f'
           and not exists (
               select from pg_index
               where indrelid = conrelid and indpred is null
                 and (indkey::int2[])[0:least(2, cardinality(conkey)) - 1] <@ conkey)";

    no_column_is_of_an_enum_type: "is an enum, whose comparison no index may serve under row security",
        "select relname || '.' || attname from pg_class join pg_attribute on attrelid = pg_class.oid and attnum > 0
         join pg_type on pg_type.oid = atttypid where ", ours!(), " and typtype = 'e'";
}

#[tokio::test]
async fn declared_facts_and_documentation_are_those_of_the_newest_version() {
    let database = TestDatabase::clone_template().await;
    let migrator = Migrator::connect(&database.superuser()).await.unwrap();
    let page = include_str!("../../migrations/README.md");

    let facts = migrator.facts().await.unwrap();
    let described = describe::describe(migrator.client()).await.unwrap();

    let differences = catalog::differences(&catalog::declared(), &facts);
    assert!(differences.is_empty(), "run `just describe`: {}", differences[0]);
    assert_eq!(catalog::text(&facts), include_str!("../../migrations/declared.txt"));
    assert_eq!(described.written_into(page).unwrap(), page, "run `just describe`");
}

#[tokio::test]
async fn leakproof_operators_are_those_the_queries_count_on() {
    let database = TestDatabase::clone_template().await;
    let postgres = connect(&database.superuser()).await;
    let leakproof = async |function: &str| {
        let query = "select bool_and(proleakproof) from pg_proc where proname = $1";
        postgres.query_one(query, &[&function]).await.unwrap().try_get::<_, Option<bool>>(0).unwrap().unwrap()
    };

    for function in
        ["uuid_eq", "uuid_lt", "texteq", "text_lt", "starts_with", "timestamptz_lt", "float8ge", "booleq", "int4eq"]
    {
        assert!(leakproof(function).await, "{function}");
    }
    for function in [
        "numeric_eq",
        "jsonb_contains",
        "arraycontains",
        "textlike",
        "textregexeq",
        "enum_eq",
        "timestamptz_lt_timestamp",
    ] {
        assert!(!leakproof(function).await, "{function}");
    }
}

/// Constraints that no `on_constraint` names, and why their violation never reaches a client as our bug.
const HANDLED: [(&str, &str); 25] = [
    ("organizations_pkey", "on conflict do nothing, then explained"),
    ("organizations_name_key", "on conflict do nothing, then explained"),
    ("users_pkey", "on conflict do nothing, then explained"),
    ("users_email_key", "on conflict do nothing, then explained"),
    ("projects_pkey", "on conflict do nothing, then explained"),
    ("project_members_pkey", "on conflict do nothing"),
    ("photos_pkey", "on conflict do nothing, then explained"),
    ("photos_organization_id_project_id_id_key", "implied by the primary key"),
    ("photos_organization_id_s3_key_key", "on conflict do nothing, then explained"),
    ("detections_pkey", "on conflict do nothing, then explained"),
    ("detections_run_key", "on conflict do nothing, then explained"),
    ("detections_photo_id_fkey", "the photo is read first; a race is run again"),
    ("detection_labels_pkey", "made of new detections and their distinct labels"),
    ("detection_events_pkey", "made of ids that are unique"),
    ("review_claims_pkey", "on conflict do update"),
    ("review_claims_detection_id_fkey", "the detection is locked first"),
    ("tags_pkey", "an id that the server makes"),
    ("tags_photo_id_tag_source_key", "on conflict do update"),
    ("tags_photo_id_fkey", "the photo is read first; a race is run again"),
    ("feedback_detection_id_fkey", "the detection is locked first"),
    ("categories_pkey", "looked up under a lock"),
    ("categories_category_id_key", "looked up under a lock"),
    ("feedback_pkey", "on conflict do nothing, and then taken"),
    ("feedback_retracts_id_key", "the detection is locked first, and its answers are read"),
    ("projects_organization_id_name_key", "on conflict do nothing, then explained; a rename names it"),
];

#[tokio::test]
async fn every_constraint_has_a_meaning_for_the_client() {
    let database = TestDatabase::clone_template().await;
    let postgres = connect(&database.superuser()).await;
    let query = concat!(
        "select conname::text, contype = 'f' and confdeltype <> 'c' from pg_constraint join pg_class on pg_class.oid = conrelid
         where ",
        ours!(),
        " and contype in ('p', 'u', 'f', 'x')
         union
         select i.relname::text, false from pg_index
         join pg_class i on i.oid = indexrelid join pg_class t on t.oid = indrelid
         where t.relnamespace = 'companycam_photos'::regnamespace and t.relname <> 'refinery_schema_history' and indisunique"
    );
    let code = crate::layout::code();

    let mut found = Vec::new();
    for row in postgres.query(query, &[]).await.unwrap() {
        let (name, refuses_deletes): (String, bool) = (row.try_get(0).unwrap(), row.try_get(1).unwrap());
        let named = code.contains(&format!("on_constraint(\"{name}\""));
        let handled = HANDLED.iter().any(|(handled, _)| *handled == name);
        assert!(named || (handled && !refuses_deletes), "no error has the meaning of {name}");
        found.push(name);
    }

    for (name, _) in HANDLED {
        assert!(found.iter().any(|found| found == name), "{name} is no constraint");
    }
}
