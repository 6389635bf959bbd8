//! One transaction in the caller's scope. tokio-postgres sends a request when its future is first polled, and
//! answers come in the order of the requests; so the opening is sent without waiting, the first statement rides
//! with it, and [`Db::once`](super::Db::once) sends the commit right behind its only statement.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_util::future::{MaybeDone, maybe_done};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::sql::Text;
use super::{Access, Lease, Sql};
use crate::auth::{Caller, Role};
use crate::error::{Error, Result};
use crate::id::OrganizationId;

/// Parameters of a statement.
pub type Params<'a> = [&'a (dyn ToSql + Sync)];

/// Most statements that a connection keeps prepared; then it begins anew. The shapes of filters are many, and each
/// plan takes some memory of the server.
const MAX_PREPARED: usize = 500;

/// One transaction. It rolls back when it is dropped before its commit.
#[derive(Debug, Clone)]
pub struct Tx(Arc<State>);

#[derive(Debug)]
struct State {
    lease: Lease,
    caller: Caller,
    access: Access,
    single: bool,
    opened: AtomicBool,
    failed: AtomicBool,
}

impl Tx {
    /// A transaction on a connection; `single` for exactly one statement.
    pub(super) fn new(lease: Lease, caller: &Caller, access: Access, single: bool) -> Self {
        let (opened, failed) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(State { lease, caller: caller.clone(), access, single, opened, failed }))
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
        let outcome = self.run(sql, params).await;
        if outcome.is_err() {
            self.0.failed.store(true, Ordering::Relaxed);
        }
        outcome
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
        let client = self.0.lease.client();
        // Cached after its first use on this connection. It needs no table rights, so it may run outside.
        if client.statement_cache.size() >= MAX_PREPARED {
            client.statement_cache.clear();
        }
        let statement = client.prepare_cached(sql.of(self.0.caller.role)).await?;
        if self.0.opened.swap(true, Ordering::Relaxed) {
            if self.0.single {
                return Err(Error::Internal("Db::once ran a second statement".to_owned()));
            }
            return Ok(client.query(&statement, params).await?);
        }
        self.first_flight(sql, &statement, params).await
    }

    /// BEGIN, context, statement and, for a single one, COMMIT: each polled once before any is awaited.
    async fn first_flight(&self, sql: &impl Text, statement: &Statement, params: &Params<'_>) -> Result<Vec<Row>> {
        let client = self.0.lease.client();
        let context = context(&self.0.caller, sql.planner());
        let begin = match self.0.access {
            Access::Read => "begin read only",
            Access::Write => "begin",
        };
        let mut begin = pin!(maybe_done(client.batch_execute(begin)));
        let mut context = pin!(maybe_done(client.batch_execute(&context)));
        let mut rows = pin!(maybe_done(client.query(statement, params)));
        send(begin.as_mut()).await;
        send(context.as_mut()).await;
        send(rows.as_mut()).await;

        let end = self.0.single.then(|| {
            // A parameter that does not encode fails before anything is sent: nothing may be committed around it.
            let unsent = matches!(&*rows, MaybeDone::Done(Err(_)));
            maybe_done(client.batch_execute(if unsent { "rollback" } else { "commit" }))
        });
        let mut end = pin!(end);
        if let Some(end) = end.as_mut().as_pin_mut() {
            send(end).await;
        }

        let opened = [answer(begin).await, answer(context).await];
        let rows = answer(rows).await;
        let ended = match end.as_pin_mut() {
            Some(end) => {
                let ended = answer(end).await;
                self.0.lease.idle();
                ended
            }
            None => Ok(()),
        };
        // The opening's own error first: the others only follow from it.
        for result in opened {
            result?;
        }
        let rows = rows?;
        ended?;
        Ok(rows)
    }

    /// Commits; a single transaction has done so with its statement.
    pub(super) async fn commit(&self) -> Result<()> {
        if self.0.single {
            return Ok(());
        }
        if !self.0.opened.load(Ordering::Relaxed) {
            self.0.lease.idle();
            return Ok(());
        }
        if self.0.failed.load(Ordering::Relaxed) {
            // PostgreSQL would answer this COMMIT with a silent rollback.
            self.rollback().await;
            return Err(Error::Internal("a closure answered Ok after one of its statements had failed".to_owned()));
        }
        self.0.lease.client().batch_execute("commit").await?;
        self.0.lease.idle();
        Ok(())
    }

    /// Rolls back.
    pub(super) async fn rollback(&self) {
        if self.0.single {
            return; // Ended with its flight, or is settled by its lease.
        }
        if self.0.opened.load(Ordering::Relaxed) && self.0.lease.client().batch_execute("rollback").await.is_err() {
            return; // The lease closes or settles it.
        }
        self.0.lease.idle();
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

/// The context statement: nothing but `SET LOCAL`, made of an enum, two UUIDs, a number and words of our own.
fn context(caller: &Caller, planner: &str) -> String {
    let role = match caller.role {
        Role::Operator => "photometa_operator",
        Role::OrgAdmin => "org_admin",
        Role::OrgUser => "org_user",
        Role::Service => "org_service",
    };
    let mut text = String::with_capacity(280);
    let milliseconds = caller.remaining().as_millis().clamp(1, 3_600_000);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "set local role {role}; set local app.org_id = '{}'; set local app.user_id = '{}'; set local statement_timeout = {milliseconds}{planner}",
        caller.organization, caller.subject
    );
    text
}
