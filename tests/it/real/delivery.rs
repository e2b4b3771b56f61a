//! What a recipient finds in the mailbox is what the caller gave.

use mail_parser::{Address, Message, MessageParser, MimeHeaders as _};
use nuncio_api::v1;
use nuncio_api::v1::mail::Content;
use nuncio_api::v1::{MailClass, MailJobState};
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails;
use nuncio_tests::node::TestNode;
use nuncio_tests::real_servers::RealServers;

use super::{fresh, good};

const SUBJECT: &str = "Gäste-Zugang für Łukasz — „Tür 7“ ✓";
const HTML: &str = "<html><body><p>Grüße &amp; <b>viel Erfolg</b></p>\r\n.\r\n</body></html>\r\n";

/// Starts with dots, is long, has every kind of line end's place: what mail servers are known to harm.
fn difficult_text() -> String {
    let mut text = String::from(".\r\n..\r\n.dot at the start\r\nFrom here on\r\n\r\n");
    text.push_str(&"a long line without any break ".repeat(70));
    text.push_str("\r\nUmlaute: äöüß, Ελληνικά, 日本語, 🦀\r\n");
    text.push_str("trailing blanks   \r\n=3D is no escape; tabs\tstay\r\n.\r\nthe end\r\n");
    text
}

/// Every byte, and what could be taken for line ends or the end of the mail.
fn difficult_bytes() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    bytes.extend_from_slice(b"\r\n.\r\n\n.\n\r.\rFrom \0");
    bytes
}

fn named(address: &str, display_name: &str) -> v1::Mailbox {
    v1::Mailbox { address: address.to_owned(), display_name: display_name.to_owned() }
}

/// Sends a mail and gives it as it arrived for each of `recipients`.
async fn deliver(
    servers: &RealServers,
    node: &TestNode,
    mail: v1::Mail,
    recipients: &[&str],
) -> (v1::MailJob, Vec<Vec<u8>>) {
    let request = v1::CreateMailJobRequest {
        mail: Some(mail),
        class: MailClass::Bulk.into(),
        ..v1::CreateMailJobRequest::default()
    };
    let job = node.submit(request).await;
    let job = node.wait_for_end(&job.name, PATIENCE).await;
    assert_eq!(job.state(), MailJobState::Sent, "{job:#?}");
    let mut found = Vec::new();
    for recipient in recipients {
        let mut mails = servers.wait_for_mail(recipient, 1, PATIENCE).await;
        assert_eq!(mails.len(), 1, "one copy for {recipient}");
        found.append(&mut mails);
    }
    (job, found)
}

fn parse(mail: &[u8]) -> Message<'_> {
    MessageParser::default().parse(mail).expect("a mail can be read")
}

fn shown(address: Option<&Address<'_>>) -> String {
    let all = address.into_iter().flat_map(|address| address.iter());
    let one = |one: &mail_parser::Addr<'_>| {
        format!("{} <{}>", one.name().unwrap_or_default(), one.address().unwrap_or_default())
    };
    all.map(one).collect::<Vec<_>>().join(", ")
}

/// The mailbox keeps lines as the system writes them.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

#[tokio::test]
async fn everything_that_the_caller_gave_arrives_unharmed() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    node.save_tested(good(&servers)).await;
    let (to, also, cc, hidden) =
        (fresh("whole-to"), fresh("whole-also"), fresh("whole-cc"), fresh("whole-hidden"));
    let mail = v1::Mail {
        from: Some(named(servers.get("MAILBOX"), "Empfang, Haus Ω")),
        reply_to: Some(named("sponsor@example.test", "Dana Sponsor")),
        to: vec![named(&to, "Łukasz \"Lu\" Müller"), named(&also, "")],
        cc: vec![named(&cc, "日本 太郎")],
        bcc: vec![mails::mailbox(&hidden)],
        content: Some(Content::Raw(v1::RawContent {
            subject: SUBJECT.to_owned(),
            text: difficult_text(),
            html: HTML.to_owned(),
        })),
        attachments: vec![
            v1::Attachment {
                file_name: "Lageplan – Gebäude 7.bin".to_owned(),
                content_type: "application/octet-stream".to_owned(),
                content: difficult_bytes(),
            },
            v1::Attachment {
                file_name: "list.csv".to_owned(),
                content_type: "text/csv".to_owned(),
                content: "name;ort\nErika;Köln\r\n".as_bytes().to_vec(),
            },
        ],
    };

    let (job, found) = deliver(&servers, &node, mail, &[&to, &also, &cc, &hidden]).await;

    for mail in &found {
        let parsed = parse(mail);
        assert_eq!(parsed.subject(), Some(SUBJECT));
        assert_eq!(shown(parsed.from()), format!("Empfang, Haus Ω <{}>", servers.get("MAILBOX")));
        assert_eq!(shown(parsed.reply_to()), "Dana Sponsor <sponsor@example.test>");
        assert_eq!(shown(parsed.to()), format!("Łukasz \"Lu\" Müller <{to}>,  <{also}>"));
        assert_eq!(shown(parsed.cc()), format!("日本 太郎 <{cc}>"));
        assert!(parsed.bcc().is_none());
        assert_eq!(format!("<{}>", parsed.message_id().unwrap()), job.message_id);
        let created = job.create_time.expect("every job has it").seconds;
        assert_eq!(parsed.date().unwrap().to_timestamp(), created);
        assert_eq!(lines(&parsed.body_text(0).unwrap()), lines(&difficult_text()));
        assert_eq!(lines(&parsed.body_html(0).unwrap()), lines(HTML));
        let attachments: Vec<_> = parsed.attachments().collect();
        assert_eq!(attachments.len(), 2);
        assert_eq!(attachments[0].attachment_name(), Some("Lageplan – Gebäude 7.bin"));
        assert_eq!(attachments[0].contents(), difficult_bytes());
        assert_eq!(attachments[1].attachment_name(), Some("list.csv"));
        assert_eq!(attachments[1].contents(), "name;ort\nErika;Köln\r\n".as_bytes());
    }
    check_hidden(&found[..3], &hidden);
    node.stop().await;
}

