//! What must hold whatever the versions declare: for every table, key, view and function there is, in our schema and
//! wherever the service's roles can reach. Each rule's query names what breaks it.

use tokio_postgres::{Client, Error};

use super::{Finding, State, names};

/// A rule: how serious breaking it is, since which version of PostgreSQL it can be asked, what to say of what breaks
/// it, how to find that, and what to do.
struct Rule {
    state: State,
    since: i32,
    broken: &'static str,
    query: &'static str,
    fix: &'static str,
}

/// The service's roles: the login's own, and what it may become.
macro_rules! reach {
    ($query:literal) => {
        concat!(
            "with reach as (
                 select oid, rolname from pg_roles
                 where not rolsuper and (rolname in ('photometa_app', 'org_admin', 'org_user', 'org_service', 'photometa_operator')
                                         or rolname = session_user)
             ), foreign_schema as (
                 select oid, nspname from pg_namespace
                 where nspname not in ('pg_catalog', 'information_schema', 'companycam_photos') and nspname !~ '^pg_(toast|temp)'
             ) ",
            $query
        )
    };
}

const fn failed(broken: &'static str, query: &'static str, fix: &'static str) -> Rule {
    Rule { state: State::Failed, since: 0, broken, query, fix }
}

const RULES: &[Rule] = &[
    failed(
        "is without forced row security",
        "select relname::text from pg_class
         where relnamespace = to_regnamespace('companycam_photos') and relkind in ('r', 'p')
           and relname <> 'refinery_schema_history' and not (relrowsecurity and relforcerowsecurity)",
        "end its version with: select companycam_photos.protect('…')",
    ),
    failed(
        "has no policy",
        "select relname::text from pg_class
         where relnamespace = to_regnamespace('companycam_photos') and relkind in ('r', 'p')
           and relname <> 'refinery_schema_history' and not exists (select from pg_policy where polrelid = pg_class.oid)",
        "end its version with: select companycam_photos.protect('…')",
    ),
    failed(
        "is a policy that names no role or checks no write",
        "select relname || '.' || polname from pg_policy join pg_class on pg_class.oid = polrelid
         where relnamespace = to_regnamespace('companycam_photos')
           and (0 = any (polroles) or polpermissive and polcmd in ('a', 'w', '*') and polwithcheck is null)",
        "name the roles with `to`, and give it `with check`",
    ),
    failed(
        "is a key that does not begin with the organization",
        "select conname::text from pg_constraint join pg_class on pg_class.oid = conrelid
         join pg_attribute on attrelid = conrelid and attnum = conkey[1]
         where relnamespace = to_regnamespace('companycam_photos') and contype in ('p', 'u', 'f')
           and relname not in ('organizations', 'refinery_schema_history') and attname <> 'organization_id'",
        "make it composite: foreign keys are not subject to row security, so a single column can point into another tenant",
    ),
    failed(
        "is a view that reads with its owner's rights",
        "select relname::text from pg_class
         where relnamespace = to_regnamespace('companycam_photos')
           and (relkind = 'm' or relkind = 'v' and not coalesce(reloptions, '{}') && '{security_invoker=true,security_invoker=on}')",
        "make it `with (security_invoker = true)`; a materialized view cannot be protected at all",
    ),
    failed(
        "is a parent or child of another table, whose policies do not bind what is read through it",
        "select child.oid::regclass || ' and ' || parent.oid::regclass
         from pg_inherits join pg_class child on child.oid = inhrelid join pg_class parent on parent.oid = inhparent
         where child.relkind in ('r', 'p', 'f') and to_regnamespace('companycam_photos') in (child.relnamespace, parent.relnamespace)
           and not (parent.relname = 'detection_events' and exists (select from pg_extension where extname = 'timescaledb'))",
        "alter table … no inherit …, or detach the partition",
    ),
    failed(
        "lets everybody, or the login role itself, in",
        "select relname || ' (' || case granted.grantee when 0 then 'PUBLIC' else granted.grantee::regrole::text end || ')'
         from pg_class, aclexplode(relacl) as granted
         where relnamespace = to_regnamespace('companycam_photos')
           and (granted.grantee = 0 or granted.grantee = (select oid from pg_roles where rolname = 'photometa_app'))",
        "revoke it: the login role gets its rights from the roles it takes, and PUBLIC gets none",
    ),
    failed(
        "is a function that runs with the rights of another role",
        reach!(
            "select distinct p.oid::regprocedure || ' of ' || owner.rolname from pg_proc p join pg_roles owner on owner.oid = proowner, reach
             where prosecdef and pronamespace <> 'pg_catalog'::regnamespace and has_function_privilege(reach.oid, p.oid, 'execute')
               and not exists (select from pg_depend where classid = 'pg_proc'::regclass and objid = p.oid and deptype = 'e')
             union
             select p.oid::regprocedure || ' of ' || proowner::regrole from pg_proc p
             where prosecdef and pronamespace = to_regnamespace('companycam_photos')"
        ),
        "make it security invoker, or revoke execute on it from public and the service's roles",
    ),
    failed(
        "is a function that is called before row security hides a row",
        "select p.oid::regprocedure::text from pg_proc p
         where proleakproof and pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
           and not exists (select from pg_depend where classid = 'pg_proc'::regclass and objid = p.oid and deptype = 'e')",
        "alter function … not leakproof",
    ),
    failed(
        "is outside of the schema, where no policy is looked for, and a role of the service may use it",
        reach!(
            "select distinct c.oid::regclass || ' (' || reach.rolname || ')'
             from pg_class c join foreign_schema n on n.oid = c.relnamespace, reach
             where c.relkind in ('r', 'p', 'v', 'm', 'f')
               and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'e')
               and not exists (select from pg_inherits join pg_class parent on parent.oid = inhparent
                               where inhrelid = c.oid and parent.relname = 'detection_events')
               and has_schema_privilege(reach.oid, n.oid, 'usage')
               and (has_any_column_privilege(reach.oid, c.oid, 'select, insert, update')
                    or has_table_privilege(reach.oid, c.oid, 'delete, truncate, trigger'))"
        ),
        "revoke its rights from the service's roles and from public: a copy or a view of tenants' rows shows all of them",
    ),
    failed(
        "cannot be read by photometa_backup, so that no dump is whole",
        "select relname::text from pg_class
         where relnamespace = to_regnamespace('companycam_photos') and relkind in ('r', 'p', 'S')
           and exists (select from pg_roles where rolname = 'photometa_backup')
           and not has_table_privilege('photometa_backup', oid, 'select')",
        "run deploy/postgres/roles.sql as a superuser again",
    ),
    failed(
        "is a role that may make things in our schema",
        reach!("select rolname::text from reach where has_schema_privilege(oid, to_regnamespace('companycam_photos'), 'create')"),
        "revoke create on schema companycam_photos from it",
    ),
    Rule {
        state: State::Warning,
        since: 0,
        broken: "is a schema in which a role of the service may make things",
        query: reach!(
            "select nspname || ' (' || reach.rolname || ')' from foreign_schema, reach where has_schema_privilege(reach.oid, foreign_schema.oid, 'create')"
        ),
        fix: "revoke create on the schema from public, and from the role",
    },
    failed(
        "decides what a role of the service sees before it asks",
        "select setting || ' for ' || case setrole when 0 then 'everybody' else setrole::regrole::text end
         from pg_db_role_setting, unnest(setconfig) as setting
         where (setdatabase = 0 or setdatabase = (select oid from pg_database where datname = current_database()))
           and (setrole = 0 or pg_has_role(session_user, setrole, 'member'))
           and setting ~ '^(role|row_security|session_replication_role|session_authorization|app\\.org_id|app\\.user_id)='",
        "alter role … reset …, or alter database … reset …",
    ),
    Rule {
        state: State::Failed,
        since: 15,
        broken: "is a role that may switch triggers off, and foreign keys with them",
        query: reach!("select rolname::text from reach where has_parameter_privilege(oid, 'session_replication_role', 'set')"),
        fix: "revoke set on parameter session_replication_role from it",
    },
    Rule {
        state: State::Warning,
        since: 0,
        broken: "publishes tenants' rows to whoever may replicate",
        query: "select distinct pubname::text from pg_publication_tables where schemaname = 'companycam_photos'",
        fix: "drop the publication, unless its subscriber may see every organization",
    },
    Rule {
        state: State::Warning,
        since: 0,
        broken: "is an event trigger, which runs at every change of a schema",
        query: "select evtname::text from pg_event_trigger t where evtenabled <> 'D'
                  and not exists (select from pg_depend where classid = 'pg_event_trigger'::regclass and objid = t.oid and deptype = 'e')",
        fix: "read what its function does, and drop it unless it is wanted",
    },
];

pub(super) async fn check(client: &Client) -> Result<Vec<Finding>, Error> {
    let server: i32 = client.query_one_scalar("select current_setting('server_version_num')::int / 10000", &[]).await?;
    let asked = RULES.iter().filter(|rule| rule.since <= server);
    let mut findings = Vec::new();
    for Rule { state, broken, query, fix, .. } in asked.clone() {
        for name in names(client, query).await? {
            let message = format!("{name} {broken}");
            findings.push(Finding { check: "tenancy", state: *state, message, fix: Some((*fix).to_owned()) });
        }
    }
    if findings.is_empty() {
        let message =
            format!("{} rules hold, inside of the schema and wherever the service's roles can reach", asked.count());
        findings.push(Finding::ok("tenancy", message));
    }
    Ok(findings)
}
