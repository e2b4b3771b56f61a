//! When the way of one mailbox is something that a person must know of.

use std::collections::BTreeSet;
use std::time::Duration;

use nuncio_core::job::Reason;

use crate::channel::ChannelStatus;
use crate::observer::AlarmKind;

/// How long a provider may be in trouble until it is an alarm: short ones heal by themselves.
pub(crate) const PROVIDER_DOWN_AFTER: Duration = Duration::from_mins(5);

/// What was told of one mailbox. `now` is monotonic, since any fixed moment.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    raised: BTreeSet<AlarmKind>,
    paused_since: Option<Duration>,
    /// Whether the mailbox has sent in this life of the node.
    proven: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AlarmChange {
    Raise(AlarmKind, Reason),
    Clear(AlarmKind),
}

impl Alarms {
    /// What is to be told of the channel as it is now; `healthy` means that the provider has just answered.
    pub(crate) fn observe(
        &mut self,
        status: &ChannelStatus,
        healthy: bool,
        now: Duration,
    ) -> Vec<AlarmChange> {
        let since = match status {
            ChannelStatus::Paused { .. } => Some(self.paused_since.unwrap_or(now)),
            ChannelStatus::NotConfigured
            | ChannelStatus::Standby
            | ChannelStatus::Open
            | ChannelStatus::Closed { .. } => None,
        };
        self.paused_since = since;
        match status {
            ChannelStatus::NotConfigured | ChannelStatus::Standby => Vec::new(),
            ChannelStatus::Open => {
                let first = healthy && !self.proven;
                self.proven |= healthy;
                let over = |kind: &AlarmKind| self.raised.remove(kind) || first;
                AlarmKind::ALL.into_iter().filter(over).map(AlarmChange::Clear).collect()
            }
            ChannelStatus::Closed { reason, .. } => {
                let answers = self.clear(AlarmKind::MailProviderDown);
                let closed = self.raise(AlarmKind::MailboxClosed, reason);
                answers.into_iter().chain(closed).collect()
            }
            ChannelStatus::Paused { reason, .. } => {
                let long =
                    since.is_some_and(|since| PROVIDER_DOWN_AFTER <= now.saturating_sub(since));
                let raised = long.then(|| self.raise(AlarmKind::MailProviderDown, reason));
                raised.flatten().into_iter().collect()
            }
        }
    }

    /// When there will be something to tell though nothing happens.
    pub(crate) fn look_again_at(&self) -> Option<Duration> {
        let told = self.raised.contains(&AlarmKind::MailProviderDown);
        self.paused_since.filter(|_| !told).map(|since| since + PROVIDER_DOWN_AFTER)
    }

    fn raise(&mut self, kind: AlarmKind, reason: &Reason) -> Option<AlarmChange> {
        self.raised.insert(kind).then(|| AlarmChange::Raise(kind, reason.clone()))
    }

    fn clear(&mut self, kind: AlarmKind) -> Option<AlarmChange> {
        self.raised.remove(&kind).then_some(AlarmChange::Clear(kind))
    }
}

#[cfg(test)]
mod tests;
