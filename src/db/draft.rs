//! Statements put together for one call: lists, whose filters decide what is read first. The parts are static and
//! values are parameters, so such a statement is as safe as one that is written in one piece; and each shape of a
//! filter has its own text, prepared once on each connection, in which nothing stands that the filter does not ask for.

use std::fmt::Write as _;

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::sql::Text;
use super::{Params, Tx};
use crate::auth::Role;
use crate::error::Result;

/// What the statements of one origin have in common: their name and the indexes that lead them. Made by
/// [`source!`](crate::source). Its comment ends with `Index: …`, as those of [`Sql`](super::Sql) do.
#[derive(Debug, Clone, Copy)]
pub struct Source(&'static str);

impl Source {
    /// A source of that name.
    pub const fn named(name: &'static str) -> Self {
        Self(name)
    }
}

/// Makes a [`Source`](crate::db::Source) from the name of its constant.
#[macro_export]
macro_rules! source {
    ($name:ident) => {
        $crate::db::Source::named(concat!(module_path!(), "::", stringify!($name)))
    };
}

/// How PostgreSQL plans a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// Once for each connection: its text leaves one good plan, whatever the values.
    Once,
    /// At each execution: which index narrows most depends on the values.
    EachTime,
    /// Once, with memory for a set of some million rows.
    WithSet,
}

/// A parameter that was given: it may stand in the text more than once.
#[derive(Debug, Clone, Copy)]
pub struct Slot(usize);

/// A statement in the making. Its first parameter is the organization, as in all statements.
pub struct Draft<'a> {
    source: Source,
    text: String,
    params: Vec<Param<'a>>,
    planned: Planned,
}

enum Param<'a> {
    Borrowed(&'a (dyn ToSql + Sync)),
    Owned(Box<dyn ToSql + Sync + Send>),
}

impl<'a> Draft<'a> {
    /// Begins a statement for the role and organization of a transaction.
    pub fn new(tx: &'a Tx, source: Source) -> Self {
        let mut text = String::with_capacity(2048);
        // Writing to a String cannot fail.
        let _ = write!(text, "/* {} {} */ ", tx.caller().role.name(), source.0);
        Self { source, text, params: vec![Param::Borrowed(tx.organization())], planned: Planned::Once }
    }

    /// Adds a part.
    pub fn sql(&mut self, part: &'static str) -> &mut Self {
        self.text.push_str(part);
        self
    }

    /// Adds a parameter in this place.
    pub fn value(&mut self, value: &'a (dyn ToSql + Sync)) -> &mut Self {
        let slot = self.give(Param::Borrowed(value));
        self.again(slot)
    }

    /// Adds a parameter in this place that is made for the statement alone.
    pub fn made(&mut self, value: impl ToSql + Sync + Send + 'static) -> &mut Self {
        let slot = self.give(Param::Owned(Box::new(value)));
        self.again(slot)
    }

    /// Gives a parameter that has no place yet.
    pub fn slot(&mut self, value: &'a (dyn ToSql + Sync)) -> Slot {
        self.give(Param::Borrowed(value))
    }

    /// Gives a parameter that is made for the statement alone and has no place yet.
    pub fn made_slot(&mut self, value: impl ToSql + Sync + Send + 'static) -> Slot {
        self.give(Param::Owned(Box::new(value)))
    }

    /// Puts a given parameter in this place.
    pub fn again(&mut self, slot: Slot) -> &mut Self {
        let _ = write!(self.text, "${}", slot.0);
        self
    }

    /// Adds the condition that a column has one of some values; without values, none. A single one is compared by itself:
    /// `= any` would lose the order of an index.
    pub fn among<T: ToSql + Sync>(&mut self, column: &'static str, values: &'a Vec<T>) {
        match values.as_slice() {
            [] => {}
            [one] => _ = self.sql(" and ").sql(column).sql(" = ").value(one),
            _ => _ = self.sql(" and ").sql(column).sql(" = any(").value(values).sql(")"),
        }
    }

    /// Adds the condition that a time is in a half-open range, either end of which may be open.
    pub fn between(&mut self, time: &'static str, (start, end): &'a (Option<Timestamp>, Option<Timestamp>)) {
        if let Some(start) = start {
            self.sql(" and ").sql(time).sql(" >= ").value(start);
        }
        if let Some(end) = end {
            self.sql(" and ").sql(time).sql(" < ").value(end);
        }
    }

