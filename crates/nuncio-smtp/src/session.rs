//! The client's side of SMTP without any I/O: bytes in, bytes and events out.

use std::collections::VecDeque;
use std::fmt;

use nuncio_core::reply::SmtpReply;
use nuncio_core::settings::Encryption;

use crate::auth::{Challenge, Mechanism};
use crate::extensions::Extensions;
use crate::phase::Phase;
use crate::reply::{Reply, ReplyError, ReplyParser};
use transaction::Transaction;

mod login;
pub mod transaction;

/// One connection's talk with a server, from its greeting to QUIT.
///
/// The owner asks for the next [`step`](Self::step) and does it: writes, reads and feeds what came, or
/// answers an event. After an error the connection is of no use any more.
pub struct Session {
    ehlo_name: String,
    encryption: Encryption,
    /// Whether the bytes go over TLS by now.
    is_secured: bool,
    input: ReplyParser,
    output: Vec<u8>,
    /// The commands without a reply, in the order of their sending.
    expected: VecDeque<Command>,
    events: VecDeque<Event>,
    extensions: Extensions,
    login: login::State,
    transaction: Transaction,
    /// Whether the last transaction may still be open at the server.
    needs_reset: bool,
    /// Replies to the commands of transactions that nobody has taken note of yet.
    heard: Vec<Heard>,
}

/// A reply to a command of a transaction, as it is noted in a trace: without its text, which may name people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub phase: Phase,
    pub code: u16,
}

/// What is to be done next.
#[derive(PartialEq, Eq)]
pub enum Step {
    /// Write this in one go, and flush.
    Write(Vec<u8>),
    /// Read something and feed it.
    Read,
    /// Decide; the session waits for the call that the event names.
    Event(Event),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Make the TLS connection now, then call [`tls_started`](Session::tls_started).
    StartTls,
    /// The server's extensions are known, over TLS where that is wanted. Call [`login`](Session::login).
    Hello,
    /// A transaction may [`begin`](Session::begin).
    Ready,
    /// The server waits for the content as DATA takes it. Call [`body_sent`](Session::body_sent) right
    /// before the last portion of it is written.
    Body,
    /// Nothing is sent yet. The content may go out together with the commands: write those of
    /// [`chunk_commands`](Session::chunk_commands) and right behind them the content as BDAT takes it. Call
    /// [`body_sent`](Session::body_sent) right before the last portion of it is written.
    Chunk,
    /// The transaction is over; [`take_replies`](Session::take_replies) tells how.
    Ended,
    /// The server has said goodbye.
    Bye,
}

/// Why the session is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("the server answered `{reply}` while {}", phase.doing())]
    Refused { phase: Phase, reply: SmtpReply },
    #[error("the server refused the login with `{reply}`")]
    LoginRefused { mechanism: Mechanism, reply: SmtpReply, challenge: Option<Challenge> },
    #[error("the server does not offer STARTTLS")]
    StartTlsNotOffered,
    #[error("the server sent bytes behind its answer to STARTTLS")]
    StartTlsInjection,
    #[error("the server does not offer {wanted}; it offers: {offered}")]
    NoMechanism { wanted: String, offered: String },
    #[error("a login without TLS would show the secret to everybody")]
    LoginWithoutTls,
    #[error("the server answered `{reply}` while {}, which makes no sense", phase.doing())]
    Unexpected { phase: Phase, reply: SmtpReply },
    #[error("the answer of the server could not be read")]
    Unreadable(#[from] ReplyError),
}

/// What a reply answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Greeting,
    Ehlo,
    StartTls,
    Auth(Mechanism),
    /// A line of the login dialogue.
    AuthResponse(Mechanism),
    /// What is said to an error challenge.
    AuthEnd(Mechanism),
    Reset,
    Mail,
    Rcpt(usize),
    Data,
    /// The lone dot that ends a mail without recipients (RFC 2920, section 3.1).
    LoneDot,
    EndOfData,
    /// `BDAT … LAST` with the whole content (RFC 3030, section 2).
    Chunk,
    Quit,
}

impl Session {
    /// A session that waits for the greeting. With [`Encryption::Tls`] its bytes go over TLS already.
    pub fn new(ehlo_name: &str, encryption: Encryption) -> Self {
        Self {
            ehlo_name: ehlo_name.to_owned(),
            encryption,
            is_secured: encryption == Encryption::Tls,
            input: ReplyParser::default(),
            output: Vec::new(),
            expected: VecDeque::from([Command::Greeting]),
            events: VecDeque::new(),
            extensions: Extensions::default(),
            login: login::State::default(),
            transaction: Transaction::default(),
            needs_reset: false,
            heard: Vec::new(),
        }
    }

