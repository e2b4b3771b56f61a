//! Portal mail: notices, bulks, approvals by link, senders.

#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use mail_parser::{Message, MessageParser};
use nuncio_api::convert::time::timestamp;
use nuncio_api::v1;
use nuncio_api::v1::{ApprovalState, GuestState, MailJobState, PortalEvent};
use nuncio_provider_sim::config::{DEFAULT_MAILBOX, RecipientRule, SimConfig};
use nuncio_provider_sim::ledger::AcceptedMail;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{PATIENCE, reason};
use nuncio_tests::http;
use nuncio_tests::mails::{GUEST_PASSWORD, mailbox};
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::settings_for;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const SPONSOR: &str = "sam@contoso.example";
const APPROVER: &str = "boss@contoso.example";

async fn node_with(config: SimConfig, options: NodeOptions) -> (Simulator, TestNode) {
    let simulator = Simulator::start(config).await.expect("the simulator starts");
    let node = TestNode::start_with(options).await;
    node.save_tested(settings_for(&simulator)).await;
    (simulator, node)
}

async fn node() -> (Simulator, TestNode) {
    node_with(SimConfig::exchange(), NodeOptions::default()).await
}

/// A guest whose sponsor is [`SPONSOR`].
fn guest(name: &str) -> v1::Guest {
    v1::Guest {
        name: format!("guests/{name}"),
        username: format!("{name}-01"),
        first_name: "Ada".to_owned(),
        last_name: "Lovelace".to_owned(),
        email: format!("{name}@example.com"),
        sponsor_name: "Sam Sponsor".to_owned(),
        sponsor_email: SPONSOR.to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        valid_to_time: Some(timestamp("2035-03-04T18:30:00Z".parse().unwrap())),
        ..v1::Guest::default()
    }
}

fn notice(event: PortalEvent, guest: v1::Guest) -> v1::NotifyGuestRequest {
    v1::NotifyGuestRequest {
        event: event.into(),
        target: Some(v1::notify_guest_request::Target::Guest(guest)),
        ..v1::NotifyGuestRequest::default()
    }
}

fn with_password(request: v1::NotifyGuestRequest) -> v1::NotifyGuestRequest {
    v1::NotifyGuestRequest { password: GUEST_PASSWORD.to_owned(), ..request }
}

async fn notify(
    node: &TestNode,
    request: v1::NotifyGuestRequest,
) -> Result<Vec<v1::NoticeMail>, Status> {
    Ok(node.clients.portal.clone().notify_guest(request).await?.into_inner().mails)
}

async fn save_guest(node: &TestNode, guest: v1::Guest) {
    let request = v1::UpdateGuestRequest {
        guest: Some(guest),
        allow_missing: true,
        ..v1::UpdateGuestRequest::default()
    };
    node.clients.directory.clone().update_guest(request).await.expect("the guest is saved");
}

async fn guest_state(node: &TestNode, name: &str) -> GuestState {
    let request = v1::GetGuestRequest { name: format!("guests/{name}") };
    let found = node.clients.directory.clone().get_guest(request).await.expect("there is one");
    found.into_inner().guest.expect("the answer has it").state()
}

async fn sent(node: &TestNode, mails: &[v1::NoticeMail]) {
    for mail in mails {
        node.wait_for_state(&mail.mail_job, MailJobState::Sent, PATIENCE).await;
    }
}

/// What is there at last.
async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let seen = timeout(PATIENCE, async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    seen.await.expect("it is there in time")
}

/// The mails that the provider took for somebody.
fn mails_to(simulator: &Simulator, address: &str) -> Vec<Arc<AcceptedMail>> {
    let accepted = simulator.accepted();
    accepted.into_iter().filter(|mail| mail.recipients.iter().any(|to| to == address)).collect()
}

fn parsed(mail: &AcceptedMail) -> Message<'_> {
    MessageParser::default().parse(&mail.data).expect("it is a mail")
}

fn text(mail: &AcceptedMail) -> String {
    parsed(mail).body_text(0).unwrap_or_default().into_owned()
}

