//! One transaction in the caller's scope. tokio-postgres sends a request when its future is first polled, and
//! answers come in the order of the requests; so the opening is sent without waiting, the first statement rides
//! with it, and where the number of statements is known the commit is sent right behind the last one.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use futures_util::future::{MaybeDone, join, maybe_done};
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, SimpleQueryMessage, Statement};

use super::flight::Flight;
use super::sql::Text;
use super::{Access, Lease, Sql, first_of};
use crate::auth::{Caller, Role};
use crate::error::{Error, Result};
use crate::id::OrganizationId;

/// Parameters of a statement.
pub type Params<'a> = [&'a (dyn ToSql + Sync)];

/// Most statements that a connection keeps prepared; then it begins anew. The shapes of filters are many, and each
/// plan takes some memory of the server.
const MAX_PREPARED: usize = 500;

/// Goes before a commit that waits for a standby: PostgreSQL waits for one that has written something only, and what was found may
/// be there and on no standby yet. Whoever is told that it is there was promised that it stays.
const MARK: &str = "select pg_catalog.pg_logical_emit_message(true, 'photometa', '')";

/// One transaction. It rolls back when it is dropped before its commit.
#[derive(Debug, Clone)]
pub struct Tx(Arc<State>);

#[derive(Debug)]
struct State {
    /// Of all statements, where their number is known. It ends before the connection goes back.
    flight: OnceLock<Flight>,
    lease: Lease,
    caller: Caller,
    access: Access,
    length: Length,
    /// Its commit waits for a standby.
    replicated: bool,
    /// Whose statement is next: they are sent in the order in which they were asked for, also when an earlier one is prepared
    /// first and a later one need not be.
    next: Mutex<()>,
    /// Statements that were sent, or could not be.
    sent: AtomicUsize,
    failed: AtomicBool,
    /// The end was sent as a commit.
    ending: AtomicBool,
    /// PostgreSQL has refused a statement: what was sent behind it commits nothing.
    refused: AtomicBool,
}

/// How many statements a transaction has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// As many as its closure likes.
    Open,
    /// So many. The commit travels behind the last one, before any is answered.
    Known(usize),
}

impl Tx {
    /// A transaction on a connection.
    pub(super) fn new(lease: Lease, caller: &Caller, access: Access, length: Length, replicates: bool) -> Self {
        let [failed, ending, refused] = std::array::from_fn(|_| AtomicBool::new(false));
        let sent = AtomicUsize::new(0);
        let (flight, next, caller) = (OnceLock::new(), Mutex::new(()), caller.clone());
        let replicated = replicates && access == Access::Write;
        Self(Arc::new(State { flight, lease, caller, access, length, replicated, next, sent, failed, ending, refused }))
    }

    /// The tenant: `$1` of every statement. Row security would do without; the planner is better with.
    pub fn organization(&self) -> &OrganizationId {
        &self.0.caller.organization
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// Runs a statement and answers its rows.
    ///
    /// # Errors
    /// [`Error::Database`], raw. The transaction can then only be rolled back.
    pub async fn query(&self, sql: &impl Text, params: &Params<'_>) -> Result<Vec<Row>> {
        self.0.lease.busy();
        let own;
        let flight = match self.0.length {
            Length::Known(length) => self.0.flight.get_or_init(|| self.flight(sql.name(), length)),
            Length::Open => {
                own = self.flight(sql.name(), 1);
                &own
            }
        };
        let outcome = self.run(sql, params).await;
        flight.answered(&outcome);
        if let Err(error) = &outcome {
            self.0.failed.store(true, Ordering::Relaxed);
            self.look_at(error);
        }
        outcome
    }

    fn flight(&self, statement: &'static str, statements: usize) -> Flight {
        Flight::begin(self.0.lease.peer(), statement, statements)
    }

    /// Gives the connection up when the error says that its server is going, or takes no writes.
    fn look_at(&self, error: &Error) {
        if error.is_lost() {
            self.0.lease.spoil();
        }
    }

    /// Tells whether it is certain that nothing was written, once the transaction has failed: it could not, no commit
    /// was sent, or what came before the commit was refused.
    pub(super) fn is_undone(&self) -> bool {
        self.0.access != Access::Write
            || !self.0.ending.load(Ordering::Relaxed)
            || self.0.refused.load(Ordering::Relaxed)
    }

    /// Runs a statement that answers one row at most.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub async fn query_opt(&self, sql: &Sql, params: &Params<'_>) -> Result<Option<Row>> {
        Ok(self.query(sql, params).await?.pop())
    }

