//! What is measured at the moment of a scrape.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use nuncio_core::ports::job_store::Backlog;
use nuncio_core::settings::{Authentication, SmtpSettings};
use nuncio_delivery::channel::ChannelStatus;

/// How a node is at one moment. What is not known is left out of the scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// When this process began.
    pub started_at: Option<Timestamp>,
    /// Whether the store answers.
    pub store_up: Option<bool>,
    pub backlog: Option<Backlog>,
    /// For how long what is due longest has waited.
    pub due_for: Option<DueFor>,
    pub smtp_connections: Option<usize>,
    /// Whether mail can go out as far as this node knows; none if other nodes send.
    pub channel_open: Option<bool>,
    /// The way of each mailbox that this node sends for.
    pub mailboxes: Vec<(String, Way)>,
    /// What this node does of that which only one node with its store may do.
    pub leads: Vec<String>,
    pub settings_generation: Option<i64>,
    /// Whether this node hears of new settings of its cluster.
    pub settings_followed: Option<bool>,
    /// How many alarms of this node the MnT does not have yet.
    pub waiting_alarms: Option<usize>,
    /// How many nodes of the store live, this one included.
    pub live_nodes: Option<usize>,
    /// How many have died lately and are not there again.
    pub dead_nodes: Option<usize>,
    /// How far the clock of the machine is ahead of what the node goes by, in seconds.
    pub clock_ahead: Option<i64>,
    pub oauth_token_expires_at: Option<Timestamp>,
    pub client_secret_expires_at: Option<Timestamp>,
    /// The end of the certificate that new connections of gRPC get.
    pub grpc_certificate_expires_at: Option<Timestamp>,
}

/// For how long the mail that is due longest has waited; zero if none is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueFor {
    /// Of those that somebody waits for.
    pub urgent: Duration,
    pub patient: Duration,
}

impl DueFor {
    pub fn of(backlog: &Backlog, now: Timestamp) -> Self {
        let waited = |due_at: Option<Timestamp>| {
            let waited = due_at.map(|at| now.duration_since(at));
            waited.and_then(|waited| Duration::try_from(waited).ok()).unwrap_or_default()
        };
        Self { urgent: waited(backlog.urgent_due_at), patient: waited(backlog.patient_due_at) }
    }
}

/// The way from a mailbox to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Open,
    Paused,
    Closed,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::Open, Self::Paused, Self::Closed];

    /// As the API names the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Paused => "PAUSED",
            Self::Closed => "CLOSED",
        }
    }

    /// None where this node does not send for the mailbox.
    pub fn of(status: &ChannelStatus) -> Option<Self> {
        match status {
            ChannelStatus::Open => Some(Self::Open),
            ChannelStatus::Paused { .. } => Some(Self::Paused),
            ChannelStatus::Closed { .. } => Some(Self::Closed),
            ChannelStatus::NotConfigured | ChannelStatus::Standby => None,
        }
    }
}

/// When the client secret ends, the later one where there are two, as far as its operator has told: with its last day, in UTC.
pub fn client_secret_expires_at(settings: &SmtpSettings) -> Option<Timestamp> {
    match &settings.authentication {
        Authentication::None | Authentication::Password { .. } => None,
        Authentication::Oauth(client) => {
            let day_after = client.secrets_last_day()?.tomorrow().ok()?;
            TimeZone::UTC.to_timestamp(day_after.to_datetime(Time::midnight())).ok()
        }
    }
}
