//! A connection: drives a session over a stream, with a dead line for every phase.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use nuncio_core::address::EmailAddress;
use nuncio_core::ports::mail::BodyGate;
use nuncio_core::reply::SmtpReply;
use nuncio_net::network::Io;
use nuncio_runtime::trace;
use nuncio_tls::trust::Trust;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tracing::Span;

use crate::auth::Login;
use crate::dots::Content;
use crate::failure::{Failure, Problem};
use crate::phase::Phase;
use crate::session::transaction::{Envelope, Handover, Replies};
use crate::session::{Event, Heard, Session, Step};

/// The portion of a mail that is written under one dead line, in bytes.
const PORTION_BYTES: usize = 64 * 1024;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 4096;

/// A connection to a server.
pub struct Connection {
    stream: Box<dyn Io>,
    session: Session,
    limits: fn(Phase) -> Duration,
}

/// What came of handing a mail over.
#[derive(Debug)]
pub enum Delivered {
    /// The server answered to everything that it was asked.
    Ended(Replies),
    /// The server cannot take such a mail; nuncio says so in its place.
    RefusedHere(SmtpReply),
    /// The gate was shut. The connection must not be used again.
    Abandoned,
    /// The connection broke; the mail was certainly not taken.
    Broken { failure: Failure, replies: Replies },
    /// The connection broke when the server may have taken the mail.
    Lost { failure: Failure, replies: Replies },
}

/// What was agreed on for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsDetail {
    pub version: String,
    pub cipher: String,
}

impl Connection {
    pub fn new(stream: Box<dyn Io>, session: Session) -> Self {
        Self { stream, session, limits: Phase::limit }
    }

