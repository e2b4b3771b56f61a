//! What every [`SettingsShare`](crate::ports::settings::SettingsShare) promises.
//!
//! An adapter runs it with one line in its tests:
//!
//! ```text
//! nuncio_core::settings_share_conformance!(async { (new_empty_share(), what_it_needs_to_live) });
//! ```

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::ports::settings::{SaveError, SettingsShare};
use crate::settings::document::{DocumentChange, HISTORY_MAX, SavedDocument, SettingsDocument};
use crate::settings::proxy::{Proxy, ProxyCredentials};
use crate::settings::{
    Authentication, ClientCredential, Encryption, MailboxLimits, NextSecret, OauthClient, Provider,
    SmtpSettings,
};

/// Runs each property as a test, on an empty share of its own. `$new` is a future of the share and of
/// something that lives as long as the test does.
#[macro_export]
macro_rules! settings_share_conformance {
    ($new:expr) => {
        $crate::settings_share_conformance!(@tests $new,
            there_are_no_settings_at_first,
            a_save_is_seen_by_all_who_watch,
            every_field_comes_back,
            smtp_settings_come_back_with_who_changed_them,
            the_history_of_smtp_settings_has_an_end,
            each_save_has_the_next_generation,
            a_save_with_an_old_etag_changes_nothing,
            an_etag_is_refused_where_nothing_is_saved,
            of_two_saves_at_once_with_one_etag_one_wins,
            a_document_comes_back_with_who_changed_it,
            documents_do_not_touch_each_other,
            a_document_with_an_old_etag_is_not_saved,
            the_history_of_a_document_has_an_end,
        );
    };
    (@tests $new:expr, $($property:ident,)*) => {$(
        #[tokio::test]
        async fn $property() {
            let (share, _alive) = $new.await;
            $crate::conformance::settings::$property(&share).await;
        }
    )*};
}

#[expect(clippy::unused_async, reason = "all promises of a suite are called alike")]
pub async fn there_are_no_settings_at_first(share: &impl SettingsShare) {
    assert_eq!(*share.smtp().borrow(), None);
}

pub async fn a_save_is_seen_by_all_who_watch(share: &impl SettingsShare) {
    let (mut early, mut other) = (share.smtp(), share.smtp());

    let saved = save(share, generic("a.example.com"), None).await.expect("nothing is in the way");

    for watching in [&mut early, &mut other] {
        assert!(watching.has_changed().expect("the share lives"));
        assert_eq!(watching.borrow_and_update().as_ref(), Some(&saved));
    }
    assert_eq!(share.smtp().borrow().as_ref(), Some(&saved), "whoever comes later sees it too");
}

pub async fn every_field_comes_back(share: &impl SettingsShare) {
    for settings in all_shapes() {
        let saved = save(share, settings.clone(), None).await.expect("nothing is in the way");

        assert_eq!(saved.settings, settings);
        assert_eq!(saved.saved_at, NOW);
        assert_eq!(share.smtp().borrow().as_ref(), Some(&saved));
    }
}

pub async fn smtp_settings_come_back_with_who_changed_them(share: &impl SettingsShare) {
    let settings = generic("a.example.com");
    for summary in ["first", "second"] {
        share.save_smtp(settings.clone(), change(summary), None).await.expect("nothing is saved");
    }

    let saved = share.smtp().borrow().clone().expect("they were saved");
    assert_eq!(saved.history, [change("second"), change("first")]);
    assert_eq!(saved.saved_at, NOW);
}

pub async fn the_history_of_smtp_settings_has_an_end(share: &impl SettingsShare) {
    let settings = generic("a.example.com");
    for number in 0..HISTORY_MAX + 3 {
        let change = change(&number.to_string());
        share.save_smtp(settings.clone(), change, None).await.expect("nothing is in the way");
    }

    let saved = share.smtp().borrow().clone().expect("they were saved");
    assert_eq!(saved.history.len(), HISTORY_MAX);
    assert_eq!(saved.history[0].summary, (HISTORY_MAX + 2).to_string());
}

pub async fn each_save_has_the_next_generation(share: &impl SettingsShare) {
    let first = save(share, generic("a.example.com"), None).await.expect("nothing is saved yet");
    let second = save(share, generic("b.example.com"), Some(&first.etag())).await;
    let second = second.expect("the etag is the present one");
    let third = save(share, generic("b.example.com"), None).await.expect("no etag was asked for");

    assert_eq!([first.generation, second.generation, third.generation], [1, 2, 3]);
    assert_ne!(first.etag(), second.etag());
    assert_ne!(second.etag(), third.etag(), "the same settings saved again are a save");
}

