//! A client of the API.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::limits::MESSAGE_BYTES_MAX;
use crate::v1::alarm_route_service_client::AlarmRouteServiceClient;
use crate::v1::alarm_service_client::AlarmServiceClient;
use crate::v1::directory_service_client::DirectoryServiceClient;
use crate::v1::guest_mail_settings_service_client::GuestMailSettingsServiceClient;
use crate::v1::log_level_service_client::LogLevelServiceClient;
use crate::v1::mail_job_service_client::MailJobServiceClient;
use crate::v1::node_service_client::NodeServiceClient;
use crate::v1::portal_service_client::PortalServiceClient;
use crate::v1::reminder_service_client::ReminderServiceClient;
use crate::v1::settings_service_client::SettingsServiceClient;
use crate::v1::smtp_settings_service_client::SmtpSettingsServiceClient;
use crate::v1::template_service_client::TemplateServiceClient;
use crate::v1::trust_store_service_client::TrustStoreServiceClient;

/// How often an open connection is probed, so that a watch notices a dead server.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long the answer to a probe may take.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The clients of all services, over one connection.
#[derive(Clone, Debug)]
pub struct Clients {
    pub alarms: AlarmServiceClient<Channel>,
    pub alarm_routes: AlarmRouteServiceClient<Channel>,
    pub directory: DirectoryServiceClient<Channel>,
    pub guest_mail: GuestMailSettingsServiceClient<Channel>,
    pub log_levels: LogLevelServiceClient<Channel>,
    pub mail_jobs: MailJobServiceClient<Channel>,
    pub portal: PortalServiceClient<Channel>,
    pub settings: SettingsServiceClient<Channel>,
    pub smtp_settings: SmtpSettingsServiceClient<Channel>,
    pub nodes: NodeServiceClient<Channel>,
    pub reminders: ReminderServiceClient<Channel>,
    pub templates: TemplateServiceClient<Channel>,
    pub trust_store: TrustStoreServiceClient<Channel>,
    /// For services that are not nuncio's own, such as `grpc.health.v1`.
    pub channel: Channel,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("`{address}` is no address; give one such as `http://127.0.0.1:7587`")]
    InvalidAddress { address: String },
    #[error("`{address}` asks for TLS, which this version cannot do; give `http://…`")]
    TlsNotSupported { address: String },
    #[error("no nuncio answers at {address}")]
    Unreachable { address: String, source: tonic::transport::Error },
}

/// Connects to a node.
///
/// `deadline` bounds the connecting, and each call until its answer begins; a stream may last longer.
pub async fn connect(address: &str, deadline: Duration) -> Result<Clients, ConnectError> {
    let unreachable = |source| ConnectError::Unreachable { address: address.to_owned(), source };
    let endpoint = endpoint(address, deadline)?;
    Ok(Clients::new(endpoint.connect().await.map_err(unreachable)?))
}

/// As [`connect`], but the connection is made with the first call, and again whenever it was lost.
///
/// It needs a Tokio runtime around it.
pub fn connect_lazy(address: &str, deadline: Duration) -> Result<Clients, ConnectError> {
    Ok(Clients::new(endpoint(address, deadline)?.connect_lazy()))
}

fn endpoint(address: &str, deadline: Duration) -> Result<Endpoint, ConnectError> {
    let address = address.to_owned();
    if address.starts_with("https://") {
        return Err(ConnectError::TlsNotSupported { address });
    }
    if !address.starts_with("http://") {
        return Err(ConnectError::InvalidAddress { address });
    }
    let Ok(endpoint) = Endpoint::from_shared(address.clone()) else {
        return Err(ConnectError::InvalidAddress { address });
    };
    Ok(endpoint
        .connect_timeout(deadline)
        .timeout(deadline)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

impl Clients {
    /// Uses a connection that is there already.
    pub fn new(channel: Channel) -> Self {
        /// Sets the same limits on every client; the generated types share no trait.
        macro_rules! client {
            ($client:ident) => {
                $client::new(channel.clone())
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX)
            };
        }
        Self {
            alarms: client!(AlarmServiceClient),
            alarm_routes: client!(AlarmRouteServiceClient),
            directory: client!(DirectoryServiceClient),
            guest_mail: client!(GuestMailSettingsServiceClient),
            log_levels: client!(LogLevelServiceClient),
            mail_jobs: client!(MailJobServiceClient),
            portal: client!(PortalServiceClient),
            settings: client!(SettingsServiceClient),
            smtp_settings: client!(SmtpSettingsServiceClient),
            nodes: client!(NodeServiceClient),
            reminders: client!(ReminderServiceClient),
            templates: client!(TemplateServiceClient),
            trust_store: client!(TrustStoreServiceClient),
            channel,
        }
    }
}

#[cfg(test)]
mod tests;
