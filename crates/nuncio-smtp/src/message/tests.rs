use mail_parser::{MessageParser, MimeHeaders as _};
use nuncio_core::mail::Recipient;
use nuncio_core::secret::Sensitive;

use super::*;
use crate::testing::{MAILBOX, outgoing};

fn sensitive(text: &str) -> Sensitive {
    Sensitive::from(text.to_owned())
}

fn mailbox(name: &str, address: &str) -> Mailbox {
    let display_name = Some(name.to_owned()).filter(|name| !name.is_empty());
    Mailbox { address: address.parse().unwrap(), display_name }
}

fn recipient(kind: RecipientKind, name: &str, address: &str) -> Recipient {
    Recipient { mailbox: mailbox(name, address), kind }
}

/// The message as a server gets it. Every message must keep these rules.
fn built(outgoing: &OutgoingMail) -> String {
    let message = build(outgoing, &MAILBOX.parse().unwrap()).unwrap();
    let text = String::from_utf8(message.content.octets().to_vec()).unwrap();
    assert_eq!(message.envelope.size, text.len() as u64);
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "line ends are CRLF:\n{text}");
    for line in text.split("\r\n") {
        assert!(line.len() <= 998, "RFC 5322, section 2.1.1: {line}");
    }
    text
}

fn header(text: &str, name: &str) -> Option<String> {
    let message = MessageParser::default().parse(text).unwrap();
    let value = message.header_raw(name)?.trim().to_owned();
    Some(value)
}

#[test]
fn a_mail_that_goes_on_from_others_names_them() {
    let mut outgoing = outgoing(&["a@x.test"]);
    outgoing.mail.references = vec!["<first@x.test>".to_owned(), "<last@x.test>".to_owned()];

    let text = built(&outgoing);

    assert!(text.contains("\r\nIn-Reply-To: <last@x.test>\r\n"), "{text}");
    assert!(text.contains("\r\nReferences: <first@x.test>\r\n <last@x.test>\r\n"), "{text}");
    outgoing.mail.references.clear();
    let alone = built(&outgoing);
    assert!(!alone.contains("In-Reply-To") && !alone.contains("References"), "{alone}");
}

#[test]
fn a_long_list_of_addresses_is_folded_and_names_the_same() {
    let all: Vec<String> = (0..200).map(|number| format!("guest{number}@example.test")).collect();
    let mut outgoing = outgoing(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let copies = (0..60).map(|number| {
        recipient(RecipientKind::Cc, "Help, Desk", &format!("desk{number}@example.test"))
    });
    outgoing.mail.recipients.extend(copies);

    let text = built(&outgoing);

    let message = MessageParser::default().parse(&text).unwrap();
    let to: Vec<_> = message.to().unwrap().iter().filter_map(|one| one.address()).collect();
    assert_eq!(to, all);
    let cc: Vec<_> = message.cc().unwrap().iter().filter_map(|one| one.name()).collect();
    assert_eq!(cc, ["Help, Desk"; 60]);
}

#[test]
fn the_headers_are_those_of_the_mail() {
    let mut outgoing = outgoing(&["a@x.test"]);
    outgoing.mail.reply_to = Some(mailbox("Help, Desk", "help@x.test"));
    outgoing.mail.recipients.push(recipient(RecipientKind::Cc, "Zoë Ж", "zoe@x.test"));
    outgoing.mail.recipients.push(recipient(RecipientKind::Bcc, "", "hidden@x.test"));
    outgoing.mail.subject = "Zugang für Gäste — 訪客".to_owned();

    let text = built(&outgoing);

    let message = MessageParser::default().parse(&text).unwrap();
    assert_eq!(message.subject(), Some("Zugang für Gäste — 訪客"));
    assert_eq!(message.message_id(), Some("1@nuncio.test"));
    assert_eq!(header(&text, "Date").unwrap(), "Mon, 23 Nov 2026 12:00:00 +0000");
    assert_eq!(message.from().unwrap().first().unwrap().address(), Some(MAILBOX));
    let reply_to = message.reply_to().unwrap().first().unwrap();
    assert_eq!(reply_to.name(), Some("Help, Desk"));
    assert_eq!(message.to().unwrap().first().unwrap().address(), Some("a@x.test"));
    let cc = message.cc().unwrap().first().unwrap();
    assert_eq!((cc.name(), cc.address()), (Some("Zoë Ж"), Some("zoe@x.test")));
    assert!(!text.contains("hidden@x.test"), "blind copies are blind");
    assert!(text.is_ascii());
}

#[test]
fn the_sender_of_the_mail_goes_before_the_mailbox() {
    let mut outgoing = outgoing(&["a@x.test"]);
    outgoing.mail.from = Some(mailbox("The Boss", "boss@mx.test"));

    let message = build(&outgoing, &MAILBOX.parse().unwrap()).unwrap();

    assert_eq!(message.envelope.from.as_str(), "boss@mx.test");
    let text = built(&outgoing);
    let parsed = MessageParser::default().parse(&text).unwrap();
    assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("The Boss"));
}

