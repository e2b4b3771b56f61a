//! A mail transaction: MAIL, RCPT for each recipient, DATA, content.

use nuncio_core::address::EmailAddress;
use nuncio_core::reply::{EnhancedCode, SmtpReply};

use super::{Command, Event, Session, SessionError};
use crate::phase::Phase;

/// The most commands that are sent before the first of their replies is read. With more the server's
/// replies could fill its sending buffer while it still has to read (RFC 2920, section 3.1).
const PIPELINED_MAX: usize = 100;

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
    replies: Replies,
}

impl Replies {
    /// Whether the server wants the mail for some recipient.
    pub fn is_any_accepted(&self) -> bool {
        is_positive(self.mail.as_ref())
            && self.recipients.iter().any(|reply| is_positive(reply.as_ref()))
    }
}

impl Session {
    /// Begins a transaction. A mail that this server cannot take is refused here, before it is bothered:
    /// with a reply that nuncio makes up in its place.
    pub fn begin(&mut self, envelope: &Envelope) -> Result<(), SmtpReply> {
        if let Some(refusal) = self.local_refusal(envelope) {
            return Err(refusal);
        }
        let replies =
            Replies { recipients: vec![None; envelope.recipients.len()], ..Replies::default() };
        let first = if self.needs_reset { Command::Reset } else { Command::Mail };
        self.transaction = Transaction {
            mail: self.mail_line(envelope),
            recipients: envelope.recipients.clone(),
            next: Some(first),
            is_trial: false,
            replies,
        };
        self.fill();
        Ok(())
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

    /// The content goes out, up to and with its end mark.
    pub fn body_sent(&mut self) {
        self.expected.push_back(Command::EndOfData);
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
            Command::EndOfData if (300..400).contains(&reply.code) => {
                return Err(SessionError::Unexpected { phase: Phase::EndOfData, reply });
            }
            Command::EndOfData => {
                self.needs_reset = reply.code >= 400;
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
