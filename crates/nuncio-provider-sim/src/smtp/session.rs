//! The SMTP dialogue with one client, up to and with AUTH.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::clock;
use crate::fault::{Action, Phase};
use crate::ledger::Presence;
use crate::smtp::TlsStart;
use crate::smtp::auth::{self, Login, Mechanism, Refused};
use crate::smtp::command::{Command, decode_response};
use crate::smtp::transaction::Transaction;
use crate::smtp::wire::{Ended, Line, Wire};
use crate::world::World;

/// One connection.
pub(crate) struct Session {
    pub(crate) world: Arc<World>,
    pub(crate) wire: Wire,
    /// Number of the connection.
    pub(crate) number: u64,
    pub(crate) login: Option<Login>,
    pub(crate) transaction: Option<Transaction>,
    /// MAIL was refused; what a pipelining client sent behind it is no mistake of its own.
    pub(crate) mail_refused: bool,
    pub(crate) greeted: bool,
    acceptor: TlsAcceptor,
    tls: bool,
    /// Counts the connection among those that have logged in.
    present: Option<Present>,
}

impl Session {
    pub(crate) fn new(
        stream: TcpStream,
        acceptor: TlsAcceptor,
        world: Arc<World>,
        number: u64,
    ) -> Self {
        let config = &world.config.smtp;
        let wire =
            Wire::new(stream, Duration::from_millis(config.reply_delay_ms), config.byte_by_byte);
        Self {
            world,
            wire,
            number,
            login: None,
            transaction: None,
            mail_refused: false,
            greeted: false,
            acceptor,
            tls: false,
            present: None,
        }
    }

    /// Talks until the connection ends.
    pub(crate) async fn run(mut self, start: TlsStart) -> Ended {
        let Err(ended) = self.talk(start).await;
        // A client that sees the end and comes back at once finds its place in the limits free.
        self.reset();
        self.present = None;
        match ended {
            Ended::Politely => self.wire.close().await,
            Ended::ByClient | Ended::Cut | Ended::TimedOut | Ended::Broken(_) => {}
        }
        ended
    }

    async fn talk(&mut self, start: TlsStart) -> Result<Infallible, Ended> {
        let instead = self.fault(Phase::Connect).await?;
        if start == TlsStart::AtOnce {
            self.start_tls().await?;
        }
        let instead = match instead {
            Some(text) => Some(text),
            None => self.fault(Phase::Greeting).await?,
        };
        let greeting = instead.unwrap_or_else(|| {
            let (host, date) =
                (&self.world.config.smtp.host_name, clock::now().strftime("%a, %d %b %Y %T +0000"));
            format!("220 {host} Microsoft ESMTP MAIL Service ready at {date}")
        });
        self.say(&greeting)?;
        loop {
            self.wire.relieve().await?;
            match self.wire.line().await? {
                Line::TooLong => self.mistake("500 5.5.2 Line too long")?,
                Line::Whole(line) => match Command::parse(&line) {
                    Ok(command) => self.obey(command).await?,
                    Err(reply) => self.mistake(reply)?,
                },
            }
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), Ended> {
        match command {
            Command::Ehlo => self.ehlo().await,
            Command::Helo => {
                self.reset();
                self.greeted = true;
                let reply = format!("250 {} Hello", self.world.config.smtp.host_name);
                self.say(&reply)
            }
            Command::StartTls => self.starttls().await,
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial).await,
            Command::Mail(mail) => self.mail(mail).await,
            Command::Rcpt { address, dsn } => self.rcpt(address, dsn).await,
            Command::Data => self.data().await,
            Command::Bdat { size, last } => self.bdat(size, last).await,
            Command::Rset => {
                self.reset();
                self.say("250 2.0.0 Resetting")
            }
            Command::Noop => self.say("250 2.0.0 OK"),
            Command::Vrfy => self.say("252 2.1.5 Cannot VRFY user"),
            Command::Quit => self.quit().await,
        }
    }

    async fn quit(&mut self) -> Result<(), Ended> {
        if let Some(reply) = self.fault(Phase::Quit).await? {
            return self.say(&reply);
        }
        self.say("221 2.0.0 Service closing transmission channel")?;
        Err(Ended::Politely)
    }

