//! Several mailboxes of one profile: each is logged in as itself, with one token.

use nuncio_api::v1;
use nuncio_api::v1::SmtpTestStageKind;
use nuncio_tests::node::TestNode;
use nuncio_tests::real_servers::RealServers;

use super::{STARTTLS, Way, check_told, client, failed, settings, shown};

const NODE: Way = Way { port: "NODE_SMTP_PORT", ..STARTTLS };

/// Settings of the client whose tokens are good for two mailboxes.
fn pool(servers: &RealServers, way: Way, more: &[&str]) -> v1::SmtpSettings {
    v1::SmtpSettings {
        additional_mailboxes: more.iter().map(|one| (*one).to_owned()).collect(),
        ..settings(servers, way, client(servers, "svc-pool"))
    }
}

/// What is told of AUTH: the mailbox and the detail.
fn logins(report: &v1::SmtpTestReport) -> Vec<(&str, &str)> {
    let stages = report.nodes.iter().flat_map(|node| &node.stages);
    let of_auth = stages.filter(|stage| stage.kind() == SmtpTestStageKind::Auth);
    of_auth.map(|stage| (stage.mailbox.as_str(), stage.detail.as_str())).collect()
}

#[tokio::test]
async fn every_mailbox_is_proved_to_log_in_as_itself() {
    let servers = RealServers::in_turn().await;
    let (first, second) = (servers.get("MAILBOX"), servers.get("SECOND_MAILBOX"));
    for way in [STARTTLS, NODE] {
        let node = TestNode::start().await;
        let settings = pool(&servers, way, &[second]);

        let report = node.test(settings.clone()).await;

        assert_eq!(shown(&report), "+ + + + + + + + +", "{report:#?}");
        let expect = [first, second].map(|one| (one, format!("logged in as {one}")));
        let logins = logins(&report);
        assert_eq!(logins, expect.each_ref().map(|(one, told)| (*one, told.as_str())));
        let saved = node.save(settings).await.unwrap();
        assert_eq!(saved.additional_mailboxes, [second]);
        node.stop().await;
    }
}

#[tokio::test]
async fn a_mailbox_that_the_token_is_not_for_is_named() {
    let servers = RealServers::in_turn().await;
    let stranger = "stranger@example.test";
    for way in [STARTTLS, NODE] {
        let node = TestNode::start().await;
        let more = [stranger, servers.get("SECOND_MAILBOX")];
        let settings = pool(&servers, way, &more);

        let report = node.test(settings.clone()).await;

        assert_eq!(shown(&report), "+ + + + + + + INVALID_EMAIL_ADDRESS - + +", "{report:#?}");
        assert_eq!(failed(&report).mailbox, stranger);
        check_told(failed(&report), &["refused the login of this mailbox"], &["mailbox's own"]);
        node.save(settings).await.unwrap_err();
        node.stop().await;
    }
}

#[tokio::test]
async fn a_mailbox_that_may_not_send_as_the_first_is_named() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    // The token is for both, but the second alone may write as the second.
    let settings = v1::SmtpSettings {
        email_address: servers.get("SECOND_MAILBOX").to_owned(),
        ..pool(&servers, STARTTLS, &[servers.get("MAILBOX")])
    };

    let report = node.test(settings).await;

    assert_eq!(shown(&report), "+ + + + + + + + SENDER_REFUSED", "{report:#?}");
    assert_eq!(failed(&report).mailbox, servers.get("MAILBOX"));
    node.stop().await;
}
