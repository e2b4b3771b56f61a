use nuncio_core::address::EmailAddress;
use nuncio_core::secret::Password;
use transaction::{Envelope, Handover, Replies};

use super::*;
use crate::auth::Login;
use crate::testing::{MAILBOX, oauth_login};

/// A session whose server is the test.
struct Talk(Session);

impl Talk {
    /// After an EHLO whose answer offers `extensions`.
    fn hello(encryption: Encryption, extensions: &str) -> Self {
        let mut talk = Self(Session::new("node.test", encryption));
        talk.hears("220 ready", "EHLO node.test\r\n");
        let lines = extensions.replace(", ", "\r\n250-");
        talk.0.feed(format!("250-mx\r\n250-{lines}\r\n250 HELP\r\n").as_bytes());
        assert_eq!(talk.0.step(), Ok(Step::Event(Event::Hello)));
        talk
    }

    fn ready(extensions: &str) -> Self {
        let mut talk = Self::hello(Encryption::None, extensions);
        talk.0.login(&Login::None).unwrap();
        assert_eq!(talk.0.step(), Ok(Step::Event(Event::Ready)));
        talk
    }

    /// The server says a line, upon which the session writes exactly this in one go.
    fn hears(&mut self, line: &str, expect: &str) {
        self.0.feed(format!("{line}\r\n").as_bytes());
        self.writes(expect);
    }

    fn writes(&mut self, expect: &str) {
        match self.0.step() {
            Ok(Step::Write(bytes)) => assert_eq!(String::from_utf8(bytes).unwrap(), expect),
            other => panic!("{other:?} in place of {expect}"),
        }
        assert_eq!(self.0.step(), Ok(Step::Read));
    }

    fn event(&mut self, line: &str, expect: Event) {
        self.0.feed(format!("{line}\r\n").as_bytes());
        assert_eq!(self.0.step(), Ok(Step::Event(expect)));
    }

    fn ends(&mut self, line: &str) -> Replies {
        self.event(line, Event::Ended);
        self.0.take_replies()
    }

    fn error(&mut self, line: &str) -> SessionError {
        self.0.feed(format!("{line}\r\n").as_bytes());
        self.0.step().unwrap_err()
    }
}

fn envelope(recipients: &[&str]) -> Envelope {
    let address = |text: &&str| text.parse::<EmailAddress>().unwrap();
    Envelope {
        from: MAILBOX.parse().unwrap(),
        recipients: recipients.iter().map(address).collect(),
        size: 1000,
        is_eight_bit: false,
        needs_smtputf8: false,
        recipients_max: usize::MAX,
    }
}

fn password() -> Login {
    let password = Password::from("tanstaaf".to_owned());
    Login::Password { username: "tim".to_owned(), password }
}

#[test]
fn a_transaction_is_pipelined_where_that_is_offered() {
    let mut talk = Talk::ready("PIPELINING, SIZE 5000");
    talk.0.begin(&envelope(&["a@x.test", "b@x.test"]), Handover::InTurn).unwrap();
    talk.writes(
        "MAIL FROM:<sender@mx.test> SIZE=1000\r\nRCPT TO:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n",
    );
    talk.event("250 ok\r\n250 ok\r\n550 no\r\n354 go", Event::Body);
    talk.0.body_sent();
    assert_eq!(talk.0.phase(), Phase::EndOfData);

    let replies = talk.ends("250 2.0.0 queued");

    let codes: Vec<u16> = replies.recipients.iter().flatten().map(|reply| reply.code).collect();
    assert_eq!(codes, [250, 550]);
    assert_eq!(replies.end.unwrap().code, 250);
}

