use proptest::prelude::*;

use super::*;

fn mailbox(address: &str) -> MailboxDraft {
    MailboxDraft { address: address.to_owned(), display_name: String::new() }
}

fn named(display_name: &str) -> MailboxDraft {
    MailboxDraft { display_name: display_name.to_owned(), ..mailbox("a@example.com") }
}

fn raw(subject: &str, text: &str) -> ContentDraft {
    let (subject, text, html) = (subject.to_owned(), text.to_owned(), String::new());
    ContentDraft::Raw { subject, text, html }
}

/// A mail that is valid; tests change what they are about.
fn draft() -> MailDraft {
    let (to, content) = (vec![mailbox("guest@example.com")], Some(raw("Welcome", "Hello")));
    MailDraft { to, content, ..MailDraft::default() }
}

fn attachment(file_name: &str, content_type: &str) -> Attachment {
    let (file_name, content_type) = (file_name.to_owned(), content_type.to_owned());
    Attachment { file_name, content_type, content: b"x".to_vec() }
}

fn violations(draft: MailDraft) -> Violations {
    match draft.check(&Templates::shipped()) {
        Ok(_) => Violations::default(),
        Err(MailError::Invalid(violations)) => violations,
        Err(other @ MailError::UnknownTemplate { .. }) => panic!("{other}"),
    }
}

/// Checks a draft; `expect` names the fields that are wrong.
#[track_caller]
fn check(draft: MailDraft, expect: &str) {
    let violations = violations(draft);
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields.join(" "), expect, "{violations}");
}

#[track_caller]
fn check_address(address: &str, expect: bool) {
    let expect = if expect { "" } else { "mail.to[0].address" };
    check(MailDraft { to: vec![mailbox(address)], ..draft() }, expect);
}

#[track_caller]
fn check_subject(subject: &str, expect: bool) {
    let expect = if expect { "" } else { "mail.raw.subject" };
    check(MailDraft { content: Some(raw(subject, "Hello")), ..draft() }, expect);
}

#[track_caller]
fn check_attachment(file_name: &str, content_type: &str, expect: &str) {
    check(MailDraft { attachments: vec![attachment(file_name, content_type)], ..draft() }, expect);
}

#[test]
fn a_mail_has_what_its_draft_had() {
    let draft = MailDraft {
        from: Some(named("Portal")),
        cc: vec![mailbox("cc@example.com")],
        bcc: vec![mailbox("bcc@example.com")],
        attachments: vec![attachment("a.pdf", "application/pdf")],
        ..draft()
    };

    let mail = draft.check(&Templates::shipped()).unwrap();

    let to = |one: &Recipient| (one.mailbox.address.to_string(), one.kind);
    let expect = [
        ("guest@example.com".to_owned(), RecipientKind::To),
        ("cc@example.com".to_owned(), RecipientKind::Cc),
        ("bcc@example.com".to_owned(), RecipientKind::Bcc),
    ];
    assert_eq!(mail.recipients.iter().map(to).collect::<Vec<_>>(), expect);
    assert_eq!(mail.from.unwrap().display_name.as_deref(), Some("Portal"));
    assert_eq!((mail.reply_to, mail.template), (None, None));
    assert_eq!(mail.text.unwrap().expose(), "Hello");
    assert!(mail.html.is_none(), "an empty body is no body");
    assert_eq!(mail.attachments.len(), 1);
}

#[test]
fn addresses_are_those_of_smtp() {
    for right in
        ["a@b", "first.last+tag@example.com", "\"a b\"@example.com", "grüße@bücher.example"]
    {
        check_address(right, true);
    }
    for wrong in ["", "a", "@example.com", "a@", "a b@example.com", "A <a@example.com>", "a@b@c"] {
        check_address(wrong, false);
    }
    let domain = vec!["x".repeat(60); 4].join(".");
    check_address(&format!("local-part@{domain}"), true);
    check_address(&format!("longer-local-part@{domain}"), false);
}

#[test]
fn nothing_smuggles_in_a_header() {
    for evil in ["a\r\nBcc: x@example.com", "a\nb", "a\rb", "a\0b", "a\u{85}b"] {
        check_subject(evil, false);
        check_address(&format!("{evil}@example.com"), false);
        check(MailDraft { from: Some(named(evil)), ..draft() }, "mail.from.display_name");
        check(MailDraft { reply_to: Some(named(evil)), ..draft() }, "mail.reply_to.display_name");
        check(MailDraft { cc: vec![named(evil)], ..draft() }, "mail.cc[0].display_name");
        check_attachment(evil, "text/plain", "mail.attachments[0].file_name");
        check_attachment("a", &format!("text/plain; {evil}"), "mail.attachments[0].content_type");
    }
}

