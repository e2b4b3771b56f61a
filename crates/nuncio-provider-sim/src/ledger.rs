//! The ground truth: what was accepted, and what was counted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

/// A mail that the submission server has taken responsibility for.
#[derive(Clone, Debug, Serialize)]
pub struct AcceptedMail {
    pub at: Timestamp,
    /// Who had logged in; with `auth_not_required` the address of MAIL FROM.
    pub mailbox: String,
    pub mail_from: String,
    pub recipients: Vec<String>,
    /// Without the angle brackets.
    pub message_id: Option<String>,
    /// Header and body as sent, dots unstuffed.
    #[serde(skip)]
    pub data: Vec<u8>,
    /// Number of the connection, counted from 1.
    pub connection: u64,
    /// Times the server had to send replies and wait for the client, from MAIL to the reply to the end of data.
    pub round_trips: u64,
}

/// A Message-ID that was accepted more than once.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Duplicate {
    pub message_id: String,
    pub times: u64,
}

/// Fewer mails came than were waited for.
#[derive(Debug, thiserror::Error)]
#[error("only {accepted} of {wanted} mails were accepted within {timeout:?}")]
pub struct TooFewAccepted {
    pub wanted: u64,
    pub accepted: u64,
    pub timeout: Duration,
}

/// What a simulator has counted since its start.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// TCP connections of the submission server. The end of one is counted shortly after the client sees it.
    pub connections: Gauge,
    pub auths_accepted: u64,
    pub auths_refused: u64,
    pub token_requests: u64,
    pub tokens_issued: u64,
    pub mails_accepted: u64,
    pub recipients_accepted: u64,
    /// Mails accepted under a Message-ID that was accepted before.
    pub mails_repeated: u64,
    /// (Message-ID, recipient) pairs accepted more than once: what a person sees twice.
    pub deliveries_repeated: u64,
    pub refused: Refusals,
    /// Sum over the accepted mails, see [`AcceptedMail::round_trips`].
    pub round_trips: u64,
    /// Commands that no correct client sends: unknown, malformed, out of order, or pipelined where it is forbidden.
    pub protocol_errors: u64,
    pub mailboxes: BTreeMap<String, MailboxStats>,
}

/// Something that goes up and down.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Gauge {
    pub now: u64,
    pub max: u64,
    pub total: u64,
}

impl Gauge {
    fn up(&mut self) {
        self.now += 1;
        self.total += 1;
        self.max = self.max.max(self.now);
    }

    fn down(&mut self) {
        self.now -= 1;
    }
}

/// What was counted for one mailbox.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MailboxStats {
    /// Connections that have logged in.
    pub authenticated: Gauge,
    /// Connections between MAIL and the reply to the end of data.
    pub submitting: Gauge,
    pub mails_accepted: u64,
    pub recipients_accepted: u64,
}

/// Refusals, by what was exceeded or broken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Refusals {
    pub connections: u64,
    pub rate: u64,
    pub recipients_per_day: u64,
    pub recipients_per_message: u64,
    pub size: u64,
    pub send_as: u64,
    pub permission: u64,
    /// Bare line feeds, long lines, a missing From.
    pub content: u64,
    /// By a rule about the recipient, on RCPT or at the end of data.
    pub recipient: u64,
}

/// Why a mail or a recipient was refused; each has its counter in [`Refusals`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    Connections,
    Rate,
    RecipientsPerDay,
    RecipientsPerMessage,
    Size,
    SendAs,
    Permission,
    Content,
    Recipient,
}

/// What a connection of a mailbox is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Presence {
    Authenticated,
    Submitting,
}

/// The books of one simulator.
pub(crate) struct Ledger {
    state: Mutex<State>,
    kept_max: usize,
    accepted: watch::Sender<u64>,
}

struct State {
    stats: Stats,
    kept: VecDeque<Arc<AcceptedMail>>,
    message_ids: HashMap<Box<str>, u64>,
    /// How often each pair of Message-ID and recipient was accepted, by its hash.
    deliveries: HashMap<u64, u32>,
}

impl Ledger {
    pub(crate) fn new(kept_max: usize) -> Self {
        let state = State {
            stats: Stats::default(),
            kept: VecDeque::new(),
            message_ids: HashMap::new(),
            deliveries: HashMap::new(),
        };
        Self { state: Mutex::new(state), kept_max, accepted: watch::Sender::new(0) }
    }

    /// Books a mail, and keeps it with a copy of its `data` if any are kept.
    pub(crate) fn accept(&self, mut mail: AcceptedMail, data: &[u8]) {
        if self.kept_max != 0 {
            mail.data = data.to_vec();
        }
        let total = {
            let mut state = self.lock();
            state.book(&mail);
            if self.kept_max <= state.kept.len() {
                state.kept.pop_front();
            }
            if self.kept_max != 0 {
                state.kept.push_back(Arc::new(mail));
            }
            state.stats.mails_accepted
        };
        // Two connections may come here in the wrong order.
        self.accepted.send_modify(|seen| *seen = total.max(*seen));
    }