/// A mail of 1000 octets that has just gone out together with its commands.
fn handed_over_at_once() -> Talk {
    let mut talk = Talk::ready("PIPELINING, CHUNKING");
    talk.0.begin(&envelope(&["a@x.test"]), Handover::AtOnce).unwrap();
    assert_eq!(talk.0.step(), Ok(Step::Event(Event::Chunk)));
    let commands = String::from_utf8(talk.0.chunk_commands(1000)).unwrap();
    assert_eq!(commands, "MAIL FROM:<sender@mx.test>\r\nRCPT TO:<a@x.test>\r\nBDAT 1000 LAST\r\n");
    assert!(!talk.0.may_be_taken(), "its end is still here");
    talk.0.body_sent();
    assert!(talk.0.may_be_taken());
    assert_eq!(talk.0.step(), Ok(Step::Read), "there is nothing more to say");
    talk
}

#[test]
fn a_mail_goes_out_together_with_its_commands() {
    let mut talk = handed_over_at_once();
    assert_eq!(talk.0.phase(), Phase::EndOfData, "the server may answer to all at the end");

    let replies = talk.ends("250 sender ok\r\n250 recipient ok\r\n250 2.0.0 queued");

    assert!(replies.is_any_accepted() && replies.data.is_none());
    assert_eq!(replies.end.unwrap().text, "queued");
    assert!(talk.0.is_quiet() && !talk.0.may_be_taken());
    talk.0.begin(&envelope(&["a@x.test"]), Handover::AtOnce).unwrap();
    assert_eq!(talk.0.step(), Ok(Step::Event(Event::Chunk)), "so does the next one");
}

#[test]
fn a_chunk_behind_a_refusal_is_answered_too() {
    // RFC 3030, section 2, wants an answer to the chunk; 503, 554 and even 250 are seen.
    for refusal in [
        "550 no\r\n503 no sender\r\n503 no sender",
        "452 later\r\n503 no sender\r\n554 no recipient",
        "250 ok\r\n550 nobody\r\n503 no recipient",
        "250 ok\r\n450 later\r\n554 no recipient",
        "250 ok\r\n550 nobody\r\n250 1000 octets received",
        "250 ok\r\n250 ok\r\n554 bad content",
    ] {
        let mut talk = handed_over_at_once();

        let replies = talk.ends(refusal);

        assert_eq!(replies.is_refused(), !refusal.ends_with("content"), "{refusal}");
        assert!(!talk.0.may_be_taken(), "{refusal}");
        // The next mail waits for the server, which shows that it is in step.
        talk.0.begin(&envelope(&["a@x.test"]), Handover::AtOnce).unwrap();
        talk.writes("RSET\r\nMAIL FROM:<sender@mx.test>\r\nRCPT TO:<a@x.test>\r\nDATA\r\n");
    }
}

#[test]
fn what_is_refused_cannot_have_been_taken() {
    let mut talk = handed_over_at_once();
    talk.0.feed(b"250 ok\r\n");
    assert_eq!(talk.0.step(), Ok(Step::Read));
    assert!(talk.0.may_be_taken());
    talk.0.feed(b"550 nobody\r\n");
    assert_eq!(talk.0.step(), Ok(Step::Read));
    assert!(!talk.0.may_be_taken());
}

#[test]
fn a_421_tells_which_command_it_answers() {
    let error = handed_over_at_once().error("421 4.4.2 idle");
    assert!(matches!(error, SessionError::Refused { phase: Phase::Mail, .. }));
    let error = handed_over_at_once().error("250 ok\r\n250 ok\r\n421 4.3.2 going down");
    assert!(matches!(error, SessionError::Refused { phase: Phase::EndOfData, .. }));
}

#[test]
fn an_answer_that_asks_for_more_makes_no_sense() {
    let mut talk = handed_over_at_once();
    let error = talk.error("250 ok\r\n250 ok\r\n354 go");
    assert!(matches!(error, SessionError::Unexpected { phase: Phase::EndOfData, .. }));
    assert!(talk.0.may_be_taken(), "who knows what it has done");

    let mut talk = Talk::ready("8BITMIME");
    talk.0.begin(&envelope(&["a@x.test"]), Handover::InTurn).unwrap();
    talk.writes("MAIL FROM:<sender@mx.test>\r\n");
    let error = talk.error("354 go");
    assert!(matches!(error, SessionError::Unexpected { phase: Phase::Mail, .. }));
}

