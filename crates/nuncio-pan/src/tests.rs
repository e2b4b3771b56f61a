//! The role's service over the embedded settings and a scripted test.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use jiff::Timestamp;
use nuncio_api::v1;
use nuncio_api::v1::smtp_settings_service_server::SmtpSettingsService as _;
use nuncio_api::v1::test_smtp_settings_response::Event;
use nuncio_cluster::embedded::{EmbeddedCluster, load_keys};
use nuncio_core::ports::mail::SmtpTester;
use nuncio_core::settings::{Authentication, ClientCredential, SmtpSettings};
use nuncio_core::smtp_test::{NodeTest, StageError, StageKind, StageOutcome, StageResult};
use nuncio_runtime::clock::TestClock;
use tokio::sync::mpsc;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::proofs::PROOF_LIFE;
use crate::service::SmtpSettingsApi;

struct Fixture {
    service: SmtpSettingsApi,
    tester: Arc<Tester>,
    _folder: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let keys = load_keys(folder.path(), None).unwrap();
    let settings = Arc::new(EmbeddedCluster::open(folder.path(), keys).unwrap());
    let tester = Arc::new(Tester::default());
    let clock = Arc::new(TestClock::starting_at(Timestamp::UNIX_EPOCH));
    let (tester_port, node) = (Arc::<Tester>::clone(&tester), "node-1".to_owned());
    let secrets = tokio::sync::watch::Sender::default().subscribe();
    let service = SmtpSettingsApi::new(settings, tester_port, clock, node, secrets);
    Fixture { service, tester, _folder: folder }
}

impl Fixture {
    async fn test(&self, settings: Option<v1::SmtpSettings>) -> Result<Vec<Event>, Status> {
        let request = Request::new(v1::TestSmtpSettingsRequest { smtp_settings: settings });
        let stream = self.service.test_smtp_settings(request).await?.into_inner();
        Ok(stream.map(|told| told.unwrap().event.unwrap()).collect().await)
    }

    async fn save(&self, settings: v1::SmtpSettings) -> Result<v1::SmtpSettings, Status> {
        let request =
            v1::UpdateSmtpSettingsRequest { smtp_settings: Some(settings), validate_only: false };
        let saved = self.service.update_smtp_settings(Request::new(request)).await?;
        Ok(saved.into_inner().smtp_settings.unwrap())
    }
}

