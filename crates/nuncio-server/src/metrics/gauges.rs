//! What is measured at the moment of a scrape.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use nuncio_core::ports::job_store::Backlog;
use nuncio_core::settings::{Authentication, SmtpSettings};

/// How a node is at one moment. What is not known is left out of the scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    pub backlog: Option<Backlog>,
    pub smtp_connections: Option<usize>,
    /// Whether mail can go out as far as this node knows; none if other nodes send.
    pub channel_open: Option<bool>,
    /// What this node does of that which only one node with its store may do.
    pub leads: Vec<String>,
    pub settings_generation: Option<i64>,
    /// Whether this node hears of new settings of its cluster.
    pub settings_followed: Option<bool>,
    /// How many alarms of this node the MnT does not have yet.
    pub waiting_alarms: Option<usize>,
    /// How many nodes of the store live, this one included.
    pub live_nodes: Option<usize>,
    /// How far the clock of the machine is ahead of what the node goes by, in seconds.
    pub clock_ahead: Option<i64>,
    pub oauth_token_expires_at: Option<Timestamp>,
    pub client_secret_expires_at: Option<Timestamp>,
    /// The end of the certificate that new connections of gRPC get.
    pub grpc_certificate_expires_at: Option<Timestamp>,
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
