//! What differs between SMTP settings, for their history.

use crate::settings::document::changed_fields;
use crate::settings::proxy::Proxy;
use crate::settings::{Authentication, ClientCredential, OauthClient, SmtpSettings};

/// The names of the fields that differ, as in the API; never a value, as that may be a secret.
pub fn smtp_changes(before: Option<&SmtpSettings>, after: &SmtpSettings) -> String {
    let Some(before) = before else { return "first saved".to_owned() };
    let (old, new) = (before.limits, after.limits);
    let plain = [
        ("provider", before.provider != after.provider),
        ("host", before.host != after.host),
        ("port", before.port != after.port),
        ("connect_timeout", before.connect_timeout != after.connect_timeout),
        ("encryption", before.encryption != after.encryption),
        ("email_address", before.email_address != after.email_address),
        ("additional_mailboxes", before.additional_mailboxes != after.additional_mailboxes),
        ("ca_certificates_pem", before.ca_certificates_pem != after.ca_certificates_pem),
        ("limits.max_connections", old.connections_max != new.connections_max),
        ("limits.max_messages_per_minute", {
            old.messages_per_minute_max != new.messages_per_minute_max
        }),
        ("limits.max_recipients_per_day", {
            old.recipients_per_day_max != new.recipients_per_day_max
        }),
    ];
    let authentication = authentication_changes(&before.authentication, &after.authentication);
    let proxy = proxy_changes(before.proxy.as_ref(), after.proxy.as_ref());
    changed_fields(plain.into_iter().chain(authentication).chain(proxy))
}

type Changed = (&'static str, bool);

fn authentication_changes(before: &Authentication, after: &Authentication) -> Vec<Changed> {
    match (before, after) {
        (Authentication::None, Authentication::None) => Vec::new(),
        (
            Authentication::Password { username: old_name, password: old },
            Authentication::Password { username: new_name, password: new },
        ) => vec![("password.username", old_name != new_name), ("password.password", old != new)],
        (Authentication::Oauth(before), Authentication::Oauth(after)) => {
            oauth_changes(before, after)
        }
        (
            Authentication::None | Authentication::Password { .. } | Authentication::Oauth(_),
            Authentication::None | Authentication::Password { .. } | Authentication::Oauth(_),
        ) => vec![("authentication", true)],
    }
}

fn oauth_changes(before: &OauthClient, after: &OauthClient) -> Vec<Changed> {
    let next = |client: &OauthClient| client.next_secret.as_ref().map(|next| next.secret.clone());
    let next_date = |client: &OauthClient| client.next_secret.as_ref().map(|next| next.expire_date);
    let mut changed = credential_changes(&before.credential, &after.credential);
    changed.extend([
        ("oauth.client_id", before.client_id != after.client_id),
        ("oauth.tenant_id", before.tenant_id != after.tenant_id),
        ("oauth.client_secret_expire_date", {
            before.client_secret_expire_date != after.client_secret_expire_date
        }),
        ("oauth.next_client_secret.value", next(before) != next(after)),
        ("oauth.next_client_secret.expire_date", next_date(before) != next_date(after)),
        ("oauth.token_endpoint", before.token_endpoint != after.token_endpoint),
        ("oauth.scope", before.scope != after.scope),
    ]);
    changed
}

fn credential_changes(before: &ClientCredential, after: &ClientCredential) -> Vec<Changed> {
    use ClientCredential::{Certificate, SecretBasic, SecretPost};

    let is_basic = |credential: &ClientCredential| match credential {
        SecretBasic(_) => true,
        SecretPost(_) | Certificate { .. } => false,
    };
    match (before, after) {
        (SecretPost(old) | SecretBasic(old), SecretPost(new) | SecretBasic(new)) => vec![
            ("oauth.client_secret", old != new),
            ("oauth.client_secret_basic", is_basic(before) != is_basic(after)),
        ],
        (
            Certificate { certificate_pem: old, private_key: old_key },
            Certificate { certificate_pem: new, private_key: new_key },
        ) => vec![
            ("oauth.certificate_pem", old != new),
            ("oauth.private_key_pem", old_key != new_key),
        ],
        (SecretPost(_) | SecretBasic(_), Certificate { .. })
        | (Certificate { .. }, SecretPost(_) | SecretBasic(_)) => {
            vec![("oauth.client_secret", true), ("oauth.certificate_pem", true)]
        }
    }
}

fn proxy_changes(before: Option<&Proxy>, after: Option<&Proxy>) -> Vec<Changed> {
    let (Some(before), Some(after)) = (before, after) else {
        return vec![("proxy", before.is_some() != after.is_some())];
    };
    let username = |proxy: &Proxy| proxy.credentials.as_ref().map(|one| one.username.clone());
    let password = |proxy: &Proxy| proxy.credentials.as_ref().map(|one| one.password.clone());
    vec![
        ("proxy.url", before.address != after.address),
        ("proxy.username", username(before) != username(after)),
        ("proxy.password", password(before) != password(after)),
        ("proxy.bypass", before.bypass != after.bypass),
    ]
}

#[cfg(test)]
mod tests;
