//! What a fuzzer feeds: any bytes to the reader of replies, and any server to a session.
//!
//! The targets are in `fuzz/` of this crate. What they have found lies in `fuzz/seeds` and is replayed by the tests.

use nuncio_core::address::EmailAddress;
use nuncio_core::outcome::{SendOutcome, Verdict};
use nuncio_core::reply::SmtpReply;
use nuncio_core::secret::{AccessToken, Password};
use nuncio_core::settings::Encryption;

use crate::auth::Login;
use crate::judge::{SenderKind, judge};
use crate::reply::{Reply, ReplyError, ReplyParser};
use crate::session::transaction::{Envelope, Handover, Replies};
use crate::session::{Event, Session, Step};

/// How many mails one session is asked to carry.
const MAILS: usize = 4;
/// More steps than a session takes for each byte of the server: beyond it, it would go in circles.
const STEPS_A_BYTE: usize = 8;
/// Steps that a session takes without a server.
const STEPS_MIN: usize = 20_000;

const SENDER: &str = "sender@mx.test";
const RECIPIENT: &str = "a@x.test";

/// Reads replies. The first byte says in portions of how many bytes they come.
pub fn replies(data: &[u8]) {
    let Some((portion, said)) = data.split_first() else { return };
    let mut parser = ReplyParser::default();
    parser.feed(said);
    let whole = drain(&mut parser, Vec::new());

    let mut parser = ReplyParser::default();
    let mut parts = Ok(Vec::new());
    for part in portions(said, *portion) {
        parser.feed(part);
        parts = parts.and_then(|replies| drain(&mut parser, replies));
    }
    assert_eq!(whole, parts, "portions make no difference");
}

/// Talks with a server. The first byte says what the session is told to do, the second in portions of how many
/// bytes the server speaks, the others are what it says.
pub fn session(data: &[u8]) {
    let [task, portion, said @ ..] = data else { return };
    let mut task = usize::from(*task);
    let mut choose = |count| {
        let chosen = task % count;
        task /= count;
        chosen
    };
    let encryption = [Encryption::None, Encryption::StartTls, Encryption::Tls][choose(3)];
    let login = [Login::None, token_login(), password_login()][choose(3)].clone();
    let handover = [Handover::InTurn, Handover::AtOnce][choose(2)];
    let recipients = 1 + choose(3);
    let envelope = [envelope(recipients), odd_envelope(recipients)][choose(2)].clone();
    Talk::new(encryption, login, envelope, handover).hear(portions(said, *portion));
}

fn portions(said: &[u8], bytes: u8) -> impl Iterator<Item = &[u8]> {
    let bytes = if bytes == 0 { said.len() } else { usize::from(bytes) };
    said.chunks(bytes.max(1))
}

fn drain(parser: &mut ReplyParser, mut replies: Vec<Reply>) -> Result<Vec<Reply>, ReplyError> {
    while let Some(reply) = parser.next_reply()? {
        assert!((200..600).contains(&reply.code), "{reply:?}");
        assert!(reply.lines.iter().all(|line| !line.contains(char::is_control)), "{reply:?}");
        replies.push(reply);
    }
    Ok(replies)
}

fn token_login() -> Login {
    Login::Oauth {
        username: SENDER.to_owned(),
        token: AccessToken::from("t".to_owned()),
        host: "mx.test".to_owned(),
        port: 587,
    }
}

fn password_login() -> Login {
    Login::Password { username: "tim".to_owned(), password: Password::from("tanstaaf".to_owned()) }
}

/// One session against what a server says, portion by portion.
pub(crate) struct Talk {
    session: Session,
    login: Login,
    envelope: Envelope,
    handover: Handover,
    mails: usize,
}

impl Talk {
    pub(crate) fn new(
        encryption: Encryption,
        login: Login,
        envelope: Envelope,
        handover: Handover,
    ) -> Self {
        let session = Session::new("node.test", encryption);
        Self { session, login, envelope, handover, mails: 0 }
    }

    /// Goes on until the server has said everything or the session is over.
    pub(crate) fn hear<'a>(mut self, said: impl IntoIterator<Item = &'a [u8]>) {
        let mut said = said.into_iter();
        let (mut steps, mut steps_max) = (0, STEPS_MIN);
        while steps < steps_max {
            steps += 1;
            match self.session.step() {
                Ok(Step::Write(bytes)) => assert!(bytes.ends_with(b"\r\n"), "{bytes:?}"),
                Ok(Step::Event(event)) => {
                    if !self.answer(event) {
                        return;
                    }
                }
                Ok(Step::Read) => match said.next() {
                    Some(bytes) => {
                        steps_max += STEPS_A_BYTE * bytes.len();
                        self.session.feed(bytes);
                    }
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
        self.session.begin(&self.envelope, self.handover).is_ok()
    }
}

pub(crate) fn envelope(recipients: usize) -> Envelope {
    Envelope {
        from: address(SENDER),
        recipients: vec![address(RECIPIENT); recipients],
        size: 1000,
        is_eight_bit: false,
        needs_smtputf8: false,
        recipients_max: usize::MAX,
    }
}

/// With recipients that the server may not be asked for: one beyond ASCII, and more than go at once.
pub(crate) fn odd_envelope(recipients: usize) -> Envelope {
    let mut odd = envelope(recipients);
    odd.recipients.insert(0, address("\u{e9}@x.test"));
    Envelope { recipients_max: 2, ..odd }
}

fn address(text: &str) -> EmailAddress {
    text.parse().expect("it is an address")
}

/// Nobody is told that a mail was taken which the server did not take.
fn check(replies: &Replies) {
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

#[cfg(test)]
mod tests;
