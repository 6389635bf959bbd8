//! Is the schema at the program's version, what its versions declare, and by the rules that keep tenants apart?

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::super::catalog::{self, Difference};
use super::super::migrate;
use super::{Finding, names};

/// Where the schema stands: whether it is exactly at this program's version, and what to say of it.
pub(super) async fn version(client: &mut Client) -> Result<(bool, Vec<Finding>), Error> {
    let tx = client.build_transaction().read_only(true).start().await?;
    tx.batch_execute("set local role photometa_operator").await?;
    let standing = migrate::standing(&tx).await;
    tx.rollback().await?;
    let newest = migrate::newest();
    let behind = |database: &str| {
        let message = format!("the schema is at version {database}, behind this program's {newest}");
        Finding::failed("version", message, "run `photometa migrate plan`, then `photometa migrate up`")
    };
    Ok(match standing {
        // Operators may read which versions there are since version 6.
        Err(migrate::MigrateError::Database(error)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            (false, vec![behind("5 or before")])
        }
        Err(migrate::MigrateError::Database(error)) => return Err(error),
        Err(error) => (false, vec![Finding::from(&error)]),
        Ok(database) if database == newest => {
            (true, vec![Finding::ok("version", format!("the schema is at version {newest}, which is this program's"))])
        }
        Ok(database) => (false, vec![behind(&database.to_string())]),
    })
}

/// Compares every fact with what the versions declare.
pub(super) async fn declared(client: &mut Client, current: bool) -> Result<Vec<Finding>, Error> {
    if !current {
        let message = "the schema is not at this program's version, so there is nothing to compare it with";
        return Ok(vec![Finding::skipped("declared schema", message)]);
    }
    let tx = client.build_transaction().read_only(true).start().await?;
    let found = catalog::facts(&tx).await?;
    tx.rollback().await?;
    let differences = catalog::differences(&catalog::declared(), &found);
    if differences.is_empty() {
        return Ok(vec![Finding::ok("declared schema", format!("{} facts are as the versions declare", found.len()))]);
    }
    Ok(differences.iter().map(drift).collect())
}

fn drift(difference: &Difference) -> Finding {
    let fix = match difference.kind() {
        "row security" => "alter table … enable row level security, force row level security, as photometa_owner",
        "policy" => "restore the policy as its version in migrations/ makes it, as photometa_owner",
        "grant" => "grant or revoke as the versions in migrations/ do, as photometa_owner",
        _ => "undo what was changed by hand, or make it a version in migrations/",
    };
    Finding::failed("declared schema", difference.to_string(), fix)
}

pub(super) async fn indexes(client: &Client) -> Result<Vec<Finding>, Error> {
    let invalid = catalog::invalid_indexes(client).await?;
    if invalid.is_empty() {
        return Ok(vec![Finding::ok("indexes", "every index is valid")]);
    }
    let found = invalid.into_iter().map(|name| {
        let fix = format!("reindex index concurrently companycam_photos.{name}, or drop it and make it again");
        Finding::failed("indexes", format!("the index {name} is invalid: it costs writes and serves no query"), fix)
    });
    Ok(found.collect())
}

/// What must hold for every table there is, declared or not: the rule, what breaks it, and what to do.
const RULES: &[(&str, &str, &str)] = &[
    (
        "is without forced row security",
        "select relname::text from pg_class
         where relnamespace = to_regnamespace('companycam_photos') and relkind in ('r', 'p')
           and relname <> 'refinery_schema_history' and not (relrowsecurity and relforcerowsecurity)",
        "end its version with: select companycam_photos.protect('…')",
    ),
    (
        "has no policy",
        "select relname::text from pg_class
         where relnamespace = to_regnamespace('companycam_photos') and relkind in ('r', 'p')
           and relname <> 'refinery_schema_history' and not exists (select from pg_policy where polrelid = pg_class.oid)",
        "end its version with: select companycam_photos.protect('…')",
    ),
    (
        "is a policy that names no role or checks no write",
        "select polrelid::regclass::text || '.' || polname from pg_policy join pg_class on pg_class.oid = polrelid
         where relnamespace = to_regnamespace('companycam_photos')
           and (0 = any (polroles) or polpermissive and polcmd in ('a', 'w', '*') and polwithcheck is null)",
        "name the roles with `to`, and give it `with check`",
    ),
    (
        "is a key that does not begin with the organization",
        "select conname::text from pg_constraint join pg_class on pg_class.oid = conrelid
         join pg_attribute on attrelid = conrelid and attnum = conkey[1]
         where relnamespace = to_regnamespace('companycam_photos') and contype in ('p', 'u', 'f')
           and relname not in ('organizations', 'refinery_schema_history') and attname <> 'organization_id'",
        "make it composite: foreign keys are not subject to row security, so a single column can point into another tenant",
    ),
    (
        "is a view that reads with its owner's rights",
        "select relname::text from pg_class
         where relnamespace = to_regnamespace('companycam_photos')
           and (relkind = 'm' or relkind = 'v' and not coalesce(reloptions, '{}') && '{security_invoker=true,security_invoker=on}')",
        "make it `with (security_invoker = true)`; a materialized view cannot be protected at all",
    ),
    (
        "is a function that runs with the rights of a role that row security does not bind",
        "select p.oid::regprocedure::text from pg_proc p join pg_roles owner on owner.oid = proowner
         where prosecdef and pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
           and (pronamespace = to_regnamespace('companycam_photos') or owner.rolsuper or owner.rolbypassrls)
           and not exists (select from pg_depend where classid = 'pg_proc'::regclass and objid = p.oid and deptype = 'e')
           and exists (select from pg_roles r where r.rolname in ('photometa_app', 'org_admin', 'org_user', 'org_service', 'photometa_operator')
                         and has_function_privilege(r.oid, p.oid, 'execute'))",
        "make it security invoker, or revoke execute on it from public and the service's roles",
    ),
    (
        "lets everybody, or the login role itself, in",
        "select relname || ' (' || case granted.grantee when 0 then 'PUBLIC' else granted.grantee::regrole::text end || ')'
         from pg_class, aclexplode(relacl) as granted
         where relnamespace = to_regnamespace('companycam_photos')
           and (granted.grantee = 0 or granted.grantee = (select oid from pg_roles where rolname = 'photometa_app'))",
        "revoke it: the login role gets its rights from the roles it takes, and PUBLIC gets none",
    ),
];

pub(super) async fn rules(client: &Client) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for (rule, query, fix) in RULES {
        let broken = names(client, query).await?;
        findings.extend(broken.into_iter().map(|name| Finding::failed("tenancy", format!("{name} {rule}"), *fix)));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "tenancy",
            format!("{} rules hold for every table, key, view and function", RULES.len()),
        ));
    }
    Ok(findings)
}
