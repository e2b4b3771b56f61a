//! The role's service over a store in memory: what a client sees.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use nuncio_api::v1;
use nuncio_api::v1::mail_job_service_server::MailJobService as _;
use nuncio_core::address::EmailAddress;
use nuncio_core::caller::Caller;
use nuncio_core::class::MailClass;
use nuncio_core::job::{JobState, MailJobId};
use nuncio_core::ports::job_store::{Claim, Dead, Incarnation, JobStore};
use nuncio_core::template::Templates;
use nuncio_delivery::intake::Intake;
use nuncio_delivery::observer::{Alarm, AlarmKind, DeliveryObserver};
use nuncio_runtime::clock::{TestClock, TestEntropy};
use nuncio_store::memory::MemoryJobStore;
use prost::Message as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::service::MailJobs;

/// What a gRPC client takes if nobody tells it otherwise: 4 MiB.
const GRPC_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

struct Fixture {
    service: MailJobs,
    store: Arc<MemoryJobStore>,
    shutdown: CancellationToken,
}

fn fixture() -> Fixture {
    let store = Arc::new(MemoryJobStore::default());
    let shutdown = CancellationToken::new();
    let intake = Intake {
        store: Arc::<MemoryJobStore>::clone(&store),
        clock: Arc::new(TestClock::starting_at(Timestamp::UNIX_EPOCH)),
        entropy: Arc::new(TestEntropy::default()),
        observer: Arc::new(Nobody),
        settings: watch::channel(None).1,
        templates: watch::channel(Templates::shipped()).1,
    };
    Fixture { service: MailJobs::new(intake, shutdown.clone()), store, shutdown }
}

impl Fixture {
    async fn create(&self, request: v1::CreateMailJobRequest) -> Result<v1::MailJob, Status> {
        let response = self.service.create_mail_job(Request::new(request)).await?;
        Ok(response.into_inner().mail_job.unwrap())
    }

    async fn hold(&self, name: &str) -> Result<v1::MailJob, Status> {
        let request = v1::HoldMailJobRequest { name: name.to_owned() };
        let response = self.service.hold_mail_job(Request::new(request)).await?;
        Ok(response.into_inner().mail_job.unwrap())
    }

    async fn release(&self, name: &str) -> Result<v1::MailJob, Status> {
        let request = v1::ReleaseMailJobRequest { name: name.to_owned() };
        let response = self.service.release_mail_job(Request::new(request)).await?;
        Ok(response.into_inner().mail_job.unwrap())
    }

    async fn retry(&self, name: &str, allow_duplicate: bool) -> Result<v1::MailJob, Status> {
        let request = v1::RetryMailJobRequest { name: name.to_owned(), allow_duplicate };
        let response = self.service.retry_mail_job(Request::new(request)).await?;
        Ok(response.into_inner().mail_job.unwrap())
    }

    /// Leaves every job that is due as its node would that dies while the bodies go out.
    async fn claim_and_die_in_the_body(&self) {
        let now = Timestamp::UNIX_EPOCH + Duration::from_mins(1);
        let holder = Incarnation("test".to_owned());
        let claim = Claim {
            holder,
            now,
            until: now,
            limit: 100,
            patient_max: 100,
            into_body: false,
            except: Vec::new(),
        };
        for claimed in self.store.claim(claim).await.unwrap() {
            self.store.enter_body(&claimed.lease).await.unwrap();
        }
        self.store.rescue(Dead::LeaseEnded, now).await.unwrap();
    }

    async fn claim_all(&self) {
        let now = Timestamp::UNIX_EPOCH + Duration::from_mins(1);
        let until = now + Duration::from_mins(1);
        let holder = Incarnation("test".to_owned());
        self.store
            .claim(Claim {
                holder,
                now,
                until,
                limit: 100,
                patient_max: 100,
                into_body: false,
                except: Vec::new(),
            })
            .await
            .unwrap();
    }
}

fn request() -> v1::CreateMailJobRequest {
    to(&["guest@example.com"])
}