#[test]
fn a_subject_is_one_line_that_is_not_empty() {
    check_subject("Grüße \u{1f511}", true);
    check_subject(&"ü".repeat(SUBJECT_CHARS_MAX), true);
    check_subject(&"x".repeat(SUBJECT_CHARS_MAX + 1), false);
    check_subject("", false);
}

#[test]
fn a_mail_has_up_to_a_thousand_recipients() {
    let many = |count: usize| (0..count).map(|n| mailbox(&format!("g{n}@example.com"))).collect();
    check(MailDraft { to: vec![], ..draft() }, "mail.to");
    check(MailDraft { to: vec![], bcc: vec![mailbox("b@example.com")], ..draft() }, "");
    check(MailDraft { to: many(RECIPIENTS_MAX), ..draft() }, "");
    check(MailDraft { to: many(RECIPIENTS_MAX + 1), ..draft() }, "mail.to");
    check(MailDraft { cc: many(RECIPIENTS_MAX), ..draft() }, "mail.to");
}

#[test]
fn an_address_that_stands_twice_gets_one_copy() {
    let twice = MailDraft { bcc: vec![mailbox("guest@example.com")], ..draft() };

    let mail = twice.check(&Templates::shipped()).unwrap();

    assert_eq!(mail.recipients.len(), 1);
    assert_eq!(mail.recipients[0].kind, RecipientKind::To);
}

#[test]
fn a_mail_has_a_body() {
    check(MailDraft { content: None, ..draft() }, "mail.content");
    check(MailDraft { content: Some(raw("Welcome", "")), ..draft() }, "mail.raw.text");
}

#[test]
fn attachments_have_names_and_types() {
    check_attachment("Übersicht 1.pdf", "application/pdf", "");
    check_attachment("a", "text/plain; charset=utf-8", "");
    check_attachment("a", "application/vnd.api+json", "");
    check_attachment("", "text/plain", "mail.attachments[0].file_name");
    check_attachment("../a", "text/plain", "mail.attachments[0].file_name");
    check_attachment("a\\b", "text/plain", "mail.attachments[0].file_name");
    check_attachment(&"x".repeat(256), "text/plain", "mail.attachments[0].file_name");
    for wrong in ["", "text", "text/", "/plain", "te xt/plain", "text/plain/x"] {
        check_attachment("a", wrong, "mail.attachments[0].content_type");
    }
    let many = |count| vec![attachment("a", "text/plain"); count];
    check(MailDraft { attachments: many(ATTACHMENTS_MAX), ..draft() }, "");
    check(MailDraft { attachments: many(ATTACHMENTS_MAX + 1), ..draft() }, "mail.attachments");
}

#[test]
fn a_mail_has_up_to_8_mib() {
    let sized = |bytes| Attachment { content: vec![0; bytes], ..attachment("a", "text/plain") };
    let rest = CONTENT_BYTES_MAX - "Hello".len();

    check(MailDraft { attachments: vec![sized(rest)], ..draft() }, "");
    check(MailDraft { attachments: vec![sized(rest + 1)], ..draft() }, "mail");
    check(MailDraft { attachments: vec![sized(rest), sized(1)], ..draft() }, "mail");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let draft = MailDraft {
        from: Some(mailbox("nobody")),
        to: vec![mailbox("a@example.com"), mailbox("b@")],
        cc: vec![named("x\ny")],
        content: Some(raw("", "")),
        attachments: vec![attachment("", "")],
        ..MailDraft::default()
    };

    check(
        draft,
        "mail.from.address mail.to[1].address mail.cc[0].display_name mail.raw.subject \
         mail.raw.text mail.attachments[0].file_name mail.attachments[0].content_type",
    );
}

#[test]
fn an_answer_never_holds_a_thousand_violations() {
    let to = vec![mailbox("nobody"); RECIPIENTS_MAX + 1];

    assert_eq!(violations(MailDraft { to, ..draft() }).iter().count(), Violations::MAX);
}

