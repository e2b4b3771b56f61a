//! The mail transaction: MAIL, RCPT, DATA or BDAT, and the judgement at the end of data.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use crate::clock;
use crate::config::OverRate;
use crate::fault::{Action, Phase};
use crate::ledger::{AcceptedMail, Presence, Refusal};
use crate::smtp::auth;
use crate::smtp::command::{BodyType, MailFrom};
use crate::smtp::limits::Exceeded;
use crate::smtp::message;
use crate::smtp::session::{Present, Session};
use crate::smtp::wire::{Body, Ended, has_bare_lf};
use crate::world::World;

/// How long a client that was refused in the middle of a body may go on sending.
const DRAIN_MAX: Duration = Duration::from_secs(5);

const NEED_MAIL: &str = "503 5.5.2 Need mail command";
const NEED_RCPT: &str = "503 5.5.2 Need rcpt command";
const NO_RECIPIENTS: &str = "554 5.5.1 No valid recipients";
const TOO_BIG: &str = "552 5.3.4 Message size exceeds fixed maximum message size";

/// A mail between MAIL and the reply to the end of data.
pub(crate) struct Transaction {
    mail: MailFrom,
    mailbox: String,
    recipients: Vec<String>,
    /// RCPT was tried at least once.
    addressed: bool,
    /// What BDAT has brought so far.
    chunks: Option<BytesMut>,
    /// A chunk was refused; the mail is lost, and only RSET or a new MAIL helps (RFC 3030 section 2).
    broken: bool,
    flushes_before: u64,
    submitting: Submitting,
}

/// A connection of a mailbox that submits, until it is dropped.
struct Submitting {
    world: Arc<World>,
    mailbox: String,
    within_limit: bool,
    _present: Present,
}

impl Submitting {
    fn new(world: &Arc<World>, mailbox: &str) -> Self {
        let within_limit = world.limits.enter(mailbox);
        let present = Present::new(world, mailbox, Presence::Submitting);
        Self {
            world: Arc::clone(world),
            mailbox: mailbox.to_owned(),
            within_limit,
            _present: present,
        }
    }
}

impl Drop for Submitting {
    fn drop(&mut self) {
        self.world.limits.leave(&self.mailbox);
    }
}

impl Session {
    pub(crate) async fn mail(&mut self, mail: MailFrom) -> Result<(), Ended> {
        let instead = self.fault(Phase::Mail).await?;
        if self.transaction.is_some() {
            return self.mistake("503 5.5.2 Sender already specified");
        }
        if !self.greeted {
            return self.mistake("503 5.5.2 Send hello first");
        }
        self.mail_refused = true;
        if let Some(reply) = instead.or_else(|| self.refuse_mail(&mail)) {
            return self.say(&reply);
        }
        self.mail_refused = false;
        let mailbox =
            self.login.as_ref().map_or_else(|| mail.address.clone(), |login| login.mailbox.clone());
        self.transaction = Some(Transaction {
            submitting: Submitting::new(&self.world, &mailbox),
            mail,
            mailbox,
            recipients: Vec::new(),
            addressed: false,
            chunks: None,
            broken: false,
            flushes_before: self.wire.flushes(),
        });
        self.say("250 2.1.0 Sender OK")
    }

