//! What each recipient, sender and mail comes to.

use nuncio_api::v1;
use nuncio_api::v1::{MailClass, MailJobState, RecipientState};
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails;
use nuncio_tests::node::TestNode;
use nuncio_tests::real_servers::RealServers;

use super::{fresh, good};

const DEFER: &str = "defer@example.test";
const DROP: &str = "drop@example.test";
const FULL: &str = "full@example.test";
const NOBODY: &str = "nobody@example.test";

async fn start(servers: &RealServers) -> TestNode {
    let node = TestNode::start().await;
    node.save_tested(good(servers)).await;
    node
}

/// State and reply of each recipient: `ACCEPTED 250 2.0.0`.
fn shown(job: &v1::MailJob) -> Vec<String> {
    let one = |one: &v1::RecipientResult| {
        let state = match one.state() {
            RecipientState::Unspecified => "UNSPECIFIED",
            RecipientState::Pending => "PENDING",
            RecipientState::Accepted => "ACCEPTED",
            RecipientState::Refused => "REFUSED",
            RecipientState::Unknown => "UNKNOWN",
        };
        let reply = one.reply.clone().unwrap_or_default();
        format!("{state} {} {}", reply.code, reply.enhanced_code)
    };
    job.recipients.iter().map(one).collect()
}

fn attempt_count(job: &v1::MailJob, count: i32) -> bool {
    job.attempt_count == count
}

