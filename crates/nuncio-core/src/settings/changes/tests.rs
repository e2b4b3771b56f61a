use std::time::Duration;

use super::*;
use crate::settings::{Encryption, MailboxLimits, NextSecret, Provider};

fn oauth() -> SmtpSettings {
    SmtpSettings {
        provider: Provider::Generic,
        host: "mail.example.com".to_owned(),
        port: 587,
        connect_timeout: Duration::from_mins(1),
        encryption: Encryption::StartTls,
        email_address: "nuncio@example.com".parse().unwrap(),
        additional_mailboxes: Vec::new(),
        authentication: Authentication::Oauth(client("hidden-1")),
        ca_certificates_pem: String::new(),
        limits: MailboxLimits {
            connections_max: 3,
            messages_per_minute_max: None,
            recipients_per_day_max: None,
        },
        proxy: Some("http://squid.example.com:3128".parse().map(proxy).unwrap()),
    }
}

fn client(secret: &str) -> OauthClient {
    OauthClient {
        client_id: "app".to_owned(),
        tenant_id: None,
        credential: ClientCredential::SecretPost(secret.to_owned().into()),
        client_secret_expire_date: None,
        next_secret: None,
        token_endpoint: "https://login.example.com/token".to_owned(),
        scope: "mail".to_owned(),
    }
}

fn proxy(address: crate::settings::proxy::ProxyAddress) -> Proxy {
    Proxy { address, credentials: None, bypass: Vec::new() }
}

fn check(change: impl FnOnce(&mut SmtpSettings), expect: &str) {
    let before = oauth();
    let mut after = before.clone();
    change(&mut after);
    assert_eq!(smtp_changes(Some(&before), &after), expect);
}

#[test]
fn the_first_settings_and_the_same_ones_are_told_as_such() {
    assert_eq!(smtp_changes(None, &oauth()), "first saved");
    check(|_| {}, "nothing changed");
}

#[test]
fn every_field_that_differs_is_named() {
    check(|after| after.provider = Provider::ExchangeOnline, "provider");
    check(|after| after.host = "other.example.com".to_owned(), "host");
    check(|after| after.port = 465, "port");
    check(|after| after.connect_timeout = Duration::from_secs(1), "connect_timeout");
    check(|after| after.encryption = Encryption::Tls, "encryption");
    check(|after| after.email_address = "b@example.com".parse().unwrap(), "email_address");
    let other = || vec!["b@example.com".parse().unwrap()];
    check(|after| after.additional_mailboxes = other(), "additional_mailboxes");
    check(|after| after.ca_certificates_pem = "PEM".to_owned(), "ca_certificates_pem");
    check(|after| after.limits.connections_max = 1, "limits.max_connections");
    let minute = "limits.max_messages_per_minute";
    check(|after| after.limits.messages_per_minute_max = Some(30), minute);
    check(|after| after.limits.recipients_per_day_max = Some(9), "limits.max_recipients_per_day");
    check(|after| after.authentication = Authentication::None, "authentication");
    check(|after| after.proxy = None, "proxy");
    let socks = || "socks5://squid.example.com:1080".parse().map(proxy).unwrap();
    check(|after| after.proxy = Some(socks()), "proxy.url");
}

#[test]
fn a_secret_is_named_and_not_shown() {
    let to = |client| {
        move |after: &mut SmtpSettings| {
            after.authentication = Authentication::Oauth(client);
        }
    };
    check(to(client("hidden-2")), "oauth.client_secret");
    let secret = "hidden-1".to_owned().into();
    let basic = ClientCredential::SecretBasic(secret);
    check(to(OauthClient { credential: basic, ..client("") }), "oauth.client_secret_basic");
    let next = NextSecret { secret: "hidden-2".to_owned().into(), expire_date: None };
    let with_next = OauthClient { next_secret: Some(next), ..client("hidden-1") };
    let both = "oauth.next_client_secret.value, oauth.next_client_secret.expire_date";
    check(to(with_next), both);
    let certificate = ClientCredential::Certificate {
        certificate_pem: "PEM".to_owned(),
        private_key: "hidden-3".to_owned().into(),
    };
    let with_certificate = OauthClient { credential: certificate, ..client("") };
    check(to(with_certificate), "oauth.client_secret, oauth.certificate_pem");
}
