//! A borrowed connection that never goes back to the pool with work on it. When its borrower is dropped in the
//! middle (deadline, hang-up), the running statement is cancelled in the database, the transaction is rolled
//! back, and the connection is closed: a late cancel cannot hit the next borrower, because there is none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Client, Object};
use tokio_postgres::NoTls;

/// How long a connection may take to come to rest before it is closed all the same.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Lease {
    client: Option<Client>,
    busy: AtomicBool,
}

impl Lease {
    pub(super) fn new(client: Client) -> Self {
        Self { client: Some(client), busy: AtomicBool::new(false) }
    }

    pub(super) fn client(&self) -> &Client {
        // Taken in drop only.
        self.client.as_ref().unwrap_or_else(|| unreachable!("a lease has its connection until it is dropped"))
    }

    /// From here on the connection may have work on it.
    pub(super) fn busy(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }

    /// The connection is at rest again.
    pub(super) fn idle(&self) {
        self.busy.store(false, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        if !*self.busy.get_mut() || client.is_closed() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(settle(client))),
            // Without a runtime nobody can wait: the pool forgets the connection, and closing it ends its work.
            Err(_) => drop(Object::take(client)),
        }
    }
}

async fn settle(client: Client) {
    let rest = async {
        client.cancel_token().cancel_query(NoTls).await?;
        // Waits for the statement to end.
        client.batch_execute("rollback").await
    };
    let _ = tokio::time::timeout(SETTLE, rest).await;
    // The server deals with the cancel when it gets to it, and says nothing: it may come after the statement's end, and
    // must not find another one here.
    drop(Object::take(client));
}