fn template(name: &str, variables: &[(&str, &str)]) -> MailDraft {
    let variables = variables.iter().map(|(name, value)| {
        let value = Sensitive::from((*value).to_owned());
        ((*name).to_owned(), value)
    });
    let (name, variables) = (name.to_owned(), variables.collect());
    let content = Some(ContentDraft::Template {
        name,
        variables,
        locale: "en".to_owned(),
        portal: String::new(),
    });
    MailDraft { content, ..draft() }
}

const CREDENTIALS: [(&str, &str); 4] =
    [("username", "u"), ("password", "p"), ("valid_from", "f"), ("valid_to", "t")];

#[test]
fn a_template_makes_subject_bodies_and_class() {
    let templates = Templates::shipped();

    let made = template("templates/guest-credentials", &CREDENTIALS).check(&templates).unwrap();

    assert_eq!(made.template.as_deref(), Some("templates/guest-credentials"));
    assert!(made.text.is_some() && made.html.is_some());
    assert_eq!(made.default_class(), MailClass::Credentials);
    assert_eq!(draft().check(&templates).unwrap().default_class(), MailClass::Bulk);
}

#[test]
fn what_is_wrong_with_variables_is_told_by_their_names() {
    check(
        template("templates/guest-credentials", &CREDENTIALS[1..]),
        "mail.template.variables.username",
    );
    check(
        template("templates/guest-credentials", &[&CREDENTIALS[..], &[("nope", "x")]].concat()),
        "mail.template.variables.nope",
    );
}

#[test]
fn an_unknown_template_is_an_error_of_its_own() {
    let refused = template("templates/nope", &[]).check(&Templates::shipped());

    assert!(
        matches!(refused, Err(MailError::UnknownTemplate { name, .. }) if name == "templates/nope")
    );
}

#[test]
fn debug_output_of_a_mail_shows_neither_bodies_nor_addresses() {
    let mail = MailDraft { content: Some(raw("S3cret", "S3cret")), ..draft() };
    let mail = mail.check(&Templates::shipped()).unwrap();

    let shown = format!("{mail:?}");

    assert!(!shown.contains("S3cret") && !shown.contains("guest@"), "{shown}");
}

proptest! {
    #[test]
    fn no_control_character_gets_into_a_header(subject in any::<String>(), name in any::<String>()) {
        let content = Some(raw(&subject, "Hello"));
        let given = MailDraft { content, from: Some(named(&name)), ..draft() };
        if let Ok(mail) = given.check(&Templates::shipped()) {
            prop_assert!(!mail.subject.chars().any(char::is_control));
            let name = mail.from.unwrap().display_name.unwrap_or_default();
            prop_assert!(!name.chars().any(char::is_control));
        }
    }

    #[test]
    fn an_address_is_taken_as_it_is_or_not_at_all(text in any::<String>()) {
        if let Ok(address) = text.parse::<EmailAddress>() {
            prop_assert_eq!(address.as_str(), &text);
            prop_assert!(address.as_str().ends_with(address.domain()));
        }
    }
}

#[test]
fn each_kind_of_fault_has_a_name_of_its_own() {
    let faults = |draft: MailDraft| -> Vec<_> {
        violations(draft).iter().map(|one| one.fault.name()).collect()
    };
    let many = |count: usize| {
        (0..count).map(|number| mailbox(&format!("a{number}@example.com"))).collect::<Vec<_>>()
    };
    let large = Attachment { content: vec![0; CONTENT_BYTES_MAX], ..attachment("a", "a/b") };
    let subject = |text: &str| MailDraft { content: Some(raw(text, "Hello")), ..draft() };

    assert_eq!(faults(MailDraft { attachments: vec![large], ..draft() }), ["TOO_LARGE"]);
    assert_eq!(faults(MailDraft { to: many(RECIPIENTS_MAX + 1), ..draft() }), ["TOO_MANY"]);
    assert_eq!(faults(subject("a\r\nBcc: b@example.com")), ["CONTROL_CHARACTER"]);
    assert_eq!(faults(subject("")), ["MISSING"]);
    assert_eq!(faults(subject(&"x".repeat(SUBJECT_CHARS_MAX + 1))), ["TOO_LONG"]);
    let address = |text: &str| faults(MailDraft { to: vec![mailbox(text)], ..draft() });
    assert_eq!(address("nobody"), ["MALFORMED"]);
    assert_eq!(address(""), ["MISSING"]);
    assert_eq!(address("a@example.com\r\nRCPT TO:<b@example.com>"), ["CONTROL_CHARACTER"]);
    assert_eq!(address(&format!("a@{}.com", "x".repeat(300))), ["TOO_LONG"]);
}