#[test]
fn recipients_of_this_attempt_are_the_envelope() {
    let mut outgoing = outgoing(&["a@x.test", "b@x.test"]);
    outgoing.recipients.remove(0);

    let message = build(&outgoing, &MAILBOX.parse().unwrap()).unwrap();

    let recipients: Vec<&str> =
        message.envelope.recipients.iter().map(EmailAddress::as_str).collect();
    assert_eq!(recipients, ["b@x.test"]);
    assert!(built(&outgoing).contains("To: a@x.test, b@x.test\r\n"), "the header names all");
}

#[test]
fn a_mail_of_blind_copies_names_nobody() {
    let mut outgoing = outgoing(&["a@x.test"]);
    outgoing.mail.recipients[0].kind = RecipientKind::Bcc;

    assert!(built(&outgoing).contains("\r\nTo: undisclosed-recipients:;\r\n"));
}

#[test]
fn text_and_html_are_alternatives_beside_the_files() {
    let content: Vec<u8> = (0..=255).chain(*b"\r\n\n.\r\n").collect();
    let mut outgoing = outgoing(&["a@x.test"]);
    outgoing.mail.text = Some(sensitive("Grüße\r\n.\r\n..zwei\nletzte"));
    outgoing.mail.html = Some(sensitive("<p>Grüße</p>"));
    outgoing.mail.attachments = vec![Attachment {
        file_name: "Übersicht 訪客.pdf".to_owned(),
        content_type: "application/pdf".to_owned(),
        content: content.clone(),
    }];

    let text = built(&outgoing);

    let message = MessageParser::default().parse(&text).unwrap();
    assert_eq!(message.body_text(0).unwrap(), "Grüße\r\n.\r\n..zwei\r\nletzte");
    assert_eq!(message.body_html(0).unwrap(), "<p>Grüße</p>");
    let file = message.attachment(0).unwrap();
    assert_eq!(file.contents(), content);
    assert_eq!(file.attachment_name(), Some("Übersicht 訪客.pdf"));
    let types: Vec<_> =
        message.parts.iter().map(|part| part.content_type().unwrap().subtype().unwrap()).collect();
    assert_eq!(types, ["mixed", "alternative", "plain", "html", "pdf"]);
}

#[test]
fn text_files_keep_their_line_ends() {
    let mut outgoing = outgoing(&["a@x.test"]);
    outgoing.mail.attachments = vec![Attachment {
        file_name: "a.csv".to_owned(),
        content_type: "text/csv; charset=utf-8".to_owned(),
        content: b"a\nb\n.\n".to_vec(),
    }];

    let text = built(&outgoing);

    let message = MessageParser::default().parse(&text).unwrap();
    assert_eq!(message.attachment(0).unwrap().contents(), b"a\nb\n.\n");
}

#[test]
fn a_file_of_a_composite_type_goes_as_bytes() {
    let mut outgoing = outgoing(&["a@x.test"]);
    outgoing.mail.attachments = vec![Attachment {
        file_name: "a.eml".to_owned(),
        content_type: "message/rfc822".to_owned(),
        content: b"Subject: inner\n\nbody".to_vec(),
    }];

    let text = built(&outgoing);

    assert!(text.contains("application/octet-stream"), "{text}");
    let message = MessageParser::default().parse(&text).unwrap();
    assert_eq!(message.attachment(0).unwrap().contents(), b"Subject: inner\n\nbody");
}

#[test]
fn long_lines_are_folded_or_encoded() {
    let long = "x".repeat(998);
    let mut outgoing = outgoing(&["a@x.test"]);
    outgoing.mail.text = Some(sensitive(&"y".repeat(5000)));
    outgoing.mail.subject = long.clone();
    outgoing.mail.attachments = vec![Attachment {
        file_name: "訪".repeat(255),
        content_type: "application/pdf".to_owned(),
        content: vec![0; 5000],
    }];

    let text = built(&outgoing);

    let message = MessageParser::default().parse(&text).unwrap();
    assert_eq!(message.body_text(0).unwrap().trim_end(), "y".repeat(5000));
    assert_eq!(message.subject(), Some(&*long));
    assert_eq!(message.attachment(0).unwrap().attachment_name(), Some(&*"訪".repeat(255)));

    let names: Vec<Recipient> = (0..1000)
        .map(|n| recipient(RecipientKind::To, "A Name, Inc.", &format!("r{n}@x.test")))
        .collect();
    outgoing.mail.recipients = names;
    let text = built(&outgoing);
    let message = MessageParser::default().parse(&text).unwrap();
    assert_eq!(message.to().unwrap().iter().count(), 1000);
}

