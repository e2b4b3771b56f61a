//! Portal mail over a store in memory, in virtual time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::connect_info::MockConnectInfo;
use nuncio_api::convert::time::timestamp;
use nuncio_api::v1;
use nuncio_api::v1::portal_service_server::PortalService as _;
use nuncio_core::conformance::sealer::TestSealer;
use nuncio_core::directory::guest::{Guest, GuestId, GuestState};
use nuncio_core::directory::lifecycle::GuestAction;
use nuncio_core::job::{Job, JobState, MailJobId};
use nuncio_core::portal::PortalEvent;
use nuncio_core::portal::plan::Refused;
use nuncio_core::ports::job_store::{Claim, Incarnation, JobStore as _};
use nuncio_core::ports::records::{Changeset, Expected, RecordStore as _};
use nuncio_core::ports::settings::{SaveError, SettingsShare};
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::document::{DocumentChange, SavedDocument, SettingsDocument};
use nuncio_core::settings::{SavedSmtpSettings, SmtpSettings};
use nuncio_core::template::Templates;
use nuncio_delivery::intake::Intake;
use nuncio_delivery::senders::Senders;
use nuncio_directory::approvals as record;
use nuncio_directory::batch::Batch;
use nuncio_directory::change::Entry;
use nuncio_directory::directory::{Directory, Wanted};
use nuncio_directory::follow_up::AtExpiry;
use nuncio_runtime::clock::{TestClock, TestEntropy};
use nuncio_store::memory::MemoryJobStore;
use tokio::sync::watch;
use tonic::Request;
use tonic::codegen::Service;

use super::service::PortalMail;
use super::{Portal, keeper};
use crate::tests::Nobody;

mod voided;

struct Fixture {
    service: PortalMail,
    store: Arc<MemoryJobStore>,
}

/// A mail as a node sends it.
#[derive(Debug)]
struct Sent {
    template: String,
    text: String,
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
        keys: Arc::new(TestSealer("key")),
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
            time_zone: "Asia/Tokyo".to_owned(),
            valid_to_time: Some(timestamp("2030-01-02T20:00:00Z".parse().unwrap())),
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
        self.claimed().await.into_iter().map(|one| one.template).collect()
    }

    async fn approve(&self, name: &str) {
        let request = v1::DecideApprovalRequest {
            name: name.to_owned(),
            verdict: v1::ApprovalVerdict::Approve.into(),
            ..v1::DecideApprovalRequest::default()
        };
        self.service.decide_approval(Request::new(request)).await.unwrap();
    }

    /// Changes the guest as the directory does.
    async fn change_in_directory(&self, decide: impl Fn(&Guest) -> Wanted<Guest>) {
        let id = GuestId::parse("ada").unwrap();
        let (directory, now) = (&self.portal().directory, self.portal().now());
        let decide = |before: Option<&Entry<Guest>>| Ok::<_, ()>(decide(&before.unwrap().subject));
        directory.change(&id, now, decide).await.unwrap();
    }

    async fn act(&self, action: &GuestAction) {
        let now = self.portal().now();
        self.change_in_directory(|guest| Wanted::Put(guest.after(action, now).unwrap())).await;
    }

    /// How the page answers.
    async fn page(&self, method: &str, path: &str) -> u16 {
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let page = crate::approvals::page::routes(self.portal().clone());
        let mut page = page.layer(MockConnectInfo(peer));
        let request = axum::http::Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = request.body(axum::body::Body::empty()).unwrap();
        Service::call(&mut page, request).await.unwrap().status().as_u16()
    }

    /// What a node would send now.
    async fn claimed(&self) -> Vec<Sent> {
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
        let told = claimed.into_iter().map(|one| Sent {
            template: one.job.template.unwrap_or_default(),
            text: one.mail.text.map(|text| text.expose().to_owned()).unwrap_or_default(),
        });
        told.collect()
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
    assert!(asked.credentials_waiting && !expired.credentials_waiting);
}

