//! The watch over a store in memory, with a scripted token endpoint.

use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::alarm::{AlarmIdentity, RaisedAlarm};
use nuncio_core::job::Reason;
use nuncio_core::ports::token::{Token, TokenError, TokenErrorKind};
use nuncio_core::secret::AccessToken;
use nuncio_core::secret_expiry::SecretUse;
use nuncio_core::settings::Provider;
use nuncio_core::settings::draft::{AuthenticationDraft, OauthDraft, SmtpSettingsDraft};
use nuncio_store::memory::MemoryJobStore;

use super::*;
use crate::reminders::tests::world::{SetClock, at};

struct Fixture {
    watch: SecretWatch,
    saved: watch::Sender<Option<Arc<SavedSmtpSettings>>>,
    clock: Arc<SetClock>,
    endpoint: Arc<Endpoint>,
    told: Arc<Told>,
}

fn fixture(last_day: &str) -> Fixture {
    let clock = Arc::new(SetClock::at(at("2026-03-01T00:00:00Z")));
    let (saved, settings) = watch::channel(Some(settings("one", last_day)));
    let (endpoint, told) = (Arc::new(Endpoint::default()), Arc::new(Told::default()));
    let watch = SecretWatch {
        records: Arc::new(MemoryJobStore::default()),
        settings,
        tokens: Arc::<Endpoint>::clone(&endpoint),
        alarms: Arc::<Told>::clone(&told),
        clock: Arc::<SetClock>::clone(&clock),
        seen: watch::Sender::default(),
    };
    Fixture { watch, saved, clock, endpoint, told }
}

fn settings(client_id: &str, last_day: &str) -> Arc<SavedSmtpSettings> {
    let oauth = OauthDraft {
        client_id: client_id.to_owned(),
        tenant_id: "contoso.example".to_owned(),
        client_secret: Some("secret".to_owned().into()),
        client_secret_expire_date: last_day.to_owned(),
        ..OauthDraft::default()
    };
    let draft = SmtpSettingsDraft {
        provider: Some(Provider::ExchangeOnline),
        email_address: "no-reply@contoso.example".to_owned(),
        authentication: AuthenticationDraft::Oauth(Box::new(oauth)),
        ..SmtpSettingsDraft::default()
    };
    let settings = draft.check(None).unwrap();
    Arc::new(SavedSmtpSettings {
        settings,
        generation: 1,
        saved_at: Timestamp::UNIX_EPOCH,
        history: Vec::new(),
    })
}

impl Fixture {
    async fn look_at(&self, moment: &str) -> Vec<String> {
        self.clock.set(at(moment));
        self.watch.look().await.unwrap();
        std::mem::take(&mut *self.told.0.lock().unwrap())
    }
}

const ABOUT: &str = "raised smtp-oauth-client-secret-about-to-be-expired one";
const EXPIRED: &str = "raised smtp-oauth-client-secret-has-expired one";
const DIFFERS: &str = "raised smtp-oauth-client-secret-date-differs one";

#[tokio::test]
async fn each_stage_is_told_once() {
    let fixture = fixture("2026-06-10");

    assert!(fixture.look_at("2026-03-01T00:00:00Z").await.is_empty());
    for moment in ["2026-04-11T00:00:00Z", "2026-05-11T00:00:00Z", "2026-06-09T00:00:00Z"] {
        assert_eq!(fixture.look_at(moment).await, [ABOUT]);
        assert!(fixture.look_at(moment).await.is_empty());
    }
    *fixture.endpoint.0.lock().unwrap() = Some(CLIENT_SECRET_EXPIRED);
    let over = fixture.look_at("2026-06-11T00:00:00Z").await;

    assert_eq!(over, ["cleared smtp-oauth-client-secret-about-to-be-expired one", EXPIRED]);
}

