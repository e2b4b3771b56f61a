//! Settings with their secrets: what one node tells another that shall test them.

use nuncio_core::settings::{Authentication, ClientCredential, OauthClient, SmtpSettings};

use crate::v1;
use crate::v1::smtp_settings::Authentication as Wire;

/// Exactly these settings: whoever reads them needs no saved ones to complete them. For `TestSmtpFromNode` alone; no
/// answer to a client may hold them.
pub fn with_secrets(settings: &SmtpSettings) -> v1::SmtpSettings {
    let mut told = v1::SmtpSettings::from(settings);
    let credentials = settings.proxy.as_ref().and_then(|proxy| proxy.credentials.as_ref());
    if let (Some(proxy), Some(credentials)) = (&mut told.proxy, credentials) {
        credentials.password.expose().clone_into(&mut proxy.password);
    }
    match &settings.authentication {
        Authentication::None => {}
        Authentication::Password { username: _, password } => {
            if let Some(Wire::Password(told)) = &mut told.authentication {
                password.expose().clone_into(&mut told.password);
            }
        }
        Authentication::Oauth(client) => {
            if let Some(Wire::Oauth(told)) = &mut told.authentication {
                add_secrets(told, client);
            }
        }
    }
    told
}

fn add_secrets(told: &mut v1::OauthAuthentication, client: &OauthClient) {
    match &client.credential {
        ClientCredential::SecretPost(secret) | ClientCredential::SecretBasic(secret) => {
            secret.expose().clone_into(&mut told.client_secret);
        }
        ClientCredential::Certificate { certificate_pem: _, private_key } => {
            private_key.expose().clone_into(&mut told.private_key_pem);
        }
    }
    if let (Some(told), Some(next)) = (&mut told.next_client_secret, &client.next_secret) {
        next.secret.expose().clone_into(&mut told.value);
    }
}