    /// How long the server may be silent in each phase, if that is less than [`Phase::limit`].
    #[must_use]
    pub fn limited(self, limits: fn(Phase) -> Duration) -> Self {
        Self { limits, ..self }
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Talks until something is to be decided. `until` is the dead line of the whole, beside that of
    /// each phase.
    pub async fn advance(&mut self, until: Option<Instant>) -> Result<Event, Failure> {
        loop {
            let phase = self.session.phase();
            let step = self.session.step();
            note(&self.session.take_heard());
            match step.map_err(|error| Failure { phase, problem: Problem::Session(error) })? {
                Step::Event(event) => return Ok(event),
                Step::Write(bytes) => self.write(self.session.phase(), until, &bytes).await?,
                Step::Read => self.read(self.session.phase(), until).await?,
            }
        }
    }

    /// Makes the TLS connection that [`Event::StartTls`] asks for.
    pub async fn start_tls(
        self,
        host: &str,
        trust: &Trust,
        until: Instant,
    ) -> Result<(Self, TlsDetail), Failure> {
        let Self { stream, mut session, limits } = self;
        let (stream, detail) = secure(stream, host, trust, until).await?;
        session.tls_started();
        Ok((Self { stream, session, limits }, detail))
    }

    /// Logs in; the session must have said [`Event::Hello`].
    pub async fn login(&mut self, login: &Login, until: Instant) -> Result<(), Failure> {
        let begun = self.session.login(login);
        begun.map_err(|error| Failure { phase: Phase::Auth, problem: Problem::Session(error) })?;
        self.advance(Some(until)).await.map(|_ready| ())
    }

    /// Hands a mail over.
    pub async fn deliver(
        &mut self,
        envelope: &Envelope,
        content: &Content,
        handover: Handover,
        gate: &dyn BodyGate,
    ) -> Delivered {
        if let Err(refusal) = self.session.begin(envelope, handover) {
            return Delivered::RefusedHere(refusal);
        }
        let failure = match self.transact(content, gate).await {
            Ok(true) => return Delivered::Ended(self.session.take_replies()),
            Ok(false) => return Delivered::Abandoned,
            Err(failure) => failure,
        };
        // A server that parts with 421 has answered: it has not taken the mail (RFC 5321, section 3.8).
        let is_lost = self.session.may_be_taken() && !failure.is_refusal();
        let replies = self.session.take_replies();
        if is_lost {
            Delivered::Lost { failure, replies }
        } else {
            Delivered::Broken { failure, replies }
        }
    }

    /// Begins a transaction only to see whether the sender is allowed, and takes it back. The replies are
    /// those to MAIL and, if that was accepted, to RCPT with the sender's own address.
    pub async fn try_sender(
        &mut self,
        sender: &EmailAddress,
        until: Instant,
    ) -> Result<Replies, Failure> {
        self.session.try_sender(sender);
        self.advance(Some(until)).await?;
        Ok(self.session.take_replies())
    }

    /// Whether the server has neither closed the connection nor said anything unasked.
    pub async fn is_quiet(&mut self) -> bool {
        if !self.session.is_quiet() {
            return false;
        }
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        poll_fn(|context| {
            let read = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
            Poll::Ready(read.is_pending())
        })
        .await
    }

    /// Says goodbye and closes. What goes wrong here matters to nobody.
    pub async fn quit(mut self) {
        self.session.quit();
        let until = Instant::now() + Phase::Quit.limit();
        if self.advance(Some(until)).await.is_ok() {
            drop(within(Phase::Quit, Some(until), self.stream.shutdown()).await);
        }
    }

    /// Whether the transaction went to its end; not if the gate was shut.
    async fn transact(&mut self, content: &Content, gate: &dyn BodyGate) -> Result<bool, Failure> {
        let event = self.advance(None).await?;
        if event != Event::Body && event != Event::Chunk {
            return Ok(true);
        }
        if !gate.open().await {
            return Ok(false);
        }
        if event == Event::Body {
            self.send_content(Vec::new(), content.data_portions(PORTION_BYTES)).await?;
        } else if self.is_quiet().await {
            let commands = self.session.chunk_commands(content.octets().len());
            self.send_content(commands, content.chunk_portions(PORTION_BYTES)).await?;
        } else {
            // The server has gone while the gate was asked, and nothing is sent yet.
            return Err(Failure { phase: Phase::Mail, problem: Problem::Closed });
        }
        self.advance(None).await?;
        Ok(true)
    }

    /// Writes the commands together with the first portion, and then the others.
    async fn send_content(
        &mut self,
        mut commands: Vec<u8>,
        portions: impl Iterator<Item = Cow<'_, [u8]>>,
    ) -> Result<(), Failure> {
        let mut portions = portions.peekable();
        while let Some(portion) = portions.next() {
            let phase = if portions.peek().is_some() {
                Phase::Body
            } else {
                // From here on the end may reach the server, whatever is seen on this side.
                self.session.body_sent();
                Phase::EndOfData
            };
            if commands.is_empty() {
                self.write(phase, None, &portion).await?;
            } else {
                commands.extend_from_slice(&portion);
                self.write(phase, None, &std::mem::take(&mut commands)).await?;
            }
        }
        Ok(())
    }

    async fn write(
        &mut self,
        phase: Phase,
        until: Option<Instant>,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let until = earlier(until, Instant::now() + (self.limits)(phase));
        within(phase, Some(until), write).await
    }

    async fn read(&mut self, phase: Phase, until: Option<Instant>) -> Result<(), Failure> {
        let mut buffer = [0; READ_BYTES];
        let until = earlier(until, Instant::now() + (self.limits)(phase));
        let count = within(phase, Some(until), self.stream.read(&mut buffer)).await?;
        if count == 0 {
            return Err(Failure { phase, problem: Problem::Closed });
        }
        self.session.feed(&buffer[..count]);
        Ok(())
    }
}

/// Notes in the trace what the server has answered.
fn note(heard: &[Heard]) {
    for Heard { phase, code } in heard {
        let (phase, code) = (phase.to_string(), code.to_string());
        let attributes = [("smtp.phase", phase.as_str()), ("smtp.reply.code", &code)];
        trace::note(&Span::current(), "smtp.reply", &attributes);
    }
}

fn earlier(until: Option<Instant>, limit: Instant) -> Instant {
    until.map_or(limit, |until| until.min(limit))
}

/// Makes a TLS connection over a stream.
pub async fn secure(
    stream: Box<dyn Io>,
    host: &str,
    trust: &Trust,
    until: Instant,
) -> Result<(Box<dyn Io>, TlsDetail), Failure> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| {
        Failure::io(Phase::Tls, io::Error::new(io::ErrorKind::InvalidInput, error))
    })?;
    let connecting = TlsConnector::from(trust.client()).connect(name, stream);
    let stream = within(Phase::Tls, Some(until), connecting).await?;
    let (_, connection) = stream.get_ref();
    let show = |value: Option<String>| value.unwrap_or_default();
    let detail = TlsDetail {
        version: show(
            connection
                .protocol_version()
                .and_then(|version| version.as_str())
                .map(|version| version.replace("TLSv", "TLS ").replace('_', ".")),
        ),
        cipher: show(
            connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .map(str::to_owned),
        ),
    };
    Ok((Box::new(stream), detail))
}

/// Waits under the dead line of the phase and, if given, that of the whole.
pub(crate) async fn within<T>(
    phase: Phase,
    until: Option<Instant>,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, Failure> {
    let started = Instant::now();
    let until = earlier(until, started + phase.limit());
    match timeout_at(until, work).await {
        Ok(done) => done.map_err(|error| Failure::io(phase, error)),
        Err(_elapsed) => {
            let waited = until.saturating_duration_since(started);
            Err(Failure { phase, problem: Problem::TimedOut(waited) })
        }
    }
}

#[cfg(test)]
mod tests;