#[test]
fn a_mail_waits_for_the_server_where_it_cannot_or_should_not_go_at_once() {
    let one = envelope(&["a@x.test"]);
    let large = Envelope { size: 1024 * 1024 + 1, ..one.clone() };
    let check = |extensions: &str, envelope: &Envelope, handover: Handover| {
        let mut talk = Talk::ready(extensions);
        talk.0.begin(envelope, handover).unwrap();
        assert!(matches!(talk.0.step(), Ok(Step::Write(_))), "{extensions} {envelope:?}");
    };
    check("PIPELINING, CHUNKING", &one, Handover::InTurn);
    check("PIPELINING", &one, Handover::AtOnce);
    check("CHUNKING", &one, Handover::AtOnce);
    check("PIPELINING, CHUNKING", &large, Handover::AtOnce);
    check("PIPELINING, CHUNKING", &envelope(&["a@x.test", "b@x.test"]), Handover::AtOnce);
}

#[test]
fn a_transaction_goes_step_by_step_elsewhere() {
    let mut talk = Talk::ready("8BITMIME");
    talk.0.begin(&envelope(&["a@x.test", "b@x.test"]), Handover::InTurn).unwrap();
    talk.writes("MAIL FROM:<sender@mx.test>\r\n");
    talk.hears("250 ok", "RCPT TO:<a@x.test>\r\n");
    talk.hears("550 no", "RCPT TO:<b@x.test>\r\n");
    talk.hears("250 ok", "DATA\r\n");
    talk.event("354 go", Event::Body);
}

#[test]
fn nothing_is_sent_in_vain() {
    let mut talk = Talk::ready("8BITMIME");
    talk.0.begin(&envelope(&["a@x.test"]), Handover::InTurn).unwrap();
    talk.writes("MAIL FROM:<sender@mx.test>\r\n");
    talk.ends("550 no");

    talk.0.begin(&envelope(&["a@x.test"]), Handover::InTurn).unwrap();
    talk.writes("RSET\r\n");
    talk.hears("250 ok", "MAIL FROM:<sender@mx.test>\r\n");
    talk.hears("250 ok", "RCPT TO:<a@x.test>\r\n");
    let replies = talk.ends("550 no");
    assert_eq!(replies.data, None);
}

