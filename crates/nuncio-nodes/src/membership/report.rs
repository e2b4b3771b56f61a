//! What a node tells the others of itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a node is. What a later version adds is ignored, what an earlier one leaves out is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeReport {
    pub name: String,
    /// As people write them: `pan`.
    pub roles: Vec<String>,
    /// Of the program.
    pub version: String,
    /// Where the other nodes reach its gRPC: `host:port`.
    pub address: String,
    pub started_at: Timestamp,
    /// Names what nodes with the same settings have in common; none where this node's settings are its own.
    pub settings_home: Option<String>,
    /// 0 without SMTP settings.
    pub settings_generation: i64,
    /// Why it does not hear of new settings, or empty.
    pub settings_trouble: String,
    /// The way to the provider as a whole.
    pub channel: ChannelReport,
    /// The way of each mailbox.
    pub mailboxes: Vec<MailboxReport>,
    /// Open ones to the provider.
    pub connections: u32,
    pub token_expires_at: Option<Timestamp>,
    /// Alarms that no MnT has taken yet.
    pub waiting_alarms: u64,
    /// The names of what it leads.
    pub leads: Vec<String>,
    /// How far the clock of its machine is ahead of the store's, in milliseconds; none where there is only one.
    pub clock_ahead_ms: Option<i64>,
    /// The ids of the keys that it can read. None of a version that does not follow its key file.
    pub keys: Vec<String>,
    /// The first one of its key file.
    pub first_key: String,
    /// Those that it may still write with: one, but for the moments after a change.
    pub writing_keys: Vec<String>,
    /// Those that have sealed the settings on its disk.
    pub settings_keys: Vec<String>,
}

/// Whether a way to the provider is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelReport {
    pub state: ChannelState,
    /// Why it is not open, with a code.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
    pub retry_at: Option<Timestamp>,
}

/// The way of one mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailboxReport {
    pub mailbox: String,
    pub channel: ChannelReport,
}

/// The states of a way to the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelState {
    /// There are no settings.
    NotConfigured,
    /// Another node sends for the mailbox.
    Standby,
    Open,
    Paused,
    Closed,
    /// One that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}
