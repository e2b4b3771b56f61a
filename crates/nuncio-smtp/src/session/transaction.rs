//! A mail transaction: MAIL, RCPT for each recipient, DATA or BDAT, content.

use nuncio_core::address::EmailAddress;
use nuncio_core::reply::{EnhancedCode, SmtpReply};

use super::{Command, Event, Session, SessionError};
use crate::phase::Phase;
use crate::wire_address::on_the_wire;

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
    /// Whether a header of the message needs SMTPUTF8, whoever gets it (RFC 6531).
    pub needs_smtputf8: bool,
    /// How many recipients the server takes in one mail, as far as that was learned from it. The others are left
    /// for another mail.
    pub recipients_max: usize,
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
    recipients: Vec<Offered>,
    /// Whether only MAIL and RCPT are tried.
    is_trial: bool,
    /// The next command to send.
    next: Option<Command>,
    /// Whether the content goes by BDAT.
    is_chunk: bool,
    is_body_sent: bool,
    replies: Replies,
}

/// A recipient that the server is offered.
struct Offered {
    /// Its place in the envelope.
    place: usize,
    /// Its address as it goes over the wire.
    path: String,
}

impl Replies {
    /// Whether the server wants the mail for some recipient.
    pub fn is_any_accepted(&self) -> bool {
        is_positive(self.mail.as_ref())
            && self.recipients.iter().any(|reply| is_positive(reply.as_ref()))
    }

    /// How many recipients the server has accepted so far.
    pub fn accepted(&self) -> usize {
        self.recipients.iter().filter(|reply| is_positive(reply.as_ref())).count()
    }

    /// All refusals and deferrals, and what they answer to.
    pub fn negative(&self) -> impl Iterator<Item = (Phase, &SmtpReply)> {
        let whole =
            [(Phase::Mail, &self.mail), (Phase::Data, &self.data), (Phase::EndOfData, &self.end)];
        let recipients = self.recipients.iter().map(|reply| (Phase::Rcpt, reply));
        let all = whole.into_iter().chain(recipients);
        let all = all.filter_map(|(phase, reply)| Some((phase, reply.as_ref()?)));
        all.filter(|(_, reply)| 400 <= reply.code)
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
    /// with a reply that nuncio makes up in its place. The same holds for single recipients, whose made-up
    /// replies stand among those of the server.
    pub fn begin(&mut self, envelope: &Envelope, handover: Handover) -> Result<(), SmtpReply> {
        if let Some(refusal) = self.local_refusal(envelope) {
            return Err(refusal);
        }
        let (recipients, answered) = self.share_out(envelope);
        let first = if self.needs_reset { Command::Reset } else { Command::Mail };
        let is_chunk = handover == Handover::AtOnce && self.takes_at_once(envelope, &recipients);
        let is_for_nobody = recipients.is_empty();
        self.transaction = Transaction {
            mail: self.mail_line(envelope, &recipients),
            recipients,
            next: Some(first).filter(|_| !is_chunk),
            is_chunk,
            replies: Replies { recipients: answered, ..Replies::default() },
            ..Transaction::default()
        };
        if is_for_nobody {
            self.events.push_back(Event::Ended);
        } else if is_chunk {
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
        let rcpt = self.rcpt_line(0);
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
            recipients: vec![Offered { place: 0, path: on_the_wire(from).into_owned() }],
            replies: Replies { recipients: vec![None], ..Replies::default() },
            ..Transaction::default()
        };
        self.send(Command::Mail, &format!("MAIL FROM:<{}>", on_the_wire(from)));
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
                    let line = self.rcpt_line(0);
                    self.send(Command::Rcpt(0), &line);
                } else if self.transaction.is_trial {
                    self.send(Command::Reset, "RSET");
                }
            }
            Command::Rcpt(index) => {
                replies.recipients[self.transaction.recipients[index].place] = Some(reply);
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
                let line = self.rcpt_line(index);
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

    fn takes_at_once(&self, envelope: &Envelope, recipients: &[Offered]) -> bool {
        self.may_take_at_once()
            && recipients.len() == 1
            && (1..=AT_ONCE_OCTETS_MAX).contains(&envelope.size)
    }

    /// The recipients that the server is offered, and the answers to those that it is not, in their places.
    fn share_out(&self, envelope: &Envelope) -> (Vec<Offered>, Vec<Option<SmtpReply>>) {
        let told_max = self.extensions.recipients_max().unwrap_or(usize::MAX);
        let offered_max = envelope.recipients_max.min(told_max).max(1);
        let mut offered = Vec::new();
        let mut answers = vec![None; envelope.recipients.len()];
        for (place, address) in envelope.recipients.iter().enumerate() {
            let path = on_the_wire(address);
            if !path.is_ascii() && !self.extensions.smtputf8() {
                answers[place] = Some(without_smtputf8());
            } else if offered.len() == offered_max {
                answers[place] = Some(held_back());
            } else {
                offered.push(Offered { place, path: path.into_owned() });
            }
        }
        (offered, answers)
    }

    fn rcpt_line(&self, index: usize) -> String {
        format!("RCPT TO:<{}>", self.transaction.recipients[index].path)
    }

    fn mail_line(&self, envelope: &Envelope, recipients: &[Offered]) -> String {
        let mut line = format!("MAIL FROM:<{}>", on_the_wire(&envelope.from));
        if self.extensions.size() {
            line = format!("{line} SIZE={}", envelope.size);
        }
        if envelope.is_eight_bit {
            line.push_str(" BODY=8BITMIME");
        }
        if envelope.needs_smtputf8 || recipients.iter().any(|one| !one.path.is_ascii()) {
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
            return Some(without_smtputf8());
        }
        if envelope.is_eight_bit && !extensions.eight_bit_mime() {
            let text = "the mail has 8-bit octets and the server does not offer 8BITMIME (refused by \
                        nuncio, not sent)";
            return Some(local(554, [5, 6, 3], text));
        }
        None
    }
}

/// The answer to a recipient beyond what the server takes in one mail, in the server's place.
pub fn held_back() -> SmtpReply {
    let text = "the server takes no more recipients in one mail (held back by nuncio, not asked)";
    local(452, [4, 5, 3], text)
}

fn without_smtputf8() -> SmtpReply {
    let text = "an address is not ASCII and the server does not offer SMTPUTF8 (refused by nuncio, \
                not sent)";
    local(553, [5, 6, 7], text)
}

fn local(code: u16, [class, subject, detail]: [u16; 3], text: &str) -> SmtpReply {
    let enhanced = Some(EnhancedCode { class, subject, detail });
    SmtpReply { code, enhanced, text: text.to_owned() }
}

fn is_positive(reply: Option<&SmtpReply>) -> bool {
    reply.is_some_and(|reply| (200..300).contains(&reply.code))
}