    fn refuse_mail(&self, mail: &MailFrom) -> Option<String> {
        let (config, ledger) = (&self.world.config, &self.world.ledger);
        let on = &config.smtp.extensions;
        let not_authenticated = || {
            Some(format!(
                "530 5.7.57 Client not authenticated to send mail. {}",
                auth::stamp(&self.world)
            ))
        };
        match &self.login {
            None if !config.smtp.auth_not_required => return not_authenticated(),
            Some(login) if config.smtp.session_ends_with_token => {
                let ended = |token: &String| self.world.tokens.check(token, clock::now()).is_none();
                if login.token.as_ref().is_some_and(ended) {
                    return not_authenticated();
                }
            }
            None | Some(_) => {}
        }
        let body_offered = match mail.body {
            BodyType::SevenBit => true,
            BodyType::EightBitMime => on.eight_bit_mime,
            BodyType::BinaryMime => on.binary_mime && on.chunking,
        };
        let offered = body_offered && (on.smtp_utf8 || !mail.smtp_utf8) && (on.dsn || !mail.dsn);
        if !offered || (mail.size.is_some() && !on.size) {
            ledger.protocol_error();
            return Some("555 5.5.4 Unsupported option".to_owned());
        }
        if !mail.address.is_ascii() && !mail.smtp_utf8 {
            ledger.protocol_error();
            return Some(
                "553 5.6.7 Address is not ASCII, and SMTPUTF8 was not asked for".to_owned(),
            );
        }
        if mail.size.is_some_and(|size| config.limits.message_size < size) {
            ledger.refused(Refusal::Size);
            return Some(TOO_BIG.to_owned());
        }
        None
    }

    pub(crate) async fn rcpt(&mut self, address: String, dsn: bool) -> Result<(), Ended> {
        let instead = self.fault(Phase::Rcpt).await?;
        let world = Arc::clone(&self.world);
        let Some(transaction) = &mut self.transaction else { return self.out_of_order(NEED_MAIL) };
        transaction.addressed = true;
        if let Some(reply) = instead {
            return self.say(&reply);
        }
        if dsn && !world.config.smtp.extensions.dsn {
            return self.mistake("555 5.5.4 Unsupported option");
        }
        if !address.is_ascii() && !transaction.mail.smtp_utf8 {
            return self.mistake("553 5.6.7 Address is not ASCII, and SMTPUTF8 was not asked for");
        }
        if world.config.limits.recipients_per_message <= transaction.recipients.len() {
            world.ledger.refused(Refusal::RecipientsPerMessage);
            return self.say("452 4.5.3 Too many recipients");
        }
        if let Some(reply) = world.recipients.rcpt(&address) {
            world.ledger.refused(Refusal::Recipient);
            return self.say(&reply);
        }
        transaction.recipients.push(address);
        self.say("250 2.1.5 Recipient OK")
    }

    pub(crate) async fn data(&mut self) -> Result<(), Ended> {
        let instead = self.fault(Phase::Data).await?;
        let without_recipients = self.world.config.smtp.data_without_recipients;
        let refusal = match &self.transaction {
            None => return self.out_of_order(NEED_MAIL),
            Some(it) if it.chunks.is_some() || it.mail.body == BodyType::BinaryMime => {
                return self.mistake("503 5.5.1 DATA does not go together with BDAT or BINARYMIME");
            }
            Some(it) if !it.addressed => return self.mistake(NEED_RCPT),
            Some(it) if it.recipients.is_empty() && !without_recipients => {
                Some(NO_RECIPIENTS.to_owned())
            }
            Some(_) => None,
        };
        if let Some(reply) = instead.or(refusal) {
            return self.say(&reply);
        }
        if self.wire.has_input() {
            // DATA ends a group of pipelined commands (RFC 2920 section 3.1).
            self.world.ledger.protocol_error();
        }
        self.say("354 Start mail input; end with <CRLF>.<CRLF>")?;
        self.wire.flush().await?;
        if let Some(reply) = self.fault(Phase::Body).await? {
            return self.break_off(&reply).await;
        }
        let body = self.wire.dotted(self.world.config.limits.message_size).await?;
        self.finish(body).await
    }