pub async fn a_save_with_an_old_etag_changes_nothing(share: &impl SettingsShare) {
    let first = save(share, generic("a.example.com"), None).await.expect("nothing is saved yet");
    let second = save(share, generic("b.example.com"), None).await.expect("no etag was asked for");
    let watching = share.smtp();

    let refused = save(share, generic("c.example.com"), Some(&first.etag())).await;

    assert_mismatch(refused, &second.etag());
    assert_eq!(share.smtp().borrow().as_ref(), Some(&second));
    assert!(!watching.has_changed().expect("the share lives"), "nobody is woken");
}

pub async fn an_etag_is_refused_where_nothing_is_saved(share: &impl SettingsShare) {
    let refused = save(share, generic("a.example.com"), Some("g1")).await;

    assert_mismatch(refused, "");
    assert_eq!(*share.smtp().borrow(), None);
}

pub async fn a_document_comes_back_with_who_changed_it(share: &impl SettingsShare) {
    let mut watching = share.document(SettingsDocument::GuestMail);
    assert_eq!(*watching.borrow_and_update(), None);

    save_document(share, SettingsDocument::GuestMail, "first", None).await.expect("it is new");
    let saved = save_document(share, SettingsDocument::GuestMail, "second", Some("g1")).await;
    let saved = saved.expect("the etag is the present one");

    assert_eq!((saved.content.expose(), saved.generation), ("second", 2));
    let summaries: Vec<_> = saved.history.iter().map(|change| change.summary.as_str()).collect();
    assert_eq!(summaries, ["made it second", "made it first"]);
    assert_eq!(saved.history[0].at, NOW);
    assert!(watching.has_changed().expect("the share lives"));
    assert_eq!(watching.borrow_and_update().as_ref(), Some(&saved));
}

pub async fn documents_do_not_touch_each_other(share: &impl SettingsShare) {
    save_document(share, SettingsDocument::Alarms, "alarms", None).await.expect("it is new");
    save_document(share, SettingsDocument::Reminders, "reminders", None).await.expect("it is new");

    assert_eq!(*share.document(SettingsDocument::GuestMail).borrow(), None);
    let alarms = share.document(SettingsDocument::Alarms).borrow().clone();
    let alarms = alarms.expect("it was saved");
    assert_eq!((alarms.content.expose(), alarms.generation), ("alarms", 1));
}

pub async fn a_document_with_an_old_etag_is_not_saved(share: &impl SettingsShare) {
    save_document(share, SettingsDocument::Alarms, "first", Some("")).await.expect("none is there");
    let refused = save_document(share, SettingsDocument::Alarms, "second", Some("")).await;

    let refused = refused.expect_err("there is one now");
    assert!(matches!(refused, SaveError::EtagMismatch { present } if present == "g1"));
    let present = share.document(SettingsDocument::Alarms).borrow().clone();
    assert_eq!(present.expect("the first is there").content.expose(), "first");
}

pub async fn the_history_of_a_document_has_an_end(share: &impl SettingsShare) {
    for number in 0..HISTORY_MAX + 3 {
        let content = number.to_string();
        let saved = save_document(share, SettingsDocument::Reminders, &content, None).await;
        saved.expect("nothing is in the way");
    }

    let saved = share.document(SettingsDocument::Reminders).borrow().clone();
    let saved = saved.expect("it was saved");
    assert_eq!(saved.history.len(), HISTORY_MAX);
    assert_eq!(saved.history[0].summary, format!("made it {}", HISTORY_MAX + 2));
}

async fn save_document(
    share: &impl SettingsShare,
    document: SettingsDocument,
    content: &str,
    expected: Option<&str>,
) -> Result<Arc<SavedDocument>, SaveError> {
    let summary = format!("made it {content}");
    share.save_document(document, content.to_owned().into(), change(&summary), expected).await
}

pub async fn of_two_saves_at_once_with_one_etag_one_wins(share: &impl SettingsShare) {
    let first =
        save(share, generic("first.example.com"), None).await.expect("nothing is saved yet");
    let etag = first.etag();

    let both = futures::join!(
        save(share, generic("a.example.com"), Some(&etag)),
        save(share, generic("b.example.com"), Some(&etag)),
    );

    let (won, lost) = match both {
        (Ok(won), lost) | (lost, Ok(won)) => (won, lost),
        (Err(a), Err(b)) => panic!("nobody won: {a}, {b}"),
    };
    assert_mismatch(lost, &won.etag());
    assert_eq!(won.generation, 2);
    assert_eq!(share.smtp().borrow().as_ref(), Some(&won));
}

