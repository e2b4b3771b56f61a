//! The role's service over the embedded settings and a scripted test.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use jiff::Timestamp;
use nuncio_api::v1;
use nuncio_api::v1::smtp_settings_service_server::SmtpSettingsService as _;
use nuncio_api::v1::test_smtp_settings_response::Event;
use nuncio_cluster::embedded::{EmbeddedCluster, load_keys};
use nuncio_core::ports::job_store::{Incarnation, StoreError};
use nuncio_core::ports::mail::{NodeTesters, TestingNode};
use nuncio_core::ports::settings::SettingsShare as _;
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
    tester: Arc<Testers>,
    settings: Arc<EmbeddedCluster>,
    _folder: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let keys = load_keys(folder.path(), None).unwrap();
    let settings = Arc::new(EmbeddedCluster::open(folder.path(), keys).unwrap());
    let tester = Arc::new(Testers::default());
    tester.starts("node-1");
    let clock = Arc::new(TestClock::starting_at(Timestamp::UNIX_EPOCH));
    let (share, testers) = (Arc::clone(&settings) as _, Arc::clone(&tester) as _);
    let secrets = tokio::sync::watch::Sender::default().subscribe();
    let service = SmtpSettingsApi::new(share, testers, clock, secrets);
    Fixture { service, tester, settings, _folder: folder }
}

impl Fixture {
    async fn test(&self, settings: Option<v1::SmtpSettings>) -> Result<Vec<Event>, Status> {
        self.test_except(settings, &[]).await
    }

    async fn test_except(
        &self,
        settings: Option<v1::SmtpSettings>,
        except: &[&str],
    ) -> Result<Vec<Event>, Status> {
        let except_nodes = except.iter().map(|name| (*name).to_owned()).collect();
        let request = v1::TestSmtpSettingsRequest { smtp_settings: settings, except_nodes };
        let stream = self.service.test_smtp_settings(Request::new(request)).await?.into_inner();
        Ok(stream.map(|told| told.unwrap().event.unwrap()).collect().await)
    }

    async fn save(&self, settings: v1::SmtpSettings) -> Result<v1::SmtpSettings, Status> {
        self.save_except(settings, &[]).await
    }

    async fn save_except(
        &self,
        settings: v1::SmtpSettings,
        except: &[&str],
    ) -> Result<v1::SmtpSettings, Status> {
        let request = v1::UpdateSmtpSettingsRequest {
            smtp_settings: Some(settings),
            validate_only: false,
            except_nodes: except.iter().map(|name| (*name).to_owned()).collect(),
        };
        let saved = self.service.update_smtp_settings(Request::new(request)).await?;
        Ok(saved.into_inner().smtp_settings.unwrap())
    }