/// Nobody but the hidden recipient's own server learns of it.
fn check_hidden(mails: &[Vec<u8>], hidden: &str) {
    for mail in mails {
        let text = String::from_utf8_lossy(mail);
        assert!(!text.contains(hidden), "{text}");
        assert!(!text.to_lowercase().contains("\nbcc:"), "{text}");
    }
}

#[tokio::test]
async fn a_mail_for_hidden_recipients_only_names_none_of_them() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    node.save_tested(good(&servers)).await;
    let (one, two) = (fresh("hidden-one"), fresh("hidden-two"));
    let request = mails::raw(MailClass::Bulk, "for hidden", &[]);
    let mail = v1::Mail {
        bcc: vec![mails::mailbox(&one), mails::mailbox(&two)],
        ..request.mail.expect("it has one")
    };

    let (_job, found) = deliver(&servers, &node, mail, &[&one, &two]).await;

    check_hidden(&found[..1], &two);
    check_hidden(&found[1..], &one);
    assert_eq!(parse(&found[0]).subject(), Some("for hidden"));
    node.stop().await;
}

/// Such a server offers no 8BITMIME, so that the content must be ASCII on the wire.
#[tokio::test]
async fn a_server_without_extensions_gets_the_same_content() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let bare = v1::SmtpSettings { port: servers.port("SMTP_BARE_PORT").into(), ..good(&servers) };
    node.save_tested(bare).await;
    let recipient = fresh("bare-content");
    let request = mails::raw(MailClass::Bulk, "", &[&recipient]);
    let content = Content::Raw(v1::RawContent {
        subject: SUBJECT.to_owned(),
        text: difficult_text(),
        html: String::new(),
    });
    let mail = v1::Mail { content: Some(content), ..request.mail.expect("it has one") };

    let (_job, found) = deliver(&servers, &node, mail, &[&recipient]).await;

    assert!(found[0].is_ascii());
    let parsed = parse(&found[0]);
    assert_eq!(parsed.subject(), Some(SUBJECT));
    // Without parts, the end of the text and the end of the mail are not told apart.
    let text = lines(&parsed.body_text(0).unwrap());
    assert_eq!(text.trim_end_matches('\n'), lines(&difficult_text()).trim_end_matches('\n'));
    node.stop().await;
}

#[tokio::test]
async fn guest_credentials_arrive_with_every_variable() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    node.save_tested(good(&servers)).await;
    let recipient = fresh("guest");

    let job = node.submit(mails::guest_credentials(&recipient)).await;
    let job = node.wait_for_end(&job.name, PATIENCE).await;

    assert_eq!((job.state(), job.subject.as_str()), (MailJobState::Sent, ""));
    let found = servers.wait_for_mail(&recipient, 1, PATIENCE).await;
    let parsed = parse(&found[0]);
    let (text, html) = (parsed.body_text(0).unwrap(), parsed.body_html(0).unwrap());
    for value in ["Erika", "erika01", "2026-11-27 18:00", mails::GUEST_PASSWORD] {
        assert!(text.contains(value), "no `{value}` in {text}");
        assert!(html.contains(value), "no `{value}` in {html}");
    }
    node.stop().await;
}

#[tokio::test]
async fn mail_in_the_name_of_a_shared_mailbox_is_taken() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    node.save_tested(good(&servers)).await;
    let recipient = fresh("shared");
    let request = mails::raw(MailClass::Bulk, "from the shared one", &[&recipient]);
    let shared = servers.get("SHARED_MAILBOX");
    let mail = v1::Mail { from: Some(mails::mailbox(shared)), ..request.mail.expect("it has one") };

    let (_job, found) = deliver(&servers, &node, mail, &[&recipient]).await;

    assert_eq!(shown(parse(&found[0]).from()), format!(" <{shared}>"));
    node.stop().await;
}

/// The largest mail that nuncio takes is within what the server takes.
#[tokio::test]
async fn a_mail_as_large_as_the_api_takes_arrives() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    node.save_tested(good(&servers)).await;
    let recipient = fresh("large");
    let request = mails::raw(MailClass::Bulk, "large", &[&recipient]);
    let content: Vec<u8> = (0..7 * 1024 * 1024_u32).map(|at| at.to_le_bytes()[1]).collect();
    let attachment = v1::Attachment {
        file_name: "large.bin".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        content: content.clone(),
    };
    let mail = v1::Mail { attachments: vec![attachment], ..request.mail.expect("it has one") };

    let (_job, found) = deliver(&servers, &node, mail, &[&recipient]).await;

    let parsed = parse(&found[0]);
    assert_eq!(parsed.attachment(0).unwrap().contents(), content);
    node.stop().await;
}
