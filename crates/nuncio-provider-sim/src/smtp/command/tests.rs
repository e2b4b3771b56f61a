use super::*;

fn check(line: &str, expected: &str) {
    let parsed = match Command::parse(line.as_bytes()) {
        Ok(command) => format!("{command:?}"),
        Err(reply) => reply.to_owned(),
    };
    assert!(parsed.starts_with(expected), "`{line}`: wanted `{expected}`, got `{parsed}`");
}

#[test]
fn verbs_do_not_care_about_case() {
    check("ehlo test", "Ehlo");
    check("Quit", "Quit");
    check("NOOP anything", "Noop");
    check("QUIT now", "501");
    check("EHLO", "501");
    check("", "500");
    check("HELP", "500");
}

#[test]
fn mail_has_an_address_and_parameters() {
    check(
        "MAIL FROM:<a@b.example>",
        "Mail(MailFrom { address: \"a@b.example\", size: None, body: SevenBit",
    );
    check(
        "mail from: <a@b.example> size=5 body=8bitmime SMTPUTF8",
        "Mail(MailFrom { address: \"a@b.example\", size: Some(5), body: EightBitMime, smtp_utf8: true, dsn: false",
    );
    check("MAIL FROM:<>", "Mail(MailFrom { address: \"\"");
    check(
        "MAIL FROM:<\"a>b\"@b.example> RET=HDRS ENVID=1",
        "Mail(MailFrom { address: \"\\\"a>b\\\"@b.example\"",
    );
    check("MAIL FROM:a@b.example", "501 5.1.7");
    check("MAIL FROM:<a@b.example", "501 5.1.7");
    check("MAIL FROM:<a@b.example>SIZE=5", "501 5.1.7");
    check("MAIL FROM:<a b@c.example>", "501 5.1.7");
    check("MAIL TO:<a@b.example>", "501 5.5.4");
    check("MAIL FROM:<a@b.example> SIZE=x", "501 5.5.4");
    check("MAIL FROM:<a@b.example> BODY=9BIT", "501 5.5.4");
    check("MAIL FROM:<a@b.example> NEW=1", "555 5.5.4");
}

#[test]
fn rcpt_needs_an_address() {
    check("RCPT TO:<a@b.example>", "Rcpt { address: \"a@b.example\", dsn: false }");
    check("RCPT TO:<a@b.example> NOTIFY=NEVER", "Rcpt { address: \"a@b.example\", dsn: true }");
    check("RCPT TO:<>", "501 5.1.3");
    check("RCPT TO:<nobody>", "501 5.1.3");
    check(&format!("RCPT TO:<{}@b.example>", "a".repeat(250)), "501 5.1.3");
    check("RCPT TO:<a@b.example> SIZE=1", "555 5.5.4");
}

#[test]
fn bdat_has_a_size() {
    check("BDAT 10", "Bdat { size: 10, last: false }");
    check("bdat 0 last", "Bdat { size: 0, last: true }");
    check("BDAT", "501");
    check("BDAT -1", "501");
    check("BDAT 1 FIRST", "501");
    check("BDAT 1 LAST LAST", "501");
}

#[test]
fn auth_has_a_mechanism() {
    check("AUTH xoauth2", "Auth { mechanism: \"XOAUTH2\", initial: None }");
    check("AUTH PLAIN =", "Auth { mechanism: \"PLAIN\", initial: Some(\"=\") }");
    check("AUTH", "501");
    check("AUTH A B C", "501");
    assert_eq!(decode_response("=").as_deref(), Some(""));
    assert_eq!(decode_response("aGk=").as_deref(), Some("hi"));
    assert_eq!(decode_response("*"), None);
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    assert_eq!(Command::parse(b"RCPT TO:<\xff@b.example>"), Err(NOT_UTF8));
}