#[tokio::test]
async fn what_the_endpoint_says_overrides_the_date_and_is_told() {
    let fixture = fixture("2027-01-01");
    *fixture.endpoint.0.lock().unwrap() = Some(CLIENT_SECRET_EXPIRED);

    let expired = fixture.look_at("2026-03-01T00:00:00Z").await;
    *fixture.endpoint.0.lock().unwrap() = Some("TOKEN_ENDPOINT_TIMED_OUT");
    let unknown = fixture.look_at("2026-03-02T00:00:00Z").await;
    *fixture.endpoint.0.lock().unwrap() = None;
    let works = fixture.look_at("2026-03-03T00:00:00Z").await;

    assert_eq!(expired, [DIFFERS, EXPIRED]);
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_eq!(works, [DIFFERS, EXPIRED].map(|told| told.replace("raised", "cleared")));
}

#[tokio::test]
async fn new_settings_clear_the_alarms_of_the_old_secret() {
    let fixture = fixture("2026-03-10");
    let first = fixture.look_at("2026-03-08T00:00:00Z").await;

    fixture.saved.send_replace(Some(settings("two", "2026-03-11")));
    let other = fixture.look_at("2026-03-08T01:00:00Z").await;
    fixture.saved.send_replace(Some(settings("two", "2028-03-11")));
    let good = fixture.look_at("2026-03-08T02:00:00Z").await;

    assert_eq!(first, [ABOUT]);
    assert_eq!(
        other,
        [
            "cleared smtp-oauth-client-secret-about-to-be-expired one",
            "raised smtp-oauth-client-secret-about-to-be-expired two"
        ]
    );
    assert_eq!(good, ["cleared smtp-oauth-client-secret-about-to-be-expired two"]);
}

#[tokio::test]
async fn what_was_seen_of_the_secrets_is_told_with_the_settings_that_it_is_about() {
    let fixture = fixture("2027-01-01");
    let seen = fixture.watch.seen.subscribe();
    assert!(seen.borrow().is_none());

    *fixture.endpoint.0.lock().unwrap() = Some(CLIENT_SECRET_EXPIRED);
    fixture.look_at("2026-03-01T00:00:00Z").await;

    let told = seen.borrow().clone().unwrap();
    assert_eq!((told.generation, told.status.usage), (1, SecretUse::None));
    assert_eq!(told.status.refusal.as_deref(), Some("no"));
    assert!(told.status.disagreement.unwrap().contains("good until 2027-01-01"));
    fixture.saved.send_replace(None);
    fixture.look_at("2026-03-01T01:00:00Z").await;
    assert!(seen.borrow().is_none());
}

/// Gives tokens, or refuses with this code.
#[derive(Default)]
struct Endpoint(Mutex<Option<&'static str>>);

#[async_trait]
impl TokenSource for Endpoint {
    async fn token(&self, _request: TokenRequest<'_>) -> Result<Token, TokenError> {
        match *self.0.lock().unwrap() {
            None => Ok(Token {
                access_token: AccessToken::from("token".to_owned()),
                expires_at: Timestamp::MAX,
                passed_over: None,
            }),
            Some(code) => Err(TokenError {
                kind: TokenErrorKind::Fatal,
                reason: Reason::new(code, "no"),
                presented_chain: Vec::new(),
            }),
        }
    }

    async fn invalidate(&self, _request: TokenRequest<'_>, _refused: &AccessToken) {}

    async fn fetch(&self, request: TokenRequest<'_>) -> Result<Token, TokenError> {
        self.token(request).await
    }

    async fn cached_until(&self, _request: TokenRequest<'_>) -> Option<Timestamp> {
        None
    }
}

/// Notes what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

#[async_trait]
impl AlarmSink for Told {
    async fn raise(&self, alarm: RaisedAlarm) -> Result<(), StoreError> {
        self.note("raised", &alarm.identity);
        Ok(())
    }

    async fn clear(&self, alarm: AlarmIdentity) -> Result<(), StoreError> {
        self.note("cleared", &alarm);
        Ok(())
    }
}

impl Told {
    fn note(&self, what: &str, alarm: &AlarmIdentity) {
        let note = format!("{what} {} {}", alarm.alarm_type, alarm.labels["client_id"]);
        self.0.lock().unwrap().push(note);
    }
}
