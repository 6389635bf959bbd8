//! Groups on a store of the test's own. Time stands still, and passes when nobody has anything to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use uuid::Uuid;

use super::*;
use crate::auth::{Role, Term};
use crate::lsn::Written;

const MIB: usize = 1024 * 1024;

/// What the group asks its store for. Dropped without an answer, the store panics.
struct Statement {
    caller: Caller,
    items: Vec<usize>,
    reply: oneshot::Sender<Outcomes<usize>>,
}

impl Statement {
    /// Answers each item with ten times itself.
    fn succeed(self) {
        let outcomes = self.items.iter().map(|item| Ok(item * 10)).collect();
        let _ = self.reply.send(Ok(outcomes));
    }
}

type Calls = Vec<JoinHandle<Result<usize>>>;

/// A group, and the statements it asks for.
struct Scene {
    group: Arc<Group<usize, usize>>,
    asked: mpsc::UnboundedReceiver<Statement>,
}

impl Scene {
    fn new() -> Self {
        let (statements, asked) = mpsc::unbounded_channel();
        let store = move |caller, items| {
            let (reply, replied) = oneshot::channel();
            let _ = statements.send(Statement { caller, items, reply });
            async move { replied.await.unwrap_or_else(|_| panic!("as a store with a bug does")) }
        };
        Self { group: Arc::new(Group::new("item", store)), asked }
    }

    fn call_with(&self, caller: Caller, item: usize, bytes: usize) -> JoinHandle<Result<usize>> {
        let group = Arc::clone(&self.group);
        tokio::spawn(async move { group.store(&caller, item, bytes).await })
    }

    fn call(&self, item: usize) -> JoinHandle<Result<usize>> {
        self.call_with(service(1), item, 1)
    }

    /// The statements that are asked for by now.
    async fn asked(&mut self) -> Vec<Statement> {
        idle().await;
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }

    /// The next statement that is asked for, however long that takes.
    async fn next(&mut self) -> Statement {
        timeout(Duration::from_secs(60), self.asked.recv()).await.unwrap().unwrap()
    }

    /// A lone caller, whose statement others have to wait for.
    async fn busy(&mut self, caller: &Caller) -> (Calls, Vec<Statement>) {
        let calls = vec![self.call_with(caller.clone(), 0, 1)];
        let statements = self.asked().await;
        assert_eq!(items(&statements), [[0]]);
        (calls, statements)
    }

    /// Answers statements until no more are asked for; after that nothing may be left.
    async fn finish(&mut self, mut statements: Vec<Statement>) -> Vec<Vec<usize>> {
        let mut all = Vec::new();
        while !statements.is_empty() {
            for statement in statements {
                all.push(statement.items.clone());
                statement.succeed();
            }
            statements = self.asked().await;
        }
        assert!(self.group.0.lanes().is_empty());
        all
    }
}

/// Lets everybody do what they can.
async fn idle() {
    sleep(Duration::from_millis(1)).await;
}

fn caller(organization: u128, role: Role, subject: u128) -> Caller {
    let deadline = Instant::now() + Duration::from_secs(30);
    let term = Term { longest: Duration::from_secs(30), asked: None, streams: false, expires: None, ends: None };
    let organization = OrganizationId(Uuid::from_u128(organization));
    let (rpc, after, written) = (String::new(), None, Written::default());
    Caller { organization, subject: Uuid::from_u128(subject), role, rpc, deadline, term, after, written }
}

fn service(organization: u128) -> Caller {
    caller(organization, Role::Service, 7)
}

fn items(statements: &[Statement]) -> Vec<Vec<usize>> {
    statements.iter().map(|statement| statement.items.clone()).collect()
}

fn is_overloaded(outcome: &Result<usize>) -> bool {
    matches!(outcome, Err(Error::Overloaded))
}

mod bounds;
mod leaving;
mod sharing;
mod trouble;
