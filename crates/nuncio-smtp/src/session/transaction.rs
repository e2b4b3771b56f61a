//! A mail transaction: MAIL, RCPT for each recipient, DATA or BDAT, content.

use nuncio_core::address::EmailAddress;
use nuncio_core::reply::{EnhancedCode, SmtpReply};

use super::{Command, Event, Session, SessionError};
use crate::phase::Phase;

/// The most commands that are sent before the first of their replies is read. With more the server's
/// replies could fill its sending buffer while it still has to read (RFC 2920, section 3.1).
const PIPELINED_MAX: usize = 100;
/// The largest mail that goes out together with its commands, in octets. A larger one wins little by it,
/// and would go out in vain, unheard, where the server refuses its sender or recipient.
const AT_ONCE_OCTETS_MAX: u64 = 1024 * 1024;

/// For whom a mail is, and what the server must know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub from: EmailAddress,
    pub recipients: Vec<EmailAddress>,
    /// Of the message before dot-stuffing, in octets.
    pub size: u64,
    /// Whether the message has octets above 127.
    pub is_eight_bit: bool,
    /// Whether an address or a header is not ASCII (RFC 6531).
    pub needs_smtputf8: bool,
}

/// When the content goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// When the server asks for it.
    InTurn,
    /// Together with the commands, if the server can take that: one round trip less, but if the connection
    /// breaks, more mails may have been taken.
    AtOnce,
}

/// What the server said to each step of a transaction; nothing where a step was not reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replies {
    pub mail: Option<SmtpReply>,
    /// In the order of the envelope.
    pub recipients: Vec<Option<SmtpReply>>,
    pub data: Option<SmtpReply>,
    pub end: Option<SmtpReply>,
}

#[derive(Default)]
pub(super) struct Transaction {
    mail: String,
    recipients: Vec<EmailAddress>,
    /// Whether only MAIL and RCPT are tried.
    is_trial: bool,
    /// The next command to send.
    next: Option<Command>,
    /// Whether the content goes by BDAT.
    is_chunk: bool,
    is_body_sent: bool,
    replies: Replies,
}

impl Replies {
    /// Whether the server wants the mail for some recipient.
    pub fn is_any_accepted(&self) -> bool {
        is_positive(self.mail.as_ref())
            && self.recipients.iter().any(|reply| is_positive(reply.as_ref()))
    }

    /// Whether the server wants the mail for nobody, whatever it may say later.
    pub fn is_refused(&self) -> bool {
        let is_refused =
            |reply: &Option<SmtpReply>| reply.as_ref().is_some_and(|one| one.code >= 400);
        is_refused(&self.mail) || self.recipients.iter().all(is_refused)
    }
}

impl Session {
    /// Begins a transaction. A mail that this server cannot take is refused here, before it is bothered:
    /// with a reply that nuncio makes up in its place.
    pub fn begin(&mut self, envelope: &Envelope, handover: Handover) -> Result<(), SmtpReply> {
        if let Some(refusal) = self.local_refusal(envelope) {
            return Err(refusal);
        }
        let replies =
            Replies { recipients: vec![None; envelope.recipients.len()], ..Replies::default() };
        let first = if self.needs_reset { Command::Reset } else { Command::Mail };
        let is_chunk = handover == Handover::AtOnce && self.takes_at_once(envelope);
        self.transaction = Transaction {
            mail: self.mail_line(envelope),
            recipients: envelope.recipients.clone(),
            next: Some(first).filter(|_| !is_chunk),
            is_chunk,
            replies,
            ..Transaction::default()
        };
        if is_chunk {
            self.events.push_back(Event::Chunk);
        } else {
            self.fill();
        }
        Ok(())
    }

    /// MAIL, RCPT and BDAT, which [`Event::Chunk`] asks for, for a content of so many octets.
    ///
    /// Whatever the server thinks of sender and recipient, it must take the content and answer to it
    /// (RFC 3030, section 2).
    pub fn chunk_commands(&mut self, octets: usize) -> Vec<u8> {
        debug_assert!(self.transaction.is_chunk, "only `Event::Chunk` asks for this");
        let mail = std::mem::take(&mut self.transaction.mail);
        let rcpt = format!("RCPT TO:<{}>", self.transaction.recipients[0]);
        self.send(Command::Mail, &mail);
        self.send(Command::Rcpt(0), &rcpt);
        self.send(Command::Chunk, &format!("BDAT {octets} LAST"));
        std::mem::take(&mut self.output)
    }

