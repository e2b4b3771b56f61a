//! A provider that speaks another dialect: no enhanced codes, its own words and reasons (npm's smtp-server).

use mail_parser::{MessageParser, MimeHeaders as _};
use nuncio_api::v1;
use nuncio_api::v1::{MailClass, MailJobState, SmtpEncryption};
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails;
use nuncio_tests::node::TestNode;
use nuncio_tests::real_servers::{MailServer, RealServers};
use nuncio_tests::settings::with_oauth;

use super::{Way, check_told, client, failed, fresh, settings, shown};

const WAY: Way = Way { port: "NODE_SMTP_PORT", encryption: SmtpEncryption::Starttls };

fn dialect(servers: &RealServers, id: &str) -> v1::SmtpSettings {
    settings(servers, WAY, client(servers, id))
}

async fn check_mail_arrives(id: &str) {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let recipient = fresh(&format!("dialect-{id}"));
    let report = node.test(dialect(&servers, id)).await;
    assert_eq!(shown(&report), "+ + + + + + +", "{report:#?}");
    node.save(dialect(&servers, id)).await.unwrap();
    let request = mails::raw(MailClass::Bulk, "Zweiter Dialekt für Łukasz", &[&recipient]);
    let attachment = v1::Attachment {
        file_name: "plan.bin".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        content: b"\0\xff\r\n.\r\n\n.\n".to_vec(),
    };
    let mail =
        v1::Mail { attachments: vec![attachment.clone()], ..request.mail.expect("it has one") };

    let request = v1::CreateMailJobRequest { mail: Some(mail), ..request };
    let job = node.submit(request).await;
    let job = node.wait_for_end(&job.name, PATIENCE).await;

    assert_eq!(job.state(), MailJobState::Sent);
    let found = servers.wait_for_mail_at(MailServer::Node, &recipient, 1, PATIENCE).await;
    let parsed = MessageParser::default().parse(&found[0]).unwrap();
    assert_eq!(parsed.subject(), Some("Zweiter Dialekt für Łukasz"));
    assert_eq!(format!("<{}>", parsed.message_id().unwrap()), job.message_id);
    assert_eq!(parsed.body_text(0).unwrap().trim_end(), "The text of Zweiter Dialekt für Łukasz.");
    let file = parsed.attachment(0).unwrap();
    assert_eq!((file.attachment_name(), file.contents()), (Some("plan.bin"), &*attachment.content));
    node.stop().await;
}

#[tokio::test]
async fn mail_arrives_with_a_token_that_the_provider_can_read() {
    check_mail_arrives("svc-post").await;
}

#[tokio::test]
async fn mail_arrives_with_a_token_that_only_the_oauth_server_can_read() {
    check_mail_arrives("svc-opaque").await;
}

#[tokio::test]
async fn a_refused_token_is_told_with_this_provider_s_own_reason() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    for id in ["svc-nomail", "svc-otheruser"] {
        let report = node.test(dialect(&servers, id)).await;

        assert_eq!(shown(&report), "+ + + + + INVALID_EMAIL_ADDRESS -", "{report:#?}");
        let cause = [r#""status":"400""#, r#""scope":"https://mail.example.test/""#, "535", id];
        check_told(failed(&report), &cause, &["(1) the e-mail address is the mailbox's own"]);
    }
    node.stop().await;
}

#[tokio::test]
async fn replies_without_enhanced_codes_are_understood_for_each_recipient() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    node.save_tested(dialect(&servers, "svc-post")).await;
    let taken = fresh("dialect-taken");
    let to = [&taken, "nobody@example.test", "defer@example.test", "full@example.test"];

    let name = node.submit(mails::raw(MailClass::Bulk, "mixed", &to)).await.name;
    let job = node.wait_for_state(&name, MailJobState::Deferred, PATIENCE).await;

    let replies = job.recipients.iter().map(|one| {
        let reply = one.reply.clone().expect("everybody has one");
        assert_eq!(reply.enhanced_code, "");
        (one.state(), reply.code)
    });
    assert_eq!(
        replies.collect::<Vec<_>>(),
        [
            (v1::RecipientState::Accepted, 250),
            (v1::RecipientState::Refused, 550),
            (v1::RecipientState::Pending, 450),
            (v1::RecipientState::Pending, 452),
        ]
    );
    servers.wait_for_mail_at(MailServer::Node, &taken, 1, PATIENCE).await;
    node.stop().await;
}

#[tokio::test]
async fn refused_tokens_hold_the_mail_until_new_settings_release_it() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let url = servers.faulty_token_url(&format!("useless-2-dialect{}", std::process::id()));
    let useless = with_oauth(dialect(&servers, "svc-post"), |oauth| oauth.token_endpoint = url);
    node.save_tested(useless).await;
    let recipient = fresh("dialect-held");

    let name = node.submit(mails::raw(MailClass::Bulk, "held", &[&recipient])).await.name;
    let held = node.wait_for_state(&name, MailJobState::Held, PATIENCE).await;
    node.save_tested(dialect(&servers, "svc-post")).await;
    let sent = node.wait_for_end(&name, PATIENCE).await;

    let reason = held.reason.expect("it says why");
    assert_eq!(reason.code, "INVALID_EMAIL_ADDRESS");
    assert!(reason.message.contains(r#""schemes":"Bearer""#), "{reason:#?}");
    assert_eq!(sent.state(), MailJobState::Sent);
    servers.wait_for_mail_at(MailServer::Node, &recipient, 1, PATIENCE).await;
    node.stop().await;
}
