//! Rules of the house for the schema as it stands in a database after every migration.

use crate::cluster::{TestDatabase, connect};

/// refinery makes its own table, outside of the rules.
const OURS: &str = "relnamespace = 'companycam_photos'::regnamespace and relname <> 'refinery_schema_history'";

/// Runs a query that names what breaks a rule, on a fresh database.
async fn none(rule: &str, query: &str) {
    let database = TestDatabase::clone_template().await;
    let postgres = connect(&database.superuser()).await;
    let rows = postgres.query(query, &[]).await.unwrap();
    let broken: Vec<String> = rows.iter().map(|row| row.try_get(0).unwrap()).collect();
    assert!(broken.is_empty(), "{rule}: {broken:?}");
}

#[tokio::test]
async fn every_table_column_and_function_has_a_comment() {
    none(
        "has no comment",
        &format!(
            "select relname::text from pg_class
             where {OURS} and relkind in ('r', 'p', 'v', 'm') and obj_description(oid, 'pg_class') is null
             union all
             select relname || '.' || attname from pg_class join pg_attribute on attrelid = pg_class.oid
             where {OURS} and relkind in ('r', 'p', 'v', 'm') and attnum > 0 and not attisdropped
               and col_description(attrelid, attnum) is null
             union all
             select proname::text from pg_proc
             where pronamespace = 'companycam_photos'::regnamespace and obj_description(oid, 'pg_proc') is null"
        ),
    )
    .await;
}

#[tokio::test]
async fn every_table_forces_row_security_with_two_policies() {
    none(
        "is open",
        &format!(
            "select relname::text from pg_class
             where {OURS} and relkind in ('r', 'p')
               and not (relrowsecurity and relforcerowsecurity
                        and (select count(*) from pg_policy where polrelid = pg_class.oid and polpermissive) >= 2)
             union all
             select polname::text from pg_policy join pg_class on pg_class.oid = polrelid
             where {OURS} and (polroles = '{{0}}' or polpermissive and polcmd = '*' and polwithcheck is null)"
        ),
    )
    .await;
}

#[tokio::test]
async fn every_table_but_organizations_has_a_tenant_that_leads_its_keys() {
    none(
        "is without its tenant",
        &format!(
            "select relname::text from pg_class
             where {OURS} and relkind in ('r', 'p') and relname <> 'organizations'
               and not exists (select from pg_attribute where attrelid = pg_class.oid and attname = 'organization_id' and attnotnull)
             union all
             select conname::text from pg_constraint
             join pg_class on pg_class.oid = conrelid
             join pg_attribute on attrelid = conrelid and attnum = conkey[1]
             where {OURS} and relname <> 'organizations' and contype in ('p', 'u', 'f') and attname <> 'organization_id'"
        ),
    )
    .await;
}

#[tokio::test]
async fn public_has_no_right_on_anything() {
    none(
        "lets everybody in",
        &format!(
            "select relname::text from pg_class, aclexplode(relacl) as granted
             where {OURS} and relkind in ('r', 'p', 'v', 'm', 'S') and granted.grantee = 0
             union all
             select nspname::text from pg_namespace, aclexplode(nspacl) as granted
             where nspname = 'companycam_photos' and granted.grantee = 0
             union all
             select relname || ' for ' || grantee.rolname from pg_class, aclexplode(relacl) as granted
             join pg_roles as grantee on grantee.oid = granted.grantee
             where {OURS} and relkind in ('r', 'p', 'v', 'm', 'S') and grantee.rolname = 'photometa_app'"
        ),
    )
    .await;
}

#[tokio::test]
async fn nothing_runs_with_the_rights_of_its_owner() {
    none(
        "goes past row security",
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
         select rolname || ' inherits' from pg_roles where rolname = 'photometa_app' and rolinherit",
    )
    .await;
}

#[tokio::test]
async fn every_constraint_and_index_is_named_after_its_table() {
    none(
        "has another name",
        &format!(
            "select conname::text from pg_constraint join pg_class on pg_class.oid = conrelid
             where {OURS} and contype in ('p', 'u', 'f', 'c')
               and conname !~ ('^' || relname || '(_[a-z0-9_]+)?_' || case contype when 'p' then 'pkey' when 'u' then 'key' when 'f' then 'fkey' else 'check' end || '$')
             union all
             select i.relname::text from pg_index
             join pg_class i on i.oid = indexrelid join pg_class t on t.oid = indrelid
             where t.relnamespace = 'companycam_photos'::regnamespace and t.relname <> 'refinery_schema_history'
               and i.relname !~ ('^' || t.relname || '_([a-z0-9_]+_)?(pkey|key|idx)$')"
        ),
    )
    .await;
}

#[tokio::test]
async fn every_foreign_key_has_an_index_on_its_side() {
    none(
        "is without an index",
        &format!(
            "select conname::text from pg_constraint join pg_class on pg_class.oid = conrelid
             where {OURS} and contype = 'f'
               and not exists (
                   select from pg_index
                   where indrelid = conrelid and indpred is null
                     and (indkey::int2[])[0:least(2, cardinality(conkey)) - 1] <@ conkey)"
        ),
    )
    .await;
}

/// Constraints that no `on_constraint` names, and why their violation never reaches a client as our bug.
const HANDLED: [(&str, &str); 18] = [
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
    ("detection_events_pkey", "made of ids that are unique"),
    ("tags_pkey", "an id that the server makes"),
    ("tags_photo_id_tag_source_key", "on conflict do update"),
    ("tags_photo_id_fkey", "the photo is read first; a race is run again"),
    ("feedback_detection_id_fkey", "the detection is locked first"),
    ("projects_organization_id_name_key", "on conflict do nothing, then explained; a rename names it"),
];

#[tokio::test]
async fn every_constraint_has_a_meaning_for_the_client() {
    let database = TestDatabase::clone_template().await;
    let postgres = connect(&database.superuser()).await;
    let query = format!(
        "select conname::text, contype = 'f' and confdeltype <> 'c' from pg_constraint join pg_class on pg_class.oid = conrelid
         where {OURS} and contype in ('p', 'u', 'f', 'x')
         union
         select i.relname::text, false from pg_index
         join pg_class i on i.oid = indexrelid join pg_class t on t.oid = indrelid
         where t.relnamespace = 'companycam_photos'::regnamespace and t.relname <> 'refinery_schema_history' and indisunique"
    );
    let code = crate::layout::code();

    let mut found = Vec::new();
    for row in postgres.query(&query, &[]).await.unwrap() {
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
