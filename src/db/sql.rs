//! Statement texts. Row security makes a statement's plan depend on the role, and PostgreSQL plans a prepared
//! statement anew whenever the role has changed since (560 against 203 µs): so each role has its own text,
//! told apart by a leading comment, and thereby its own prepared statement. The comment also says where the
//! statement stands, for whoever reads it in pg_stat_activity, pg_stat_statements or the server's log.

use crate::auth::Role;

/// One statement, static, in one text per role. Made by [`sql!`](crate::sql).
///
/// The comment of each one ends with `Index: …`, the indexes that its plans read in one filter's shape or another,
/// or `none` where it reads no table. An asterisk marks those read by the organization alone in some shape: in the
/// order of a list, up to its limit, or else all of the organization's rows, because nothing narrower is indexed.
/// What row security and foreign keys read goes without saying. A test compares these comments with PostgreSQL's
/// plans.
#[derive(Debug)]
pub struct Sql {
    name: &'static str,
    texts: [&'static str; 4],
    planned_once: bool,
}

impl Sql {
    /// A statement of one text per role: operator, org_admin, org_user, service. Its name is what traces and metrics say
    /// of it.
    pub const fn new(name: &'static str, texts: [&'static str; 4]) -> Self {
        Self { name, texts, planned_once: false }
    }

    /// The same statement, planned once for each connection. For those that look up arrays of keys: PostgreSQL expects ten
    /// values of an array that it does not know, finds every plan for a shorter one cheaper, and would plan anew at
    /// each execution (200 of 600 µs, to insert one detection). The text must leave it no choice: left to join, it might
    /// read all photos of every organization because most of them have few.
    pub const fn planned_once(self) -> Self {
        Self { planned_once: true, ..self }
    }

    /// The text for a role.
    pub fn of(&self, role: Role) -> &'static str {
        match role {
            Role::Operator => self.texts[0],
            Role::OrgAdmin => self.texts[1],
            Role::OrgUser => self.texts[2],
            Role::Service => self.texts[3],
        }
    }
}

pub(super) const PLANNED_ONCE: &str = "; set local plan_cache_mode = force_generic_plan";
pub(super) const PLANNED_WITH_SET: &str =
    "; set local plan_cache_mode = force_generic_plan; set local work_mem = '256MB'";
pub(super) const PLANNED_EACH_TIME: &str = "; set local plan_cache_mode = force_custom_plan";

/// What a transaction can run: one static text per role, or one that was put together of static parts.
pub trait Text: Sync {
    /// Where the statement stands, such as `photometa::photo::query::LOCK`: the same for all texts of one origin.
    fn name(&self) -> &'static str;

    /// The text for a role.
    fn of(&self, role: Role) -> &str;

    /// What a transaction that begins with this statement sets for the planner.
    fn planner(&self) -> &'static str;
}

impl Text for Sql {
    fn name(&self) -> &'static str {
        self.name
    }

    fn of(&self, role: Role) -> &str {
        Self::of(self, role)
    }

    fn planner(&self) -> &'static str {
        if self.planned_once { PLANNED_ONCE } else { "" }
    }
}

/// Makes an [`Sql`](crate::db::Sql) from the name of its constant and from string literals and macros that expand
/// to them. Its texts begin `/* org_user photometa::photo::query::LOCK */`.
#[macro_export]
macro_rules! sql {
    ($name:ident, $($part:tt)+) => {
        $crate::db::Sql::new(concat!(module_path!(), "::", stringify!($name)), [
            concat!("/* operator ", module_path!(), "::", stringify!($name), " */ ", $($part)+),
            concat!("/* org_admin ", module_path!(), "::", stringify!($name), " */ ", $($part)+),
            concat!("/* org_user ", module_path!(), "::", stringify!($name), " */ ", $($part)+),
            concat!("/* service ", module_path!(), "::", stringify!($name), " */ ", $($part)+),
        ])
    };
}