    /// Asks whether `from` may send a mail to itself, and takes the question back with RSET whatever the
    /// answer is. Many servers, Postfix first, say only at RCPT what they think of the sender.
    pub fn try_sender(&mut self, from: &EmailAddress) {
        self.transaction = Transaction {
            is_trial: true,
            recipients: vec![from.clone()],
            replies: Replies { recipients: vec![None], ..Replies::default() },
            ..Transaction::default()
        };
        self.send(Command::Mail, &format!("MAIL FROM:<{from}>"));
    }

    /// The last portion of the content goes out.
    pub fn body_sent(&mut self) {
        self.transaction.is_body_sent = true;
        if !self.transaction.is_chunk {
            self.expected.push_back(Command::EndOfData);
        }
    }

    /// Whether the server can take a mail together with its commands, if it is small and for one recipient.
    /// After a refusal the server shows first that it is in step again.
    pub fn may_take_at_once(&self) -> bool {
        self.extensions.pipelining() && self.extensions.chunking() && !self.needs_reset
    }

    /// Whether the server may have taken the mail if nothing more is heard of it.
    pub fn may_be_taken(&self) -> bool {
        let Transaction { is_body_sent, replies, .. } = &self.transaction;
        *is_body_sent && replies.end.is_none() && !replies.is_refused()
    }

    /// What the server said so far.
    pub fn replies(&self) -> &Replies {
        &self.transaction.replies
    }

    /// What the server said in the transaction that has ended.
    pub fn take_replies(&mut self) -> Replies {
        std::mem::take(&mut self.transaction).replies
    }

    pub(super) fn on_transaction(
        &mut self,
        command: Command,
        reply: SmtpReply,
    ) -> Result<(), SessionError> {
        if reply.code < 400 && !is_positive(Some(&reply)) && command != Command::Data {
            return Err(SessionError::Unexpected { phase: command.phase(), reply });
        }
        let replies = &mut self.transaction.replies;
        match command {
            Command::Mail => {
                let is_accepted = is_positive(Some(&reply));
                replies.mail = Some(reply);
                if self.transaction.is_trial && is_accepted {
                    let line = format!("RCPT TO:<{}>", self.transaction.recipients[0]);
                    self.send(Command::Rcpt(0), &line);
                } else if self.transaction.is_trial {
                    self.send(Command::Reset, "RSET");
                }
            }
            Command::Rcpt(index) => {
                replies.recipients[index] = Some(reply);
                if self.transaction.is_trial {
                    self.send(Command::Reset, "RSET");
                }
            }
            Command::Data => return self.on_data(reply),
            Command::EndOfData | Command::Chunk => {
                // Some servers take a chunk that is for nobody.
                self.needs_reset = reply.code >= 400 || !replies.is_any_accepted();
                replies.end = Some(reply);
                self.events.push_back(Event::Ended);
            }
            Command::LoneDot => self.end_early(),
            Command::Reset => {
                self.needs_reset = false;
                if self.transaction.is_trial {
                    self.events.push_back(Event::Ended);
                }
            }
            Command::Greeting
            | Command::Ehlo
            | Command::StartTls
            | Command::Auth(_)
            | Command::AuthResponse(_)
            | Command::AuthEnd(_)
            | Command::Quit => unreachable!("`receive` sends only commands of transactions here"),
        }
        if self.expected.is_empty() {
            self.fill();
        }
        Ok(())
    }

    fn on_data(&mut self, reply: SmtpReply) -> Result<(), SessionError> {
        let phase = Phase::Data;
        match reply.code {
            354 if self.transaction.replies.is_any_accepted() => self.events.push_back(Event::Body),
            354 => self.send(Command::LoneDot, "."),
            400.. => self.end_early(),
            _ => return Err(SessionError::Unexpected { phase, reply }),
        }
        self.transaction.replies.data = Some(reply);
        Ok(())
    }

