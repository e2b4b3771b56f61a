//! SMTP settings for the provider simulator.

use nuncio_api::v1;
use nuncio_provider_sim::config::{
    DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_MAILBOX, DEFAULT_SCOPE, DEFAULT_TENANT_ID,
};
use nuncio_provider_sim::simulator::Simulator;

/// Settings with which a mail gets through: STARTTLS, client secret, 3 connections, no limit of rate.
pub fn settings_for(simulator: &Simulator) -> v1::SmtpSettings {
    let oauth = v1::OauthAuthentication {
        client_id: DEFAULT_CLIENT_ID.to_owned(),
        tenant_id: DEFAULT_TENANT_ID.to_owned(),
        client_secret: DEFAULT_CLIENT_SECRET.to_owned(),
        token_endpoint: simulator.token_url(DEFAULT_TENANT_ID),
        scope: DEFAULT_SCOPE.to_owned(),
        ..v1::OauthAuthentication::default()
    };
    v1::SmtpSettings {
        provider: v1::SmtpProvider::Generic.into(),
        host: "localhost".to_owned(),
        port: simulator.starttls_addr().port().into(),
        encryption: v1::SmtpEncryption::Starttls.into(),
        email_address: DEFAULT_MAILBOX.to_owned(),
        authentication: Some(v1::smtp_settings::Authentication::Oauth(oauth)),
        ca_certificates_pem: simulator.ca_pem(),
        limits: Some(v1::MailboxLimits { max_connections: 3, ..Default::default() }),
        ..v1::SmtpSettings::default()
    }
}

/// The same with other OAuth values.
pub fn with_oauth(
    mut settings: v1::SmtpSettings,
    change: impl FnOnce(&mut v1::OauthAuthentication),
) -> v1::SmtpSettings {
    match &mut settings.authentication {
        Some(v1::smtp_settings::Authentication::Oauth(oauth)) => change(oauth),
        other => panic!("these settings do not use OAuth but {other:?}"),
    }
    settings
}
