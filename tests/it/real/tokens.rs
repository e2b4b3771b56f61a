//! Tokens that end, and tokens that the mail server refuses.

use nuncio_api::v1;
use nuncio_api::v1::{ChannelState, MailClass, MailJobState};
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails;
use nuncio_tests::node::TestNode;
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::with_oauth;
use prost_types::Timestamp;

use super::{STARTTLS, client, fresh, good, settings};

const NANOS_A_SECOND: i64 = 1_000_000_000;

/// Settings whose tokens come from an endpoint with a fault, and the name under which it counts.
fn faulty(servers: &RealServers, fault: &str, name: &str) -> (v1::SmtpSettings, String) {
    let name = format!("{name}{}", std::process::id());
    let url = servers.faulty_token_url(&format!("{fault}-{name}"));
    (with_oauth(good(servers), |oauth| oauth.token_endpoint = url), name)
}

fn later(start: Timestamp, nanos: i64) -> Timestamp {
    let nanos = i64::from(start.nanos) + nanos;
    Timestamp {
        seconds: start.seconds + nanos / NANOS_A_SECOND,
        nanos: i32::try_from(nanos % NANOS_A_SECOND).expect("it is below a second"),
    }
}

/// Tokens live for two seconds here; the jobs are due one after the other over six.
#[tokio::test]
async fn tokens_that_end_again_and_again_cost_no_mail() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    node.save_tested(settings(&servers, STARTTLS, client(&servers, "svc-short"))).await;
    let recipient = fresh("short");
    let first = node.submit(mails::raw(MailClass::Bulk, "short 0", &[&recipient])).await;
    let start = first.create_time.expect("every job has it");
    let mut names = vec![first.name];

    for number in 1..30 {
        let request = v1::CreateMailJobRequest {
            not_before_time: Some(later(start, number * NANOS_A_SECOND / 5)),
            ..mails::raw(MailClass::Bulk, &format!("short {number}"), &[&recipient])
        };
        names.push(node.submit(request).await.name);
    }
    let jobs = node.wait_for_ends(&names, PATIENCE).await;

    for job in &jobs {
        assert_eq!(job.state(), MailJobState::Sent, "{job:#?}");
        let (_job, attempts) = node.job(&job.name).await;
        let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
        assert_eq!(outcomes, ["SENT"], "{attempts:#?}");
    }
    assert_eq!(servers.wait_for_mail(&recipient, 30, PATIENCE).await.len(), 30);
    node.stop().await;
}

#[tokio::test]
async fn a_refused_token_is_replaced_within_the_same_attempt() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    // The first token is the one of the test, the second one meets the mail.
    let (settings, counted) = faulty(&servers, "useless-2-2", "once");
    node.save_tested(settings).await;
    let recipient = fresh("refused-once");

    let job = node.submit(mails::raw(MailClass::Bulk, "refused once", &[&recipient])).await;
    let job = node.wait_for_end(&job.name, PATIENCE).await;

    assert_eq!(job.state(), MailJobState::Sent);
    let (_job, attempts) = node.job(&job.name).await;
    assert_eq!((attempts.len(), attempts[0].outcome.as_str()), (1, "SENT"));
    assert_eq!(servers.tokens_given(&counted), 3);
    assert_eq!(servers.wait_for_mail(&recipient, 1, PATIENCE).await.len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn tokens_that_stay_refused_hold_all_mail_until_new_settings_release_it() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let (settings, counted) = faulty(&servers, "useless-2", "stays");
    node.save_tested(settings).await;
    let recipient = fresh("held");

    let mut names = Vec::new();
    for number in 0..10 {
        let subject = format!("held {number}");
        names.push(node.submit(mails::raw(MailClass::Bulk, &subject, &[&recipient])).await.name);
    }
    let held = node.wait_for_state(&names[0], MailJobState::Held, PATIENCE).await;

    let reason = held.reason.expect("it says why");
    assert_eq!(reason.code, "INVALID_EMAIL_ADDRESS");
    assert!(reason.message.contains(r#""status":"401""#), "the server's reason: {reason:#?}");
    assert!(reason.remedy.contains("the e-mail address"), "{reason:#?}");
    let reply = reason.reply.expect("it has the reply");
    assert_eq!((reply.code, reply.enhanced_code.as_str()), (535, "5.7.8"));
    assert_eq!(held.attempt_count, 0, "nobody judged the mail");
    let channel = node.wait_for_channel(ChannelState::Closed, PATIENCE).await;
    assert!(!channel.remedy.is_empty());
    assert_eq!(servers.tokens_given(&counted), 3, "for the test, for the mail, one refresh");
    assert_eq!(servers.maildir(&recipient).len(), 0);

    node.save_tested(good(&servers)).await;
    let jobs = node.wait_for_ends(&names, PATIENCE).await;

    assert!(jobs.iter().all(|job| job.state() == MailJobState::Sent), "{jobs:#?}");
    assert_eq!(servers.wait_for_mail(&recipient, 10, PATIENCE).await.len(), 10);
    node.wait_for_channel(ChannelState::Open, PATIENCE).await;
    node.stop().await;
}

#[tokio::test]
async fn a_hundred_mails_need_one_token_and_few_connections() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let (settings, counted) = faulty(&servers, "useless-1000", "many");
    node.save_tested(settings).await;
    let recipient = fresh("many");

    let mut names = Vec::new();
    for number in 0..100 {
        let subject = format!("many {number}");
        names.push(node.submit(mails::raw(MailClass::Bulk, &subject, &[&recipient])).await.name);
    }
    let jobs = node.wait_for_ends(&names, PATIENCE).await;

    assert!(jobs.iter().all(|job| job.state() == MailJobState::Sent));
    assert_eq!(servers.tokens_given(&counted), 2, "one for the test, one for the mails");
    let connections = node.node().await.channel.expect("a node tells its channel").connections;
    assert!((1..=3).contains(&connections), "{connections}");
    assert_eq!(servers.wait_for_mail(&recipient, 100, PATIENCE).await.len(), 100);
    node.stop().await;
}