    /// Sends the next commands: all at once if the server can take that, else one.
    fn fill(&mut self) {
        let pipelined = self.extensions.pipelining();
        let at_once = if pipelined { PIPELINED_MAX } else { 1 };
        while let Some(command) = self.transaction.next {
            if self.expected.is_empty() && self.is_in_vain(command) {
                self.end_early();
                return;
            }
            if at_once <= self.expected.len() {
                return;
            }
            self.send_next(command);
        }
    }

    /// Whether the replies so far leave nothing to go on for.
    fn is_in_vain(&self, next: Command) -> bool {
        let replies = &self.transaction.replies;
        let mail_refused = replies.mail.is_some() && !is_positive(replies.mail.as_ref());
        mail_refused || (next == Command::Data && !replies.is_any_accepted())
    }

    fn send_next(&mut self, command: Command) {
        let last = self.transaction.recipients.len() - 1;
        let (line, next) = match command {
            Command::Reset => ("RSET".to_owned(), Some(Command::Mail)),
            Command::Mail => (self.transaction.mail.clone(), Some(Command::Rcpt(0))),
            Command::Rcpt(index) => {
                let line = format!("RCPT TO:<{}>", self.transaction.recipients[index]);
                let next = if index == last { Command::Data } else { Command::Rcpt(index + 1) };
                (line, Some(next))
            }
            Command::Data => ("DATA".to_owned(), None),
            Command::Greeting
            | Command::Ehlo
            | Command::StartTls
            | Command::Auth(_)
            | Command::AuthResponse(_)
            | Command::AuthEnd(_)
            | Command::LoneDot
            | Command::EndOfData
            | Command::Chunk
            | Command::Quit => unreachable!("`next` holds only commands of the envelope"),
        };
        self.transaction.next = next;
        self.send(command, &line);
    }

    /// Ends a transaction whose content was not sent. It is reset together with the next one's begin.
    fn end_early(&mut self) {
        self.needs_reset = true;
        self.transaction.next = None;
        self.events.push_back(Event::Ended);
    }

    fn takes_at_once(&self, envelope: &Envelope) -> bool {
        self.may_take_at_once()
            && envelope.recipients.len() == 1
            && (1..=AT_ONCE_OCTETS_MAX).contains(&envelope.size)
    }

    fn mail_line(&self, envelope: &Envelope) -> String {
        let mut line = format!("MAIL FROM:<{}>", envelope.from);
        if self.extensions.size() {
            line = format!("{line} SIZE={}", envelope.size);
        }
        if envelope.is_eight_bit {
            line.push_str(" BODY=8BITMIME");
        }
        if envelope.needs_smtputf8 {
            line.push_str(" SMTPUTF8");
        }
        line
    }

    fn local_refusal(&self, envelope: &Envelope) -> Option<SmtpReply> {
        let extensions = &self.extensions;
        if let Some(max) = extensions.size_max().filter(|max| *max < envelope.size) {
            let text = format!(
                "the mail has {} octets, the server takes {max} (refused by nuncio, not sent)",
                envelope.size
            );
            return Some(local(552, [5, 3, 4], &text));
        }
        if envelope.needs_smtputf8 && !extensions.smtputf8() {
            let text = "an address is not ASCII and the server does not offer SMTPUTF8 (refused by \
                        nuncio, not sent)";
            return Some(local(553, [5, 6, 7], text));
        }
        if envelope.is_eight_bit && !extensions.eight_bit_mime() {
            let text = "the mail has 8-bit octets and the server does not offer 8BITMIME (refused by \
                        nuncio, not sent)";
            return Some(local(554, [5, 6, 3], text));
        }
        None
    }
}

fn local(code: u16, [class, subject, detail]: [u16; 3], text: &str) -> SmtpReply {
    let enhanced = Some(EnhancedCode { class, subject, detail });
    SmtpReply { code, enhanced, text: text.to_owned() }
}

fn is_positive(reply: Option<&SmtpReply>) -> bool {
    reply.is_some_and(|reply| (200..300).contains(&reply.code))
}
