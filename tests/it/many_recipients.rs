//! Recipients that a server does not take together, and single ones that it does not take at all.

use nuncio_api::v1;
use nuncio_api::v1::{MailClass, MailJobState, RecipientState};
use nuncio_provider_sim::config::{Extensions, Limits, SimConfig, SmtpConfig};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails::{mailbox, raw};
use nuncio_tests::node::TestNode;
use nuncio_tests::settings::settings_for;

async fn start(config: SimConfig) -> (Simulator, TestNode) {
    let simulator = Simulator::start(config).await.expect("the simulator starts");
    let node = TestNode::start().await;
    node.save_tested(settings_for(&simulator)).await;
    (simulator, node)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_to_more_recipients_than_the_server_takes_goes_out_in_several_at_once() {
    let exchange = SimConfig::exchange();
    let limits = Limits { recipients_per_message: 20, ..exchange.limits.clone() };
    let (simulator, node) = start(SimConfig { limits, ..exchange }).await;
    let all: Vec<String> = (0..50).map(|number| format!("guest{number}@example.com")).collect();
    let to: Vec<&str> = all.iter().map(String::as_str).collect();

    let job = node.submit(raw(MailClass::Bulk, "to fifty", &to)).await;
    let sent = node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;

    assert!(sent.recipients.iter().all(|one| one.state() == RecipientState::Accepted));
    assert_eq!(sent.attempt_count, 1, "only the last mail of the three counts");
    let mut got: Vec<_> =
        simulator.accepted().into_iter().flat_map(|mail| mail.recipients.clone()).collect();
    got.sort();
    let mut expect = all.clone();
    expect.sort();
    assert_eq!((simulator.accepted_count(), got), (3, expect), "nobody is left out or gets two");
    let (_, attempts) = node.job(&job.name).await;
    let told: Vec<_> = attempts.iter().map(|one| (one.outcome.as_str(), one.counted)).collect();
    assert_eq!(told, [("SENT", false), ("SENT", false), ("SENT", true)]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blind_copy_beyond_ascii_is_refused_alone_where_the_server_knows_ascii_only() {
    let extensions = Extensions { smtp_utf8: false, ..Extensions::default() };
    let smtp = SmtpConfig { extensions, ..SmtpConfig::default() };
    let (simulator, node) = start(SimConfig { smtp, ..SimConfig::exchange() }).await;
    let request = raw(MailClass::Bulk, "to two", &["guest@example.com", "gast@bücher.example"]);
    let mail = v1::Mail { bcc: vec![mailbox("gäste@example.com")], ..request.mail.unwrap() };

    let job = node.submit(v1::CreateMailJobRequest { mail: Some(mail), ..request }).await;
    let sent = node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;

    let states: Vec<_> = sent.recipients.iter().map(v1::RecipientResult::state).collect();
    assert_eq!(
        states,
        [RecipientState::Accepted, RecipientState::Accepted, RecipientState::Refused]
    );
    let reason = sent.recipients[2].reason.clone().unwrap_or_default();
    assert_eq!(reason.code, "SMTPUTF8_NOT_OFFERED");
    assert!(!reason.remedy.is_empty(), "{reason:?}");
    assert_eq!(simulator.accepted_count(), 1);
    node.stop().await;
}
