//! Is row security going to bind the role the service logs in with? A superuser, a role with BYPASSRLS and the owner of
//! a table are not bound, or could unbind themselves, and then nothing below the handlers keeps tenants apart.

use tokio_postgres::GenericClient;

/// What the login role is, and what it could become with `set role`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Its name.
    pub name: String,
    /// Each reason why row security cannot be relied on; none for a safe role.
    pub dangers: Vec<String>,
}

impl Login {
    /// What an administrator can do about the dangers.
    pub fn fix(&self) -> String {
        format!(
            "log in as photometa_app, which deploy/postgres/roles.sql makes: PHOTOMETA_DATABASE_URL=postgres://photometa_app:…@host/database \
             (or take the rights from {0}: alter role {0} nosuperuser nobypassrls; revoke photometa_owner from {0})",
            self.name
        )
    }
}

/// Reads what the session's login role may do past row security.
///
/// # Errors
/// The driver's.
pub async fn inspect(client: &impl GenericClient) -> Result<Login, tokio_postgres::Error> {
    let row = client
        .query_one(
            "with owned as (
                 select relowner, relname from pg_class
                 where relnamespace = to_regnamespace('companycam_photos') and relkind in ('r', 'p')
             )
             select r.rolname::text as name, r.rolsuper as superuser, r.rolbypassrls as bypasses,
                    array(select relname::text from owned where relowner = r.oid order by 1) as owns,
                    array(select d.rolname::text from pg_roles d
                          where not r.rolsuper and d.oid <> r.oid and pg_has_role(r.oid, d.oid, 'member')
                            and (d.rolsuper or d.rolbypassrls or d.rolname = 'photometa_owner'
                                 or d.oid in (select relowner from owned))
                          order by 1) as becomes
             from pg_roles r where r.rolname = session_user",
            &[],
        )
        .await?;
    let mut dangers = Vec::new();
    if row.try_get("superuser")? {
        dangers.push("it is a superuser".to_owned());
    }
    if row.try_get("bypasses")? {
        dangers.push("it has BYPASSRLS".to_owned());
    }
    let owns: Vec<String> = row.try_get("owns")?;
    if !owns.is_empty() {
        dangers.push(format!("it owns {}", owns.join(", ")));
    }
    let becomes: Vec<String> = row.try_get("becomes")?;
    dangers.extend(becomes.iter().map(|role| format!("it may become {role}")));
    Ok(Login { name: row.try_get("name")?, dangers })
}
