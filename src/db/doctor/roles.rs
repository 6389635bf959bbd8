//! Are the roles what `deploy/postgres/roles.sql` makes of them?

use tokio_postgres::{Client, Error};

use super::super::login;
use super::{Finding, names};

/// Attributes that no role of ours may have, but for those named.
const ATTRIBUTES: &str = "
    select wanted.name,
           case when r.oid is null then 'is missing' else nullif(concat_ws(' and ',
               case when r.rolsuper then 'is a superuser' end,
               case when r.rolbypassrls and not wanted.bypasses then 'has BYPASSRLS' end,
               case when wanted.bypasses and not r.rolbypassrls then 'lacks BYPASSRLS' end,
               case when r.rolcreaterole then 'may create roles' end,
               case when r.rolcreatedb then 'may create databases' end,
               case when r.rolreplication then 'may replicate' end,
               case when r.rolcanlogin and not wanted.login then 'can log in' end,
               case when wanted.login and not r.rolcanlogin then 'cannot log in' end,
               case when wanted.login and r.rolinherit then 'inherits the rights of the roles it may become' end), '')
           end as wrong
    from (values ('photometa_owner', false, false), ('photometa_app', true, false), ('org_admin', false, false),
                 ('org_user', false, false), ('org_service', false, false), ('photometa_operator', false, false),
                 ('photometa_backup', false, true)) as wanted (name, login, bypasses)
    left join pg_roles r on r.rolname = wanted.name
    order by 1";

pub(super) async fn attributes(client: &Client) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let rows = client.query(ATTRIBUTES, &[]).await?;
    for row in &rows {
        let (name, wrong): (&str, Option<&str>) = (row.try_get("name")?, row.try_get("wrong")?);
        let Some(wrong) = wrong else { continue };
        let message = format!("the role {name} {wrong}");
        findings.push(match wrong {
            "is missing" if name == "photometa_backup" => Finding::warning(
                "roles",
                message,
                "a superuser runs deploy/postgres/roles.sql; without it nobody can dump the data",
            ),
            "is missing" => {
                Finding::failed("roles", message, "an administrator runs deploy/postgres/roles.sql in this database")
            }
            _ => Finding::failed("roles", message, format!("alter role {name} with {}", should_be(name))),
        });
    }
    if findings.is_empty() {
        findings.push(Finding::ok("roles", format!("{} roles have the attributes they should have", rows.len())));
    }
    Ok(findings)
}

/// The attributes as `alter role` takes them.
fn should_be(name: &str) -> &'static str {
    match name {
        "photometa_app" => "login noinherit nosuperuser nobypassrls nocreaterole nocreatedb noreplication",
        "photometa_backup" => "nologin bypassrls nosuperuser nocreaterole nocreatedb noreplication",
        _ => "nologin nosuperuser nobypassrls nocreaterole nocreatedb noreplication",
    }
}

pub(super) async fn login(client: &Client) -> Result<Vec<Finding>, Error> {
    let login = login::inspect(client).await?;
    if !login.dangers.is_empty() {
        let message = format!("row security does not bind the login role {}: {}", login.name, login.dangers.join("; "));
        return Ok(vec![Finding::failed("login role", message, login.fix())]);
    }
    let lacks = names(
        client,
        "select rolname::text from pg_roles
         where rolname in ('org_admin', 'org_user', 'org_service', 'photometa_operator')
           and not pg_has_role(session_user, oid, 'member') order by 1",
    )
    .await?;
    if lacks.is_empty() {
        return Ok(vec![Finding::ok(
            "login role",
            format!("{} is bound by row security and may become the four roles of callers", login.name),
        )]);
    }
    let message = format!("the login role {} may not become {}", login.name, lacks.join(", "));
    let fix = format!("grant {} to {}", lacks.join(", "), login.name);
    Ok(vec![Finding::failed("login role", message, fix)])
}

/// Who may become one of our roles, and what these may become, beyond what `roles.sql` grants. Superusers may anyway.
const MEMBERSHIPS: &str = "
    select member.rolname::text as member, granted.rolname::text as granted, bool_or(m.admin_option) as admin,
           member.rolname in ('photometa_app', session_user) as is_login
    from pg_auth_members m join pg_roles member on member.oid = m.member join pg_roles granted on granted.oid = m.roleid
    where not member.rolsuper
      and (member.rolname in ('photometa_app', 'org_admin', 'org_user', 'org_service', 'photometa_operator')
           or granted.rolname in ('photometa_owner', 'photometa_app', 'org_admin', 'org_user', 'org_service', 'photometa_operator', 'photometa_backup'))
    group by member.rolname, granted.rolname
    order by 1, 2";

pub(super) async fn memberships(client: &Client) -> Result<Vec<Finding>, Error> {
    let callers = ["org_admin", "org_user", "org_service", "photometa_operator"];
    let mut findings = Vec::new();
    let mut expected = Vec::new();
    for row in client.query(MEMBERSHIPS, &[]).await? {
        let (member, granted): (&str, &str) = (row.try_get("member")?, row.try_get("granted")?);
        let (admin, is_login): (bool, bool) = (row.try_get("admin")?, row.try_get("is_login")?);
        let may = if admin { "may become, and let others become," } else { "may become" };
        let message = format!("{member} {may} {granted}");
        let fix = format!("revoke {granted} from {member}");
        findings.push(match granted {
            granted if is_login && callers.contains(&granted) && !admin => continue,
            _ if is_login || callers.contains(&member) => Finding::failed("roles", message, fix),
            // Logins of an administrator's choice: for migrations, for dumps.
            "photometa_owner" | "photometa_backup" => {
                expected.push(message);
                continue;
            }
            _ => Finding::warning("roles", format!("{message}, and so act for any organization"), fix),
        });
    }
    if !expected.is_empty() {
        findings.push(Finding::ok("roles", expected.join("; ")));
    }
    Ok(findings)
}