#[test]
fn many_recipients_go_in_groups() {
    let addresses: Vec<String> = (0..1000).map(|number| format!("r{number}@x.test")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut talk = Talk::ready("PIPELINING");
    talk.0.begin(&envelope(&addresses), Handover::InTurn).unwrap();
    let (mut groups, mut commands) = (0, 0);
    loop {
        match talk.0.step().unwrap() {
            Step::Write(bytes) => {
                let lines = String::from_utf8(bytes).unwrap();
                groups += 1;
                commands += lines.lines().count();
                let replies: String = lines
                    .lines()
                    .map(|line| if line == "DATA" { "354 go\r\n" } else { "250 ok\r\n" })
                    .collect();
                talk.0.feed(replies.as_bytes());
            }
            Step::Event(event) => break assert_eq!(event, Event::Body),
            Step::Read => panic!("every command has its reply"),
        }
    }
    assert_eq!((groups, commands), (11, 1002));
}

#[test]
fn extensions_are_used_when_needed() {
    let mut talk = Talk::ready("8BITMIME, SMTPUTF8, SIZE");
    let envelope =
        Envelope { is_eight_bit: true, needs_smtputf8: true, ..envelope(&["é@x.test"]) };
    talk.0.begin(&envelope, Handover::InTurn).unwrap();
    talk.writes("MAIL FROM:<sender@mx.test> SIZE=1000 BODY=8BITMIME SMTPUTF8\r\n");
    talk.hears("250 ok", "RCPT TO:<é@x.test>\r\n");
}

/// The basic code of the reply to each recipient.
fn codes(replies: &Replies) -> Vec<u16> {
    replies.recipients.iter().map(|reply| reply.as_ref().map_or(0, |reply| reply.code)).collect()
}

#[test]
fn a_recipient_beyond_ascii_does_not_stop_the_others_where_the_server_knows_ascii_only() {
    let mut talk = Talk::ready("PIPELINING, SIZE");
    let to = ["a@x.test", "é@x.test", "b@bücher.example"];
    talk.0.begin(&envelope(&to), Handover::InTurn).unwrap();
    talk.writes(
        "MAIL FROM:<sender@mx.test> SIZE=1000\r\nRCPT TO:<a@x.test>\r\n\
         RCPT TO:<b@xn--bcher-kva.example>\r\nDATA\r\n",
    );
    let refused = talk.ends("250 ok\r\n250 ok\r\n250 ok\r\n450 busy");
    assert_eq!(codes(&refused), [250, 553, 250]);

    let mut talk = Talk::ready("PIPELINING");
    talk.0.begin(&envelope(&["é@x.test"]), Handover::AtOnce).unwrap();
    assert_eq!(talk.0.step().unwrap(), Step::Event(Event::Ended), "nobody is asked");
    assert_eq!(codes(&talk.0.take_replies()), [553]);
}

#[test]
fn a_server_gets_no_more_recipients_than_it_takes() {
    let to = ["a@x.test", "b@x.test", "c@x.test"];
    let commands =
        "MAIL FROM:<sender@mx.test>\r\nRCPT TO:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n";
    let learned = Envelope { recipients_max: 2, ..envelope(&to) };
    for (offer, envelope) in
        [("PIPELINING, LIMITS RCPTMAX=2", envelope(&to)), ("PIPELINING", learned)]
    {
        let mut talk = Talk::ready(offer);
        talk.0.begin(&envelope, Handover::InTurn).unwrap();
        talk.writes(commands);
        let replies = talk.ends("250 ok\r\n550 no\r\n250 ok\r\n451 later");
        assert_eq!(codes(&replies), [550, 250, 452], "{offer}");
        assert_eq!(replies.recipients[2], Some(transaction::held_back()));
    }
}

#[test]
fn a_mail_that_the_server_cannot_take_is_refused_here() {
    let utf8 = Envelope { needs_smtputf8: true, ..envelope(&["a@x.test"]) };
    let eight_bit = Envelope { is_eight_bit: true, ..envelope(&["a@x.test"]) };
    let check = |extensions: &str, envelope: &Envelope, expect: &str| {
        let refusal = Talk::ready(extensions).0.begin(envelope, Handover::InTurn).unwrap_err();
        assert!(refusal.to_string().starts_with(expect), "{refusal}");
    };
    check("SIZE 999", &envelope(&["a@x.test"]), "552 5.3.4 the mail has 1000 octets");
    check("8BITMIME", &utf8, "553 5.6.7");
    check("SIZE 1000", &eight_bit, "554 5.6.3");
}

#[test]
fn what_a_server_offered_before_tls_does_not_count() {
    let mut talk = Talk(Session::new("node.test", Encryption::StartTls));
    talk.hears("220 ready", "EHLO node.test\r\n");
    talk.hears("250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS", "STARTTLS\r\n");
    talk.event("220 go", Event::StartTls);
    talk.0.tls_started();
    talk.writes("EHLO node.test\r\n");
    talk.event("250 mx", Event::Hello);

    assert!(!talk.0.extensions().has_mechanism("PLAIN"));
    let error = talk.0.login(&password()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server does not offer AUTH PLAIN or LOGIN; it offers: no AUTH at all"
    );
}

#[test]
fn an_answer_to_starttls_must_stand_alone() {
    for smuggled in ["250 x", "", "2"] {
        let mut talk = Talk(Session::new("node.test", Encryption::StartTls));
        talk.hears("220 ready", "EHLO node.test\r\n");
        talk.hears("250-mx\r\n250 STARTTLS", "STARTTLS\r\n");
        assert_eq!(
            talk.error(&format!("220 go\r\n{smuggled}")),
            SessionError::StartTlsInjection,
            "{smuggled:?}"
        );
    }
}

#[test]
fn a_password_goes_by_plain_else_by_login() {
    let mut talk = Talk::hello(Encryption::Tls, "AUTH LOGIN PLAIN");
    talk.0.login(&password()).unwrap();
    talk.writes("AUTH PLAIN\r\n");
    talk.hears("334 ", "AHRpbQB0YW5zdGFhZg==\r\n");
    talk.event("235 ok", Event::Ready);

    let mut talk = Talk::hello(Encryption::Tls, "AUTH LOGIN");
    talk.0.login(&password()).unwrap();
    talk.writes("AUTH LOGIN\r\n");
    talk.hears("334 VXNlcm5hbWU6", "dGlt\r\n");
    talk.hears("334 UGFzc3dvcmQ6", "dGFuc3RhYWY=\r\n");
    talk.event("235 ok", Event::Ready);
}

#[test]
fn a_login_needs_tls_and_a_known_mechanism() {
    let mut talk = Talk::hello(Encryption::None, "AUTH PLAIN");
    assert_eq!(talk.0.login(&password()), Err(SessionError::LoginWithoutTls));

    let mut talk = Talk::hello(Encryption::Tls, "AUTH LOGIN PLAIN");
    let error = talk.0.login(&oauth_login("t")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server does not offer AUTH XOAUTH2 or OAUTHBEARER; it offers: LOGIN PLAIN"
    );
}

#[test]
fn the_challenge_and_the_reply_behind_it_are_kept() {
    let mut talk = Talk::hello(Encryption::Tls, "AUTH XOAUTH2");
    talk.0.login(&oauth_login("t")).unwrap();
    talk.writes("AUTH XOAUTH2\r\n");
    talk.0.feed(b"334 \r\n");
    assert!(matches!(talk.0.step(), Ok(Step::Write(_))));
    talk.hears("334 eyJzdGF0dXMiOiI0MDEifQ==", "\r\n");

    let SessionError::LoginRefused { reply, challenge, .. } = talk.error("535 5.7.8 no") else {
        panic!("the login was refused")
    };

    assert_eq!(reply.to_string(), "535 5.7.8 no");
    assert_eq!(challenge.unwrap().text, r#"{"status":"401"}"#);
}

#[test]
fn a_token_goes_by_xoauth2_else_by_oauthbearer() {
    let mut talk = Talk::hello(Encryption::Tls, "AUTH OAUTHBEARER XOAUTH2");
    talk.0.login(&oauth_login("t")).unwrap();
    talk.writes("AUTH XOAUTH2\r\n");

    let mut talk = Talk::hello(Encryption::Tls, "AUTH PLAIN OAUTHBEARER");
    let login = oauth_login("t");
    let response = login.responses(Mechanism::Oauthbearer).remove(0);
    talk.0.login(&login).unwrap();
    talk.writes(&format!("AUTH OAUTHBEARER {response}\r\n"));
    talk.event("235 ok", Event::Ready);
}

#[test]
fn a_token_that_is_too_long_for_the_auth_line_has_one_of_its_own() {
    let lengths = (1..600).map(|length| {
        let mut talk = Talk::hello(Encryption::Tls, "AUTH OAUTHBEARER");
        let login = oauth_login(&"x".repeat(length));
        talk.0.login(&login).unwrap();
        let Ok(Step::Write(line)) = talk.0.step() else { panic!("it logs in") };
        if line == b"AUTH OAUTHBEARER\r\n" {
            let response = login.responses(Mechanism::Oauthbearer).remove(0);
            talk.hears("334 ", &format!("{response}\r\n"));
        }
        talk.event("235 ok", Event::Ready);
        line.len()
    });
    assert_eq!(lengths.max(), Some(511), "base64 grows by four octets, and the limit is 512");
}

#[test]
fn an_error_challenge_of_oauthbearer_has_its_own_answer() {
    let mut talk = Talk::hello(Encryption::Tls, "AUTH OAUTHBEARER");
    talk.0.login(&oauth_login("t")).unwrap();
    assert!(matches!(talk.0.step(), Ok(Step::Write(_))));
    // {"status":"invalid_token"}
    talk.hears("334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=", "AQ==\r\n");

    let SessionError::LoginRefused { mechanism, challenge, .. } = talk.error("535 5.7.8 no") else {
        panic!("the login was refused")
    };

    assert_eq!(mechanism, Mechanism::Oauthbearer);
    assert_eq!(challenge.unwrap().status.as_deref(), Some("invalid_token"));
}

#[test]
fn a_secret_that_the_server_repeats_is_hidden() {
    let mut talk = Talk::hello(Encryption::Tls, "AUTH XOAUTH2");
    let login = oauth_login("secret-token");
    let response = login.responses(Mechanism::Xoauth2).remove(0);
    talk.0.login(&login).unwrap();
    talk.writes("AUTH XOAUTH2\r\n");
    talk.hears("334 ", &format!("{response}\r\n"));

    let error = talk.error(&format!("501 5.5.2 cannot decode {response} or secret-token"));

    let shown = format!("{error} {error:?}");
    assert!(shown.contains("cannot decode (hidden) or (hidden)"), "{shown}");
    assert!(!shown.contains(&response) && !shown.contains("secret-token"), "{shown}");
}

#[test]
fn replies_out_of_turn_end_the_session() {
    let mut talk = Talk::ready("PIPELINING");
    assert!(matches!(talk.error("250 unasked"), SessionError::Unexpected { .. }));

    let mut talk = Talk(Session::new("node.test", Encryption::None));
    assert!(matches!(talk.error("250 no greeting"), SessionError::Unexpected { .. }));

    let mut talk = Talk::hello(Encryption::Tls, "AUTH XOAUTH2");
    talk.0.login(&oauth_login("t")).unwrap();
    talk.writes("AUTH XOAUTH2\r\n");
    assert!(matches!(talk.error("235 without a token"), SessionError::Unexpected { .. }));

    let mut talk = Talk::ready("PIPELINING");
    talk.0.begin(&envelope(&["a@x.test"]), Handover::InTurn).unwrap();
    talk.writes("MAIL FROM:<sender@mx.test>\r\nRCPT TO:<a@x.test>\r\nDATA\r\n");
    let error = talk.error("250 ok\r\n250 ok\r\n250 not 354");
    assert!(matches!(error, SessionError::Unexpected { phase: Phase::Mail | Phase::Data, .. }));
}

#[test]
fn a_421_ends_the_session_in_any_phase() {
    let mut talk = Talk(Session::new("node.test", Encryption::None));
    assert!(matches!(
        talk.error("421 4.3.2 busy"),
        SessionError::Refused { phase: Phase::Greeting, .. }
    ));
    let mut talk = Talk::ready("PIPELINING");
    assert!(matches!(talk.error("421 4.4.2 idle"), SessionError::Refused { .. }));
}

#[test]
fn a_sender_is_tried_without_a_mail() {
    let mut talk = Talk::ready("PIPELINING");
    talk.0.try_sender(&MAILBOX.parse().unwrap());
    talk.writes("MAIL FROM:<sender@mx.test>\r\n");
    talk.hears("550 5.7.60 no", "RSET\r\n");
    let replies = talk.ends("250 ok");
    assert_eq!(replies.mail.unwrap().code, 550);

    talk.0.try_sender(&MAILBOX.parse().unwrap());
    talk.writes("MAIL FROM:<sender@mx.test>\r\n");
    talk.hears("250 ok", "RCPT TO:<sender@mx.test>\r\n");
    talk.hears("553 5.7.1 not yours", "RSET\r\n");
    let replies = talk.ends("250 ok");
    assert_eq!(replies.recipients[0].as_ref().unwrap().code, 553);

    talk.0.quit();
    talk.writes("QUIT\r\n");
    talk.event("221 bye", Event::Bye);
}
