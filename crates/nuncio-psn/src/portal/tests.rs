//! Portal mail over a store in memory, in virtual time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_api::convert::time::timestamp;
use nuncio_api::v1;
use nuncio_api::v1::portal_service_server::PortalService as _;
use nuncio_core::directory::guest::Guest;
use nuncio_core::job::{Job, JobState, MailJobId};
use nuncio_core::portal::approval::{Approval, ApprovalState, Decision, Verdict};
use nuncio_core::ports::job_store::{Claim, Incarnation, JobStore as _};
use nuncio_core::ports::records::{Changeset, Expected, RecordStore as _};
use nuncio_core::ports::settings::{SaveError, SettingsShare};
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::document::{DocumentChange, SavedDocument, SettingsDocument};
use nuncio_core::settings::{SavedSmtpSettings, SmtpSettings};
use nuncio_core::template::Templates;
use nuncio_delivery::intake::Intake;
use nuncio_delivery::senders::Senders;
use nuncio_directory::directory::Directory;
use nuncio_directory::follow_up::AtExpiry;
use nuncio_runtime::clock::{TestClock, TestEntropy};
use nuncio_store::memory::MemoryJobStore;
use tokio::sync::watch;
use tonic::Request;

use super::service::PortalMail;
use super::{Portal, keeper};
use crate::approvals::record;
use crate::tests::Nobody;

mod voided;

struct Fixture {
    service: PortalMail,
    store: Arc<MemoryJobStore>,
}

fn fixture() -> Fixture {
    let store = Arc::new(MemoryJobStore::default());
    let intake = Intake {
        store: Arc::<MemoryJobStore>::clone(&store),
        clock: Arc::new(TestClock::starting_at("2030-01-01T00:00:00Z".parse().unwrap())),
        entropy: Arc::new(TestEntropy::default()),
        observer: Arc::new(Nobody),
        settings: watch::channel(None).1,
        templates: watch::channel(Templates::shipped()).1,
    };
    let records = || Arc::<MemoryJobStore>::clone(&store);
    let portal = Portal {
        intake,
        directory: Directory { records: records(), follow_up: Arc::new(AtExpiry) },
        settings: Arc::new(Settings::default()),
        senders: Senders { records: records() },
        public_url: Some("https://guests.example.com".to_owned()),
    };
    Fixture { service: PortalMail { portal }, store }
}

impl Fixture {
    fn portal(&self) -> &Portal {
        &self.service.portal
    }

    async fn request_approval(&self) -> v1::Approval {
        let guest = v1::Guest {
            name: "guests/ada".to_owned(),
            email: "ada@example.com".to_owned(),
            valid_to_time: Some(timestamp("2031-01-01T00:00:00Z".parse().unwrap())),
            ..v1::Guest::default()
        };
        let request = v1::RequestApprovalRequest {
            target: Some(v1::request_approval_request::Target::Guest(guest)),
            approvers: vec!["boss@example.com".to_owned()],
            password: "s3cret".to_owned(),
            ..v1::RequestApprovalRequest::default()
        };
        let answer = self.service.request_approval(Request::new(request)).await.unwrap();
        answer.into_inner().approval.unwrap()
    }

    async fn approval(&self, name: &str) -> v1::Approval {
        let request = v1::GetApprovalRequest { name: name.to_owned() };
        let answer = self.service.get_approval(Request::new(request)).await.unwrap();
        answer.into_inner().approval.unwrap()
    }

    async fn job(&self, name: &str) -> Job {
        let id: MailJobId = name.parse().unwrap();
        self.store.get(id).await.unwrap().unwrap()
    }