fn state_of(status: &Status) -> String {
    let info = status.get_details_error_info().expect("it has one");
    info.metadata.get("state").cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn user_name_and_password_go_separately_and_the_sponsor_gets_no_password() {
    let (simulator, node) = node().await;
    let mut request = with_password(notice(PortalEvent::CredentialsCreated, guest("ada")));
    request.options = Some(v1::NoticeOptions {
        separate_mails: true,
        copy_me: true,
        ..v1::NoticeOptions::default()
    });

    let mails = notify(&node, request).await.unwrap();
    sent(&node, &mails).await;

    let templates: Vec<_> = mails.iter().map(|mail| mail.template.as_str()).collect();
    assert_eq!(templates, ["templates/guest-username", "templates/guest-password"]);
    let accepted = simulator.accepted();
    let about = |needle: &str| -> Vec<&Arc<AcceptedMail>> {
        accepted.iter().filter(|mail| text(mail).contains(needle)).collect()
    };
    let [with_password] = about(GUEST_PASSWORD)[..] else { panic!("one mail tells it") };
    assert_eq!(with_password.recipients, ["ada@example.com"]);
    let [with_name] = about("ada-01")[..] else { panic!("one mail tells the user name") };
    assert_eq!(with_name.recipients, ["ada@example.com", SPONSOR]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_with_a_request_id_is_sent_once() {
    let (simulator, node) = node().await;
    save_guest(&node, guest("ada")).await;
    let mut request = with_password(notice(PortalEvent::CredentialsCreated, guest("ada")));
    request.target = Some(v1::notify_guest_request::Target::Name("guests/ada".to_owned()));
    request.request_id = "once".to_owned();

    let calls = join_all((0..8).map(|_| notify(&node, request.clone()))).await;
    let first = calls[0].clone().unwrap();
    sent(&node, &first).await;
    let mut other = request.clone();
    other.password.push('!');
    let reused = notify(&node, other).await.unwrap_err();

    for call in calls {
        assert_eq!(call.unwrap(), first);
    }
    assert_eq!(mails_to(&simulator, "ada@example.com").len(), 1);
    assert_eq!(reason(&reused), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_not_sent_again_where_that_is_no_use_and_the_reason_is_told() {
    let (_simulator, node) = node().await;
    let resend = |guest| with_password(notice(PortalEvent::CredentialsResent, guest));
    let in_state = |state: GuestState| v1::Guest { state: state.into(), ..guest("ada") };

    for state in [GuestState::Suspended, GuestState::PendingApproval, GuestState::Denied] {
        let refused = notify(&node, resend(in_state(state))).await.unwrap_err();
        assert_eq!(reason(&refused), (Code::FailedPrecondition, "GUEST_STATE".to_owned()));
        let name = state.as_str_name().trim_start_matches("GUEST_STATE_");
        assert_eq!(state_of(&refused), name);
        assert!(refused.message().contains(name), "{}", refused.message());
    }
    let own = v1::Guest { is_password_own: true, ..in_state(GuestState::Active) };
    let refused = notify(&node, resend(own)).await.unwrap_err();
    assert_eq!(reason(&refused).1, "GUEST_PASSWORD_OWN");
    let nowhere = v1::Guest { email: String::new(), ..guest("ada") };
    let refused = notify(&node, resend(nowhere)).await.unwrap_err();
    assert_eq!(reason(&refused).1, "GUEST_WITHOUT_ADDRESS");
    let unknown = v1::NotifyGuestRequest {
        target: Some(v1::notify_guest_request::Target::Name("guests/nobody".to_owned())),
        ..resend(guest("ada"))
    };
    let refused = notify(&node, unknown).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::NotFound, "GUEST_NOT_FOUND".to_owned()));
    assert!(node.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_tells_each_guest_and_the_sponsor_what_failed() {
    let config = SimConfig {
        recipients: vec![RecipientRule {
            pattern: "gone@example.com".to_owned(),
            rcpt: Some("550 5.1.1 no such user".to_owned()),
            end_of_data: None,
            times: None,
        }],
        ..SimConfig::exchange()
    };
    let (simulator, node) = node_with(config, NodeOptions::default()).await;
    let row = |name: &str| v1::BulkGuest {
        target: Some(v1::bulk_guest::Target::Guest(guest(name))),
        password: GUEST_PASSWORD.to_owned(),
    };
    let mut nowhere = row("nowhere");
    if let Some(v1::bulk_guest::Target::Guest(guest)) = &mut nowhere.target {
        guest.email.clear();
    }
    let request = v1::BulkNotifyGuestsRequest {
        event: PortalEvent::CredentialsCreated.into(),
        guests: vec![row("ada"), row("gone"), nowhere, row("eve")],
        summary_to: Some(mailbox(SPONSOR)),
        request_id: "bulk-1".to_owned(),
        ..v1::BulkNotifyGuestsRequest::default()
    };

    let mut portal = node.clients.portal.clone();
    let first = portal.bulk_notify_guests(request.clone()).await.unwrap().into_inner();
    let again = portal.bulk_notify_guests(request).await.unwrap().into_inner();

    assert_eq!(first, again);
    let refusals: Vec<_> =
        first.results.iter().map(|one| one.refusal.as_ref().map(|one| one.code.as_str())).collect();
    assert_eq!(refusals, [None, None, Some("GUEST_WITHOUT_ADDRESS"), None]);
    let name = v1::GetBulkRequest { name: first.name };
    let bulk = until(async || {
        let bulk = portal.clone().get_bulk(name.clone()).await.unwrap().into_inner().bulk;
        bulk.filter(|bulk| !bulk.summary_job.is_empty())
    })
    .await;
    assert_eq!((bulk.total_count, bulk.sent_count, bulk.failed_count), (4, 2, 2));
    node.wait_for_state(&bulk.summary_job, MailJobState::Sent, PATIENCE).await;
    let [summary] = &mails_to(&simulator, SPONSOR)[..] else { panic!("one summary") };
    let told = text(summary);
    for expected in ["gone-01", "no such user", "nowhere-01", "no e-mail address"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(!told.contains(GUEST_PASSWORD) && !told.contains("ada-01"), "{told}");
}

/// Asks [`APPROVER`] for a guest; gives the approval and the paths of both links.
async fn ask(simulator: &Simulator, node: &TestNode, name: &str) -> (v1::Approval, String, String) {
    let request = v1::RequestApprovalRequest {
        target: Some(v1::request_approval_request::Target::Guest(guest(name))),
        approvers: vec![APPROVER.to_owned()],
        password: GUEST_PASSWORD.to_owned(),
        ..v1::RequestApprovalRequest::default()
    };
    let answer = node.clients.portal.clone().request_approval(request).await;
    let approval = answer.unwrap().into_inner().approval.unwrap();
    let job = &approval.request_jobs[0].name;
    node.wait_for_state(job, MailJobState::Sent, PATIENCE).await;
    let base = format!("http://{}/approvals/", node.portal);
    let mails = mails_to(simulator, APPROVER);
    let text = text(mails.last().expect("the approver got a mail"));
    let links: Vec<_> =
        text.split_whitespace().filter_map(|word| word.strip_prefix(&base)).collect();
    let [approve, deny] = links[..] else { panic!("two links: {text}") };
    let path = |token: &str| {
        let end = token.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        format!("/approvals/{}", &token[..end.unwrap_or(token.len())])
    };
    (approval.clone(), path(approve), path(deny))
}

async fn page(node: &TestNode, method: &str, path: &str) -> (u16, String) {
    let headers = ["Accept-Language: en", "Content-Type: application/x-www-form-urlencoded"];
    let address = node.portal.to_string();
    let (status, _, body) = http::ask(&address, method, path, &headers, "").await;
    (status, body)
}

async fn approval(node: &TestNode, name: &str) -> v1::Approval {
    let request = v1::GetApprovalRequest { name: name.to_owned() };
    let found = node.clients.portal.clone().get_approval(request).await.unwrap();
    found.into_inner().approval.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_approved_by_link_and_gets_the_credentials_then() {
    approve_by_link(NodeOptions::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_approved_by_link_in_postgres_too() {
    let url = RealServers::from_env().get("POSTGRES_URL").to_owned();
    let store_url = Some(nuncio_tests::postgres::new_store(&url, "portal").await);
    approve_by_link(NodeOptions { store_url, ..NodeOptions::default() }).await;
}

async fn approve_by_link(options: NodeOptions) {
    let (simulator, node) = node_with(SimConfig::exchange(), options).await;
    let (asked, approve, deny) = ask(&simulator, &node, "ada").await;
    assert_eq!(guest_state(&node, "ada").await, GuestState::PendingApproval);

    // A mail system that looks at links decides nothing.
    for link in [&approve, &deny, &approve] {
        let (status, body) = page(&node, "GET", link).await;
        assert_eq!(status, 200);
        assert!(body.contains("ada-01") && body.contains("<button"), "{body}");
    }
    assert_eq!(approval(&node, &asked.name).await.state(), ApprovalState::Pending);
    assert!(mails_to(&simulator, "ada@example.com").is_empty());

    let (status, body) = page(&node, "POST", &approve).await;
    assert_eq!(status, 200, "{body}");
    let decided = approval(&node, &asked.name).await;
    assert_eq!((decided.state(), decided.decided_by.as_str()), (ApprovalState::Approved, APPROVER));
    assert_eq!(guest_state(&node, "ada").await, GuestState::Created);
    let results = until(async || {
        let results = approval(&node, &asked.name).await.result_jobs;
        (results.len() == 2).then_some(results)
    })
    .await;
    for job in results {
        node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;
    }
    let told = mails_to(&simulator, "ada@example.com");
    assert_eq!(told.len(), 2);
    assert_eq!(told.iter().filter(|mail| text(mail).contains(GUEST_PASSWORD)).count(), 1);

    // Used.
    for (method, link) in [("GET", &approve), ("POST", &approve), ("POST", &deny)] {
        let (status, body) = page(&node, method, link).await;
        assert_eq!(status, 409, "{body}");
        assert!(body.contains("decided already") && body.contains("approved"), "{body}");
    }
    assert_eq!(mails_to(&simulator, "ada@example.com").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_decisions_at_once_exactly_one_counts() {
    let (simulator, node) = node().await;
    let (asked, approve, deny) = ask(&simulator, &node, "ada").await;

    let links: Vec<&String> = [&approve, &deny].into_iter().cycle().take(20).collect();
    let answers = join_all(links.iter().map(|link| page(&node, "POST", link))).await;

    let won: Vec<_> = links.iter().zip(&answers).filter(|(_, answer)| answer.0 == 200).collect();
    let [(link, _)] = won[..] else { panic!("{} decisions", won.len()) };
    assert!(answers.iter().all(|answer| answer.0 == 200 || answer.0 == 409));
    let expect = if **link == approve { ApprovalState::Approved } else { ApprovalState::Denied };
    assert_eq!(approval(&node, &asked.name).await.state(), expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_guest_is_told_why_and_the_credentials_are_never_sent() {
    let (simulator, node) = node().await;
    let (asked, _approve, deny) = ask(&simulator, &node, "ada").await;

    let address = node.portal.to_string();
    let form = ["Content-Type: application/x-www-form-urlencoded", "Accept-Language: ar"];
    let (status, head, body) =
        http::ask(&address, "POST", &deny, &form, "reason=no+room+%3Cb%3E").await;

    assert_eq!(status, 200);
    assert!(body.contains("dir=\"rtl\""), "{body}");
    let head = head.to_lowercase();
    for expected in
        ["cache-control: no-store", "referrer-policy: no-referrer", "default-src 'none'"]
    {
        assert!(head.contains(expected), "{expected}: {head}");
    }
    let decided = approval(&node, &asked.name).await;
    assert_eq!(decided.reason, "no room <b>");
    assert_eq!(guest_state(&node, "ada").await, GuestState::Denied);
    node.wait_for_state(&decided.result_jobs[0].name, MailJobState::Sent, PATIENCE).await;
    assert!(asked.credentials_waiting && !decided.credentials_waiting);
    let [told] = &mails_to(&simulator, "ada@example.com")[..] else { panic!("one mail") };
    assert!(text(told).contains("no room <b>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_cancelled_links_decide_nothing() {
    let (simulator, node) = node().await;
    let (asked, approve, _deny) = ask(&simulator, &node, "ada").await;
    let mut forged = approve.clone();
    let last = forged.pop();
    forged.push(if last == Some('A') { 'B' } else { 'A' });
    for path in [forged.as_str(), "/approvals/x", "/approvals/", "/", &approve[..60]] {
        assert_eq!(page(&node, "POST", path).await.0, 404, "{path}");
        assert_eq!(page(&node, "GET", path).await.0, 404, "{path}");
    }
    let mut portal = node.clients.portal.clone();
    let again = v1::RequestApprovalRequest {
        target: Some(v1::request_approval_request::Target::Name("guests/ada".to_owned())),
        approvers: vec![APPROVER.to_owned()],
        ..v1::RequestApprovalRequest::default()
    };
    let refused = portal.request_approval(again.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::AlreadyExists, "APPROVAL_PENDING".to_owned()));

    let name = asked.name.clone();
    portal.cancel_approval(v1::CancelApprovalRequest { name }).await.unwrap();
    let (status, body) = page(&node, "POST", &approve).await;
    assert_eq!(status, 409, "{body}");
    assert_eq!(guest_state(&node, "ada").await, GuestState::PendingApproval);
    assert!(mails_to(&simulator, "ada@example.com").is_empty());

    // He may be asked for anew, also after his first request was called back.
    let anew = portal.request_approval(again).await.unwrap().into_inner().approval.unwrap();
    assert_ne!(anew.name, asked.name);
    let decide = v1::DecideApprovalRequest {
        name: anew.name,
        verdict: v1::ApprovalVerdict::Approve.into(),
        decided_by: "desk".to_owned(),
        ..v1::DecideApprovalRequest::default()
    };
    portal.decide_approval(decide.clone()).await.unwrap();
    let twice = portal.decide_approval(decide).await.unwrap_err();
    assert_eq!(reason(&twice).1, "APPROVAL_NOT_PENDING");
    assert_eq!(state_of(&twice), "APPROVED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sponsor_who_may_not_send_is_replaced_by_the_default_sender_and_remembered() {
    let (simulator, node) = node().await;
    let request = v1::UpdateGuestMailSettingsRequest {
        guest_mail_settings: Some(v1::GuestMailSettings {
            enabled: true,
            sender: v1::GuestMailSender::SponsorIfSponsored.into(),
            ..v1::GuestMailSettings::default()
        }),
        ..v1::UpdateGuestMailSettingsRequest::default()
    };
    node.clients.guest_mail.clone().update_guest_mail_settings(request).await.unwrap();

    let mails = notify(&node, with_password(notice(PortalEvent::CredentialsCreated, guest("ada"))));
    let mails = mails.await.unwrap();
    sent(&node, &mails).await;
    let again = notify(&node, notice(PortalEvent::Extended, guest("ada"))).await.unwrap();
    sent(&node, &again).await;

    let accepted = mails_to(&simulator, "ada@example.com");
    assert_eq!(accepted.len(), 2);
    for mail in &accepted {
        assert_eq!(mail.mail_from, DEFAULT_MAILBOX);
        let message = parsed(mail);
        let reply_to = message.reply_to().and_then(|list| list.first()?.address.clone());
        assert_eq!(reply_to.as_deref(), Some(SPONSOR));
    }
    assert_eq!(simulator.stats().refused.send_as, 1, "the second mail did not try him");
    let (_, attempts) = node.job(&mails[0].mail_job).await;
    assert_eq!(attempts.len(), 1);
    assert!(attempts[0].detail.contains(SPONSOR), "{}", attempts[0].detail);
    let mut portal = node.clients.portal.clone();
    let list = portal.list_senders(v1::ListSendersRequest::default()).await.unwrap().into_inner();
    let [sender] = &list.senders[..] else { panic!("{list:?}") };
    assert_eq!((sender.address.as_str(), sender.refusal_count), (SPONSOR, 1));
    assert!(sender.reason.contains("SendAsDenied"), "{}", sender.reason);
    let retry = v1::RetrySenderRequest { address: SPONSOR.to_owned() };
    portal.retry_sender(retry.clone()).await.unwrap();
    let unknown = portal.retry_sender(retry).await.unwrap_err();
    assert_eq!(reason(&unknown).1, "SENDER_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_and_no_link_is_left_behind() {
    let options = NodeOptions { log_filter: "trace".to_owned(), ..NodeOptions::default() };
    let (simulator, node) = node_with(SimConfig::exchange(), options).await;
    let (asked, approve, deny) = ask(&simulator, &node, "ada").await;
    page(&node, "GET", &approve).await;
    page(&node, "POST", &deny).await;
    let mut request = with_password(notice(PortalEvent::CredentialsCreated, guest("eve")));
    request.request_id = "r".to_owned();
    sent(&node, &notify(&node, request).await.unwrap()).await;
    let mut told = format!("{:?}", approval(&node, &asked.name).await);
    for job in node.jobs().await {
        write!(told, "{job:?}").expect("a text takes it");
        node.wait_for_end(&job.name, PATIENCE).await;
    }

    let stopped = node.stop().await;
    told += &stopped.logs.text();
    for secret in [GUEST_PASSWORD, approve.trim_start_matches("/approvals/")] {
        assert!(!told.contains(secret), "in a log or an answer");
        for file in files(&stopped.data_dir()) {
            let content = std::fs::read(&file).expect("it can be read");
            let found = content.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "in {}", file.display());
        }
    }
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("it can be read").flatten();
    let nested = entries.flat_map(|entry| {
        let path = entry.path();
        if path.is_dir() { files(&path) } else { vec![path] }
    });
    nested.collect()
}
