//! A borrowed connection that never goes back to the pool with work on it. When its borrower is dropped in the
//! middle (deadline, hang-up), the running statement is cancelled in the database, the transaction is rolled
//! back, and the connection is closed: a late cancel cannot hit the next borrower, because there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Client, Object};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::share::Turn;
use crate::telemetry::trace::Peer;

/// How long a connection may take to come to rest before it is closed all the same.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) struct Lease {
    client: Option<Client>,
    /// Ends when the connection is at rest, or gone.
    turn: Option<Turn>,
    tls: MakeRustlsConnect,
    peer: Arc<Peer>,
    busy: AtomicBool,
    spoilt: AtomicBool,
}

impl Lease {
    pub(super) fn new(client: Client, turn: Turn, tls: MakeRustlsConnect, peer: Arc<Peer>) -> Self {
        let (busy, spoilt) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { client: Some(client), turn: Some(turn), tls, peer, busy, spoilt }
    }

    pub(super) fn client(&self) -> &Client {
        // Taken in drop only.
        self.client.as_ref().unwrap_or_else(|| unreachable!("a lease has its connection until it is dropped"))
    }

    /// Where its statements go.
    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// From here on the connection may have work on it.
    pub(super) fn busy(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }

    /// Nobody else shall have the connection: its server is shutting down, or takes no writes any more.
    pub(super) fn spoil(&self) {
        self.spoilt.store(true, Ordering::Relaxed);
    }

    /// The connection is at rest again.
    pub(super) fn idle(&self) {
        self.busy.store(false, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        // After the connection has gone back, or with the task that looks after it.
        let turn = self.turn.take();
        if client.is_closed() {
            return;
        }
        if !*self.busy.get_mut() {
            if *self.spoilt.get_mut() {
                drop(Object::take(client));
            }
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let settling = settle(client, self.tls.clone());
                drop(runtime.spawn(async move {
                    settling.await;
                    drop(turn);
                }));
            }
            // Without a runtime nobody can wait: the pool forgets the connection, and closing it ends its work.
            Err(_) => drop(Object::take(client)),
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("busy", &self.busy).field("spoilt", &self.spoilt).finish_non_exhaustive()
    }
}

async fn settle(client: Client, tls: MakeRustlsConnect) {
    let rest = async {
        client.cancel_token().cancel_query(tls).await?;
        // Waits for the statement to end.
        client.batch_execute("rollback").await
    };
    let _ = tokio::time::timeout(SETTLE, rest).await;
    // The server deals with the cancel when it gets to it, and says nothing: it may come after the statement's end, and
    // must not find another one here.
    drop(Object::take(client));
}
