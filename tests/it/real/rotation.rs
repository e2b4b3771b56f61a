//! Two client secrets that overlap, at a server that lets the first one expire.

use nuncio_api::v1;
use nuncio_api::v1::MailJobState;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails;
use nuncio_tests::node::TestNode;
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::with_oauth;

use super::{fresh, good, oauth};

/// How many mails go out before the first secret expires, after it, and with the second one in its place.
const MAILS: usize = 10;

#[tokio::test]
async fn a_client_secret_is_changed_without_a_mail_that_waits() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let two = with_oauth(good(&servers), |client| {
        *client = oauth(&servers, "svc-rotated");
        client.client_secret_basic = true;
        client.next_client_secret = Some(v1::NextClientSecret {
            value: servers.get("SECRET_SVC_ROTATED_NEXT").to_owned(),
            ..v1::NextClientSecret::default()
        });
    });
    node.save_tested(two.clone()).await;
    let recipient = fresh("rotation");

    send_some(&node, &recipient).await;
    std::fs::write(servers.get("OAUTH_ROTATED_FILE"), "").unwrap();
    // A node that starts has neither a token nor a connection.
    let node = node.restart().await;
    send_some(&node, &recipient).await;

    let promoted = with_oauth(two, |client| {
        client.client_secret = String::new();
        client.next_client_secret = None;
        client.promote_next_client_secret = true;
    });
    node.save_tested(promoted).await;
    send_some(&node, &recipient).await;
    servers.wait_for_mail(&recipient, 3 * MAILS, PATIENCE).await;
    node.stop().await;
}

/// Each of them is sent with its first attempt.
async fn send_some(node: &TestNode, recipient: &str) {
    for number in 0..MAILS {
        let mail = mails::raw(v1::MailClass::Bulk, &format!("mail {number}"), &[recipient]);
        let job = node.submit(mail).await;
        let job = node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;
        assert_eq!(job.attempt_count, 1, "{job:#?}");
    }
}
