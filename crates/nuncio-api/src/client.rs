//! A client of the API.

use std::time::Duration;

use tonic::codegen::InterceptedService;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

pub mod tls;
pub mod token;

use crate::client::tls::{
    ClientPem, ClientTls, ClientTlsError, Connector, TlsFailure, tls_failure,
};
use crate::client::token::{ApiToken, Bearer};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::v1::alarm_route_service_client::AlarmRouteServiceClient;
use crate::v1::alarm_service_client::AlarmServiceClient;
use crate::v1::caller_service_client::CallerServiceClient;
use crate::v1::directory_service_client::DirectoryServiceClient;
use crate::v1::guest_mail_settings_service_client::GuestMailSettingsServiceClient;
use crate::v1::key_service_client::KeyServiceClient;
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

/// What calls go through: a connection, and the token of the client.
pub type Transport = InterceptedService<Channel, Bearer>;

/// The clients of all services, over one connection.
#[derive(Clone, Debug)]
pub struct Clients {
    pub alarms: AlarmServiceClient<Transport>,
    pub alarm_routes: AlarmRouteServiceClient<Transport>,
    pub callers: CallerServiceClient<Transport>,
    pub directory: DirectoryServiceClient<Transport>,
    pub guest_mail: GuestMailSettingsServiceClient<Transport>,
    pub keys: KeyServiceClient<Transport>,
    pub log_levels: LogLevelServiceClient<Transport>,
    pub mail_jobs: MailJobServiceClient<Transport>,
    pub portal: PortalServiceClient<Transport>,
    pub settings: SettingsServiceClient<Transport>,
    pub smtp_settings: SmtpSettingsServiceClient<Transport>,
    pub nodes: NodeServiceClient<Transport>,
    pub reminders: ReminderServiceClient<Transport>,
    pub templates: TemplateServiceClient<Transport>,
    pub trust_store: TrustStoreServiceClient<Transport>,
    /// For services that are not nuncio's own, such as `grpc.health.v1`.
    pub channel: Transport,
}

/// How a client proves who it is, and whom it trusts.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// For addresses with `https`; none means the authorities of the system, and no certificate.
    pub tls: Option<ClientTls>,
    /// Goes into each call.
    pub token: Option<ApiToken>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(
        "`{address}` is no address; give one such as `http://127.0.0.1:7587` or `https://node.example.com:7587`"
    )]
    InvalidAddress { address: String },
    #[error("TLS cannot be used")]
    Tls(#[from] ClientTlsError),
    #[error("no safe connection to {address}")]
    Refused { address: String, source: TlsFailure },
    #[error("no nuncio answers at {address}")]
    Unreachable { address: String, source: tonic::transport::Error },
}

/// Connects to a node.
///
/// `deadline` bounds the connecting, and each call until its answer begins; a stream may last longer.
pub async fn connect(
    address: &str,
    deadline: Duration,
    credentials: &Credentials,
) -> Result<Clients, ConnectError> {
    let failed = |source: tonic::transport::Error| {
        let address = address.to_owned();
        match tls_failure(&source) {
            Some(source) => ConnectError::Refused { address, source },
            None => ConnectError::Unreachable { address, source },
        }
    };
    let channel = match way(address, deadline, credentials)? {
        Way::Clear(endpoint) => endpoint.connect().await,
        Way::Tls(endpoint, connector) => endpoint.connect_with_connector(connector).await,
    };
    Ok(Clients::new(channel.map_err(failed)?, credentials.token.clone()))
}

/// As [`connect`], but the connection is made with the first call, and again whenever it was lost.
///
/// It needs a Tokio runtime around it.
pub fn connect_lazy(
    address: &str,
    deadline: Duration,
    credentials: &Credentials,
) -> Result<Clients, ConnectError> {
    let channel = match way(address, deadline, credentials)? {
        Way::Clear(endpoint) => endpoint.connect_lazy(),
        Way::Tls(endpoint, connector) => endpoint.connect_with_connector_lazy(connector),
    };
    Ok(Clients::new(channel, credentials.token.clone()))
}

/// How an address is reached.
enum Way {
    Clear(Endpoint),
    Tls(Endpoint, Connector),
}

fn way(address: &str, deadline: Duration, credentials: &Credentials) -> Result<Way, ConnectError> {
    let invalid = || ConnectError::InvalidAddress { address: address.to_owned() };
    let uri: Uri = address.parse().map_err(|_error| invalid())?;
    let rest = match uri.scheme_str() {
        Some("http") => {
            let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|_error| invalid())?;
            return Ok(Way::Clear(tuned(endpoint, deadline)));
        }
        Some("https") => address.get("https".len()..).ok_or_else(invalid)?,
        _ => return Err(invalid()),
    };
    let tls = match &credentials.tls {
        Some(tls) => tls.clone(),
        None => ClientTls::from_pem(ClientPem::default())?,
    };
    let connector = Connector::new(&uri, tls).ok_or_else(invalid)?;
    // The transport has a TLS of its own for `https`, which cannot tell what is wrong: it gets the address without,
    // and says in each call that it is `https`.
    let endpoint = Endpoint::from_shared(format!("http{rest}")).map_err(|_error| invalid())?;
    Ok(Way::Tls(tuned(endpoint.origin(uri), deadline), connector))
}

fn tuned(endpoint: Endpoint, deadline: Duration) -> Endpoint {
    endpoint
        .connect_timeout(deadline)
        .timeout(deadline)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
}

impl Clients {
    fn new(channel: Channel, token: Option<ApiToken>) -> Self {
        let channel = InterceptedService::new(channel, Bearer(token));
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
            callers: client!(CallerServiceClient),
            directory: client!(DirectoryServiceClient),
            guest_mail: client!(GuestMailSettingsServiceClient),
            keys: client!(KeyServiceClient),
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