/// Settings of every shape that an adapter has to keep: each provider, encryption, way to authenticate and kind
/// of credential, each optional value given and left out.
pub fn all_shapes() -> Vec<SmtpSettings> {
    let secret = || "shape-secret ü \"quoted\" \\ \u{1f511}".to_owned();
    let certificate = ClientCredential::Certificate {
        certificate_pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
            .to_owned(),
        private_key: "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n"
            .to_owned()
            .into(),
    };
    let password =
        Authentication::Password { username: "relay-user".to_owned(), password: secret().into() };
    let plain = generic("relay.example.com");
    let oauth = |credential| SmtpSettings {
        encryption: Encryption::Tls,
        authentication: Authentication::Oauth(OauthClient {
            credential,
            client_secret_expire_date: None,
            next_secret: None,
            tenant_id: None,
            ..client()
        }),
        ..plain.clone()
    };
    vec![
        SmtpSettings {
            provider: Provider::ExchangeOnline,
            connect_timeout: Duration::from_millis(1500),
            authentication: Authentication::Oauth(client()),
            ca_certificates_pem: "-----BEGIN CERTIFICATE-----\nCCCC\n-----END CERTIFICATE-----\n"
                .to_owned(),
            additional_mailboxes: vec!["nuncio-2@example.com".parse().expect("it is an address")],
            limits: MailboxLimits {
                connections_max: 3,
                messages_per_minute_max: Some(30),
                recipients_per_day_max: Some(10_000),
            },
            proxy: Some(proxy(
                "http://squid.example.com:3128",
                &[".corp.example.com", "10.0.0.0/8"],
            )),
            ..plain.clone()
        },
        oauth(ClientCredential::SecretBasic(secret().into())),
        oauth(certificate),
        SmtpSettings {
            authentication: password,
            proxy: Some(Proxy { credentials: None, ..proxy("socks5://[2001:db8::1]:1080", &[]) }),
            ..plain.clone()
        },
        SmtpSettings { encryption: Encryption::None, ..plain },
    ]
}

fn change(summary: &str) -> DocumentChange {
    DocumentChange { caller: "somebody".to_owned(), at: NOW, summary: summary.to_owned() }
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

async fn save(
    share: &impl SettingsShare,
    settings: SmtpSettings,
    expected: Option<&str>,
) -> Result<std::sync::Arc<crate::settings::SavedSmtpSettings>, SaveError> {
    share.save_smtp(settings, change("saved"), expected).await
}

fn assert_mismatch<T: std::fmt::Debug>(result: Result<T, SaveError>, expected: &str) {
    match result {
        Err(SaveError::EtagMismatch { present }) => assert_eq!(present, expected),
        Err(SaveError::Store(error)) => panic!("could not be stored: {error}"),
        Ok(saved) => panic!("was saved: {saved:?}"),
    }
}

fn generic(host: &str) -> SmtpSettings {
    SmtpSettings {
        provider: Provider::Generic,
        host: host.to_owned(),
        port: 587,
        connect_timeout: Duration::from_mins(1),
        encryption: Encryption::StartTls,
        email_address: "nuncio@example.com".parse().expect("it is an address"),
        additional_mailboxes: Vec::new(),
        authentication: Authentication::None,
        ca_certificates_pem: String::new(),
        limits: MailboxLimits {
            connections_max: 3,
            messages_per_minute_max: None,
            recipients_per_day_max: None,
        },
        proxy: None,
    }
}

fn proxy(url: &str, bypass: &[&str]) -> Proxy {
    Proxy {
        address: url.parse().expect("it is a proxy"),
        credentials: Some(ProxyCredentials {
            username: "proxy-user".to_owned(),
            password: "shape-secret".to_owned().into(),
        }),
        bypass: bypass.iter().map(|one| one.parse().expect("it names servers")).collect(),
    }
}

fn client() -> OauthClient {
    OauthClient {
        client_id: "11111111-2222-3333-4444-555555555555".to_owned(),
        tenant_id: Some("contoso.example".to_owned()),
        credential: ClientCredential::SecretPost("shape-secret".to_owned().into()),
        client_secret_expire_date: Some(jiff::civil::date(2027, 3, 15)),
        next_secret: Some(NextSecret {
            secret: "shape-secret-2".to_owned().into(),
            expire_date: Some(jiff::civil::date(2027, 9, 15)),
        }),
        token_endpoint: "https://login.example.com/oauth2/v2.0/token".to_owned(),
        scope: "https://outlook.example.com/.default offline".to_owned(),
    }
}