    /// Takes bytes of the server. Ask for the next step before feeding more, so that limits hold.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.feed(bytes);
    }

    pub fn step(&mut self) -> Result<Step, SessionError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Step::Event(event));
            }
            if !self.output.is_empty() {
                return Ok(Step::Write(std::mem::take(&mut self.output)));
            }
            match self.input.next_reply()? {
                Some(reply) => self.receive(reply)?,
                None => return Ok(Step::Read),
            }
        }
    }

    /// What the session waits for.
    pub fn phase(&self) -> Phase {
        if self.expected.contains(&Command::Chunk) {
            // The server may keep all its answers back until it has taken the mail.
            return Phase::EndOfData;
        }
        self.expected.front().map_or(Phase::Mail, |command| command.phase())
    }

    /// Whether the server owes nothing and has said nothing unasked.
    pub fn is_quiet(&self) -> bool {
        self.expected.is_empty() && self.input.is_empty()
    }

    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The TLS connection that [`Event::StartTls`] asked for is made.
    pub fn tls_started(&mut self) {
        self.is_secured = true;
        // What was said before TLS could have come from anybody (RFC 3207, section 4.2).
        self.extensions = Extensions::default();
        self.send_ehlo();
    }

    /// Says goodbye.
    pub fn quit(&mut self) {
        self.send(Command::Quit, "QUIT");
    }

    fn receive(&mut self, reply: Reply) -> Result<(), SessionError> {
        let command = self.expected.pop_front();
        let phase = command.map_or(Phase::Mail, Command::phase);
        let reply = self.login.redact(phase, reply);
        self.hear(Heard { phase, code: reply.code });
        if reply.code == 421 && command != Some(Command::Quit) {
            // The server closes the connection, whatever was asked (RFC 5321, section 3.8).
            return Err(SessionError::Refused { phase, reply: reply.into() });
        }
        let Some(command) = command else {
            return Err(SessionError::Unexpected { phase, reply: reply.into() });
        };
        match command {
            Command::Greeting => self.on_greeting(reply),
            Command::Ehlo => self.on_ehlo(reply),
            Command::StartTls => self.on_starttls(reply),
            Command::Auth(mechanism) | Command::AuthResponse(mechanism) => {
                self.on_auth(mechanism, reply)
            }
            Command::AuthEnd(mechanism) => Err(self.login_refused(mechanism, reply)),
            Command::Quit => {
                self.events.push_back(Event::Bye);
                Ok(())
            }
            Command::Reset
            | Command::Mail
            | Command::Rcpt(_)
            | Command::Data
            | Command::LoneDot
            | Command::EndOfData
            | Command::Chunk => self.on_transaction(command, reply.into()),
        }
    }

    /// What the server has answered in transactions since this was asked last. Equal answers in a row, as to many
    /// recipients, count as one.
    pub fn take_heard(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    fn hear(&mut self, heard: Heard) {
        let is_said = heard.phase.is_connecting() || heard.phase == Phase::Quit;
        if !is_said && self.heard.last() != Some(&heard) {
            self.heard.push(heard);
        }
    }

    fn on_greeting(&mut self, reply: Reply) -> Result<(), SessionError> {
        require(reply, 220, Phase::Greeting)?;
        self.send_ehlo();
        Ok(())
    }

    fn on_ehlo(&mut self, reply: Reply) -> Result<(), SessionError> {
        self.extensions = Extensions::new(&reply);
        require(reply, 250, Phase::Ehlo)?;
        match self.encryption {
            Encryption::StartTls if !self.is_secured => {
                if !self.extensions.starttls() {
                    return Err(SessionError::StartTlsNotOffered);
                }
                self.send(Command::StartTls, "STARTTLS");
            }
            Encryption::None | Encryption::StartTls | Encryption::Tls => {
                self.events.push_back(Event::Hello);
            }
        }
        Ok(())
    }

    fn on_starttls(&mut self, reply: Reply) -> Result<(), SessionError> {
        require(reply, 220, Phase::StartTls)?;
        if !self.input.is_empty() {
            // Somebody on the way may have put them there (RFC 3207, section 6).
            return Err(SessionError::StartTlsInjection);
        }
        self.events.push_back(Event::StartTls);
        Ok(())
    }

    fn send_ehlo(&mut self) {
        let line = format!("EHLO {}", self.ehlo_name);
        self.send(Command::Ehlo, &line);
    }

    fn send(&mut self, command: Command, line: &str) {
        debug_assert!(!line.contains(['\r', '\n']), "addresses and names have no line ends");
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.expected.push_back(command);
    }
}

// What is written may be a token: only its size is shown.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(bytes) => write!(f, "Write({} bytes)", bytes.len()),
            Self::Read => f.write_str("Read"),
            Self::Event(event) => write!(f, "Event({event:?})"),
        }
    }
}

impl Command {
    fn phase(self) -> Phase {
        match self {
            Self::Greeting => Phase::Greeting,
            Self::Ehlo => Phase::Ehlo,
            Self::StartTls => Phase::StartTls,
            Self::Auth(_) | Self::AuthResponse(_) | Self::AuthEnd(_) => Phase::Auth,
            Self::Reset => Phase::Reset,
            Self::Mail => Phase::Mail,
            Self::Rcpt(_) => Phase::Rcpt,
            // A mail without recipients cannot be taken for anybody.
            Self::Data | Self::LoneDot => Phase::Data,
            Self::EndOfData | Self::Chunk => Phase::EndOfData,
            Self::Quit => Phase::Quit,
        }
    }
}

fn require(reply: Reply, code: u16, phase: Phase) -> Result<(), SessionError> {
    if reply.code == code {
        return Ok(());
    }
    let reply = SmtpReply::from(reply);
    Err(if reply.code < 400 {
        SessionError::Unexpected { phase, reply }
    } else {
        SessionError::Refused { phase, reply }
    })
}

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;
