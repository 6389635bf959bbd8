//! Does row security hold when somebody tries? Two organizations are made and attacked across each other, with every
//! role, on every table there is, in a transaction that is rolled back.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, SimpleQueryMessage, Transaction};
use uuid::Uuid;

use super::{Finding, names};

/// One of the two organizations.
struct Canary {
    organization: Uuid,
    /// A member of one project, and not of `bridge`.
    member: Uuid,
    bridge: Uuid,
}

/// Who asks: the PostgreSQL role, the organization, and the person.
#[derive(Clone, Copy)]
struct Who<'a> {
    role: &'static str,
    canary: Option<&'a Canary>,
}

/// What became of a statement.
enum Outcome {
    /// The number it answered, or the rows it changed.
    Number(i64),
    Refused(SqlState),
}

const ROLES: [&str; 3] = ["org_admin", "org_service", "org_user"];

pub(super) async fn attack(client: &mut Client, current: bool) -> Result<Vec<Finding>, Error> {
    if !current {
        let message = "the schema is not at this program's version, so the canaries have no place";
        return Ok(vec![Finding::skipped("isolation", message)]);
    }
    let tables = names(
        client,
        "select quote_ident(relname) from pg_class
         where relnamespace = to_regnamespace('companycam_photos') and relkind in ('r', 'p')
           and relname <> 'refinery_schema_history' order by 1",
    )
    .await?;
    let referring = names(
        client,
        "select distinct conrelid::regclass::text from pg_constraint
         where connamespace = to_regnamespace('companycam_photos') and contype = 'f' and cardinality(conkey) > 1",
    )
    .await?;
    let mut tx = client.transaction().await?;
    tx.batch_execute("set local lock_timeout = '2s'; set local statement_timeout = '30s'").await?;
    let mine = Canary::hatch(&mut tx).await?;
    let theirs = Canary::hatch(&mut tx).await?;
    let mut attacks = Attacks { tx, mine, theirs, made: 0, breaches: Vec::new() };
    for table in &tables {
        attacks.on(table, referring.iter().any(|name| name.ends_with(table.as_str()))).await?;
    }
    let Attacks { tx, made, breaches, .. } = attacks;
    tx.rollback().await?;
    if breaches.is_empty() {
        let message = format!(
            "two canary organizations: {made} attacks on {} tables came to nothing, and nothing of them stays",
            tables.len()
        );
        return Ok(vec![Finding::ok("isolation", message)]);
    }
    let fix = "take the service off the network until the findings above are mended";
    Ok(breaches.into_iter().map(|breach| Finding::failed("isolation", breach, fix)).collect())
}

struct Attacks<'a> {
    tx: Transaction<'a>,
    mine: Canary,
    theirs: Canary,
    made: usize,
    breaches: Vec<String>,
}

