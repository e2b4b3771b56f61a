//! Keeps connections for the next mail.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::connection::Connection;

/// How long a connection may lie idle. Exchange closes idle ones after some minutes:
/// <https://github.com/foxcpp/maddy/issues/693>.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// How old a connection may grow. Exchange ends sessions after about 20 minutes:
/// <https://github.com/haraka/Haraka/issues/2321>.
const AGE_MAX: Duration = Duration::from_mins(10);
/// How many mails may go over one connection.
const MESSAGES_MAX: u32 = 100;
/// For how long after a mail a connection is warm. Where mails follow each other slower than this, the round
/// trip that it saves speeds nothing up.
const WARM: Duration = Duration::from_secs(2);
/// A connection is not used in the last moments of the token that it logged in with.
const TOKEN_MARGIN: Duration = Duration::from_mins(1);

/// The connections of each mailbox.
#[derive(Default)]
pub struct Pool {
    state: Mutex<State>,
    freed: Notify,
    open: Arc<AtomicUsize>,
}

/// A connection that is ready for a transaction.
pub struct Link {
    pub connection: Connection,
    /// As whom it is logged in.
    pub mailbox: EmailAddress,
    /// Of the settings that it was made with.
    pub generation: i64,
    /// When the token ends that it logged in with.
    pub token_until: Option<Timestamp>,
    messages: u32,
    opened: Instant,
    used: Instant,
    /// Held for its drop only.
    _counted: Counted,
}

/// The right to use one connection of a mailbox; dropping it gives it back.
pub struct Slot<'a> {
    pool: &'a Pool,
    mailbox: &'a EmailAddress,
}

#[derive(Default)]
struct State {
    /// Those with a connection in use or idle.
    mailboxes: HashMap<EmailAddress, MailboxLinks>,
    generation: i64,
}

#[derive(Default)]
struct MailboxLinks {
    /// The last used comes last.
    idle: Vec<Link>,
    busy: usize,
}

/// Counts an open connection as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Pool {
    /// Waits for the right to use a connection of `mailbox`: at most `connections_max` of them are open.
    ///
    /// Also gives the connections of older settings, to be closed first.
    pub async fn acquire<'a>(
        &'a self,
        mailbox: &'a EmailAddress,
        generation: i64,
        connections_max: u32,
    ) -> (Slot<'a>, Vec<Link>) {
        loop {
            let mut freed = pin!(self.freed.notified());
            // From here on no release is missed, also one between the look and the wait.
            freed.as_mut().enable();
            if let Some(outdated) = self.try_acquire(mailbox, generation, connections_max) {
                return (Slot { pool: self, mailbox }, outdated);
            }
            freed.await;
        }
    }

    /// An idle connection of the mailbox, the last used first.
    pub fn take_idle(&self, mailbox: &EmailAddress) -> Option<Link> {
        self.lock().mailboxes.get_mut(mailbox)?.idle.pop()
    }

    /// How many idle connections of the mailbox take the next mail together with its commands.
    pub fn ready(&self, mailbox: &EmailAddress, now: Timestamp) -> usize {
        let state = self.lock();
        let Some(links) = state.mailboxes.get(mailbox) else { return 0 };
        let is_ready = |link: &&Link| {
            link.generation == state.generation
                && link.is_fit(now)
                && link.is_warm()
                && link.connection.session().may_take_at_once()
        };
        links.idle.iter().filter(is_ready).count()
    }

    /// Keeps a connection for the next mail, or gives it back if it was made with older settings.
    pub fn keep(&self, mut link: Link) -> Option<Link> {
        let mut state = self.lock();
        if link.generation != state.generation {
            return Some(link);
        }
        link.used = Instant::now();
        link.messages += 1;
        state.mailboxes.entry(link.mailbox.clone()).or_default().idle.push(link);
        None
    }

    /// The idle connections that are of no more use; with `all` every idle one.
    pub fn take_outworn(&self, now: Timestamp, all: bool) -> Vec<Link> {
        let mut state = self.lock();
        let all_links = state.mailboxes.values_mut();
        let outworn = all_links
            .flat_map(|links| links.idle.extract_if(.., |link| all || !link.is_fit(now)))
            .collect();
        state.forget_unused();
        outworn
    }

    /// Counts a connection that was just made.
    pub fn link(
        &self,
        connection: Connection,
        mailbox: &EmailAddress,
        generation: i64,
        token_until: Option<Timestamp>,
    ) -> Link {
        let now = Instant::now();
        Link {
            connection,
            mailbox: mailbox.clone(),
            generation,
            token_until,
            messages: 0,
            opened: now,
            used: now,
            _counted: Counted::new(&self.open),
        }
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn try_acquire(
        &self,
        mailbox: &EmailAddress,
        generation: i64,
        connections_max: u32,
    ) -> Option<Vec<Link>> {
        let mut state = self.lock();
        let links = state.mailboxes.entry(mailbox.clone()).or_default();
        if connections_max as usize <= links.busy {
            return None;
        }
        links.busy += 1;
        if state.generation < generation {
            state.generation = generation;
            let of_all = state.mailboxes.values_mut();
            let outdated = of_all.flat_map(|links| std::mem::take(&mut links.idle)).collect();
            state.forget_unused();
            return Some(outdated);
        }
        Some(Vec::new())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl State {
    fn forget_unused(&mut self) {
        self.mailboxes.retain(|_, links| links.busy != 0 || !links.idle.is_empty());
    }
}

impl Link {
    /// Whether it may carry another mail.
    pub fn is_fit(&self, now: Timestamp) -> bool {
        self.used.elapsed() < IDLE_MAX
            && self.opened.elapsed() < AGE_MAX
            && self.messages < MESSAGES_MAX
            && self.token_until.is_none_or(|until| now + TOKEN_MARGIN < until)
    }

    /// Whether it has just carried another mail, so that the server is there and takes mails of this mailbox.
    pub fn is_warm(&self) -> bool {
        self.messages != 0 && self.used.elapsed() < WARM
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        let links = state.mailboxes.get_mut(self.mailbox);
        links.expect("a mailbox in use is not forgotten").busy -= 1;
        drop(state);
        // Each of those who wait may wait for another mailbox.
        self.pool.freed.notify_waiters();
    }
}

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