    /// What the history says of the last save.
    fn summary(&self) -> String {
        self.settings.smtp().borrow().as_ref().unwrap().history[0].summary.clone()
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
    fixture.tester.fails_from("node-1");

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

fn report(told: &[Event]) -> &v1::SmtpTestReport {
    let Some(Event::Report(report)) = told.last() else { panic!("{told:?}") };
    report
}

/// From which nodes a test is missing, as the refusal tells a program.
fn missing(refused: &Status) -> String {
    assert_eq!(reason(refused), "SMTP_SETTINGS_NOT_TESTED", "{refused}");
    refused.get_details_error_info().unwrap().metadata["nodes"].clone()
}

fn three_nodes() -> Fixture {
    let fixture = fixture();
    fixture.tester.starts("psn-1");
    fixture.tester.starts("psn-2");
    fixture
}

#[tokio::test]
async fn all_live_nodes_test_and_each_stage_says_from_where() {
    let fixture = three_nodes();

    let told = fixture.test(Some(settings("one"))).await.unwrap();
    fixture.save(settings("one")).await.unwrap();

    let stages = told.iter().filter_map(|event| match event {
        Event::Stage(stage) => Some(stage.node.as_str()),
        Event::Report(_) => None,
    });
    assert_eq!(stages.collect::<BTreeSet<_>>(), BTreeSet::from(["node-1", "psn-1", "psn-2"]));
    let of: Vec<_> = report(&told).nodes.iter().map(|test| test.node.as_str()).collect();
    assert_eq!(of, ["node-1", "psn-1", "psn-2"]);
    let tested = fixture.tester.tested.lock().unwrap();
    assert!(tested.iter().all(|settings| *settings == tested[0]), "exactly these, everywhere");
    assert_eq!(fixture.summary(), "first saved");
}

#[tokio::test]
async fn a_save_is_refused_while_one_of_three_nodes_fails_and_says_which() {
    let fixture = three_nodes();
    fixture.tester.fails_from("psn-2");

    let told = fixture.test(Some(settings("one"))).await.unwrap();
    let refused = fixture.save(settings("one")).await.unwrap_err();

    assert!(!report(&told).passed);
    assert_eq!(missing(&refused), "psn-2");
    assert!(refused.message().contains("from psn-2 in the last ten minutes"), "{refused}");
}

#[tokio::test]
async fn a_named_exception_lets_a_save_pass_and_stands_in_the_history() {
    let fixture = three_nodes();
    fixture.tester.fails_from("psn-2");

    let told = fixture.test_except(Some(settings("one")), &["nodes/psn-2"]).await.unwrap();
    let refused = fixture.save(settings("one")).await.unwrap_err();
    fixture.save_except(settings("one"), &["psn-2"]).await.unwrap();

    assert!(report(&told).passed);
    assert_eq!(report(&told).except_nodes, ["psn-2"]);
    assert_eq!(missing(&refused), "psn-2", "the save has to name it too");
    assert_eq!(fixture.summary(), "first saved; not tested from psn-2");
}

#[tokio::test]
async fn an_exception_that_was_not_needed_is_none() {
    let fixture = three_nodes();
    fixture.test(Some(settings("one"))).await.unwrap();

    fixture.save_except(settings("one"), &["psn-2", "no-such-node"]).await.unwrap();

    assert_eq!(fixture.summary(), "first saved");
}

#[tokio::test]
async fn without_a_test_from_any_node_no_exception_helps() {
    let fixture = three_nodes();
    let all = ["node-1", "psn-1", "psn-2"];

    let told = fixture.test_except(Some(settings("one")), &all).await.unwrap();
    let refused = fixture.save_except(settings("one"), &all).await.unwrap_err();

    assert!(!report(&told).passed);
    assert_eq!(missing(&refused), "");
}

#[tokio::test]
async fn a_node_that_came_after_the_test_must_pass_too() {
    let fixture = three_nodes();
    fixture.test(Some(settings("one"))).await.unwrap();

    fixture.tester.starts("psn-3");

    let refused = fixture.save(settings("one")).await.unwrap_err();
    assert_eq!(missing(&refused), "psn-3");
}

#[tokio::test]
async fn a_node_that_has_ended_since_the_test_is_not_missed() {
    let fixture = three_nodes();
    fixture.test(Some(settings("one"))).await.unwrap();

    fixture.tester.nodes.lock().unwrap().pop();

    fixture.save(settings("one")).await.unwrap();
}

#[tokio::test]
async fn a_later_test_that_fails_takes_back_what_an_earlier_one_proved() {
    let fixture = three_nodes();
    fixture.test(Some(settings("one"))).await.unwrap();
    fixture.tester.fails_from("psn-1");

    fixture.test(Some(settings("one"))).await.unwrap();

    let refused = fixture.save(settings("one")).await.unwrap_err();
    assert_eq!(missing(&refused), "psn-1");
}

#[tokio::test(start_paused = true)]
async fn nodes_that_hang_are_asked_some_at_a_time_and_given_up_at_the_deadline() {
    let fixture = three_nodes();
    for number in 0..20 {
        fixture.tester.starts(&format!("slow-{number}"));
    }

    let told = fixture.test(Some(settings("one"))).await.unwrap();

    let slow = report(&told).nodes.iter().filter(|test| !test.passed).collect::<Vec<_>>();
    assert_eq!(slow.len(), 20);
    assert!(slow.iter().all(|test| test.stages[0].error_code == "NODE_TOO_SLOW"), "{slow:?}");
    assert_eq!(fixture.tester.at_once_max.load(Ordering::Relaxed), 8);
}

/// Nodes whose tests end as they are told. Those with `slow` in their name never end.
#[derive(Default)]
struct Testers {
    nodes: Mutex<Vec<TestingNode>>,
    failing: Mutex<BTreeSet<String>>,
    tested: Mutex<Vec<SmtpSettings>>,
    at_once: AtomicUsize,
    at_once_max: AtomicUsize,
}

impl Testers {
    fn starts(&self, name: &str) {
        let (name, address) = (name.to_owned(), format!("{name}:7587"));
        let incarnation = Incarnation(format!("run of {name}"));
        self.nodes.lock().unwrap().push(TestingNode { incarnation, name, address });
    }

    fn fails_from(&self, name: &str) {
        self.failing.lock().unwrap().insert(name.to_owned());
    }
}

#[async_trait]
impl NodeTesters for Testers {
    async fn nodes(&self) -> Result<Vec<TestingNode>, StoreError> {
        Ok(self.nodes.lock().unwrap().clone())
    }

    async fn test(
        &self,
        node: &TestingNode,
        settings: &SmtpSettings,
        stages: mpsc::Sender<StageResult>,
    ) -> NodeTest {
        let _busy = Busy::new(self);
        if node.name.contains("slow") {
            std::future::pending::<()>().await;
        }
        self.tested.lock().unwrap().push(settings.clone());
        let outcome = if self.failing.lock().unwrap().contains(&node.name) {
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
        NodeTest { node: node.name.clone(), stages: vec![stage] }
    }
}

/// Counts the tests that go on.
struct Busy<'a>(&'a Testers);

impl<'a> Busy<'a> {
    fn new(testers: &'a Testers) -> Self {
        let at_once = testers.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        testers.at_once_max.fetch_max(at_once, Ordering::Relaxed);
        Self(testers)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::Relaxed);
    }
}
