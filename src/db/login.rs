//! Is row security going to bind the role the service logs in with? A superuser, a role with BYPASSRLS, the owner of a
//! table and whoever could become one of these are not bound, and then nothing below the handlers keeps tenants apart.

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
                 select relowner as owner from pg_catalog.pg_class
                 where relnamespace = pg_catalog.to_regnamespace('companycam_photos') and relkind in ('r', 'p')
                 union
                 select nspowner from pg_catalog.pg_namespace where nspname = 'companycam_photos'
                 union
                 select datdba from pg_catalog.pg_database where datname = current_database()
             )
             select r.rolname::text as name, r.rolsuper as superuser, r.rolbypassrls as bypasses,
                    r.rolcreaterole as makes_roles, r.rolreplication as replicates,
                    array(select relname::text from pg_catalog.pg_class
                          where relnamespace = pg_catalog.to_regnamespace('companycam_photos') and relkind in ('r', 'p') and relowner = r.oid
                          order by 1) as owns,
                    array(select d.rolname::text from pg_catalog.pg_roles d
                          where not r.rolsuper and d.oid <> r.oid and pg_catalog.pg_has_role(r.oid, d.oid, 'member')
                            and (d.rolsuper or d.rolbypassrls or d.rolcreaterole or d.rolreplication or d.rolname = 'photometa_owner'
                                 or d.oid in (select owner from owned)
                                 or d.rolname in ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files',
                                                  'pg_read_all_data', 'pg_write_all_data'))
                          order by 1) as becomes,
                    exists (select from pg_catalog.pg_database where datname = current_database() and datdba = r.oid) as owns_database,
                    exists (select from pg_catalog.pg_namespace where nspname = 'companycam_photos' and nspowner = r.oid) as owns_schema
             from pg_catalog.pg_roles r where r.rolname = session_user",
            &[],
        )
        .await?;
    let mut dangers = Vec::new();
    for (column, danger) in [
        ("superuser", "it is a superuser"),
        ("bypasses", "it has BYPASSRLS"),
        ("makes_roles", "it may create roles, and so become any"),
        ("replicates", "it may replicate, and so read everything"),
        ("owns_database", "it owns the database"),
        ("owns_schema", "it owns the schema"),
    ] {
        if row.try_get(column)? {
            dangers.push(danger.to_owned());
        }
    }
    let owns: Vec<String> = row.try_get("owns")?;
    if !owns.is_empty() {
        dangers.push(format!("it owns {}", owns.join(", ")));
    }
    let becomes: Vec<String> = row.try_get("becomes")?;
    dangers.extend(becomes.iter().map(|role| format!("it may become {role}")));
    Ok(Login { name: row.try_get("name")?, dangers })
}
