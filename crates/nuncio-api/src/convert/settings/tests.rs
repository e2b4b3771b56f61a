use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::settings::NextSecret;
use nuncio_core::settings::proxy::ProxyCredentials;
use prost::Message;

use super::secrets::with_secrets;
use super::*;

const SECRET: &str = "3Kx8Q~very-secret";

fn settings(authentication: Authentication) -> SmtpSettings {
    SmtpSettings {
        provider: Provider::ExchangeOnline,
        host: "smtp.office365.com".to_owned(),
        port: 587,
        connect_timeout: Duration::from_mins(1),
        encryption: Encryption::StartTls,
        email_address: "nuncio@example.com".parse().unwrap(),
        proxy: None,
        additional_mailboxes: Vec::new(),
        authentication,
        ca_certificates_pem: String::new(),
        limits: MailboxLimits {
            connections_max: 3,
            messages_per_minute_max: Some(30),
            recipients_per_day_max: Some(10_000),
        },
    }
}

fn with_credential(credential: ClientCredential) -> SmtpSettings {
    settings(Authentication::Oauth(OauthClient {
        client_id: "client".to_owned(),
        tenant_id: Some("tenant".to_owned()),
        credential,
        client_secret_expire_date: Some("2027-03-15".parse().unwrap()),
        next_secret: None,
        token_endpoint: "https://login.example.com/token".to_owned(),
        scope: "scope".to_owned(),
    }))
}

fn every_kind() -> Vec<SmtpSettings> {
    let secret = || ClientSecret::from(SECRET.to_owned());
    let certificate_pem = "-----BEGIN CERTIFICATE-----".to_owned();
    let private_key = PrivateKeyPem::from(format!("-----BEGIN PRIVATE KEY-----{SECRET}"));
    let password = Password::from(SECRET.to_owned());
    let pool = SmtpSettings {
        additional_mailboxes: vec!["nuncio-2@example.com".parse().unwrap()],
        limits: MailboxLimits {
            connections_max: 3,
            messages_per_minute_max: Some(30),
            recipients_per_day_max: Some(10_000),
        },
        ..with_credential(ClientCredential::SecretPost(secret()))
    };
    let with_proxy = SmtpSettings {
        proxy: Some(Proxy {
            address: "http://squid.example.com:3128".parse().unwrap(),
            credentials: Some(ProxyCredentials {
                username: "proxy-user".to_owned(),
                password: Password::from(SECRET.to_owned()),
            }),
            bypass: [".example.com", "10.0.0.0/8", "::1"].map(|one| one.parse().unwrap()).into(),
        }),
        ..settings(Authentication::None)
    };
    let Authentication::Oauth(client) =
        with_credential(ClientCredential::SecretBasic(secret())).authentication
    else {
        panic!("it was OAuth")
    };
    let expire_date = Some("2028-03-15".parse().unwrap());
    let next = ClientSecret::from(format!("next-{SECRET}"));
    let next_secret = Some(NextSecret { secret: next, expire_date });
    let with_two = settings(Authentication::Oauth(OauthClient { next_secret, ..client }));
    vec![
        settings(Authentication::None),
        settings(Authentication::Password { username: "user".to_owned(), password }),
        with_credential(ClientCredential::SecretPost(secret())),
        with_credential(ClientCredential::SecretBasic(secret())),
        with_credential(ClientCredential::Certificate { certificate_pem, private_key }),
        pool,
        with_proxy,
        with_two,
    ]
}

#[test]
fn no_secret_is_ever_told() {
    for settings in every_kind() {
        let saved = SavedSmtpSettings {
            settings,
            generation: 3,
            saved_at: Timestamp::UNIX_EPOCH,
            history: Vec::new(),
        };

        let told = v1::SmtpSettings::from(&saved);

        let bytes = told.encode_to_vec();
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "{told:?}");
    }
}