impl Attacks<'_> {
    async fn on(&mut self, table: &str, refers: bool) -> Result<(), Error> {
        let tenant = if table == "organizations" { "id" } else { "organization_id" };
        let of = |canary: &Canary| format!("where {tenant} = '{}'", canary.organization);
        let (own, foreign) = (of(&self.mine), of(&self.theirs));
        let (mine, theirs) = (self.row(table, true).await?, self.row(table, false).await?);
        let name = format!("companycam_photos.{table}");
        let insert = |row: &str, changes: &str| {
            format!(
                "insert into {name} select * from jsonb_populate_record(null::{name}, '{}'::jsonb || '{changes}')",
                row.replace('\'', "''")
            )
        };
        let renewed = format!(r#"{{"id": "{}"}}"#, Uuid::now_v7());

        for role in ROLES {
            let count = format!("select count(*) from {name}");
            // Without a row of one's own, seeing no foreign one would prove nothing.
            let me = Who { role, canary: Some(&self.mine) };
            if let Outcome::Number(0) = self.attempt(me, &format!("{count} {own}")).await? {
                let what = format!("{role} does not see its own rows of {table}: the attacks on it prove nothing");
                self.breaches.push(what);
            }
            let another = format!("another organization's rows of {table}");
            self.nothing(role, true, &format!("{count} {foreign}"), &format!("{role} reads {another}")).await?;
            self.nothing(role, false, &count, &format!("{role} reads {table} without an organization")).await?;
            if let Some(column) = self.updatable(role, &name).await? {
                let update = format!("update {name} set {column} = {column} {foreign}");
                self.nothing(role, true, &update, &format!("{role} changes {another}")).await?;
            }
            let delete = format!("delete from {name} {foreign}");
            self.nothing(role, true, &delete, &format!("{role} deletes {another}")).await?;
            let what = format!("{role} writes rows of another organization into {table}");
            self.refused(role, &insert(&theirs, &renewed), &[SqlState::INSUFFICIENT_PRIVILEGE], &what).await?;
            if refers {
                let what = format!("{role} refers from its own rows of {table} to another organization's");
                let states = [SqlState::FOREIGN_KEY_VIOLATION, SqlState::INSUFFICIENT_PRIVILEGE];
                self.refused(role, &insert(&mine, &crossed(&theirs, &renewed)), &states, &what).await?;
            }
        }
        if table != "organizations" {
            let count = format!("select count(*) from {name}");
            self.nothing("photometa_operator", true, &count, &format!("photometa_operator reads {table}")).await?;
        }
        let column = if table == "projects" { "id" } else { "project_id" };
        let found = "select from pg_attribute where attrelid = to_regclass($1::text) and attname = $2";
        if self.tx.query_opt(found, &[&name, &column]).await?.is_some() {
            let moved =
                format!(r#"{{"id": "{0}", "s3_key": "{0}", "project_id": "{1}"}}"#, Uuid::now_v7(), self.mine.bridge);
            self.beside(&name, column, &insert(&mine, &moved)).await?;
        }
        Ok(())
    }

    /// The wall between projects, for ordinary users.
    async fn beside(&mut self, name: &str, column: &str, insert: &str) -> Result<(), Error> {
        let table = name.trim_start_matches("companycam_photos.");
        let beside = format!("where {column} = '{}'", self.mine.bridge);
        let rows = format!("rows of {table} of a project it is no member of");
        let count = format!("select count(*) from {name} {beside}");
        self.nothing("org_user", true, &count, &format!("org_user reads {rows}")).await?;
        if let Some(updated) = self.updatable("org_user", name).await? {
            let update = format!("update {name} set {updated} = {updated} {beside}");
            self.nothing("org_user", true, &update, &format!("org_user changes {rows}")).await?;
        }
        let delete = format!("delete from {name} {beside}");
        self.nothing("org_user", true, &delete, &format!("org_user deletes {rows}")).await?;
        self.refused("org_user", insert, &[SqlState::INSUFFICIENT_PRIVILEGE], &format!("org_user writes {rows}")).await
    }

    /// A column that a role may update: about the others row security is not even asked.
    async fn updatable(&self, role: &str, name: &str) -> Result<Option<String>, Error> {
        let query = "select quote_ident(attname) from pg_attribute
                     where attrelid = to_regclass($1::text) and attnum > 0 and not attisdropped
                       and has_column_privilege($2::text, attrelid, attnum, 'update') order by attnum limit 1";
        self.tx.query_opt(query, &[&name, &role]).await?.map(|row| row.try_get(0)).transpose()
    }

    /// A row of a table as JSON, read by its own administrator (organizations: by an operator).
    async fn row(&mut self, table: &str, mine: bool) -> Result<String, Error> {
        let canary = if mine { &self.mine } else { &self.theirs };
        let context = Who { role: "org_admin", canary: Some(canary) }.context();
        let sql = format!("{context}; select to_jsonb(t)::text from companycam_photos.{table} t limit 1; reset role");
        let messages = self.tx.simple_query(&sql).await?;
        let found = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten(),
            _ => None,
        });
        Ok(found.unwrap_or("{}").to_owned())
    }

    /// Runs a statement as somebody, and takes it back.
    async fn attempt(&self, who: Who<'_>, sql: &str) -> Result<Outcome, Error> {
        self.tx.batch_execute("savepoint attack").await?;
        let outcome = self.tx.simple_query(&format!("{}; {sql}", who.context())).await;
        self.tx.batch_execute("rollback to savepoint attack; release savepoint attack").await?;
        match outcome {
            Ok(messages) => {
                let number = |message: &SimpleQueryMessage| match message {
                    SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten().and_then(|text| text.parse().ok()),
                    SimpleQueryMessage::CommandComplete(rows) => i64::try_from(*rows).ok().filter(|rows| *rows > 0),
                    _ => None,
                };
                Ok(Outcome::Number(messages.iter().find_map(number).unwrap_or(0)))
            }
            Err(error) => error.code().cloned().map(Outcome::Refused).ok_or(error),
        }
    }

    /// Expects that a statement is refused, or finds nothing; asked in the own organization or in none.
    async fn nothing(&mut self, role: &'static str, scoped: bool, sql: &str, breach: &str) -> Result<(), Error> {
        self.made += 1;
        let outcome = self.attempt(Who { role, canary: scoped.then_some(&self.mine) }, sql).await?;
        match outcome {
            Outcome::Number(0) => {}
            Outcome::Number(rows) => self.breaches.push(format!("{breach} ({rows})")),
            Outcome::Refused(state) if state == SqlState::INSUFFICIENT_PRIVILEGE => {}
            Outcome::Refused(state) => self.breaches.push(format!("{breach}: stopped by {} only", state.code())),
        }
        Ok(())
    }

    /// Expects that a statement is refused for one of these reasons.
    async fn refused(&mut self, role: &'static str, sql: &str, states: &[SqlState], breach: &str) -> Result<(), Error> {
        self.made += 1;
        let outcome = self.attempt(Who { role, canary: Some(&self.mine) }, sql).await?;
        match outcome {
            Outcome::Refused(state) if states.contains(&state) => {}
            Outcome::Refused(state) => self.breaches.push(format!("{breach}: stopped by {} only", state.code())),
            Outcome::Number(_) => self.breaches.push(breach.to_owned()),
        }
        Ok(())
    }
}