    pub(crate) async fn bdat(&mut self, size: u64, last: bool) -> Result<(), Ended> {
        if !self.world.config.smtp.extensions.chunking {
            return self.mistake("502 5.5.1 Command not implemented");
        }
        let first = self.transaction.as_ref().is_some_and(|it| it.chunks.is_none());
        if first && let Some(reply) = self.fault(Phase::Body).await? {
            return self.break_off(&reply).await;
        }
        let size_max = self.world.config.limits.message_size;
        let wanted = self.transaction.as_mut().filter(|it| !it.recipients.is_empty() && !it.broken);
        let Some(transaction) = wanted else {
            // The chunk follows whatever the reply will be, and has to be taken.
            self.wire.chunk(size, 0, &mut BytesMut::new()).await?;
            return match &mut self.transaction {
                None => self.out_of_order(NEED_MAIL),
                Some(it) if it.broken => self.say("503 5.5.1 An earlier chunk was refused"),
                Some(it) if !it.addressed => self.mistake(NEED_RCPT),
                Some(it) => {
                    it.broken = true;
                    self.say(NO_RECIPIENTS)
                }
            };
        };
        let data = transaction.chunks.get_or_insert_default();
        // One byte more than allowed is kept, to show that there were too many.
        let room = size_max.saturating_add(1).saturating_sub(data.len() as u64);
        self.wire.chunk(size, room, data).await?;
        let too_big = size_max < data.len() as u64;
        if last {
            let data = transaction.chunks.take().unwrap_or_default();
            let bare_lf = transaction.mail.body != BodyType::BinaryMime && has_bare_lf(&data);
            return self.finish(Body { data, bare_lf, long_line: false, too_big }).await;
        }
        if too_big {
            transaction.broken = true;
            self.world.ledger.refused(Refusal::Size);
            return self.say(TOO_BIG);
        }
        self.say(&format!("250 2.0.0 {size} octets received"))
    }

    /// The whole message is here: it is accepted, or refused with a reason. The transaction is over either way.
    async fn finish(&mut self, body: Body) -> Result<(), Ended> {
        let Some(transaction) = self.transaction.take() else {
            return self.out_of_order(NEED_MAIL);
        };
        let action = self.fault_action(Phase::EndOfData).await?;
        if let Some(Action::Reply(reply)) = &action
            && !reply.starts_with('2')
        {
            return self.say(reply);
        }
        if let Err(reply) = self.judge(&transaction, &body).await {
            return if matches!(action, Some(Action::CutAfterAccept)) {
                Err(self.cut().await)
            } else {
                self.say(&reply)
            };
        }
        let message_id = message::message_id(&body.data);
        let host = &self.world.config.smtp.host_name;
        let mut reply = format!(
            "250 2.0.0 OK <{}> [Hostname={host}]",
            message_id.as_deref().unwrap_or("no-message-id")
        );
        let mail = AcceptedMail {
            at: clock::now(),
            mailbox: transaction.mailbox,
            mail_from: transaction.mail.address,
            recipients: transaction.recipients,
            message_id,
            data: Vec::new(),
            connection: self.number,
            round_trips: self.wire.flushes() - transaction.flushes_before + 1,
        };
        self.world.ledger.accept(mail, &body.data);
        match action {
            Some(Action::CutAfterAccept) => return Err(self.cut().await),
            Some(Action::Reply(other)) => reply = other,
            Some(Action::Delay(_) | Action::Stall | Action::Cut) | None => {}
        }
        self.say(&reply)
    }

    async fn judge(&self, transaction: &Transaction, body: &Body) -> Result<(), String> {
        let ledger = &self.world.ledger;
        if transaction.recipients.is_empty() {
            return Err(NO_RECIPIENTS.to_owned());
        }
        if let Err((refusal, reply)) = self.judge_content(transaction, body) {
            ledger.refused(refusal);
            return Err(reply);
        }
        if let Some(reply) = self.world.recipients.end_of_data(&transaction.recipients) {
            ledger.refused(Refusal::Recipient);
            return Err(reply);
        }
        if !transaction.submitting.within_limit {
            ledger.refused(Refusal::Connections);
            return Err(format!(
                "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more \
                 information. [Hostname={}]",
                self.world.config.smtp.host_name
            ));
        }
        self.admit(transaction).await
    }