    /// Runs a statement that answers exactly one row.
    ///
    /// # Errors
    /// As [`Tx::query`]; [`Error::Internal`] without a row.
    pub async fn query_one(&self, sql: &Sql, params: &Params<'_>) -> Result<Row> {
        self.query_opt(sql, params).await?.ok_or_else(|| Error::Internal("a statement answered no row".to_owned()))
    }

    async fn run(&self, sql: &impl Text, params: &Params<'_>) -> Result<Vec<Row>> {
        let next = self.0.next.lock().await;
        let client = self.0.lease.client();
        // Cached after its first use on this connection. It needs no table rights, so it may run outside.
        if client.statement_cache.size() >= MAX_PREPARED {
            client.statement_cache.clear();
        }
        let statement = client.prepare_cached(sql.of(self.0.caller.role)).await?;
        // Nothing waits between this and the sending, so statements are sent in the order in which they are counted.
        let earlier = self.0.sent.fetch_add(1, Ordering::Relaxed);
        let last = match self.0.length {
            Length::Open => false,
            Length::Known(length) if earlier < length => earlier + 1 == length,
            Length::Known(length) => {
                return Err(Error::Internal(format!("a transaction of {length} statements made one more")));
            }
        };
        let context = match earlier {
            0 => Some(self.context(sql.planner())),
            _ => Some(sql.planner().trim_start_matches("; ").to_owned()).filter(|planner| !planner.is_empty()),
        };
        self.fly(&statement, params, (earlier == 0, context), last, next).await
    }

    /// BEGIN before the first statement, what is to be set for this one, the statement and, behind the last one, the end:
    /// each polled once before any is awaited.
    async fn fly(
        &self,
        statement: &Statement,
        params: &Params<'_>,
        (first, context): (bool, Option<String>),
        last: bool,
        next: MutexGuard<'_, ()>,
    ) -> Result<Vec<Row>> {
        let client = self.0.lease.client();
        let begin = match self.0.access {
            Access::Read | Access::Check => "begin read only",
            Access::Write => "begin",
        };
        let mut begun = pin!(maybe_done(client.batch_execute(begin)));
        let mut opened = pin!(maybe_done(client.batch_execute(context.as_deref().unwrap_or_default())));
        let mut rows = pin!(maybe_done(client.query(statement, params)));
        if first {
            send(begun.as_mut()).await;
        }
        if context.is_some() {
            send(opened.as_mut()).await;
        }
        send(rows.as_mut()).await;
        if matches!(&*rows, MaybeDone::Done(Err(_))) {
            // A parameter that does not encode fails before anything is sent: nothing may be committed around it.
            self.0.failed.store(true, Ordering::Relaxed);
        }
        let end = if self.0.failed.load(Ordering::Relaxed) { "rollback" } else { self.ending() };
        // Boxed, as what is seldom there.
        let marks = last && self.0.replicated && end != "rollback";
        let mut marked = marks.then(|| Box::pin(maybe_done(client.batch_execute(MARK))));
        let mut ended = pin!(maybe_done(client.simple_query(end)));
        if let Some(marked) = &mut marked {
            send(marked.as_mut()).await;
        }
        if last {
            self.0.ending.store(end != "rollback", Ordering::Relaxed);
            send(ended.as_mut()).await;
        }
        drop(next);

        let begun = if first { answer(begun).await } else { Ok(()) };
        let opened = if context.is_some() { begun.and(answer(opened).await) } else { begun };
        let rows = answer(rows).await;
        let marked = if let Some(mut marked) = marked { answer(marked.as_mut()).await } else { Ok(()) };
        let ended = if last { answer(ended).await } else { Ok(Vec::new()) };
        if last {
            self.0.lease.idle();
        }
        // The opening's own error first: the others only follow from it.
        let rows = opened.and(rows).and_then(|rows| marked.map(|()| rows)).inspect_err(|error| {
            let refused = matches!(error, Error::Database(error) if error.as_db_error().is_some());
            self.0.refused.fetch_or(refused, Ordering::Relaxed);
        })?;
        self.committed(&ended?);
        Ok(rows)
    }

