//! The SMTP settings for people.

use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::{
    ClientSecretStatus, OauthAuthentication, PasswordAuthentication, Proxy, SmtpSettings,
};

use crate::names;
use crate::output::Table;
use crate::time::{moment, span};

/// Everything but the secrets, which the server keeps to itself.
pub(crate) fn settings(settings: &SmtpSettings) -> Table {
    let lower =
        |name: &str, prefix: &str| name.trim_start_matches(prefix).to_lowercase().replace('_', "-");
    let mut table = Table::list();
    table.value("provider", lower(settings.provider().as_str_name(), "SMTP_PROVIDER_"));
    table.value("host", &settings.host);
    table.value("port", settings.port.to_string());
    table.value("encryption", lower(settings.encryption().as_str_name(), "SMTP_ENCRYPTION_"));
    table.value("connect timeout", span(settings.connect_timeout.as_ref()));
    table.value("email address", &settings.email_address);
    if !settings.additional_mailboxes.is_empty() {
        table.value("additional mailboxes", settings.additional_mailboxes.join(", "));
    }
    match &settings.authentication {
        None => table.value("authentication", "none"),
        Some(Authentication::Password(password)) => password_rows(&mut table, password),
        Some(Authentication::Oauth(oauth)) => oauth_rows(&mut table, oauth),
    }
    let authorities = settings.ca_certificates_pem.matches("-----BEGIN CERTIFICATE-----").count();
    table.value("own authorities", authorities.to_string());
    let limits = settings.limits.unwrap_or_default();
    table.value("max connections", limits.max_connections.to_string());
    let or_none = |limit: i32| match limit {
        0 => "no limit".to_owned(),
        limit => limit.to_string(),
    };
    table.value("max messages per minute", or_none(limits.max_messages_per_minute));
    table.value("max recipients per day", or_none(limits.max_recipients_per_day));
    if let Some(proxy) = &settings.proxy {
        proxy_rows(&mut table, proxy);
    }
    table.value("generation", settings.generation.to_string());
    table.value("etag", &settings.etag);
    table.value("saved", moment(settings.update_time.as_ref()));
    table
}

fn proxy_rows(table: &mut Table, proxy: &Proxy) {
    table.value("proxy", &proxy.url);
    if !proxy.username.is_empty() {
        table.value("proxy username", &proxy.username);
        table.value("proxy password", set(proxy.password_set));
    }
    if !proxy.bypass.is_empty() {
        table.value("past the proxy", proxy.bypass.join(", "));
    }
}

fn password_rows(table: &mut Table, password: &PasswordAuthentication) {
    table.value("authentication", "password");
    table.value("username", &password.username);
    table.value("password", set(password.password_set));
}

fn oauth_rows(table: &mut Table, oauth: &OauthAuthentication) {
    table.value("authentication", "oauth");
    table.value("client id", &oauth.client_id);
    table.value("tenant id", &oauth.tenant_id);
    if oauth.certificate_pem.is_empty() {
        table.value("client secret", set(oauth.client_secret_set));
        table.value("client secret expires", &oauth.client_secret_expire_date);
        let way = if oauth.client_secret_basic { "HTTP Basic" } else { "form field" };
        table.value("client secret goes by", way);
        if let Some(next) = &oauth.next_client_secret {
            table.value("next client secret", set(next.value_set));
            table.value("next client secret expires", &next.expire_date);
        }
        if let Some(status) = &oauth.client_secret_status {
            secret_status_rows(table, status);
        }
    } else {
        table.value("certificate", "saved");
        table.value("private key", set(oauth.private_key_set));
    }
    table.value("token endpoint", &oauth.token_endpoint);
    table.value("scope", &oauth.scope);
}

fn secret_status_rows(table: &mut Table, status: &ClientSecretStatus) {
    let at = moment(status.check_time.as_ref());
    table.value(
        "client secret in use",
        format!("{} (as seen at {at})", names::secret_use(status.r#use())),
    );
    if !status.refusal.is_empty() {
        table.value("client secret refused", &status.refusal);
    }
    if !status.disagreement.is_empty() {
        table.value("expiry date differs", &status.disagreement);
    }
}

fn set(is_set: bool) -> &'static str {
    if is_set { "saved (hidden)" } else { "not set" }
}