#[test]
fn a_saved_secret_is_told_to_be_there() {
    let told: Vec<_> =
        every_kind().iter().map(|one| v1::SmtpSettings::from(one).authentication).collect();

    assert_eq!(told[0], None);
    let Some(Wire::Password(password)) = &told[1] else { panic!("no password") };
    assert!(password.password_set);
    for (told, secret, key) in
        [(&told[2], true, false), (&told[3], true, false), (&told[4], false, true)]
    {
        let Some(Wire::Oauth(oauth)) = told else { panic!("no oauth") };
        assert_eq!((oauth.client_secret_set, oauth.private_key_set), (secret, key));
    }
}

/// What is told can be given back: with the saved secrets it makes the same settings again.
#[test]
fn settings_without_secrets_come_back_with_the_saved_ones() {
    for settings in every_kind() {
        let mut violations = Violations::default();

        let draft = smtp_settings_draft(&mut violations, v1::SmtpSettings::from(&settings));

        assert!(violations.is_empty(), "{violations}");
        assert_eq!(draft.check(Some(&settings)).unwrap(), settings);
    }
}

/// Another node tests exactly these, whatever it has saved.
#[test]
fn settings_with_secrets_come_back_as_they_are() {
    for settings in every_kind() {
        let mut violations = Violations::default();

        let draft = smtp_settings_draft(&mut violations, with_secrets(&settings));

        assert!(violations.is_empty(), "{violations}");
        assert_eq!(draft.check(None).unwrap(), settings);
    }
}

#[test]
fn settings_with_secrets_do_not_show_them() {
    for settings in every_kind() {
        let told = format!("{:?}", with_secrets(&settings));

        assert!(!told.contains(SECRET), "{told}");
    }
}

#[test]
fn the_etag_and_the_generation_of_saved_settings_are_told() {
    let settings = settings(Authentication::None);
    let saved = SavedSmtpSettings {
        settings,
        generation: 3,
        saved_at: Timestamp::UNIX_EPOCH,
        history: Vec::new(),
    };

    let told = v1::SmtpSettings::from(&saved);

    assert_eq!(told.generation, 3);
    assert_eq!(expected_etag(&told), Some(saved.etag().as_str()));
    assert_eq!(expected_etag(&v1::SmtpSettings::default()), None);
}

#[test]
fn a_given_secret_reaches_the_draft_and_no_debug_output() {
    let oauth = v1::OauthAuthentication {
        client_secret: SECRET.to_owned(),
        private_key_pem: SECRET.to_owned(),
        ..v1::OauthAuthentication::default()
    };
    let password = v1::PasswordAuthentication { password: SECRET.to_owned(), ..Default::default() };
    let given = |authentication| v1::SmtpSettings {
        authentication: Some(authentication),
        ..v1::SmtpSettings::default()
    };
    let with_oauth = given(Wire::Oauth(oauth));
    let with_proxy = v1::SmtpSettings {
        proxy: Some(v1::Proxy {
            url: format!("http://user:{SECRET}@proxy:3128"),
            password: SECRET.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    for settings in [&with_oauth, &with_proxy, &given(Wire::Password(password))] {
        assert!(!format!("{settings:?}").contains(SECRET), "{settings:?}");
    }

    let draft = smtp_settings_draft(&mut Violations::default(), with_oauth);

    let AuthenticationDraft::Oauth(oauth) = &draft.authentication else { panic!("no oauth") };
    assert_eq!(oauth.client_secret.as_ref().unwrap().expose(), SECRET);
    assert!(!format!("{draft:?}").contains(SECRET), "{draft:?}");
}

#[test]
fn everything_that_cannot_be_read_is_noted_at_once() {
    let mut violations = Violations::default();
    let settings = v1::SmtpSettings {
        provider: 99,
        encryption: 99,
        connect_timeout: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
        ..v1::SmtpSettings::default()
    };

    smtp_settings_draft(&mut violations, settings);

    let mut fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["connect_timeout", "encryption", "provider"]);
}