    /// What commits. Where something may have been written, it also asks for a position in the log behind that; others
    /// may have written up to there too.
    fn ending(&self) -> &'static str {
        match self.0.access {
            Access::Read | Access::Check => "commit",
            Access::Write => "commit; select pg_catalog.pg_current_wal_insert_lsn()",
        }
    }

    /// Tells the caller where the log was after the commit.
    fn committed(&self, answer: &[SimpleQueryMessage]) {
        if let Some(position) = first_of(answer) {
            self.0.caller.written.raise(position);
        }
    }

    /// Commits, unless that was sent with the last statement.
    pub(super) async fn commit(&self) -> Result<()> {
        let sent = self.0.sent.load(Ordering::Relaxed);
        if self.0.failed.load(Ordering::Relaxed) {
            // PostgreSQL would answer this COMMIT with a silent rollback.
            self.rollback().await;
            return Err(Error::Internal("a closure answered Ok after one of its statements had failed".to_owned()));
        }
        match self.0.length {
            Length::Known(length) if sent == length => return Ok(()),
            Length::Known(length) if sent > 0 => {
                self.rollback().await;
                return Err(Error::Internal(format!("a transaction of {length} statements made only {sent}")));
            }
            Length::Open if sent > 0 => {
                self.0.ending.store(true, Ordering::Relaxed);
                let flight = self.flight("COMMIT", 1);
                let client = self.0.lease.client();
                let mark = self.0.replicated.then(|| Box::pin(client.batch_execute(MARK)));
                let mark = async { if let Some(mark) = mark { mark.await } else { Ok(()) } };
                // Behind a mark that is refused, the commit is a rollback.
                let (marked, ended) = join(mark, client.simple_query(self.ending())).await;
                let ended = marked.and(ended).map_err(Error::from);
                flight.answered(&ended);
                self.committed(&ended.inspect_err(|error| self.look_at(error))?);
            }
            Length::Known(_) | Length::Open => {}
        }
        self.0.lease.idle();
        Ok(())
    }

    /// Rolls back.
    pub(super) async fn rollback(&self) {
        let sent = self.0.sent.load(Ordering::Relaxed);
        if matches!(self.0.length, Length::Known(length) if sent >= length) {
            return; // Ended with its flight, or is settled by its lease.
        }
        if sent > 0 {
            let flight = self.flight("ROLLBACK", 1);
            let ended = self.0.lease.client().batch_execute("rollback").await.map_err(Error::from);
            flight.answered(&ended);
            if ended.is_err() {
                return; // The lease closes or settles it.
            }
        }
        self.0.lease.idle();
    }

    /// The context statement: nothing but `SET LOCAL`, made of an enum, two UUIDs, a number and words of our own. A
    /// message of its own: a distributed PostgreSQL repeats it on its workers.
    fn context(&self, planner: &str) -> String {
        let caller = &self.0.caller;
        let role = match caller.role {
            Role::Operator => "photometa_operator",
            Role::OrgAdmin => "org_admin",
            Role::OrgUser => "org_user",
            Role::Service => "org_service",
        };
        let milliseconds = caller.remaining().as_millis().clamp(1, 3_600_000);
        let mut text = String::with_capacity(300);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "set local role {role}; set local app.org_id = '{}'; set local app.user_id = '{}'; set local statement_timeout = {milliseconds}{}",
            caller.organization, caller.subject, planner
        );
        text
    }
}

/// Polls a request's future once, which sends it.
async fn send<F: Future>(mut request: Pin<&mut MaybeDone<F>>) {
    std::future::poll_fn(|context| {
        let _ = request.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

/// Waits for the answer to a request that was sent.
async fn answer<T, E: Into<Error>, F: Future<Output = Result<T, E>>>(mut request: Pin<&mut MaybeDone<F>>) -> Result<T> {
    request.as_mut().await;
    match request.take_output() {
        Some(answer) => answer.map_err(Into::into),
        None => Err(Error::Internal("an answer was taken twice".to_owned())),
    }
}