    /// Says that the plan depends on the values.
    pub fn plan_each_time(&mut self) {
        self.planned = Planned::EachTime;
    }

    /// Says that the plan makes a set of what is not wanted, of up to some million rows. PostgreSQL compares with each row
    /// in turn where it does not expect that there is memory for it.
    pub fn plan_with_set(&mut self) {
        self.planned = Planned::WithSet;
    }

    /// Runs it.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub async fn query(&self, tx: &Tx) -> Result<Vec<Row>> {
        let params: Vec<&(dyn ToSql + Sync)> = self
            .params
            .iter()
            .map(|param| match param {
                Param::Borrowed(value) => *value,
                Param::Owned(value) => &**value as &(dyn ToSql + Sync),
            })
            .collect();
        let params: &Params<'_> = &params;
        tx.query(self, params).await
    }

    fn give(&mut self, param: Param<'a>) -> Slot {
        self.params.push(param);
        Slot(self.params.len())
    }
}

impl Text for Draft<'_> {
    fn name(&self) -> &'static str {
        self.source.0
    }

    fn of(&self, _role: Role) -> &str {
        &self.text
    }

    fn planner(&self) -> &'static str {
        match self.planned {
            Planned::Once => super::sql::PLANNED_ONCE,
            Planned::EachTime => super::sql::PLANNED_EACH_TIME,
            Planned::WithSet => super::sql::PLANNED_WITH_SET,
        }
    }
}

impl std::fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// More values than this are first asked for their first row alone.
const MANY: usize = 16;

/// One page of a list: a statement whose last row seen and number of rows are given.
#[derive(Debug)]
pub struct Page<'a> {
    /// The statement.
    pub draft: Draft<'a>,
    descending: bool,
    after: Option<(Slot, Slot)>,
    limit: Slot,
}

impl<'a> Page<'a> {
    /// Begins a page of `limit` rows in one direction, after the row with this sort key and id.
    pub fn new<K, I>(tx: &'a Tx, source: Source, descending: bool, after: Option<(K, I)>, limit: i64) -> Self
    where
        K: ToSql + Sync + Send + 'static,
        I: ToSql + Sync + Send + 'static,
    {
        let mut draft = Draft::new(tx, source);
        let after = after.map(|(key, id)| (draft.made_slot(key), draft.made_slot(id)));
        let limit = draft.made_slot(limit);
        Self { draft, descending, after, limit }
    }

    /// Only what comes after the last row seen.
    pub fn after(&mut self, key: &'static str, id: &'static str) {
        let Some((last_key, last_id)) = self.after else { return };
        let comparison = if self.descending { ") < (" } else { ") > (" };
        self.draft.sql(" and (").sql(key).sql(", ").sql(id).sql(comparison);
        self.draft.again(last_key).sql(", ").again(last_id).sql(")");
    }

    /// Sorts.
    pub fn order_by(&mut self, key: &'static str, id: &'static str) {
        let direction = if self.descending { " desc" } else { "" };
        self.draft.sql(" order by ").sql(key).sql(direction).sql(", ").sql(id).sql(direction);
    }

    /// Sorts, and keeps one page.
    pub fn order_and_limit(&mut self, key: &'static str, id: &'static str) {
        self.order_by(key, id);
        self.limit();
    }

    /// Keeps one page.
    pub fn limit(&mut self) {
        let limit = self.limit;
        self.draft.sql(" limit ").again(limit);
    }

    /// Reads the rows of each value `v` from its own index, side by side, and keeps the sort keys and ids of one page as `k`.
    /// `values` writes the values, of which there are `count`; `one` writes the keys and ids of one of them, after the last
    /// row seen. Of many values, each is first asked for its first row alone: a page has rows of at most as many as it
    /// has rows, those whose first comes first.
    pub fn side_by_side(&mut self, count: usize, values: impl Fn(&mut Self), one: impl Fn(&mut Self)) {
        self.draft.sql("(select distinct k.key, k.id from ");
        if count > MANY {
            self.draft.sql("(select v.value from ");
            values(self);
            self.draft.sql(" cross join lateral (");
            one(self);
            self.order_by("1", "2");
            self.draft.sql(" limit 1) f");
            self.order_and_limit("f.key", "f.id");
            self.draft.sql(") v");
        } else {
            values(self);
        }
        self.draft.sql(" cross join lateral (");
        one(self);
        self.order_and_limit("1", "2");
        self.draft.sql(") k");
        self.order_and_limit("k.key", "k.id");
        self.draft.sql(") k");
    }
}
