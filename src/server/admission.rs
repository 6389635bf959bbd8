//! Who comes in: calls in flight are counted over the whole process, and a call that finds too many is refused at once.
//! An organization comes in while it holds fewer permits than are free. So however many one of them wants, as many are
//! left for others as it holds, and of several floods each gets as much as stays free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Peer;
use crate::config::Limits;
use crate::contract;
use crate::error::{Error, Result};
use crate::id::OrganizationId;
use crate::telemetry::{Held, metrics};

/// Who holds permits together: an organization, the operators (nil), or all whose credential is refused.
pub(super) type Tenant = Option<OrganizationId>;

/// Most calls at once to reflection, of all connections: anybody may make them, and their answers are large.
const REFLECTIONS: usize = 64;

/// The permits of a process: one for each call, one for each stream.
#[derive(Debug)]
pub(super) struct Admission {
    calls: Arc<Gate>,
    streams: Arc<Gate>,
    reflections: Arc<Semaphore>,
}

/// What a call that came in holds until its end.
#[derive(Debug)]
#[expect(dead_code, reason = "held, and never read")]
pub(super) enum Pass {
    /// A permit of its organization's.
    Ours(Permit),
    /// For what anybody may call: of its connection's, and of reflection's.
    Anybodys(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
}

impl Admission {
    /// As many permits as the settings say.
    pub(super) fn new(limits: &Limits) -> Self {
        let gate = |kind, most: u32| Arc::new(Gate::new(kind, usize::try_from(most).unwrap_or(usize::MAX)));
        Self {
            calls: gate("call", limits.max_concurrent_calls),
            streams: gate("stream", limits.max_concurrent_streams),
            reflections: Arc::new(Semaphore::new(REFLECTIONS)),
        }
    }

    /// Lets a call to health or reflection in. They hold none of the permits, so that they answer always; what one connection,
    /// and all of reflection, can have of them is bounded.
    ///
    /// # Errors
    /// [`Error::Overloaded`].
    pub(super) fn anybodys(&self, peer: &Peer, rpc: &str) -> Result<Pass> {
        let own = peer.as_anybody().ok_or(Error::Overloaded)?;
        let reflection = rpc.starts_with("grpc.reflection.").then(|| Arc::clone(&self.reflections).try_acquire_owned());
        Ok(Pass::Anybodys(own, reflection.transpose().map_err(|_| Error::Overloaded)?))
    }

    /// The permits for an RPC.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when none is free, whoever asks.
    pub(super) fn gate(&self, rpc: &str) -> Result<&Arc<Gate>> {
        let gate = if contract::is_stream(rpc) { &self.streams } else { &self.calls };
        if gate.inside().all < gate.most { Ok(gate) } else { Err(Error::Overloaded) }
    }
}

/// Permits of one kind.
#[derive(Debug)]
pub(super) struct Gate {
    /// Of what, for metrics.
    kind: &'static str,
    most: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    /// Only those who hold any.
    of: HashMap<Tenant, usize>,
}

impl Gate {
    fn new(kind: &'static str, most: usize) -> Self {
        Self { kind, most, inside: Mutex::default() }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // Nothing panics while it holds the lock.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a permit.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the tenant holds as many as are free.
    pub(super) fn enter(self: &Arc<Self>, tenant: Tenant) -> Result<Permit> {
        let mut inside = self.inside();
        let free = self.most - inside.all;
        let held = inside.of.get(&tenant).copied().unwrap_or_default();
        if held >= free {
            return Err(Error::Overloaded);
        }
        inside.all += 1;
        inside.of.insert(tenant, held + 1);
        drop(inside);
        let held = Held::new(&metrics().calls_in_flight, Some(self.kind));
        Ok(Permit { gate: Arc::clone(self), tenant, _held: held })
    }
}

/// The right to be in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Arc<Gate>,
    tenant: Tenant,
    _held: Held,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inside = self.gate.inside();
        inside.all -= 1;
        if let Some(held) = inside.of.get_mut(&self.tenant) {
            *held -= 1;
            if *held == 0 {
                inside.of.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn organization(number: u128) -> OrganizationId {
        OrganizationId(Uuid::from_u128(number))
    }

    /// Takes as many permits as there are for a tenant.
    fn flood(gate: &Arc<Gate>, number: u128) -> Vec<Permit> {
        std::iter::from_fn(|| gate.enter(Some(organization(number))).ok()).collect()
    }

    #[test]
    fn lone_tenant_holds_half_and_leaves_half() {
        for (most, held) in [(1, 1), (2, 1), (9, 5), (512, 256)] {
            let gate = Arc::new(Gate::new("call", most));

            let flood = flood(&gate, 1);

            assert_eq!((flood.len(), gate.inside().all), (held, held), "{most}");
        }
    }

    #[test]
    fn floods_get_equal_shares_and_leave_one_to_newcomers() {
        for floods in 1..=7 {
            let gate = Arc::new(Gate::new("call", 240));
            let mut held: Vec<Vec<Permit>> = (0..floods).map(|number| flood(&gate, number)).collect();

            // Calls end, and everybody wants more.
            for round in 0..2000 {
                for (number, permits) in (0..).zip(&mut held) {
                    if (round + usize::try_from(number).unwrap()).is_multiple_of(3) {
                        permits.pop();
                    }
                    permits.extend(flood(&gate, number));
                }
            }

            let share = 240 / (usize::try_from(floods).unwrap() + 1);
            let free = 240 - gate.inside().all;
            assert!(free + 1 >= share, "{floods} leave {free} of 240");
            assert!(held.iter().all(|permits| permits.len().abs_diff(share) <= 1 + share / 10), "{floods}");
            assert!(gate.enter(Some(organization(99))).is_ok());
        }
    }

    #[test]
    fn newcomer_comes_in_whatever_happened_while_anything_is_free() {
        let gate = Arc::new(Gate::new("call", 50));
        let (mut held, mut state) = (Vec::new(), 0x2545_f491_4f6c_dd1d_u64);
        for _ in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let number = u128::from(state >> 33) % 5;
            if state.is_multiple_of(3) && !held.is_empty() {
                held.swap_remove(usize::try_from(state >> 40).unwrap() % held.len());
            } else {
                held.extend(gate.enter(Some(organization(number))).ok());
            }

            let free = 50 - gate.inside().all;
            assert_eq!(gate.enter(Some(organization(99))).is_ok(), free > 0);
            assert_eq!(gate.inside().of.values().sum::<usize>(), held.len());
        }
        held.clear();
        assert_eq!(gate.inside().all, 0);
        assert!(gate.inside().of.is_empty());
    }

    #[test]
    fn streams_are_known_by_the_contract_and_counted_apart() {
        let limits = Limits { max_concurrent_calls: 1, max_concurrent_streams: 1, ..Limits::default() };
        let admission = Admission::new(&limits);
        let [call, stream] = ["photometa.v1.PhotoService/GetPhoto", "photometa.v1.DetectionService/IngestDetections"];

        let _streams = admission.gate(stream).unwrap().enter(Some(organization(1))).unwrap();

        assert!(
            admission.gate(stream).is_err()
                && admission.gate("photometa.v1.FeedbackService/ExportTrainingData").is_err()
        );
        let _calls = admission.gate(call).unwrap().enter(Some(organization(1))).unwrap();
        assert!(admission.gate(call).is_err());
    }
}
