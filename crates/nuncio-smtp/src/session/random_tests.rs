//! A server that says anything at all, at any point of the talk.

use nuncio_core::address::EmailAddress;
use nuncio_core::secret::Password;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::transaction::{Envelope, Handover, Replies};
use super::*;
use crate::auth::Login;
use crate::judge::{SenderKind, judge};
use crate::testing::{MAILBOX, oauth_login};

/// How many mails one session is asked to carry.
const MAILS: usize = 4;
/// More steps than any session of this size takes: beyond it, it would go in circles.
const STEPS_MAX: usize = 20_000;

/// What a server may say in place of what it should.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![
        6 => select(vec![220, 221, 235, 250, 251, 334, 354, 421, 432, 450, 503, 530, 535, 550, 554]),
        1 => 200_u16..600,
    ];
    let text = select(vec![
        "",
        " ",
        " ok",
        " 2.1.0 ok",
        " 5.7.57 not logged in",
        " eyJzdGF0dXMiOiI0MDEifQ==",
        "-more",
        " a\r",
        "x",
    ]);
    prop_oneof![
        8 => (code, text).prop_map(|(code, text)| format!("{code}{text}\r\n").into_bytes()),
        1 => Just(b"250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SIZE 1\r\n".to_vec()),
        1 => vec(any::<u8>(), 0..40),
        1 => vec(select(vec![b'2', b'5', b'0', b'-', b' ', b'.', b'\r', b'\n', 0, 0xff]), 0..40),
    ]
}

/// What a right server says up to the login, so that the words meet every state.
fn opening() -> impl Strategy<Value = Vec<u8>> {
    let offers = select(vec![
        "HELP",
        "PIPELINING\r\n250 8BITMIME",
        "PIPELINING\r\n250-CHUNKING\r\n250 AUTH XOAUTH2",
        "CHUNKING\r\n250 AUTH OAUTHBEARER PLAIN",
        "PIPELINING\r\n250-STARTTLS\r\n250-AUTH LOGIN\r\n250 SIZE 2000",
    ]);
    offers.prop_map(|offers| format!("220 mx\r\n250-mx\r\n250-{offers}\r\n").into_bytes())
}

fn logins() -> impl Strategy<Value = Login> {
    let password = Login::Password {
        username: "tim".to_owned(),
        password: Password::from("tanstaaf".to_owned()),
    };
    select(vec![Login::None, oauth_login("t"), password])
}

fn envelope(recipients: usize) -> Envelope {
    let address: EmailAddress = "a@x.test".parse().unwrap();
    Envelope {
        from: MAILBOX.parse().unwrap(),
        recipients: vec![address; recipients],
        size: 1000,
        is_eight_bit: false,
        needs_smtputf8: false,
    }
}

/// One session against what a server says, portion by portion.
struct Run {
    session: Session,
    login: Login,
    recipients: usize,
    handover: Handover,
    mails: usize,
}

impl Run {
    fn talk(&mut self, said: &[Vec<u8>]) {
        let mut said = said.iter();
        for _ in 0..STEPS_MAX {
            match self.session.step() {
                Ok(Step::Write(bytes)) => assert!(bytes.ends_with(b"\r\n"), "{bytes:?}"),
                Ok(Step::Event(event)) => {
                    if !self.answer(event) {
                        return;
                    }
                }
                Ok(Step::Read) => match said.next() {
                    Some(bytes) => self.session.feed(bytes),
                    None => return,
                },
                Err(error) => {
                    // It must be tellable, too.
                    assert!(!error.to_string().is_empty());
                    return;
                }
            }
            let _phase = self.session.phase();
        }
        panic!("the session goes in circles");
    }

    /// Whether the talk goes on.
    fn answer(&mut self, event: Event) -> bool {
        match event {
            Event::StartTls => self.session.tls_started(),
            Event::Hello => return self.session.login(&self.login).is_ok(),
            Event::Ready => return self.begin(),
            Event::Chunk => {
                let commands = self.session.chunk_commands(1000);
                assert!(commands.ends_with(b"BDAT 1000 LAST\r\n"));
                self.session.body_sent();
            }
            Event::Body => {
                assert!(self.session.replies().is_any_accepted(), "a body goes to somebody");
                self.session.body_sent();
            }
            Event::Ended => {
                assert!(!self.session.may_be_taken(), "the end was answered, or never sent");
                let replies = self.session.take_replies();
                check(&replies);
                return self.begin();
            }
            Event::Bye => return false,
        }
        true
    }