    async fn ehlo(&mut self) -> Result<(), Ended> {
        if let Some(reply) = self.fault(Phase::Ehlo).await? {
            return self.say(&reply);
        }
        self.reset();
        self.greeted = true;
        let smtp = &self.world.config.smtp;
        let on = &smtp.extensions;
        let size = format!("SIZE {}", self.world.config.limits.message_size);
        let mechanisms = Mechanism::names(&self.world);
        let auth = format!("AUTH {}", mechanisms.join(" "));
        let extensions = [
            (on.size, size.as_str()),
            (on.pipelining, "PIPELINING"),
            (on.dsn, "DSN"),
            (on.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            (!self.tls && !smtp.starttls_stripped, "STARTTLS"),
            (self.tls && !mechanisms.is_empty(), auth.as_str()),
            (on.eight_bit_mime, "8BITMIME"),
            (on.binary_mime, "BINARYMIME"),
            (on.chunking, "CHUNKING"),
            (on.smtp_utf8, "SMTPUTF8"),
        ];
        let mut reply = format!("250 {} Hello [127.0.0.1]", smtp.host_name);
        for (_, name) in extensions.iter().filter(|(on, _)| *on) {
            reply.push('\n');
            reply.push_str(name);
        }
        self.say(&reply)
    }

    async fn starttls(&mut self) -> Result<(), Ended> {
        if let Some(reply) = self.fault(Phase::Starttls).await? {
            return self.say(&reply);
        }
        if self.tls || self.world.config.smtp.starttls_stripped {
            return self.mistake("502 5.5.1 Command not implemented");
        }
        if self.wire.has_input() {
            // A command behind STARTTLS would be executed under TLS as if it had been protected.
            self.world.ledger.protocol_error();
        }
        self.say("220 2.0.0 SMTP server ready")?;
        let world = Arc::clone(&self.world);
        self.wire.put(world.config.smtp.starttls_injection.as_bytes());
        self.start_tls().await
    }

    async fn start_tls(&mut self) -> Result<(), Ended> {
        if let Some(text) = self.fault(Phase::Tls).await? {
            self.wire.put(text.as_bytes());
            self.wire.put(b"\r\n");
            self.wire.flush().await?;
            return Err(Ended::Cut);
        }
        self.wire.start_tls(&self.acceptor).await?;
        self.reset();
        (self.tls, self.greeted) = (true, false);
        Ok(())
    }

    async fn auth(&mut self, name: &str, initial: Option<String>) -> Result<(), Ended> {
        if let Some(max) = self.world.config.smtp.inline_auth_max
            && initial
                .as_ref()
                .is_some_and(|initial| max < "AUTH  \r\n".len() + name.len() + initial.len())
        {
            return self.say("555 5.5.2 Syntax error, command line too long");
        }
        if !self.greeted || self.transaction.is_some() || self.login.is_some() {
            return self.mistake("503 5.5.2 Bad sequence of commands");
        }
        if !self.tls {
            return self.mistake("530 5.7.0 Must issue a STARTTLS command first");
        }
        let Some(mechanism) = Mechanism::offered(&self.world, name) else {
            return self.say("504 5.7.4 Unrecognized authentication type");
        };
        let judged = match mechanism {
            Mechanism::Xoauth2 | Mechanism::Oauthbearer | Mechanism::Plain => {
                let Some(response) = self.response(initial, "").await? else { return Ok(()) };
                match mechanism {
                    Mechanism::Plain => auth::plain(&self.world, &response),
                    Mechanism::Xoauth2 | Mechanism::Oauthbearer | Mechanism::Login => {
                        auth::bearer(&self.world, mechanism, &response)
                    }
                }
            }
            Mechanism::Login => {
                // `Username:` and `Password:` in base64
                let Some(user) = self.response(initial, "VXNlcm5hbWU6").await? else {
                    return Ok(());
                };
                let Some(password) = self.response(None, "UGFzc3dvcmQ6").await? else {
                    return Ok(());
                };
                auth::password(&self.world, &user, &password)
            }
        };
        // A fault comes here, so that the client has shown its credentials in the form it prefers.
        if let Some(reply) = self.fault(Phase::Auth).await? {
            self.world.ledger.auth(false);
            return self.say(&reply);
        }
        self.world.ledger.auth(judged.is_ok());
        match judged {
            Ok(login) => {
                self.present =
                    Some(Present::new(&self.world, &login.mailbox, Presence::Authenticated));
                self.login = Some(login);
                self.say("235 2.7.0 Authentication successful")
            }
            Err(Refused::AtOnce(reply)) => self.say(&reply),
            Err(Refused::Challenge { text, reply }) => {
                self.say(&format!("334 {text}"))?;
                // Whatever the client answers, the login has failed.
                let _answer = self.wire.line().await?;
                self.say(&reply)
            }
        }
    }

    /// The decoded response of the client, asked for with `334` if it did not come with the command. `None`: refused already.
    async fn response(
        &mut self,
        initial: Option<String>,
        challenge: &str,
    ) -> Result<Option<String>, Ended> {
        let encoded = if let Some(initial) = initial {
            initial
        } else {
            self.say(&format!("334 {challenge}"))?;
            match self.wire.line().await? {
                Line::Whole(line) => String::from_utf8_lossy(&line).into_owned(),
                Line::TooLong => {
                    self.mistake("500 5.5.6 Authentication exchange line is too long")?;
                    return Ok(None);
                }
            }
        };
        if encoded == "*" {
            // Office 365 answers 535 to a cancelled exchange where RFC 4954 wants 501.
            self.world.ledger.auth(false);
            let reply = auth::unsuccessful(&self.world);
            self.say(&reply)?;
            return Ok(None);
        }
        let decoded = decode_response(&encoded);
        if decoded.is_none() {
            self.world.ledger.auth(false);
            self.mistake("501 5.5.2 Cannot decode the response")?;
        }
        Ok(decoded)
    }

    /// The transaction ends, if there is one.
    pub(crate) fn reset(&mut self) {
        self.transaction = None;
        self.mail_refused = false;
    }

    /// Lets the faults of a phase happen. A text stands in for the reply.
    pub(crate) async fn fault(&mut self, phase: Phase) -> Result<Option<String>, Ended> {
        match self.fault_action(phase).await? {
            None => Ok(None),
            Some(Action::Reply(text)) => Ok(Some(text)),
            Some(Action::Delay(_) | Action::Stall | Action::Cut | Action::CutAfterAccept) => {
                Err(self.cut().await)
            }
        }
    }

    /// Lets the faults of a phase happen, but for a reply and `CutAfterAccept`.
    pub(crate) async fn fault_action(&mut self, phase: Phase) -> Result<Option<Action>, Ended> {
        let mailbox = self.login.as_ref().map(|login| login.mailbox.as_str());
        let verdict = self.world.faults.smtp(phase, mailbox);
        if verdict.delay != Duration::ZERO {
            self.wire.flush().await?;
            tokio::time::sleep(verdict.delay).await;
        }
        match verdict.action {
            Some(Action::Stall) => {
                self.wire.flush().await?;
                Err(self.wire.stall().await)
            }
            Some(Action::Cut) => Err(self.cut().await),
            Some(action @ (Action::Reply(_) | Action::CutAfterAccept | Action::Delay(_))) => {
                Ok(Some(action))
            }
            None => Ok(None),
        }
    }

    /// Says what waits to be said, so that the cut comes where the script wants it.
    pub(crate) async fn cut(&mut self) -> Ended {
        self.wire.flush().await.err().unwrap_or(Ended::Cut)
    }

    /// Refuses what no correct client sends.
    pub(crate) fn mistake(&mut self, reply: &str) -> Result<(), Ended> {
        self.world.ledger.protocol_error();
        self.say(reply)
    }

    /// Says a reply, as soon as the client waits for it. `\n` separates lines. After 421 the connection ends.
    pub(crate) fn say(&mut self, reply: &str) -> Result<(), Ended> {
        let enhanced = self.world.config.smtp.extensions.enhanced_status_codes;
        self.wire.put(&format_reply(reply, enhanced));
        if reply.starts_with("421") { Err(Ended::Politely) } else { Ok(()) }
    }
}

/// A mailbox in the statistics, until it is dropped.
pub(crate) struct Present {
    world: Arc<World>,
    mailbox: String,
    presence: Presence,
}

impl Present {
    pub(crate) fn new(world: &Arc<World>, mailbox: &str, presence: Presence) -> Self {
        world.ledger.entered(mailbox, presence);
        Self { world: Arc::clone(world), mailbox: mailbox.to_owned(), presence }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.world.ledger.left(&self.mailbox, self.presence);
    }
}

/// The lines of a reply. What does not begin with a code goes out as it is, for tests with servers out of order.
fn format_reply(reply: &str, enhanced: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(reply.len() + 2);
    let code = reply.get(..3).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
    let mut lines = reply.split('\n').peekable();
    while let Some(line) = lines.next() {
        if let Some(code) = code {
            let text = line
                .strip_prefix(code)
                .map_or(line, |rest| rest.strip_prefix([' ', '-']).unwrap_or(rest));
            let text = if enhanced { text } else { without_enhanced_code(text) };
            out.extend_from_slice(code.as_bytes());
            out.push(if lines.peek().is_some() { b'-' } else { b' ' });
            out.extend_from_slice(text.as_bytes());
        } else {
            out.extend_from_slice(line.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn without_enhanced_code(text: &str) -> &str {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let numbers = first
        .split('.')
        .filter(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if numbers.count() == 3 && first.split('.').count() == 3 { rest } else { text }
}

#[cfg(test)]
mod tests;