    /// The templates of the jobs that a node would send now.
    async fn claimable(&self) -> Vec<String> {
        let now = self.portal().now();
        let holder = Incarnation("test".to_owned());
        let until = now + Duration::from_mins(1);
        let claim = Claim {
            holder,
            now,
            until,
            limit: 100,
            patient_max: 100,
            into_body: false,
            except: Vec::new(),
        };
        let claimed = self.store.claim(claim).await.unwrap();
        claimed.into_iter().filter_map(|one| one.job.template).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_are_never_sent_while_nobody_has_approved() {
    let fixture = fixture();
    let asked = fixture.request_approval().await;
    assert_eq!(fixture.claimable().await, ["templates/guest-approval-request"]);

    // Nobody looks after approvals for as long as mails live.
    for _ in 0..24 * 10 {
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert!(fixture.claimable().await.is_empty());
    }

    keeper::work(fixture.portal()).await.unwrap();
    let expired = fixture.approval(&asked.name).await;
    assert_eq!(expired.state(), v1::ApprovalState::Expired);
    let credentials = fixture.job(&asked.credentials_jobs[0].name).await;
    assert_eq!(credentials.state, JobState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn credentials_of_an_approval_whose_node_died_are_released_once_by_the_next_one() {
    let fixture = fixture();
    let asked = fixture.request_approval().await;
    fixture.claimable().await;
    decide_and_die(&fixture, &asked.name).await;
    assert!(fixture.claimable().await.is_empty());

    keeper::work(fixture.portal()).await.unwrap();
    keeper::work(fixture.portal()).await.unwrap();

    assert_eq!(fixture.claimable().await, ["templates/guest-credentials"]);
    keeper::work(fixture.portal()).await.unwrap();
    assert!(fixture.claimable().await.is_empty());
    let approved = fixture.approval(&asked.name).await;
    assert!(approved.credentials_jobs.is_empty());
    assert_eq!(approved.result_jobs.len(), 1);
}

/// All that a decision commits, and nothing of what follows it.
async fn decide_and_die(fixture: &Fixture, name: &str) {
    let portal = fixture.portal();
    let id = nuncio_core::portal::approval::ApprovalId::from_name(name).unwrap();
    let stored = record::find(portal.records(), id).await.unwrap().unwrap();
    let now = portal.now();
    let decision = Decision {
        verdict: Verdict::Approve,
        decided_at: now,
        decided_by: "boss".to_owned(),
        reason: String::new(),
    };
    let decided: Approval = stored.approval.decided(decision).unwrap();
    assert_eq!(decided.state, ApprovalState::Approved);
    let mut changes = Changeset::new(now);
    changes.writes.push(record::put(&decided, Expected::Version(stored.version), now));
    fixture.store.commit(changes).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bulk_that_broke_off_is_completed_by_repeating_it() {
    let fixture = fixture();
    let guest = |number: usize| v1::BulkGuest {
        target: Some(v1::bulk_guest::Target::Guest(v1::Guest {
            username: format!("guest{number}"),
            email: format!("guest{number}@example.com"),
            valid_to_time: Some(timestamp("2031-01-01T00:00:00Z".parse().unwrap())),
            ..v1::Guest::default()
        })),
        password: "s3cret".to_owned(),
    };
    let request = v1::BulkNotifyGuestsRequest {
        event: v1::PortalEvent::CredentialsCreated.into(),
        guests: (0..450).map(guest).collect(),
        request_id: "bulk".to_owned(),
        ..v1::BulkNotifyGuestsRequest::default()
    };
    let notify = async || {
        let answer = fixture.service.bulk_notify_guests(Request::new(request.clone())).await;
        answer.unwrap().into_inner()
    };
    let first = notify().await;
    assert_eq!(first.results.len(), 450);

    // As if the answer and the last guests had not been stored.
    let id = first.name.trim_start_matches("bulks/");
    let mut changes = Changeset::new(fixture.portal().now());
    let requests = super::requests::REQUEST;
    let key = nuncio_core::ports::records::RecordKey::new(requests, "bulk");
    let delete = |key| nuncio_core::ports::records::Write::Delete { key, expected: Expected::Any };
    changes.writes.push(delete(key));
    for index in 400..450 {
        changes.writes.push(delete(super::bulk::record::guest_key(id, index)));
    }
    fixture.store.commit(changes).await.unwrap();
    let again = notify().await;

    assert_eq!(again.name, first.name);
    assert_eq!(again.results.len(), 450);
    assert_eq!(again.results[..400], first.results[..400]);
}

#[tokio::test(start_paused = true)]
async fn old_requests_and_approvals_are_removed() {
    let fixture = fixture();
    let asked = fixture.request_approval().await;
    tokio::time::sleep(Duration::from_hours(25)).await;
    keeper::work(fixture.portal()).await.unwrap();
    assert_eq!(fixture.store.count_records(record::APPROVAL).await.unwrap(), 1);

    tokio::time::sleep(record::KEPT).await;
    keeper::work(fixture.portal()).await.unwrap();

    assert_eq!(fixture.store.count_records(record::APPROVAL).await.unwrap(), 0);
    let id = nuncio_core::directory::guest::GuestId::parse("ada").unwrap();
    let guest = fixture.portal().directory.get::<Guest>(&id).await.unwrap();
    assert!(guest.is_some(), "{}", asked.name);
}

/// Settings in memory.
#[derive(Default)]
struct Settings {
    documents: Mutex<HashMap<SettingsDocument, watch::Sender<Option<Arc<SavedDocument>>>>>,
}

#[async_trait]
impl SettingsShare for Settings {
    fn smtp(&self) -> watch::Receiver<Option<Arc<SavedSmtpSettings>>> {
        watch::channel(None).1
    }

    async fn save_smtp(
        &self,
        _settings: SmtpSettings,
        _expected: Option<&str>,
        _now: Timestamp,
    ) -> Result<Arc<SavedSmtpSettings>, SaveError> {
        unreachable!("no test saves them")
    }

    fn document(&self, document: SettingsDocument) -> watch::Receiver<Option<Arc<SavedDocument>>> {
        let mut documents = self.documents.lock().unwrap();
        documents.entry(document).or_insert_with(|| watch::channel(None).0).subscribe()
    }

    async fn save_document(
        &self,
        document: SettingsDocument,
        content: Sensitive,
        change: DocumentChange,
        _expected: Option<&str>,
    ) -> Result<Arc<SavedDocument>, SaveError> {
        let saved = Arc::new(SavedDocument { content, generation: 1, history: vec![change] });
        let mut documents = self.documents.lock().unwrap();
        let sender = documents.entry(document).or_insert_with(|| watch::channel(None).0);
        sender.send_replace(Some(Arc::clone(&saved)));
        Ok(saved)
    }
}