fn to(addresses: &[&str]) -> v1::CreateMailJobRequest {
    let mailbox =
        |address: &&str| v1::Mailbox { address: (*address).to_owned(), ..Default::default() };
    let raw = v1::RawContent { subject: "hello".into(), text: "hi".into(), html: String::new() };
    let mail = v1::Mail {
        to: addresses.iter().map(mailbox).collect(),
        content: Some(v1::mail::Content::Raw(raw)),
        ..Default::default()
    };
    v1::CreateMailJobRequest { mail: Some(mail), ..Default::default() }
}

fn from_template(name: &str, variables: &[(&str, &str)]) -> v1::CreateMailJobRequest {
    let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let template =
        v1::TemplateContent { template: name.into(), variables, ..v1::TemplateContent::default() };
    let mut request = request();
    request.mail.as_mut().unwrap().content = Some(v1::mail::Content::Template(template));
    request
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

fn fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().unwrap().field_violations;
    violations.into_iter().map(|violation| violation.field).collect()
}

#[tokio::test]
async fn a_created_job_is_stored_and_queued() {
    let fixture = fixture();

    let job = fixture.create(request()).await.unwrap();

    assert_eq!(job.state(), v1::MailJobState::Queued);
    let id: MailJobId = job.name.parse().unwrap();
    assert_eq!(fixture.store.get(id).await.unwrap().unwrap().state, JobState::Queued);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let fixture = fixture();
    let mut bad = to(&["no address", "a@example.com"]);
    let mail = bad.mail.as_mut().unwrap();
    mail.content = Some(v1::mail::Content::Raw(v1::RawContent {
        subject: "hello\r\nBcc: all@example.com".into(),
        ..Default::default()
    }));
    bad.request_id = "with a blank".into();
    bad.class = 99;

    let refused = fixture.create(bad).await.unwrap_err();

    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::InvalidArgument, "INVALID_MAIL_JOB")
    );
    let expected =
        ["class", "request_id", "mail.to[0].address", "mail.raw.subject", "mail.raw.text"];
    assert_eq!(fields(&refused), expected);
    assert_eq!(fixture.store.backlog().await.unwrap().queued, 0);
}

#[tokio::test]
async fn a_repeated_request_gives_the_same_job_and_another_content_is_refused() {
    let fixture = fixture();
    let with_id = |request| v1::CreateMailJobRequest { request_id: "r-1".into(), ..request };

    let first = fixture.create(with_id(request())).await.unwrap();
    let again = fixture.create(with_id(request())).await.unwrap();
    let reused = fixture.create(with_id(to(&["other@example.com"]))).await.unwrap_err();

    assert_eq!(first.name, again.name);
    assert_eq!(
        (reused.code(), reason(&reused).as_str()),
        (Code::AlreadyExists, "REQUEST_ID_REUSED")
    );
    assert_eq!(reused.get_details_error_info().unwrap().metadata["mail_job"], first.name);
}

#[tokio::test]
async fn the_request_ids_of_two_callers_do_not_meet() {
    let fixture = fixture();
    let create = async |caller: &str, to_whom: &str| {
        let content = v1::CreateMailJobRequest { request_id: "r-1".into(), ..to(&[to_whom]) };
        let mut request = Request::new(content);
        let id = nuncio_core::job::CallerId(caller.to_owned());
        request.extensions_mut().insert(Caller { id, ..Caller::local() });
        let created = fixture.service.create_mail_job(request).await;
        created.map(|created| created.into_inner().mail_job.unwrap().name)
    };

    let of_portal = create("portal-app", "a@example.com").await.unwrap();
    let of_other = create("other", "b@example.com").await.unwrap();

    assert_ne!(of_portal, of_other);
    assert_eq!(create("portal-app", "a@example.com").await.unwrap(), of_portal);
    assert!(create("other", "a@example.com").await.is_err());
}

#[tokio::test]
async fn a_check_stores_nothing() {
    let fixture = fixture();

    let job = fixture
        .create(v1::CreateMailJobRequest { validate_only: true, ..request() })
        .await
        .unwrap();

    assert_eq!(job.name, "");
    assert_eq!(fixture.store.backlog().await.unwrap().queued, 0);
}