    /// Books the message on the mailbox, if its rates allow; waits for that if so configured.
    async fn admit(&self, transaction: &Transaction) -> Result<(), String> {
        let World { config, ledger, limits, .. } = &*self.world;
        loop {
            let recipients = transaction.recipients.len() as u64;
            match (
                limits.admit(&transaction.mailbox, recipients, Instant::now()),
                config.limits.over_rate,
            ) {
                (Ok(()), _) => return Ok(()),
                (Err(Exceeded::Rate { wait }), OverRate::Delay) => tokio::time::sleep(wait).await,
                (Err(Exceeded::Rate { .. }), OverRate::Reject) => {
                    ledger.refused(Refusal::Rate);
                    return Err(
                        "451 4.4.2 Message submission rate for this client has exceeded the configured limit".to_owned()
                    );
                }
                (Err(Exceeded::RecipientsPerDay), _) => {
                    ledger.refused(Refusal::RecipientsPerDay);
                    return Err("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to \
                                process message due to a permanent exception with message The message can't be \
                                submitted because the sender's submission quota was exceeded."
                        .to_owned());
                }
            }
        }
    }

    fn judge_content(
        &self,
        transaction: &Transaction,
        body: &Body,
    ) -> Result<(), (Refusal, String)> {
        let content = |reply: &str| Err((Refusal::Content, reply.to_owned()));
        if body.too_big {
            return Err((Refusal::Size, TOO_BIG.to_owned()));
        }
        if body.bare_lf {
            return content(
                "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal; message contains bare linefeeds, which cannot be sent via DATA",
            );
        }
        if body.long_line {
            return content("500 5.5.2 Line too long");
        }
        let config = &self.world.config;
        let mailbox = config
            .mailboxes
            .iter()
            .find(|it| it.address.eq_ignore_ascii_case(&transaction.mailbox));
        if config.smtp.any_sender || self.login.is_none() {
            return Ok(());
        }
        let Some(from) = message::from_address(&body.data) else {
            return content(
                "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant and include a valid From address",
            );
        };
        let own = |address: &str| {
            address.eq_ignore_ascii_case(&transaction.mailbox)
                || mailbox.is_some_and(|it| {
                    it.send_as.iter().any(|allowed| allowed.eq_ignore_ascii_case(address))
                })
        };
        if let Some(denied) =
            [&from, &transaction.mail.address].into_iter().find(|address| !own(address))
        {
            return Err((Refusal::SendAs, send_as_denied(&transaction.mailbox, denied)));
        }
        if mailbox.is_some_and(|it| it.permission_missing) {
            return Err((Refusal::Permission, logon_failed()));
        }
        Ok(())
    }

    /// Refuses a body that the client is still sending, and lets it notice.
    async fn break_off(&mut self, reply: &str) -> Result<(), Ended> {
        let _ends_anyway = self.say(reply);
        self.wire.flush().await?;
        let drained =
            tokio::time::timeout(DRAIN_MAX, self.wire.chunk(u64::MAX, 0, &mut BytesMut::new()))
                .await;
        Err(drained.ok().and_then(Result::err).unwrap_or(Ended::Politely))
    }

    fn out_of_order(&mut self, reply: &str) -> Result<(), Ended> {
        if self.mail_refused { self.say(reply) } else { self.mistake(reply) }
    }
}

fn send_as_denied(mailbox: &str, from: &str) -> String {
    format!(
        "554 5.2.252 SendAsDenied; {mailbox} not allowed to send as {from}; STOREDRV.Submission.Exception:\
         SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception with \
         message [BeginDiagnosticData]Cannot submit message. 0.35250:0A00F880[EndDiagnosticData]"
    )
}

fn logon_failed() -> String {
    "430 4.2.0 STOREDRV; mailbox logon failure; Failed to process message due to a transient exception with message \
     Cannot open mailbox. STOREDRV.Storage.Exception:ConnectionFailedTransientException.MapiExceptionLogonFailed"
        .to_owned()
}