#[tokio::test]
async fn each_recipient_has_a_result_and_only_the_deferred_ones_are_tried_again() {
    let servers = RealServers::in_turn().await;
    let node = start(&servers).await;
    let (taken, hidden) = (fresh("taken"), fresh("taken-hidden"));
    // The class with the shortest wait before another attempt.
    let request = mails::raw(MailClass::AlarmCritical, "mixed", &[&taken, NOBODY]);
    let mail = v1::Mail {
        cc: vec![mails::mailbox(DEFER)],
        bcc: vec![mails::mailbox(FULL), mails::mailbox(&hidden)],
        ..request.mail.expect("it has one")
    };
    let request = v1::CreateMailJobRequest { mail: Some(mail), ..request };

    let name = node.submit(request).await.name;
    let job = node.wait_for_state(&name, MailJobState::Deferred, PATIENCE).await;

    let results = [
        "ACCEPTED 250 2.0.0",
        "REFUSED 550 5.1.1",
        "PENDING 450 4.2.0",
        "PENDING 452 4.2.2",
        "ACCEPTED 250 2.0.0",
    ];
    assert_eq!(shown(&job), results);
    assert_eq!(job.reason.expect("it says why").code, "RECIPIENT_FULL");
    let codes = job.recipients.iter().map(|one| one.reason.clone().unwrap_or_default().code);
    let expect = ["", "RECIPIENT_UNKNOWN", "PROVIDER_DEFERRED", "RECIPIENT_FULL", ""];
    assert_eq!(codes.collect::<Vec<_>>(), expect);
    assert!(job.next_attempt_time.is_some());
    servers.wait_for_mail(&taken, 1, PATIENCE).await;
    servers.wait_for_mail(&hidden, 1, PATIENCE).await;

    let again = node.wait_until(&name, PATIENCE, |job| attempt_count(job, 2)).await;
    assert_eq!(shown(&again), results, "nothing has changed for anybody");
    let cancel = v1::CancelMailJobRequest { name: name.clone() };
    node.clients.mail_jobs.clone().cancel_mail_job(cancel).await.unwrap();

    let (job, attempts) = node.job(&name).await;
    assert_eq!((job.state(), attempts.len()), (MailJobState::Cancelled, 2));
    assert_eq!(attempts[1].outcome, "RECIPIENT_FULL");
    for recipient in [&taken, &hidden] {
        assert_eq!(servers.maildir(recipient).len(), 1, "no second copy for {recipient}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_mail_that_is_refused_for_all_has_failed_with_the_reply() {
    let servers = RealServers::in_turn().await;
    let node = start(&servers).await;

    let job = node.submit(mails::raw(MailClass::Bulk, "for nobody", &[NOBODY])).await;
    let job = node.wait_for_end(&job.name, PATIENCE).await;

    assert_eq!((job.state(), job.attempt_count), (MailJobState::Failed, 1));
    let reason = job.reason.clone().expect("it says why");
    let reply = reason.reply.expect("it has the reply");
    assert_eq!((reason.code.as_str(), reply.code), ("RECIPIENT_UNKNOWN", 550));
    assert!(reply.text.contains("No such user here"), "{reply:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_mail_with_some_refused_recipients_is_sent_and_says_so() {
    let servers = RealServers::in_turn().await;
    let node = start(&servers).await;
    let taken = fresh("some");

    let job = node.submit(mails::raw(MailClass::Bulk, "some", &[NOBODY, &taken])).await;
    let job = node.wait_for_end(&job.name, PATIENCE).await;

    assert_eq!(job.state(), MailJobState::Sent);
    assert_eq!(shown(&job), ["REFUSED 550 5.1.1", "ACCEPTED 250 2.0.0"]);
    assert_eq!(job.reason.expect("it says so").code, "SOME_RECIPIENTS_REFUSED");
    servers.wait_for_mail(&taken, 1, PATIENCE).await;
    node.stop().await;
}

#[tokio::test]
async fn a_deferred_mail_with_no_time_left_expires_at_once() {
    let servers = RealServers::in_turn().await;
    let node = start(&servers).await;
    let ten_s = prost_types::Duration { seconds: 10, nanos: 0 };
    let request = v1::CreateMailJobRequest {
        time_to_live: Some(ten_s),
        ..mails::raw(MailClass::Bulk, "soon worthless", &[DEFER])
    };

    let job = node.submit(request).await;
    let job = node.wait_for_end(&job.name, PATIENCE).await;

    assert_eq!((job.state(), job.attempt_count), (MailJobState::Expired, 1));
    assert_eq!(shown(&job), ["PENDING 450 4.2.0"]);
    node.stop().await;
}

#[tokio::test]
async fn a_mail_in_a_foreign_name_fails_alone() {
    let servers = RealServers::in_turn().await;
    let node = start(&servers).await;
    let recipient = fresh("foreign");
    let request = mails::raw(MailClass::Bulk, "in a foreign name", &[&recipient]);
    let other = mails::mailbox(servers.get("OTHER_MAILBOX"));
    let mail = v1::Mail { from: Some(other), ..request.mail.expect("it has one") };
    let foreign = v1::CreateMailJobRequest { mail: Some(mail), ..request };

    let foreign = node.submit(foreign).await;
    let own = node.submit(mails::raw(MailClass::Bulk, "in our name", &[&recipient])).await;
    let foreign = node.wait_for_end(&foreign.name, PATIENCE).await;
    let own = node.wait_for_end(&own.name, PATIENCE).await;

    assert_eq!(foreign.state(), MailJobState::Failed);
    assert_eq!(shown(&foreign), ["REFUSED 553 5.7.1"]);
    assert_eq!(own.state(), MailJobState::Sent);
    assert_eq!(servers.wait_for_mail(&recipient, 1, PATIENCE).await.len(), 1);
    node.stop().await;
}

/// The server answers 421 and closes, which is the way's fault as far as anybody can tell.
#[tokio::test]
async fn a_recipient_at_which_the_server_hangs_up_does_not_stop_the_mail_of_others() {
    let servers = RealServers::in_turn().await;
    let node = start(&servers).await;
    let together = fresh("dropped-together");
    let request = mails::raw(MailClass::Bulk, "dropped", &[&together, DROP]);

    let dropped = node.submit(request).await.name;
    let waiting = node.wait_for_state(&dropped, MailJobState::Deferred, PATIENCE).await;
    let mut others = Vec::new();
    let recipient = fresh("not-dropped");
    for number in 0..5 {
        let subject = format!("not dropped {number}");
        others.push(node.submit(mails::raw(MailClass::Bulk, &subject, &[&recipient])).await.name);
    }
    let others = node.wait_for_ends(&others, PATIENCE).await;

    let reason = waiting.reason.expect("it says why");
    // Who closes with commands unread may cut off the own reply (RFC 1122, section 4.2.2.13).
    let reply = reason.reply.map(|reply| reply.code);
    let told = [("SERVER_UNAVAILABLE", Some(421)), ("CONNECTION_CLOSED", None)];
    assert!(told.contains(&(reason.code.as_str(), reply)), "{} {reply:?}", reason.code);
    assert!(others.iter().all(|job| job.state() == MailJobState::Sent), "{others:#?}");
    assert_eq!(servers.wait_for_mail(&recipient, 5, PATIENCE).await.len(), 5);
    assert_eq!(servers.maildir(&together).len(), 0, "nothing was handed over");
    let (dropped, _attempts) = node.job(&dropped).await;
    assert_eq!(dropped.attempt_count, 0, "the mail was not judged");
    node.stop().await;
}

#[tokio::test]
async fn a_mail_that_is_too_large_for_the_server_fails_before_it_is_sent() {
    let servers = RealServers::in_turn().await;
    let node = start(&servers).await;
    let request = mails::raw(MailClass::Bulk, "too large", &[&fresh("too-large")]);
    // In base64 more than the server takes.
    let attachment = v1::Attachment {
        file_name: "large.bin".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        content: vec![b'x'; 8 * 1024 * 1024 - 1024],
    };
    let mail = v1::Mail { attachments: vec![attachment], ..request.mail.expect("it has one") };

    let job = node.submit(v1::CreateMailJobRequest { mail: Some(mail), ..request }).await;
    let job = node.wait_for_end(&job.name, PATIENCE).await;

    assert_eq!(job.state(), MailJobState::Failed);
    assert_eq!(shown(&job), ["REFUSED 552 5.3.4"]);
    let reply = job.reason.and_then(|reason| reason.reply).expect("it says why");
    assert!(reply.text.contains(servers.get("SMTP_SIZE_LIMIT")), "{reply:?}");
    node.stop().await;
}