    pub(crate) fn accepted(&self) -> Vec<Arc<AcceptedMail>> {
        self.lock().kept.iter().cloned().collect()
    }

    pub(crate) fn duplicates(&self) -> Vec<Duplicate> {
        let state = self.lock();
        let mut found: Vec<_> = state
            .message_ids
            .iter()
            .filter(|(_, times)| 1 < **times)
            .map(|(id, times)| Duplicate { message_id: id.to_string(), times: *times })
            .collect();
        found.sort_by(|a, b| a.message_id.cmp(&b.message_id));
        found
    }

    /// How often each Message-ID was accepted.
    pub(crate) fn message_ids(&self) -> BTreeMap<String, u64> {
        self.lock().message_ids.iter().map(|(id, times)| (id.to_string(), *times)).collect()
    }

    /// How often a mail with this Message-ID was accepted for this recipient.
    pub(crate) fn delivered(&self, message_id: &str, recipient: &str) -> u64 {
        let times = self.lock().deliveries.get(&delivery(message_id, recipient)).copied();
        times.unwrap_or_default().into()
    }

    pub(crate) async fn wait_for_accepted(
        &self,
        wanted: u64,
        timeout: Duration,
    ) -> Result<(), TooFewAccepted> {
        let mut seen = self.accepted.subscribe();
        let arrived = tokio::time::timeout(timeout, seen.wait_for(|accepted| wanted <= *accepted))
            .await
            .is_ok();
        let accepted = *self.accepted.borrow();
        if arrived { Ok(()) } else { Err(TooFewAccepted { wanted, accepted, timeout }) }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.lock().stats.clone()
    }

    /// Counts a connection, and returns its number.
    pub(crate) fn connected(&self) -> u64 {
        let mut state = self.lock();
        state.stats.connections.up();
        state.stats.connections.total
    }

    pub(crate) fn disconnected(&self) {
        self.lock().stats.connections.down();
    }

    pub(crate) fn entered(&self, mailbox: &str, presence: Presence) {
        self.lock().gauge(mailbox, presence).up();
    }

    pub(crate) fn left(&self, mailbox: &str, presence: Presence) {
        self.lock().gauge(mailbox, presence).down();
    }

    pub(crate) fn auth(&self, accepted: bool) {
        let stats = &mut self.lock().stats;
        if accepted { stats.auths_accepted += 1 } else { stats.auths_refused += 1 }
    }

    pub(crate) fn token_request(&self, issued: bool) {
        let stats = &mut self.lock().stats;
        stats.token_requests += 1;
        stats.tokens_issued += u64::from(issued);
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        let refused = &mut self.lock().stats.refused;
        let counter = match refusal {
            Refusal::Connections => &mut refused.connections,
            Refusal::Rate => &mut refused.rate,
            Refusal::RecipientsPerDay => &mut refused.recipients_per_day,
            Refusal::RecipientsPerMessage => &mut refused.recipients_per_message,
            Refusal::Size => &mut refused.size,
            Refusal::SendAs => &mut refused.send_as,
            Refusal::Permission => &mut refused.permission,
            Refusal::Content => &mut refused.content,
            Refusal::Recipient => &mut refused.recipient,
        };
        *counter += 1;
    }

    pub(crate) fn protocol_error(&self) {
        self.lock().stats.protocol_errors += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no code under this lock panics")
    }
}

impl State {
    fn book(&mut self, mail: &AcceptedMail) {
        let recipients = mail.recipients.len() as u64;
        let stats = &mut self.stats;
        stats.mails_accepted += 1;
        stats.recipients_accepted += recipients;
        stats.round_trips += mail.round_trips;
        let mailbox = of(&mut stats.mailboxes, &mail.mailbox);
        mailbox.mails_accepted += 1;
        mailbox.recipients_accepted += recipients;

        let Some(id) = &mail.message_id else { return };
        let times = self.message_ids.entry(id.as_str().into()).or_default();
        *times += 1;
        stats.mails_repeated += u64::from(1 < *times);
        for recipient in &mail.recipients {
            let times = self.deliveries.entry(delivery(id, recipient)).or_default();
            *times += 1;
            stats.deliveries_repeated += u64::from(1 < *times);
        }
    }

    fn gauge(&mut self, mailbox: &str, presence: Presence) -> &mut Gauge {
        let stats = of(&mut self.stats.mailboxes, mailbox);
        match presence {
            Presence::Authenticated => &mut stats.authenticated,
            Presence::Submitting => &mut stats.submitting,
        }
    }
}

/// Stands for a Message-ID and a recipient.
fn delivery(message_id: &str, recipient: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (message_id, recipient.to_ascii_lowercase()).hash(&mut hasher);
    hasher.finish()
}

/// The numbers of one mailbox. Does not allocate for one that is known.
fn of<'a>(
    mailboxes: &'a mut BTreeMap<String, MailboxStats>,
    address: &str,
) -> &'a mut MailboxStats {
    if !mailboxes.contains_key(address) {
        mailboxes.insert(address.to_owned(), MailboxStats::default());
    }
    mailboxes.get_mut(address).expect("it was inserted above")
}

#[cfg(test)]
mod tests;
