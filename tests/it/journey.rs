//! The main job: from a caller over gRPC to the provider.

use std::time::Duration;

use futures::future::join_all;
use mail_parser::{MessageParser, MimeHeaders as _};
use nuncio_api::v1;
use nuncio_api::v1::{MailClass, MailJobState, RecipientState};
use nuncio_provider_sim::config::{DEFAULT_MAILBOX, Limits, RecipientRule, SimConfig};
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{PATIENCE, is_final, reason};
use nuncio_tests::mails::{GUEST_PASSWORD, bulk, guest_credentials, mailbox, raw};
use nuncio_tests::node::TestNode;
use nuncio_tests::report::say;
use nuncio_tests::settings::settings_for;
use tonic::Code;

/// How long a minute of the provider takes, and then some.
const MINUTE: Duration = Duration::from_secs(150);
/// What a mailbox may send here in a minute: more than Exchange allows, so that one minute shows enough.
const PER_MINUTE: u32 = 600;

/// A node that sends to a simulator.
async fn node_with(config: SimConfig) -> (Simulator, TestNode) {
    let simulator = Simulator::start(config).await.expect("the simulator starts");
    let node = TestNode::start().await;
    node.save_tested(settings_for(&simulator)).await;
    (simulator, node)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_is_what_was_given() {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    let text = "Grüße aus Köln 🎉\n.\n..zwei Punkte\nFrom here on\n\tEnde\n";
    let html = "<p>Grüße aus <b>Köln</b> 🎉</p>";
    let subject =
        "Zugang für Jürgen – 🎉 und ein Betreff, der lang genug ist, dass er gefaltet werden muss";
    let file: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let named = |address: &str, name: &str| v1::Mailbox {
        display_name: name.to_owned(),
        ..mailbox(address)
    };
    let request = v1::CreateMailJobRequest {
        mail: Some(v1::Mail {
            from: Some(named(DEFAULT_MAILBOX, "Empfang, Köln")),
            reply_to: Some(mailbox("reception@contoso.example")),
            to: vec![named("erika@example.com", "Erika \"E.\" Müller")],
            cc: vec![mailbox("sponsor@example.com")],
            bcc: vec![mailbox("hidden@example.net")],
            content: Some(v1::mail::Content::Raw(v1::RawContent {
                subject: subject.to_owned(),
                text: text.to_owned(),
                html: html.to_owned(),
            })),
            attachments: vec![v1::Attachment {
                file_name: "Plan – Größe.pdf".to_owned(),
                content_type: "application/pdf".to_owned(),
                content: file.clone(),
            }],
        }),
        ..v1::CreateMailJobRequest::default()
    };

    let job = node.submit(request).await;
    node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;

    let accepted = simulator.accepted();
    let [mail] = accepted.as_slice() else { panic!("{} mails", accepted.len()) };
    assert_eq!(mail.mail_from, DEFAULT_MAILBOX);
    assert_eq!(mail.recipients, ["erika@example.com", "sponsor@example.com", "hidden@example.net"]);
    let seen = String::from_utf8_lossy(&mail.data);
    assert!(!seen.contains("hidden@"), "a recipient in `bcc` is in the mail: {seen:.2000}");
    let message = MessageParser::default().parse(&mail.data).unwrap();
    assert_eq!(message.subject(), Some(subject));
    assert_eq!(message.message_id().map(|id| format!("<{id}>")), Some(job.message_id.clone()));
    let address = |list: Option<&mail_parser::Address<'_>>| {
        let first = list.and_then(|list| list.first().cloned()).expect("there is an address");
        (
            first.name.unwrap_or_default().into_owned(),
            first.address.unwrap_or_default().into_owned(),
        )
    };
    let pair = |name: &str, address: &str| (name.to_owned(), address.to_owned());
    assert_eq!(address(message.from()), pair("Empfang, Köln", DEFAULT_MAILBOX));
    assert_eq!(address(message.to()), pair("Erika \"E.\" Müller", "erika@example.com"));
    assert_eq!(address(message.cc()), pair("", "sponsor@example.com"));
    assert_eq!(address(message.reply_to()), pair("", "reception@contoso.example"));
    assert!(message.date().is_some(), "a mail needs a Date (RFC 5322, section 3.6)");
    let unix = |text: &str| text.replace("\r\n", "\n");
    assert_eq!(unix(&message.body_text(0).unwrap()), text);
    assert_eq!(unix(&message.body_html(0).unwrap()).trim_end(), html);
    assert_eq!(message.attachment_count(), 1);
    let attachment = message.attachment(0).unwrap();
    assert_eq!(attachment.attachment_name(), Some("Plan – Größe.pdf"));
    assert!(attachment.contents() == file, "the file has changed on its way");
    assert_eq!(simulator.stats().protocol_errors, 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guest_credentials_come_from_the_template_and_no_answer_shows_them() {
    let (simulator, node) = node_with(SimConfig::exchange()).await;

    let job = node.submit(guest_credentials("erika@example.com")).await;
    let sent = node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;

    assert_eq!(job.class(), MailClass::Credentials);
    assert_eq!(sent.template, "templates/guest-credentials");
    assert_eq!(sent.subject, "", "its variables may be secret");
    let accepted = simulator.accepted();
    let message = MessageParser::default().parse(&accepted[0].data).unwrap();
    assert_eq!(message.subject(), Some("Your guest account credentials"));
    for body in [message.body_text(0), message.body_html(0)] {
        let body = body.unwrap();
        for value in ["Erika", "Mustermann", "erika01", GUEST_PASSWORD, "5 days", "Dana Sponsor"] {
            assert!(body.contains(value), "no `{value}` in: {body}");
        }
    }
    let (job, attempts) = node.job(&job.name).await;
    let told = format!("{job:?} {attempts:?} {:?} {}", node.jobs().await, node.logs.text());
    assert!(!told.contains(GUEST_PASSWORD), "{told}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_every_state_in_order_and_goes_on_where_it_was() {
    let (_simulator, node) = node_with(SimConfig::exchange()).await;
    let mut client = node.clients.mail_jobs.clone();
    let watch = v1::WatchMailJobsRequest::default();
    let mut changes = client.watch_mail_jobs(watch.clone()).await.unwrap().into_inner();

    let job = node.submit(bulk("watched")).await;
    let (mut states, mut tokens) = (Vec::new(), Vec::new());
    while states.last() != Some(&MailJobState::Sent) {
        let change = tokio::time::timeout(PATIENCE, changes.message()).await.unwrap();
        let change = change.unwrap().expect("the watch of all jobs does not end");
        // Without a job it is a bookmark, which only moves the token on.
        let Some(present) = change.mail_job else { continue };
        tokens.push(change.resume_token);
        assert_eq!(present.name, job.name);
        states.push(present.state());
    }

    assert_eq!(states, [MailJobState::Queued, MailJobState::Sending, MailJobState::Sent]);
    let resumed = v1::WatchMailJobsRequest { resume_token: tokens[0].clone(), ..watch };
    let mut changes = client.watch_mail_jobs(resumed).await.unwrap().into_inner();
    for state in [MailJobState::Sending, MailJobState::Sent] {
        let change = tokio::time::timeout(PATIENCE, changes.message()).await.unwrap();
        assert_eq!(change.unwrap().unwrap().mail_job.unwrap().state(), state);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_tells_what_became_of_each_recipient() {
    let config = SimConfig {
        recipients: vec![RecipientRule::refused("gone@"), RecipientRule::greylisted("busy@", 1)],
        ..SimConfig::exchange()
    };
    let (simulator, node) = node_with(config).await;
    let all = ["here@example.com", "gone@example.com", "busy@example.com"];

    let some = node.submit(raw(MailClass::Bulk, "some", &all[..2])).await;
    let nobody = node.submit(raw(MailClass::Bulk, "none", &all[1..2])).await;
    let later = node.submit(raw(MailClass::AlarmCritical, "later", &all)).await;

    let some = node.wait_for_state(&some.name, MailJobState::Sent, PATIENCE).await;
    assert_eq!(states(&some), [RecipientState::Accepted, RecipientState::Refused]);
    assert_eq!(some.reason.clone().unwrap().code, "SOME_RECIPIENTS_REFUSED");
    let reply = some.recipients[1].reply.clone().unwrap();
    assert_eq!((reply.code, reply.enhanced_code.as_str()), (550, "5.1.10"));
    let nobody = node.wait_for_state(&nobody.name, MailJobState::Failed, PATIENCE).await;
    assert_eq!(states(&nobody), [RecipientState::Refused]);
    assert_eq!(nobody.reason.unwrap().code, "RECIPIENT_UNKNOWN");
    let deferred = node.wait_for_state(&later.name, MailJobState::Deferred, PATIENCE).await;
    let accepted_refused = [RecipientState::Accepted, RecipientState::Refused];
    assert_eq!(states(&deferred)[..2], accepted_refused);
    assert_eq!(states(&deferred)[2], RecipientState::Pending);
    let sent = node.wait_for_state(&later.name, MailJobState::Sent, PATIENCE).await;
    assert_eq!(states(&sent)[..2], accepted_refused);
    assert_eq!(states(&sent)[2], RecipientState::Accepted);
    assert_eq!(sent.attempt_count, 2);
    assert_eq!(simulator.stats().deliveries_repeated, 0, "only who waited gets the second attempt");
    node.stop().await;
}

fn states(job: &v1::MailJob) -> Vec<RecipientState> {
    job.recipients.iter().map(v1::RecipientResult::state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_jobs_need_one_token_and_three_connections() {
    let (simulator, node) = node_with(SimConfig::sink()).await;
    let before = simulator.stats();
    assert_eq!(before.token_requests, 1, "the test of the settings fetches a token of its own");

    let mut names = Vec::new();
    for number in 0..200 {
        names.push(node.submit(bulk(&format!("mail {number}"))).await.name);
    }
    for job in node.wait_for_ends(&names, MINUTE).await {
        assert_eq!(job.state(), MailJobState::Sent, "{job:?}");
        assert_eq!(job.attempt_count, 1);
    }

    let stats = simulator.stats();
    assert_eq!(stats.mails_accepted, 200);
    assert_eq!(stats.token_requests - before.token_requests, 1);
    let mailbox = &stats.mailboxes[DEFAULT_MAILBOX];
    assert!((2..=3).contains(&mailbox.submitting.max), "{:?}", mailbox.submitting);
    assert!(mailbox.authenticated.max <= 3, "{:?}", mailbox.authenticated);
    assert!(stats.connections.total <= 20, "connections are used again: {:?}", stats.connections);
    assert_eq!((simulator.duplicates(), stats.protocol_errors), (Vec::new(), 0));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_uses_the_minute_of_a_mailbox_evenly_and_without_one_refusal() {
    let exchange = SimConfig::exchange();
    assert_eq!((exchange.limits.connections, exchange.limits.messages_per_minute), (3, 30));
    let limits = Limits { messages_per_minute: PER_MINUTE, ..exchange.limits };
    let simulator = Simulator::start(SimConfig { limits, ..exchange }).await.unwrap();
    let node = TestNode::start().await;
    let settings = v1::SmtpSettings {
        provider: v1::SmtpProvider::ExchangeOnline.into(),
        limits: None,
        ..settings_for(&simulator)
    };
    let saved = node.save_tested(settings.clone()).await;
    assert_eq!(saved.limits.unwrap().max_messages_per_minute, 30, "as at Exchange");
    let max_messages_per_minute = i32::try_from(PER_MINUTE).unwrap();
    let limits = v1::MailboxLimits { max_messages_per_minute, ..saved.limits.unwrap() };
    node.save_tested(v1::SmtpSettings { limits: Some(limits), ..settings }).await;

    let queue = u64::from(PER_MINUTE) + u64::from(PER_MINUTE) / 4;
    let submits = (0..queue).map(|number| {
        let node = &node;
        async move { node.submit(bulk(&format!("mail {number}"))).await }
    });
    join_all(submits).await;
    // A sixth of the next minute: as many as leave the window of the first.
    let wanted = u64::from(PER_MINUTE + PER_MINUTE / 6);
    simulator.wait_for_accepted(wanted, MINUTE).await.unwrap();

    let stats = simulator.stats();
    assert_eq!((stats.refused.rate, stats.refused.connections), (0, 0));
    let mails = simulator.accepted();
    let sixths = mails.iter().map(|mail| mail.at.duration_since(mails[0].at).as_secs() / 10);
    let sixths: Vec<_> = sixths.filter(|sixth| *sixth < 6).collect();
    let budget = usize::try_from(PER_MINUTE).unwrap();
    let even = budget / 6;
    // A machine that pauses for seconds must not fail it: what is exact is tested in virtual time.
    for sixth in 0..6 {
        let sent = sixths.iter().filter(|one| **one == sixth).count();
        assert!(even.abs_diff(sent) <= even / 2, "{sent} mails in sixth {sixth} of the minute");
    }
    let used = sixths.len();
    say(&format!("budget of a mailbox: {used} of {budget} mails sent in a minute, 0 refused"));
    assert!(90 * budget <= 100 * used, "{used} of {budget}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_id_gives_the_same_job() {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    let request = v1::CreateMailJobRequest { request_id: "order-4711".to_owned(), ..bulk("once") };

    let first = node.submit(request.clone()).await;
    let repeated = node.submit(request.clone()).await;
    node.wait_for_state(&first.name, MailJobState::Sent, PATIENCE).await;
    let node = node.restart().await;
    let much_later = node.submit(request.clone()).await;

    assert_eq!((&repeated.name, &much_later.name), (&first.name, &first.name));
    let other = v1::CreateMailJobRequest { request_id: request.request_id, ..bulk("other") };
    let refused = node.try_submit(other).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    assert!(refused.message().contains(&first.name), "{}", refused.message());
    assert_eq!((node.jobs().await.len(), simulator.accepted_count()), (1, 1));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_job_can_be_cancelled_and_an_ended_one_cannot() {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    let later = tomorrow(&node.submit(bulk("now")).await);
    let waiting = v1::CreateMailJobRequest { not_before_time: Some(later), ..bulk("tomorrow") };
    let waiting = node.submit(waiting).await;
    let mut client = node.clients.mail_jobs.clone();
    let request = v1::CancelMailJobRequest { name: waiting.name.clone() };

    let answer = client.cancel_mail_job(request.clone()).await.unwrap().into_inner();
    let refused = client.cancel_mail_job(request).await.unwrap_err();

    assert_eq!(answer.mail_job.unwrap().state(), MailJobState::Cancelled);
    let expected = (Code::FailedPrecondition, "MAIL_JOB_NOT_CANCELLABLE".to_owned());
    assert_eq!(reason(&refused), expected);
    simulator.wait_for_accepted(1, PATIENCE).await.unwrap();
    assert_eq!(node.job(&waiting.name).await.0.state(), MailJobState::Cancelled);
    node.stop().await;
}

fn tomorrow(job: &v1::MailJob) -> prost_types::Timestamp {
    let mut time = job.create_time.expect("a job has a time");
    time.seconds += 24 * 3600;
    time
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was() {
    let (simulator, node) = node_with(SimConfig::sink()).await;
    // Slow enough that the node is stopped in the middle.
    simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(100)));
    let mut names = Vec::new();
    for number in 0..60 {
        names.push(node.submit(bulk(&format!("mail {number}"))).await.name);
    }
    simulator.wait_for_accepted(10, PATIENCE).await.unwrap();

    let stopped = node.stop().await;
    let sent_before = simulator.accepted_count();
    assert!(sent_before < 60, "the node was to be stopped in the middle");
    simulator.faults().clear();
    let node = stopped.start().await;

    assert_eq!(node.jobs().await.len(), 60);
    let jobs = node.wait_for_ends(&names, PATIENCE).await;
    assert!(jobs.iter().all(|job| job.state() == MailJobState::Sent), "{jobs:?}");
    assert_eq!((simulator.accepted_count(), simulator.duplicates()), (60, Vec::new()));
    assert_eq!(node.node().await.settings_generation, 1, "the settings are still there");
    assert!(node.jobs().await.iter().all(|job| is_final(job.state())));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_wait_for_settings_and_leave_when_these_are_saved() {
    let simulator = Simulator::start(SimConfig::exchange()).await.unwrap();
    let node = TestNode::start().await;
    let job = node.submit(bulk("early")).await;
    node.wait_for_channel(v1::ChannelState::NotConfigured, PATIENCE).await;

    node.save_tested(settings_for(&simulator)).await;

    node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;
    node.wait_for_channel(v1::ChannelState::Open, PATIENCE).await;
    node.stop().await;
}