#[tokio::test]
async fn an_unknown_template_is_not_found_and_missing_variables_are_named() {
    let fixture = fixture();

    let unknown = fixture.create(from_template("templates/nothing", &[])).await.unwrap_err();
    let name = "templates/guest-credentials";
    let missing = fixture.create(from_template(name, &[("usrname", "x")])).await.unwrap_err();

    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "TEMPLATE_NOT_FOUND"));
    let missing = fields(&missing);
    for variable in ["username", "password", "valid_from", "valid_to", "usrname"] {
        let field = format!("mail.template.variables.{variable}");
        assert!(missing.contains(&field), "{field} in {missing:?}");
    }
}

#[tokio::test]
async fn a_template_decides_the_class_and_its_subject_stays_private() {
    let fixture = fixture();
    let variables =
        [("username", "u"), ("password", "p"), ("valid_from", "today"), ("valid_to", "tomorrow")];

    let request = from_template("templates/guest-credentials", &variables);
    let job = fixture.create(request).await.unwrap();

    assert_eq!(job.class(), v1::MailClass::Credentials);
    assert_eq!((job.template.as_str(), job.subject.as_str()), ("templates/guest-credentials", ""));
}

#[tokio::test]
async fn pages_hold_every_job_once() {
    let fixture = fixture();
    for _ in 0..5 {
        fixture.create(request()).await.unwrap();
    }

    let mut names = Vec::new();
    let mut page_token = String::new();
    loop {
        let list = v1::ListMailJobsRequest { page_size: 2, page_token, ..Default::default() };
        let page = fixture.service.list_mail_jobs(Request::new(list)).await.unwrap().into_inner();
        names.extend(page.mail_jobs.into_iter().map(|job| job.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }

    assert_eq!(names.len(), 5);
    assert!(names.is_sorted_by(|a, b| a > b), "newest first: {names:?}");
}

#[tokio::test]
async fn a_page_of_large_jobs_ends_early_and_the_next_one_goes_on() {
    let fixture = fixture();
    let addresses: Vec<String> = (0..1000).map(|n| format!("guest{n}@example.com")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    for _ in 0..120 {
        fixture.create(to(&addresses)).await.unwrap();
    }

    let (mut pages, mut jobs, mut page_token) = (0, 0, String::new());
    loop {
        let list = v1::ListMailJobsRequest { page_size: 1000, page_token, ..Default::default() };
        let page = fixture.service.list_mail_jobs(Request::new(list)).await.unwrap().into_inner();
        assert!(page.encoded_len() < GRPC_MESSAGE_BYTES, "{} bytes", page.encoded_len());
        (pages, jobs, page_token) = (pages + 1, jobs + page.mail_jobs.len(), page.next_page_token);
        if page_token.is_empty() {
            break;
        }
    }

    assert_eq!(jobs, 120);
    assert!(1 < pages);
}

#[tokio::test]
async fn names_and_tokens_that_are_none_are_told_apart() {
    let fixture = fixture();
    let get = async |name: &str| {
        let request = Request::new(v1::GetMailJobRequest { name: name.to_owned() });
        fixture.service.get_mail_job(request).await.unwrap_err()
    };
    let list = v1::ListMailJobsRequest { page_token: "%%%".into(), ..Default::default() };
    let watch = v1::WatchMailJobsRequest { resume_token: "x".into(), ..Default::default() };

    let malformed = get("jobs/7").await;
    let absent = get("mailJobs/0192f0c1-0000-7000-8000-000000000000").await;
    let page = fixture.service.list_mail_jobs(Request::new(list)).await.unwrap_err();
    let resume = fixture.service.watch_mail_jobs(Request::new(watch)).await.err().unwrap();

    assert_eq!(reason(&malformed), "INVALID_NAME");
    assert_eq!((absent.code(), reason(&absent).as_str()), (Code::NotFound, "MAIL_JOB_NOT_FOUND"));
    assert_eq!(reason(&page), "INVALID_PAGE_TOKEN");
    assert_eq!(reason(&resume), "INVALID_RESUME_TOKEN");
}

#[tokio::test]
async fn a_waiting_job_can_be_cancelled_and_one_that_is_sent_now_cannot() {
    let fixture = fixture();
    let waiting = fixture.create(request()).await.unwrap();
    let cancel = async |name: &str| {
        let request = Request::new(v1::CancelMailJobRequest { name: name.to_owned() });
        fixture.service.cancel_mail_job(request).await
    };

    let cancelled = cancel(&waiting.name).await.unwrap().into_inner().mail_job.unwrap();
    let sending = fixture.create(request()).await.unwrap();
    fixture.claim_all().await;
    let refused = cancel(&sending.name).await.unwrap_err();

    assert_eq!(cancelled.state(), v1::MailJobState::Cancelled);
    assert_eq!(reason(&refused), "MAIL_JOB_NOT_CANCELLABLE");
    assert_eq!(refused.get_details_error_info().unwrap().metadata["state"], "SENDING");
}

#[tokio::test]
async fn a_held_job_is_not_sent_until_it_is_released() {
    let fixture = fixture();
    let job = fixture.create(request()).await.unwrap();

    let held = fixture.hold(&job.name).await.unwrap();
    fixture.claim_all().await;
    let released = fixture.release(&job.name).await.unwrap();
    fixture.claim_all().await;

    assert_eq!(held.state(), v1::MailJobState::Held);
    assert_eq!(held.reason.unwrap().code, "HELD_BY_CALLER");
    assert_eq!(held.next_attempt_time, None, "nobody knows when");
    assert_eq!(released.state(), v1::MailJobState::Queued);
    assert!(released.next_attempt_time.is_some());
    let sending = fixture.store.get(job.name.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(sending.state, JobState::Sending);
}

#[tokio::test]
async fn what_cannot_be_held_released_or_retried_has_its_reason_and_its_state() {
    let fixture = fixture();
    let queued = fixture.create(request()).await.unwrap().name;
    check_refused(fixture.release(&queued).await, "MAIL_JOB_NOT_HELD_BY_CALLER", "QUEUED");
    check_refused(fixture.retry(&queued, true).await, "MAIL_JOB_NOT_RETRYABLE", "QUEUED");
    fixture.claim_all().await;
    check_refused(fixture.hold(&queued).await, "MAIL_JOB_NOT_HOLDABLE", "SENDING");
    check_refused(fixture.retry(&queued, true).await, "MAIL_JOB_NOT_RETRYABLE", "SENDING");

    let absent = "mailJobs/0192f0c1-0000-7000-8000-000000000000";
    assert_eq!(reason(&fixture.hold(absent).await.unwrap_err()), "MAIL_JOB_NOT_FOUND");
    assert_eq!(reason(&fixture.release("jobs/7").await.unwrap_err()), "INVALID_NAME");
}

#[tokio::test]
async fn an_unknown_job_is_retried_only_if_a_duplicate_is_allowed() {
    let fixture = fixture();
    let name = fixture.create(request()).await.unwrap().name;
    fixture.claim_and_die_in_the_body().await;

    check_refused(fixture.retry(&name, false).await, "MAIL_JOB_MAY_BE_DUPLICATED", "UNKNOWN");
    let retried = fixture.retry(&name, true).await.unwrap();

    assert_eq!(retried.state(), v1::MailJobState::Deferred);
    assert_eq!(retried.recipients[0].state(), v1::RecipientState::Pending);
}

fn check_refused(result: Result<v1::MailJob, Status>, expect: &str, state: &str) {
    let refused = result.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, expect));
    assert_eq!(refused.get_details_error_info().unwrap().metadata["state"], state);
    let precondition = refused.get_details_precondition_failure().unwrap();
    assert!(!precondition.violations[0].description.is_empty(), "it says what to do");
}

#[tokio::test]
async fn a_list_is_narrowed_by_recipient_and_label() {
    let fixture = fixture();
    let labels = |value: &str| [("site".to_owned(), value.to_owned())].into();
    let north = v1::CreateMailJobRequest { labels: labels("north"), ..to(&["a@example.com"]) };
    let north = fixture.create(north).await.unwrap().name;
    fixture.create(to(&["b@example.com"])).await.unwrap();
    let list = async |list| {
        let page = fixture.service.list_mail_jobs(Request::new(list)).await.unwrap().into_inner();
        page.mail_jobs.into_iter().map(|job| job.name).collect::<Vec<_>>()
    };

    let recipient = "a@example.com".to_owned();
    let by_recipient = v1::ListMailJobsRequest { recipient, ..Default::default() };
    let by_label = v1::ListMailJobsRequest { labels: labels("north"), ..Default::default() };
    let by_other = v1::ListMailJobsRequest { labels: labels("south"), ..Default::default() };

    let north = [north];
    assert_eq!(list(by_recipient).await, north);
    assert_eq!(list(by_label).await, north);
    assert_eq!(list(by_other).await, [] as [String; 0]);
}

#[tokio::test]
async fn a_watch_tells_every_state_and_ends_with_the_job() {
    let fixture = fixture();
    let job = fixture.create(request()).await.unwrap();
    let watch = v1::WatchMailJobsRequest { name: job.name.clone(), ..Default::default() };
    let mut told = fixture.service.watch_mail_jobs(Request::new(watch)).await.unwrap().into_inner();

    let first = told.next().await.unwrap().unwrap();
    let request = v1::CancelMailJobRequest { name: job.name };
    fixture.service.cancel_mail_job(Request::new(request)).await.unwrap();
    let second = told.next().await.unwrap().unwrap();

    assert_eq!(first.mail_job.unwrap().state(), v1::MailJobState::Queued);
    assert_eq!(second.mail_job.unwrap().state(), v1::MailJobState::Cancelled);
    assert!(told.next().await.is_none());
}

#[tokio::test]
async fn a_resumed_watch_leaves_nothing_out() {
    let fixture = fixture();
    let all = |resume_token| v1::WatchMailJobsRequest { name: String::new(), resume_token };
    let start = Request::new(all(String::new()));
    let mut told = fixture.service.watch_mail_jobs(start).await.unwrap().into_inner();
    let token = told.next().await.unwrap().unwrap().resume_token;
    drop(told);
    let first = fixture.create(request()).await.unwrap();
    let second = fixture.create(request()).await.unwrap();
    fixture.claim_all().await;

    let resume = Request::new(all(token));
    let told = fixture.service.watch_mail_jobs(resume).await.unwrap().into_inner();
    let seen: Vec<_> = told
        .take(4)
        .map(|change| change.unwrap().mail_job.unwrap())
        .map(|job| (job.name.clone(), job.state()))
        .collect()
        .await;

    let (queued, sending) = (v1::MailJobState::Queued, v1::MailJobState::Sending);
    assert_eq!(seen[..2], [(first.name.clone(), queued), (second.name.clone(), queued)]);
    assert!(seen.contains(&(first.name, sending)) && seen.contains(&(second.name, sending)));
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_sends_bookmarks_and_ends_when_the_node_goes_down() {
    let fixture = fixture();
    let watch = Request::new(v1::WatchMailJobsRequest::default());
    let mut told = fixture.service.watch_mail_jobs(watch).await.unwrap().into_inner();

    let place = told.next().await.unwrap().unwrap();
    let bookmark = told.next().await.unwrap().unwrap();
    fixture.shutdown.cancel();
    let end = told.next().await.unwrap().unwrap_err();

    for silent in [place, bookmark] {
        assert!(silent.mail_job.is_none() && !silent.resume_token.is_empty());
    }
    assert_eq!((end.code(), reason(&end).as_str()), (Code::Unavailable, "NODE_DRAINING"));
}

pub(crate) struct Nobody;

impl DeliveryObserver for Nobody {
    fn job_accepted(&self, _class: MailClass) {}
    fn attempt_ended(&self, _class: MailClass, _outcome: &str, _elapsed: Duration) {}
    fn alarm_raised(&self, _alarm: &Alarm) {}
    fn alarm_cleared(&self, _kind: AlarmKind, _mailbox: &EmailAddress) {}
    fn job_ended(&self, _class: MailClass, _state: JobState) {}
}
