//! The lease by which one node at a time does what only one may do: its shape in the store, and when to take it.
//!
//! The terms are those of Kubernetes (<https://kubernetes.io/docs/concepts/architecture/leases/>). It needs no clock that
//! all nodes have in common to be safe: who leads is checked by the store with each write that depends on it. The times
//! only decide how long the others wait for somebody who is silent.

use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::ports::job_store::Incarnation;
use nuncio_core::ports::records::{Record, RecordKey, RecordKind};
use serde::{Deserialize, Serialize};

/// The leases. A record of this kind changes with each renewal.
pub const LEASE: RecordKind = RecordKind("lease");
/// The terms: a record of this kind changes only when another node takes the lease, and its version is the term. So a
/// write that depends on the lease can [require](nuncio_core::ports::records::Write::Require) it.
pub const TERM: RecordKind = RecordKind("lease-term");

/// How long others wait for a holder who is silent.
pub const LEASE_DURATION: Duration = Duration::from_secs(10);
/// How often a holder says that it is there.
pub(crate) const RENEW_PERIOD: Duration = Duration::from_secs(2);
/// How much sooner than the others a holder takes its own lease for over. The nodes of a database go by its time to
/// within a second, each; what is left is for what it has under way.
const TRUST_MARGIN: Duration = Duration::from_secs(3);
/// How long a holder trusts a renewal, since the moment when it asked for it, by a clock that nobody sets.
pub(crate) const TRUST: Duration = LEASE_DURATION.saturating_sub(TRUST_MARGIN);
/// How often who waits for a lease looks at it: it may be given back at any moment.
pub(crate) const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Something that one node at a time does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Duty {
    /// To be the primary PAN: reminders, and the watch over secrets and certificates.
    Pan,
    /// To be the active MnT: to tell people of alarms.
    Mnt,
    /// To send for a mailbox of the settings: its connections and its budget are those of one node.
    Mailbox(EmailAddress),
}

/// What the id of a mailbox's lease begins with.
const MAILBOX: &str = "mailbox/";

impl Duty {
    /// The name that people read: `pan`, `mailbox/no-reply@example.com`.
    pub fn name(&self) -> String {
        match self {
            Self::Pan => "pan".to_owned(),
            Self::Mnt => "mnt".to_owned(),
            Self::Mailbox(address) => format!("{MAILBOX}{address}"),
        }
    }

    /// The duty of a name; none where a newer version has made it.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "pan" => Some(Self::Pan),
            "mnt" => Some(Self::Mnt),
            name => name.strip_prefix(MAILBOX)?.parse().ok().map(Self::Mailbox),
        }
    }

    pub(crate) fn lease_key(&self) -> RecordKey {
        RecordKey::new(LEASE, self.name())
    }

    pub(crate) fn term_key(&self) -> RecordKey {
        RecordKey::new(TERM, self.name())
    }
}

/// A lease as it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// The life of the node that holds it.
    pub(crate) holder: String,
    /// The name of that node.
    pub(crate) node: String,
    pub(crate) acquire_time: Timestamp,
    /// Until when the others wait; in the past if it was given back.
    pub(crate) until: Timestamp,
}

impl Lease {
    /// None where nobody can read it: then it is over.
    pub(crate) fn read(record: &Record) -> Option<Self> {
        serde_json::from_str(&record.content).ok()
    }

    pub(crate) fn content(&self) -> String {
        serde_json::to_string(self).expect("texts and times can be written")
    }

    pub(crate) fn is_held_by(&self, holder: &Incarnation) -> bool {
        self.holder == holder.0
    }
}

/// What a node does that wants a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Take,
    /// Look again then.
    Wait(Duration),
}

/// What to do about a lease that this node does not hold, as far as it knows. One that stands as its own is of a term
/// that it has lost trust in: it begins a new one.
pub(crate) fn step(lease: Option<&Lease>, me: &Incarnation, now: Timestamp) -> Step {
    match lease {
        Some(lease) if !lease.is_held_by(me) && now < lease.until => {
            let left = Duration::try_from(lease.until.duration_since(now)).unwrap_or_default();
            Step::Wait(left.min(LOOK_PERIOD))
        }
        Some(_) | None => Step::Take,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::constant(1_800_000_000, 0);

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn check(lease: Option<(&str, i64)>, expect: Step) {
        let lease = lease.map(|(holder, left)| Lease {
            holder: holder.to_owned(),
            node: "psn-1".to_owned(),
            acquire_time: NOON,
            until: NOON + jiff::SignedDuration::from_secs(left),
        });
        assert_eq!(step(lease.as_ref(), &Incarnation("me".to_owned()), NOON), expect, "{lease:?}");
    }

    #[test]
    fn a_lease_is_taken_that_nobody_holds_any_more() {
        check(None, Step::Take);
        check(Some(("other", 0)), Step::Take);
        check(Some(("other", -5)), Step::Take);
    }

    #[test]
    fn the_lease_of_another_node_is_waited_for_until_its_very_end() {
        check(Some(("other", 9)), Step::Wait(LOOK_PERIOD));
        let until = NOON + Duration::from_millis(300);
        let lease =
            Lease { holder: "other".into(), node: "psn-1".into(), acquire_time: NOON, until };
        let wait = step(Some(&lease), &Incarnation("me".to_owned()), NOON);
        assert_eq!(wait, Step::Wait(Duration::from_millis(300)));
    }

    #[test]
    fn a_node_that_has_lost_trust_in_its_lease_begins_a_new_term() {
        check(Some(("me", 9)), Step::Take);
    }

    #[test]
    fn a_holder_ends_its_trust_before_the_others_end_their_patience() {
        assert!(RENEW_PERIOD * 3 < TRUST, "three renewals are tried");
        assert_eq!(TRUST, s(7));
    }

    #[test]
    fn a_duty_is_found_by_its_name() {
        let mailbox = Duty::Mailbox("no-reply@example.com".parse().unwrap());
        for duty in [Duty::Pan, Duty::Mnt, mailbox] {
            assert_eq!(Duty::from_name(&duty.name()), Some(duty));
        }
        assert_eq!(Duty::from_name("of-a-newer-version"), None);
    }
}