#[tokio::test(start_paused = true)]
async fn credentials_of_a_guest_who_is_approved_in_the_directory_are_sent_once_by_whoever_looks() {
    let fixture = fixture();
    let asked = fixture.request_approval().await;
    fixture.claimable().await;
    fixture.act(&GuestAction::Approve).await;
    assert!(fixture.claimable().await.is_empty());
    let approved = fixture.approval(&asked.name).await;
    assert_eq!(approved.state(), v1::ApprovalState::Approved);
    assert_eq!(approved.decided_by, "directory");

    keeper::work(fixture.portal()).await.unwrap();
    keeper::work(fixture.portal()).await.unwrap();

    // No notice of the approval: in the directory nothing is told.
    assert_eq!(fixture.claimable().await, ["templates/guest-credentials"]);
    let approved = fixture.approval(&asked.name).await;
    assert!(!approved.credentials_waiting);
    assert_eq!(approved.result_jobs.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_guest_who_is_denied_or_removed_in_the_directory_settles_the_request() {
    for is_removed in [false, true] {
        let fixture = fixture();
        let asked = fixture.request_approval().await;
        let request = &asked.request_jobs[0].name;
        assert!(asked.credentials_waiting);
        if is_removed {
            fixture.change_in_directory(|_| Wanted::Remove).await;
        } else {
            fixture.act(&GuestAction::Deny { reason: "no room".to_owned() }).await;
        }

        let settled = fixture.approval(&asked.name).await;
        let expected =
            if is_removed { v1::ApprovalState::Cancelled } else { v1::ApprovalState::Denied };
        assert_eq!(settled.state(), expected);
        assert!(!settled.credentials_waiting);
        assert_eq!(fixture.job(request).await.state, JobState::Cancelled);
        keeper::work(fixture.portal()).await.unwrap();
        assert!(fixture.claimable().await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_import_that_lets_guests_in_settles_their_requests() {
    let fixture = fixture();
    let asked = fixture.request_approval().await;
    let id = GuestId::parse("ada").unwrap();
    let make = |_row: usize, before: Option<&Guest>| {
        Ok(Guest { state: GuestState::Created, ..before.unwrap().clone() })
    };
    let (now, ids) = (fixture.portal().now(), [id]);
    let batch = Batch { ids: &ids, make: &make, now, validate_only: false };

    fixture.portal().directory.write_batch(&batch).await.unwrap();

    assert_eq!(fixture.approval(&asked.name).await.state(), v1::ApprovalState::Approved);
}

#[tokio::test(start_paused = true)]
async fn credentials_tell_how_the_guest_stands_when_he_is_approved() {
    let fixture = fixture();
    let asked = fixture.request_approval().await;
    fixture.claimed().await;
    tokio::time::sleep(Duration::from_hours(20)).await;
    fixture.act(&GuestAction::Extend { valid_to: "2030-01-09T20:00:00Z".parse().unwrap() }).await;

    fixture.approve(&asked.name).await;

    let mails = fixture.claimed().await;
    let credentials = mails.iter().find(|one| one.template.contains("credentials")).unwrap();
    assert!(credentials.text.contains("January 10, 2030 at 5:00"), "{}", credentials.text);
    assert!(!credentials.text.contains("January 3, 2030"), "{}", credentials.text);
    assert!(credentials.text.contains("s3cret"), "{}", credentials.text);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_links_is_told_by_the_clock_of_the_guests_place() {
    let fixture = fixture();
    let asked = fixture.request_approval().await;

    let [request] = fixture.claimed().await.try_into().unwrap();
    assert!(request.text.contains("until January 2, 2030 at 9:00"), "{}", request.text);
    let resend = v1::ResendApprovalRequest { name: asked.name };
    fixture.service.resend_approval(Request::new(resend)).await.unwrap();
    let [again] = fixture.claimed().await.try_into().unwrap();
    assert!(again.text.contains("until January 2, 2030 at 9:00"), "{}", again.text);
    assert!(again.text.contains("(GMT+9)"), "{}", again.text);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_has_expired_is_gone_and_decides_nothing() {
    let fixture = fixture();
    let asked = fixture.request_approval().await;
    let [request] = fixture.claimed().await.try_into().unwrap();
    let mut words = request.text.split_whitespace();
    let link = words.find_map(|word| word.strip_prefix("https://guests.example.com")).unwrap();
    assert_eq!(fixture.page("GET", link).await, 200);
    tokio::time::sleep(Duration::from_hours(24)).await;

    // Before and after it was noted, and when the request is long forgotten.
    for _ in 0..2 {
        assert_eq!(fixture.page("GET", link).await, 410);
        assert_eq!(fixture.page("POST", link).await, 410);
        keeper::work(fixture.portal()).await.unwrap();
    }
    assert_eq!(fixture.approval(&asked.name).await.state(), v1::ApprovalState::Expired);
    tokio::time::sleep(record::KEPT).await;
    keeper::work(fixture.portal()).await.unwrap();
    assert_eq!(fixture.page("POST", link).await, 410);
    let id = GuestId::parse("ada").unwrap();
    let guest = fixture.portal().directory.get::<Guest>(&id).await.unwrap().unwrap();
    assert_eq!(guest.subject.state, GuestState::PendingApproval);
}

#[test]
fn a_refusal_tells_its_remedy_once() {
    let (event, state) = (PortalEvent::CredentialsResent, GuestState::Suspended);
    let refused = super::errors::refused(&Refused::State { event, state });

    let details = tonic_types::StatusExt::get_error_details(&refused);
    let failure = details.precondition_failure().unwrap();
    assert_eq!(failure.violations[0].description, "reinstate the guest first");
    assert!(!refused.message().contains("reinstate"), "{}", refused.message());
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
        _change: DocumentChange,
        _expected: Option<&str>,
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
