//! The nodes of a store that take alarms, whichever of them lives.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use nuncio_alarms::forwarder::{AlarmReceiver, TellError, Told};
use nuncio_alarms::mnt_client::MntClient;
use nuncio_alarms::outbox::Waiting;
use nuncio_nodes::lease::Duty;
use nuncio_nodes::membership::{Life, Member, Membership};

use crate::config::Role;
use crate::peers::{Peers, ReachError};

/// Tells alarms to the active MnT, or to one that stands by: both keep them in the store.
pub(crate) struct Mnts {
    membership: Membership,
    peers: Peers,
    known: Mutex<Known>,
}

/// What earlier tellings have left.
#[derive(Default)]
struct Known {
    clients: BTreeMap<String, MntClient>,
    /// Who took the last ones. After a failure none has.
    last: Option<String>,
}

impl Mnts {
    pub(crate) fn new(membership: Membership, peers: Peers) -> Self {
        Self { membership, peers, known: Mutex::default() }
    }
}

#[async_trait]
impl AlarmReceiver for Mnts {
    async fn tell(&self, events: &[Waiting]) -> Result<Vec<Told>, TellError> {
        let members = self.membership.members().await;
        let members = members.map_err(|error| TellError(Box::new(error)))?;
        let addresses = self.known().turns(&members);
        let mut problem = TellError("no node with the role `mnt` lives".into());
        for address in addresses {
            let client = self.known().client(&address, &self.peers);
            let client = client.map_err(|error| TellError(Box::new(error)))?;
            match client.tell(events).await {
                Ok(told) => {
                    self.known().last = Some(address);
                    return Ok(told);
                }
                Err(error) => problem = error,
            }
            self.known().last = None;
        }
        Err(problem)
    }
}

impl Mnts {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The addresses to try, in their turn. Connections to others are given up.
    fn turns(&mut self, members: &[Member]) -> Vec<String> {
        let addresses = in_turn(members, self.last.as_deref());
        self.clients.retain(|address, _client| addresses.contains(address));
        addresses
    }

    fn client(&mut self, address: &str, peers: &Peers) -> Result<MntClient, ReachError> {
        if let Some(client) = self.clients.get(address) {
            return Ok(client.clone());
        }
        let client = MntClient::of(peers.connect(address)?, address);
        self.clients.insert(address.to_owned(), client.clone());
        Ok(client)
    }
}

/// The addresses to try: first where it went well before, so that one that cannot be reached costs its time once; then the
/// active MnT.
fn in_turn(members: &[Member], last: Option<&str>) -> Vec<String> {
    let (role, duty) = (Role::Mnt.name(), Duty::Mnt.name());
    let mut mnts: Vec<_> = members
        .iter()
        .filter(|member| member.life == Life::Live)
        .filter_map(|member| member.report.as_ref())
        .filter(|report| report.roles.iter().any(|one| one == role))
        .map(|report| {
            let (is_last, leads) =
                (last == Some(report.address.as_str()), report.leads.contains(&duty));
            ((!is_last, !leads), report.address.clone())
        })
        .collect();
    mnts.sort();
    mnts.into_iter().map(|(_rank, address)| address).collect()
}

#[cfg(test)]
mod tests;