fn settings(secret: &str) -> v1::SmtpSettings {
    let oauth = v1::OauthAuthentication {
        client_id: "3f2504e0-4f89-41d3-9a0c-0305e82c3301".into(),
        tenant_id: "contoso.example".into(),
        client_secret: secret.into(),
        ..Default::default()
    };
    v1::SmtpSettings {
        provider: v1::SmtpProvider::ExchangeOnline.into(),
        email_address: "no-reply@contoso.example".into(),
        authentication: Some(v1::smtp_settings::Authentication::Oauth(oauth)),
        ..Default::default()
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test]
async fn settings_are_saved_only_after_a_test_of_exactly_these_values() {
    let fixture = fixture();

    let untested = fixture.save(settings("one")).await.unwrap_err();
    fixture.test(Some(settings("one"))).await.unwrap();
    let other = fixture.save(settings("two")).await.unwrap_err();
    let saved = fixture.save(settings("one")).await.unwrap();

    for refused in [untested, other] {
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(reason(&refused), "SMTP_SETTINGS_NOT_TESTED");
    }
    assert_eq!((saved.generation, saved.host.as_str()), (1, "smtp.office365.com"));
}

#[tokio::test]
async fn a_failed_test_allows_nothing_and_tells_cause_and_remedy() {
    let fixture = fixture();
    fixture.tester.fails.store(true, Ordering::Relaxed);

    let told = fixture.test(Some(settings("one"))).await.unwrap();
    let refused = fixture.save(settings("one")).await.unwrap_err();

    let Some(Event::Report(report)) = told.last() else { panic!("{told:?}") };
    assert!(!report.passed);
    let Event::Stage(stage) = &told[0] else { panic!("{told:?}") };
    assert_eq!(
        (stage.node.as_str(), stage.error_code.as_str()),
        ("node-1", "INVALID_CLIENT_SECRET")
    );
    assert_eq!(reason(&refused), "SMTP_SETTINGS_NOT_TESTED");
}

#[tokio::test(start_paused = true)]
async fn a_passed_test_is_good_for_ten_minutes() {
    let fixture = fixture();
    fixture.test(Some(settings("one"))).await.unwrap();

    tokio::time::advance(PROOF_LIFE).await;

    assert_eq!(
        reason(&fixture.save(settings("one")).await.unwrap_err()),
        "SMTP_SETTINGS_NOT_TESTED"
    );
}

#[tokio::test]
async fn the_secret_is_never_told_and_need_not_be_given_again() {
    let fixture = fixture();
    fixture.test(Some(settings("hunter2"))).await.unwrap();
    let saved = fixture.save(settings("hunter2")).await.unwrap();

    assert!(!format!("{saved:?}").contains("hunter2"));
    let Some(v1::smtp_settings::Authentication::Oauth(oauth)) = &saved.authentication else {
        panic!("{saved:?}")
    };
    assert!(oauth.client_secret_set);

    fixture.test(Some(settings(""))).await.unwrap();

    let tested = fixture.tester.tested.lock().unwrap().pop().unwrap();
    let Authentication::Oauth(client) = tested.authentication else { panic!("it was OAuth") };
    let ClientCredential::SecretPost(secret) = client.credential else { panic!("it was a secret") };
    assert_eq!(secret.expose(), "hunter2");
}

#[tokio::test]
async fn who_did_not_see_the_last_save_cannot_overwrite_it() {
    let fixture = fixture();
    fixture.test(Some(settings("one"))).await.unwrap();
    let first = fixture.save(settings("one")).await.unwrap();
    fixture.save(settings("one")).await.unwrap();

    let stale = v1::SmtpSettings { etag: first.etag, ..settings("one") };
    let refused = fixture.save(stale).await.unwrap_err();

    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
}

#[tokio::test]
async fn everything_that_is_wrong_with_settings_is_told_at_once() {
    let fixture = fixture();
    let bad = v1::SmtpSettings {
        host: "smtp://example.com/".into(),
        port: 70_000,
        email_address: "nobody".into(),
        authentication: Some(v1::smtp_settings::Authentication::Oauth(
            v1::OauthAuthentication::default(),
        )),
        ..Default::default()
    };

    let refused = fixture.test(Some(bad)).await.unwrap_err();

    assert_eq!(reason(&refused), "INVALID_SMTP_SETTINGS");
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    for field in [
        "host",
        "port",
        "email_address",
        "oauth.client_id",
        "oauth.token_endpoint",
        "oauth.client_secret",
    ] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
}

#[tokio::test]
async fn without_settings_there_is_nothing_to_get_or_to_test() {
    let fixture = fixture();

    let get = Request::new(v1::GetSmtpSettingsRequest {});
    let got = fixture.service.get_smtp_settings(get).await.unwrap_err();
    let tested = fixture.test(None).await.unwrap_err();

    assert_eq!(reason(&got), "SMTP_SETTINGS_NOT_SET");
    assert_eq!(reason(&tested), "SMTP_SETTINGS_NOT_SET");
}

/// A test that ends as it is told.
#[derive(Default)]
struct Tester {
    fails: AtomicBool,
    tested: Mutex<Vec<SmtpSettings>>,
}

#[async_trait]
impl SmtpTester for Tester {
    async fn test(&self, settings: &SmtpSettings, stages: mpsc::Sender<StageResult>) -> NodeTest {
        self.tested.lock().unwrap().push(settings.clone());
        let outcome = if self.fails.load(Ordering::Relaxed) {
            StageOutcome::Failed(StageError {
                code: "INVALID_CLIENT_SECRET".into(),
                cause: "wrong".into(),
                remedy: "give the right one".into(),
                presented_chain: Vec::new(),
            })
        } else {
            StageOutcome::Passed { detail: "fine".into() }
        };
        let elapsed = Duration::from_millis(5);
        let stage = StageResult { kind: StageKind::Token, mailbox: None, outcome, elapsed };
        stages.send(stage.clone()).await.unwrap();
        NodeTest { node: "node-1".into(), stages: vec![stage] }
    }
}