    fn begin(&mut self) -> bool {
        self.mails += 1;
        if MAILS < self.mails {
            self.session.quit();
            return true;
        }
        self.session.begin(&envelope(self.recipients), self.handover).is_ok()
    }
}

/// Nobody is told that a mail was taken which the server did not take.
fn check(replies: &Replies) {
    use nuncio_core::outcome::{SendOutcome, Verdict};
    let SendOutcome::Judged(verdicts) = judge(replies, SenderKind::Mailbox) else { return };
    assert_eq!(verdicts.len(), replies.recipients.len());
    for (verdict, rcpt) in verdicts.iter().zip(&replies.recipients) {
        if let Verdict::Accepted(_) = verdict {
            let is_good = |reply: Option<&SmtpReply>| reply.is_some_and(|one| one.code < 300);
            assert!(is_good(replies.mail.as_ref()), "{replies:?}");
            assert!(is_good(rcpt.as_ref()) && is_good(replies.end.as_ref()), "{replies:?}");
        }
    }
}

/// What was worth keeping: odd servers that were met, and edges of the state machine.
const CORPUS: &[&str] = &[
    // Refusals in every order behind a mail that went at once.
    "220 a\r\n250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n503 a\r\n503 a\r\n250 a\r\n250 a\r\n250 a\r\n",
    "220 a\r\n250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n250 a\r\n550 a\r\n250 a\r\n354 a\r\n",
    // More replies than commands, as from a server that reads a refused chunk as commands.
    "220 a\r\n250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n250 a\r\n250 a\r\n554 a\r\n500 a\r\n500 a\r\n",
    // 354 without recipients, and something odd to the lone dot.
    "220 a\r\n250-a\r\n250 PIPELINING\r\n250 a\r\n550 a\r\n354 a\r\n354 a\r\n",
    "220 a\r\n250-a\r\n250 PIPELINING\r\n354 a\r\n354 a\r\n354 a\r\n",
    // Logins: 334 for ever, 235 at once, a challenge that is none.
    "220 a\r\n250-a\r\n250 AUTH XOAUTH2\r\n334 \r\n334 a\r\n334 b\r\n",
    "220 a\r\n250-a\r\n250 AUTH OAUTHBEARER PLAIN\r\n235 a\r\n421 a\r\n",
    "220 a\r\n250-a\r\n250 AUTH LOGIN\r\n334 \u{fffd}\r\n334\r\n334 \r\n535\r\n",
    // Lines that are no replies, or change their mind.
    "220-a\r\n221 b\r\n",
    "\r\n\r\n",
    "220",
    "220 a\n250-STARTTLS\n250 STARTTLS\n220 a\n",
];

#[test]
fn the_session_stays_sane_with_the_servers_that_were_met() {
    for said in CORPUS {
        for (encryption, login) in [
            (Encryption::None, Login::None),
            (Encryption::StartTls, oauth_login("t")),
            (Encryption::Tls, oauth_login("t")),
        ] {
            for handover in [Handover::InTurn, Handover::AtOnce] {
                let whole = vec![said.as_bytes().to_vec()];
                let bytes = said.bytes().map(|byte| vec![byte]).collect();
                for said in [whole, bytes] {
                    let session = Session::new("node.test", encryption);
                    let login = login.clone();
                    Run { session, login, recipients: 1, handover, mails: 0 }.talk(&said);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_server_says_the_session_stays_sane(
        encryption in select(vec![Encryption::None, Encryption::StartTls, Encryption::Tls]),
        login in logins(),
        recipients in 1_usize..4,
        handover in select(vec![Handover::InTurn, Handover::AtOnce]),
        opening in proptest::option::weighted(0.8, opening()),
        go_on in proptest::bool::ANY,
        said in vec(words(), 0..40),
    ) {
        let login = if encryption == Encryption::None { Login::None } else { login };
        let session = Session::new("node.test", encryption);
        let mut run = Run { session, login, recipients, handover, mails: 0 };
        let go_on = go_on.then(|| b"334 \r\n235 ok\r\n".to_vec());
        let said: Vec<_> = opening.into_iter().chain(go_on).chain(said).collect();
        run.talk(&said);
    }
}