/// The references of another organization's row, for a row of one's own.
fn crossed(theirs: &str, renewed: &str) -> String {
    let parse = |text: &str| serde_json::from_str::<serde_json::Map<_, _>>(text).unwrap_or_default();
    let mut row = parse(theirs);
    let kept = ["project_id", "photo_id", "detection_id", "user_id"];
    row.retain(|column, _| kept.contains(&column.as_str()));
    row.extend(parse(renewed));
    row.insert("s3_key".to_owned(), Uuid::now_v7().to_string().into());
    serde_json::Value::Object(row).to_string()
}

impl Who<'_> {
    fn context(self) -> String {
        let (organization, user) = match self.canary {
            Some(canary) => (canary.organization.to_string(), canary.member.to_string()),
            None => Default::default(),
        };
        format!(
            "set local role {}; set local app.org_id = '{organization}'; set local app.user_id = '{user}'",
            self.role
        )
    }
}

/// One row or more in every table, for one organization. A new table without its row here fails the check.
const HATCH: &str = "
    with u as (
        insert into companycam_photos.users (organization_id, id, email, created_at, updated_at)
        values ($1::uuid, $2::uuid, $2::uuid::text || '@canary.invalid', now(), now())
    ), p as (
        insert into companycam_photos.projects (organization_id, id, name, created_at, updated_at)
        values ($1, $3::uuid, 'house', now(), now()), ($1, $4::uuid, 'bridge', now(), now())
    ), m as (
        insert into companycam_photos.project_members (organization_id, user_id, project_id, created_at)
        values ($1, $2, $3, now())
    ), ids as (
        select $3::uuid as project_id, gen_random_uuid() as photo_id, gen_random_uuid() as detection_id
        union all
        select $4, gen_random_uuid(), gen_random_uuid()
    ), h as (
        insert into companycam_photos.photos
          (organization_id, id, project_id, user_id, s3_url, s3_key, uploaded_at, created_at, updated_at, content_digest)
        select $1, photo_id, project_id, $2, 'canary', photo_id::text, now(), now(), now(), decode(repeat('00', 16), 'hex') from ids
    ), d as (
        insert into companycam_photos.detections
          (organization_id, id, project_id, photo_id, photo_created_at, detection_type, model_version, results, object_count, created_at,
           updated_at, content_digest)
        select $1, detection_id, project_id, photo_id, now(), 'damage', 'canary', '{\"objects\": []}', 0, now(), now(),
               decode(repeat('00', 16), 'hex') from ids
    ), l as (
        insert into companycam_photos.detection_labels (organization_id, label, photo_created_at, photo_id, detection_id, project_id)
        select $1, 'canary', now(), photo_id, detection_id, project_id from ids
    ), e as (
        insert into companycam_photos.detection_events
          (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version)
        select $1, now(), detection_id, project_id, photo_id, detection_id, 'created', 'canary' from ids
    ), t as (
        insert into companycam_photos.tags
          (organization_id, id, project_id, photo_id, photo_created_at, tag, tag_folded, source, created_at)
        select $1, gen_random_uuid(), project_id, photo_id, now(), 'canary', 'canary', source, now()
        from ids, (values ('ai'), ('user')) s (source)
    ), c as (
        insert into companycam_photos.review_claims (organization_id, detection_id, project_id, user_id, expires_at)
        select $1, detection_id, project_id, $2, now() from ids
    ), k as (
        insert into companycam_photos.categories (organization_id, name, category_id, created_at) values ($1, 'canary', 0, now())
    )
    insert into companycam_photos.feedback
      (organization_id, id, project_id, photo_id, detection_id, user_id, verdict, created_at, content_digest)
    select $1, gen_random_uuid(), project_id, photo_id, detection_id, $2, 'confirm', now(), decode(repeat('00', 16), 'hex') from ids";

impl Canary {
    /// Makes an organization with something of everything, the way the service would.
    async fn hatch(tx: &mut Transaction<'_>) -> Result<Self, Error> {
        let [organization, member, house, bridge] = std::array::from_fn(|_| Uuid::now_v7());
        let canary = Self { organization, member, bridge };
        tx.batch_execute("set local role photometa_operator").await?;
        tx.execute(
            "insert into companycam_photos.organizations (id, name, created_at) values ($1, $2, now())",
            &[&organization, &format!("photometa doctor {organization}")],
        )
        .await?;
        tx.batch_execute(&Who { role: "org_admin", canary: Some(&canary) }.context()).await?;
        tx.execute(HATCH, &[&organization, &member, &house, &bridge]).await?;
        tx.batch_execute("reset role").await?;
        Ok(canary)
    }
}