#[test]
fn addresses_beyond_ascii_need_smtputf8() {
    let check = |outgoing: &OutgoingMail, expect: bool| {
        let envelope = build(outgoing, &MAILBOX.parse().unwrap()).unwrap().envelope;
        assert_eq!((envelope.needs_smtputf8, envelope.is_eight_bit), (expect, expect));
    };
    check(&outgoing(&["a@x.test"]), false);
    check(&outgoing(&["gäste@x.test"]), true);
    // A domain has a name in ASCII, and blind copies are in no header.
    check(&outgoing(&["a@gäste.test"]), false);
    let mut blind = outgoing(&["a@x.test", "gäste@x.test"]);
    blind.mail.recipients[1].kind = RecipientKind::Bcc;
    check(&blind, false);
    let mut umlaut_name = outgoing(&["a@x.test"]);
    umlaut_name.mail.recipients[0].mailbox.display_name = Some("Gäste".to_owned());
    check(&umlaut_name, false);
}

#[test]
fn every_attempt_carries_the_same_headers() {
    let headers = |text: String| text.split_once("\r\n\r\n").unwrap().0.to_owned();

    assert_eq!(headers(built(&outgoing(&["a@x.test"]))), headers(built(&outgoing(&["a@x.test"]))));
}

mod headers {
    use nuncio_core::address::DISPLAY_NAME_CHARS_MAX;
    use nuncio_core::mail::{FILE_NAME_CHARS_MAX, SUBJECT_CHARS_MAX};
    use proptest::prelude::*;

    use super::*;

    /// What people and machines write: words of any script, marks that mean something in a header, words without end.
    fn words(max: usize) -> impl Strategy<Value = String> {
        let word = prop_oneof![
            4 => "[a-zA-Z0-9]{1,12}",
            2 => r##"[-!"#$%&'()*+,./:;<=>?@\[\]^_`{|}~\\]{1,4}"##,
            2 => "[äöüßéЖ訪客😀\u{301}\u{200f}]{1,20}",
            1 => Just("=?utf-8?b?eA==?=".to_owned()),
            1 => "[a-z]{60,1000}",
            1 => "[訪客😀]{60,400}",
        ];
        proptest::collection::vec(word, 1..30).prop_map(move |words| {
            let text: String = words.join(" ").chars().take(max).collect();
            text.trim().to_owned()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_header_is_folded_and_decodes_to_what_was_meant(
            subject in words(SUBJECT_CHARS_MAX),
            name in words(DISPLAY_NAME_CHARS_MAX),
            help in words(DISPLAY_NAME_CHARS_MAX),
            file_name in words(FILE_NAME_CHARS_MAX).prop_filter("it has a name", |it| !it.is_empty()),
        ) {
            // Encoded words mean nothing in a parameter (RFC 2047, section 5), but readers decode them.
            let file_name = file_name.replace(['/', '\\'], "-").replace("=?", "-");
            let mut outgoing = outgoing(&["a@x.test"]);
            outgoing.mail.subject.clone_from(&subject);
            outgoing.mail.recipients[0].mailbox = mailbox(&name, "a@x.test");
            outgoing.mail.reply_to = Some(mailbox(&help, "help@x.test"));
            outgoing.mail.attachments = vec![Attachment {
                file_name: file_name.clone(),
                content_type: "application/pdf".to_owned(),
                content: vec![7; 10],
            }];

            let text = built(&outgoing);

            let message = MessageParser::default().parse(&text).unwrap();
            prop_assert_eq!(message.subject().unwrap_or_default(), &subject);
            let shown = |address: Option<&mail_parser::Address<'_>>| {
                let name = address.and_then(|it| it.first()).and_then(|it| it.name());
                name.unwrap_or_default().to_owned()
            };
            prop_assert_eq!(shown(message.to()), name);
            prop_assert_eq!(shown(message.reply_to()), help);
            let file = message.attachment(0).unwrap();
            prop_assert_eq!(file.attachment_name(), Some(&*file_name));
        }
    }
}
