//! Between the values of the domain and the columns that keep them, whatever the engine.
//!
//! The JSON in the columns has types of its own here: what is on disk must not change when core does.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use nuncio_core::address::{EmailAddress, Mailbox};
use nuncio_core::class::MailClass;
use nuncio_core::job::{
    Attempt, BudgetUse, Job, JobState, MailJobId, Reason, RecipientResult, RecipientState,
};
use nuncio_core::mail::{Attachment, Mail, Recipient, RecipientKind, Sender};
use nuncio_core::ports::job_store::{Change, ChangeSeq, JobPage, JobQuery, MailboxUsage};
use nuncio_core::ports::records::{Record, RecordKey, RecordKind};
use nuncio_core::ports::sealer::{Sealer, UnsealError};
use nuncio_core::reply::{EnhancedCode, SmtpReply};
use nuncio_core::secret::Sensitive;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::seal;

/// The columns of a [`JobRow`].
macro_rules! job_columns {
    () => {
        "id, class, state, reason, recipients, results, attempts, created_at_us, updated_at_us, \
         due_at_us, expires_at_us, message_id, labels, subject, template, settings_generation, \
         trace_parent"
    };
}
pub(crate) use job_columns;

/// The condition of the indexes over waiting jobs, word for word: else SQLite does not use them.
macro_rules! waiting {
    () => {
        "state IN ('QUEUED', 'DEFERRED', 'HELD')"
    };
}
pub(crate) use waiting;

/// The condition of the index over ended jobs, word for word.
macro_rules! ended {
    () => {
        "state IN ('SENT', 'FAILED', 'EXPIRED', 'CANCELLED', 'UNKNOWN')"
    };
}
pub(crate) use ended;

/// A row does not hold what this version expects there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    #[error("column `{column}` does not hold the expected JSON")]
    Json { column: &'static str, source: serde_json::Error },
    #[error("column `{column}` does not hold a valid value")]
    Value { column: &'static str },
    #[error("the mail cannot be opened")]
    Sealed(#[from] UnsealError),
}

/// The columns of a job that its domain type has.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct JobRow {
    pub(crate) id: Vec<u8>,
    pub(crate) class: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) recipients: String,
    pub(crate) results: Option<String>,
    pub(crate) attempts: i64,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
    pub(crate) due_at_us: i64,
    pub(crate) expires_at_us: i64,
    pub(crate) message_id: String,
    pub(crate) labels: String,
    pub(crate) subject: String,
    pub(crate) template: Option<String>,
    pub(crate) settings_generation: Option<i64>,
    pub(crate) trace_parent: Option<String>,
}

/// A change and the job as it stood then.
#[derive(sqlx::FromRow)]
pub(crate) struct ChangeRow {
    seq: i64,
    #[sqlx(flatten)]
    job: JobRow,
}

/// An attachment of the mail of a job.
#[derive(sqlx::FromRow)]
pub(crate) struct AttachmentRow {
    job: Vec<u8>,
    pub(crate) place: i64,
    file_name: String,
    content_type: String,
    pub(crate) content: Vec<u8>,
    sealed: bool,
}

impl AttachmentRow {
    pub(crate) fn open(self, job: MailJobId, sealer: &dyn Sealer) -> Result<Attachment, RowError> {
        let Self { place, file_name, content_type, content, sealed, .. } = self;
        let content =
            if sealed { seal::open_attachment(sealer, job, place, &content)? } else { content };
        Ok(Attachment { file_name, content_type, content })
    }
}

/// A row of the record of attempts.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct AttemptRow {
    pub(crate) started_at_us: i64,
    pub(crate) ended_at_us: i64,
    pub(crate) outcome: String,
    pub(crate) detail: String,
    pub(crate) counted: bool,
    pub(crate) mailbox: Option<String>,
    pub(crate) recipients: Option<i64>,
}

/// What attempts that ended at one time used.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct UsageRow {
    mailbox: Option<String>,
    told_at_us: i64,
    messages: i64,
    recipients: i64,
}

/// A record, but for its kind.
#[derive(sqlx::FromRow)]
pub(crate) struct RecordRow {
    id: String,
    version: i64,
    owner: Option<String>,
    due_at_us: Option<i64>,
    updated_at_us: i64,
    content: String,
}

/// A record, and the place where somebody wants it.
#[derive(sqlx::FromRow)]
pub(crate) struct PlacedRecordRow {
    place: i64,
    #[sqlx(flatten)]
    record: RecordRow,
}

impl RecordRow {
    fn into_record(self, kind: RecordKind) -> Result<Record, RowError> {
        let due_at = self.due_at_us.map(|us| time_from("due_at_us", us)).transpose()?;
        Ok(Record {
            key: RecordKey { kind, id: self.id },
            version: self.version,
            owner: self.owner,
            due_at,
            updated_at: time_from("updated_at_us", self.updated_at_us)?,
            content: self.content,
        })
    }
}

pub(crate) fn records_from(
    rows: Vec<RecordRow>,
    kind: RecordKind,
) -> Result<Vec<Record>, RowError> {
    rows.into_iter().map(|row| row.into_record(kind)).collect()
}

/// The records in the places of their keys.
pub(crate) fn records_at(
    rows: Vec<PlacedRecordRow>,
    keys: &[RecordKey],
) -> Result<Vec<Option<Record>>, RowError> {
    let mut records = vec![None; keys.len()];
    for PlacedRecordRow { place, record } in rows {
        let place = place_from(place)?;
        records[place] = Some(record.into_record(keys[place].kind)?);
    }
    Ok(records)
}

/// Versions with the places of their keys.
pub(crate) fn versions_from(rows: Vec<(i64, i64)>) -> Result<Vec<(usize, i64)>, RowError> {
    rows.into_iter().map(|(place, version)| Ok((place_from(place)?, version))).collect()
}

pub(crate) fn place_to(place: usize) -> i64 {
    i64::try_from(place).expect("so many fit into memory")
}

fn place_from(place: i64) -> Result<usize, RowError> {
    usize::try_from(place).map_err(|_| RowError::Value { column: "place" })
}

impl TryFrom<JobRow> for Job {
    type Error = RowError;

    fn try_from(row: JobRow) -> Result<Self, RowError> {
        let recipients = recipients_from(&row.recipients, row.results.as_deref())?;
        let trace = row.trace_parent.map(|trace| trace.parse()).transpose();
        Ok(Self {
            id: id_from(&row.id)?,
            class: class_from(&row.class)?,
            state: state_from(&row.state)?,
            reason: row.reason.as_deref().map(reason_from).transpose()?,
            recipients,
            attempts: number_from("attempts", row.attempts)?,
            created_at: time_from("created_at_us", row.created_at_us)?,
            updated_at: time_from("updated_at_us", row.updated_at_us)?,
            due_at: time_from("due_at_us", row.due_at_us)?,
            expires_at: time_from("expires_at_us", row.expires_at_us)?,
            message_id: row.message_id,
            labels: from_json("labels", &row.labels)?,
            subject: row.subject,
            template: row.template,
            settings_generation: row.settings_generation,
            trace: trace.map_err(|_| RowError::Value { column: "trace_parent" })?,
        })
    }
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = RowError;

    fn try_from(row: AttemptRow) -> Result<Self, RowError> {
        Ok(Self {
            started_at: time_from("started_at_us", row.started_at_us)?,
            ended_at: time_from("ended_at_us", row.ended_at_us)?,
            outcome: row.outcome,
            detail: row.detail,
            counted: row.counted,
            used: match row.recipients {
                Some(recipients) => Some(BudgetUse {
                    mailbox: mailbox_from(row.mailbox)?,
                    recipients: number_from("recipients", recipients)?,
                }),
                None => None,
            },
        })
    }
}

impl TryFrom<UsageRow> for MailboxUsage {
    type Error = RowError;

    fn try_from(row: UsageRow) -> Result<Self, RowError> {
        Ok(Self {
            mailbox: mailbox_from(row.mailbox)?,
            ended_at: time_from("ended_at_us", row.told_at_us)?,
            messages: number_from("messages", row.messages)?,
            recipients: number_from("recipients", row.recipients)?,
        })
    }
}

/// The changes, but for those that cannot be read.
pub(crate) fn changes_from(rows: Vec<ChangeRow>) -> Vec<Change> {
    let changes = rows.into_iter().filter_map(|ChangeRow { seq, job }| {
        let id = job.id.clone();
        let job = readable(&id, Job::try_from(job))?;
        Some(Change { seq: ChangeSeq(seq), job })
    });
    changes.collect()
}

/// The attachments of each job, in the order of their rows.
pub(crate) fn attachments_from(
    rows: Vec<AttachmentRow>,
) -> Result<HashMap<MailJobId, Vec<AttachmentRow>>, RowError> {
    let mut of: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        of.entry(id_from(&row.job)?).or_default().push(row);
    }
    Ok(of)
}

pub(crate) fn jobs_from(rows: Vec<JobRow>) -> Result<HashMap<MailJobId, Job>, RowError> {
    let jobs = rows.into_iter().map(|row| Job::try_from(row).map(|job| (job.id, job)));
    jobs.collect()
}

/// A page of a list from one row more than its limit, which tells whether there is another page.
///
/// `stop` is the last job that was looked at, if there are more. Rows that cannot be read are left out.
pub(crate) fn page_from(
    mut rows: Vec<JobRow>,
    query: &JobQuery,
    stop: Option<MailJobId>,
) -> Result<JobPage, RowError> {
    let limit = usize::try_from(query.limit).expect("a usize has at least 32 bits");
    let more = limit < rows.len();
    rows.truncate(limit);
    let last = rows.last().filter(|_| more).map(|row| id_from(&row.id));
    let next = last.transpose()?.or(stop);
    let jobs = rows.into_iter().filter_map(|row| {
        let id = row.id.clone();
        readable(&id, Job::try_from(row))
    });
    Ok(JobPage { jobs: jobs.filter(|job| query.fits(job)).collect(), next })
}

/// The value of a row; nothing, and a line in the log, if it cannot be read.
///
/// One row that cannot be read must not keep all others from being sent.
pub(crate) fn readable<T>(id: &[u8], value: Result<T, RowError>) -> Option<T> {
    let error = value.as_ref().err().map(|error| error as &(dyn std::error::Error + 'static));
    if let Some(error) = error {
        let job = id_from(id).map(|id| id.to_string()).unwrap_or_default();
        tracing::error!(job, error, "what is stored of a job cannot be read: it is passed over");
    }
    value.ok()
}

/// An error of a row, among those of the database.
pub(crate) fn unreadable(error: RowError) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

/// A moment as it is kept: in whole microseconds.
pub(crate) fn whole_us(moment: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(moment.as_microsecond()).expect("it was a moment before")
}

pub(crate) fn id_to(id: MailJobId) -> Vec<u8> {
    id.as_uuid().as_bytes().to_vec()
}

pub(crate) fn id_from(bytes: &[u8]) -> Result<MailJobId, RowError> {
    Uuid::from_slice(bytes).map(MailJobId::from).map_err(|_| RowError::Value { column: "id" })
}

pub(crate) fn ids_in_order(all: &[Vec<u8>]) -> sqlx::Result<Vec<MailJobId>> {
    all.iter().map(|bytes| id_from(bytes).map_err(unreadable)).collect()
}

pub(crate) fn ids_from(all: &[Vec<u8>]) -> Result<HashSet<MailJobId>, RowError> {
    all.iter().map(|bytes| id_from(bytes)).collect()
}

pub(crate) fn labels_to(labels: &BTreeMap<String, String>) -> String {
    to_json(labels)
}

pub(crate) fn reason_to(reason: &Reason) -> String {
    to_json(&StoredReason::from(reason))
}

/// Who the recipients are: what never changes about them.
pub(crate) fn recipients_to(recipients: &[RecipientResult]) -> String {
    let stored = recipients.iter().map(|one| StoredRecipient {
        address: one.address.as_str().to_owned(),
        name: None,
        kind: one.kind.into(),
    });
    to_json(&stored.collect::<Vec<_>>())
}

/// What stands in the column of recipients, without blanks, if this address is one of them.
pub(crate) fn recipient_needle(address: &EmailAddress) -> String {
    format!("\"address\":{}", to_json(&address.as_str()))
}

/// What stands in the column of labels if this is one of them.
pub(crate) fn label_needle(key: &str, value: &str) -> String {
    format!("{}:{}", to_json(&key), to_json(&value))
}

/// What became of the recipients; nothing while all are pending without a reply.
pub(crate) fn results_to(recipients: &[RecipientResult]) -> Option<String> {
    let untouched =
        |one: &RecipientResult| one.state == RecipientState::Pending && one.reply.is_none();
    if recipients.iter().all(untouched) {
        return None;
    }
    let stored = recipients.iter().map(|one| StoredResult {
        state: one.state.into(),
        reply: one.reply.as_ref().map(StoredReply::from),
        reason: one.reason.as_ref().map(StoredReason::from),
    });
    Some(to_json(&stored.collect::<Vec<_>>()))
}

/// The mail but for the contents of its attachments.
pub(crate) fn mail_to(mail: &Mail) -> String {
    let recipients = mail.recipients.iter().map(|one| StoredRecipient {
        kind: one.kind.into(),
        ..StoredRecipient::from(&one.mailbox)
    });
    to_json(&StoredMail {
        from: mail.from.as_ref().map(StoredRecipient::from),
        reply_to: mail.reply_to.as_ref().map(StoredRecipient::from),
        other_senders: mail.other_senders.iter().map(StoredSender::from).collect(),
        references: mail.references.clone(),
        recipients: recipients.collect(),
        subject: mail.subject.clone(),
        text: mail.text.as_ref().map(|text| text.expose().to_owned()),
        html: mail.html.as_ref().map(|html| html.expose().to_owned()),
        template: mail.template.clone(),
    })
}

pub(crate) fn mail_from(json: &[u8], attachments: Vec<Attachment>) -> Result<Mail, RowError> {
    let stored: StoredMail =
        serde_json::from_slice(json).map_err(|source| RowError::Json { column: "mail", source })?;
    let other_senders = stored.other_senders.into_iter().map(StoredSender::into_sender);
    let recipients = stored.recipients.into_iter().map(|one| {
        let kind = one.kind.into();
        Ok(Recipient { mailbox: one.into_mailbox()?, kind })
    });
    Ok(Mail {
        from: stored.from.map(StoredRecipient::into_mailbox).transpose()?,
        reply_to: stored.reply_to.map(StoredRecipient::into_mailbox).transpose()?,
        other_senders: other_senders.collect::<Result<_, RowError>>()?,
        references: stored.references,
        recipients: recipients.collect::<Result<_, RowError>>()?,
        subject: stored.subject,
        text: stored.text.map(Sensitive::from),
        html: stored.html.map(Sensitive::from),
        attachments,
        template: stored.template,
    })
}

fn recipients_from(who: &str, results: Option<&str>) -> Result<Vec<RecipientResult>, RowError> {
    let who: Vec<StoredRecipient> = from_json("recipients", who)?;
    let results = match results {
        Some(results) => from_json("results", results)?,
        None => vec![StoredResult::default(); who.len()],
    };
    if who.len() != results.len() {
        return Err(RowError::Value { column: "results" });
    }
    let both = who.into_iter().zip(results).map(|(who, result)| {
        let kind = who.kind.into();
        Ok(RecipientResult {
            address: who.into_mailbox()?.address,
            kind,
            state: result.state.into(),
            reply: result.reply.map(SmtpReply::from),
            reason: result.reason.map(Reason::from),
        })
    });
    both.collect()
}

fn reason_from(json: &str) -> Result<Reason, RowError> {
    let stored: StoredReason = from_json("reason", json)?;
    Ok(stored.into())
}

fn mailbox_from(address: Option<String>) -> Result<Option<EmailAddress>, RowError> {
    let address = address.map(|address| address.parse()).transpose();
    address.map_err(|_| RowError::Value { column: "mailbox" })
}

pub(crate) fn class_from(name: &str) -> Result<MailClass, RowError> {
    let class = MailClass::ALL.into_iter().find(|class| class.name() == name);
    class.ok_or(RowError::Value { column: "class" })
}

fn state_from(name: &str) -> Result<JobState, RowError> {
    let state = JobState::ALL.into_iter().find(|state| state.name() == name);
    state.ok_or(RowError::Value { column: "state" })
}

pub(crate) fn time_from(column: &'static str, us: i64) -> Result<Timestamp, RowError> {
    Timestamp::from_microsecond(us).map_err(|_| RowError::Value { column })
}

pub(crate) fn number_from(column: &'static str, number: i64) -> Result<u32, RowError> {
    u32::try_from(number).map_err(|_| RowError::Value { column })
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("these types have no keys but strings")
}

fn from_json<'a, T: Deserialize<'a>>(column: &'static str, json: &'a str) -> Result<T, RowError> {
    serde_json::from_str(json).map_err(|source| RowError::Json { column, source })
}

// What the JSON looks like.

#[derive(Deserialize, Serialize)]
struct StoredMail {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<StoredRecipient>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_to: Option<StoredRecipient>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    other_senders: Vec<StoredSender>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    references: Vec<String>,
    recipients: Vec<StoredRecipient>,
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    template: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct StoredSender {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<StoredRecipient>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_to: Option<StoredRecipient>,
}

#[derive(Deserialize, Serialize)]
struct StoredRecipient {
    address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default)]
    kind: StoredKind,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum StoredKind {
    #[default]
    To,
    Cc,
    Bcc,
}

#[derive(Clone, Default, Deserialize, Serialize)]
struct StoredResult {
    state: StoredState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply: Option<StoredReply>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<StoredReason>,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum StoredState {
    #[default]
    Pending,
    Accepted,
    Refused,
    Unknown,
}

#[derive(Clone, Deserialize, Serialize)]
struct StoredReason {
    code: String,
    message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    remedy: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply: Option<StoredReply>,
}

#[derive(Clone, Deserialize, Serialize)]
struct StoredReply {
    code: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enhanced: Option<[u16; 3]>,
    text: String,
}

impl From<&Mailbox> for StoredRecipient {
    fn from(mailbox: &Mailbox) -> Self {
        Self {
            address: mailbox.address.as_str().to_owned(),
            name: mailbox.display_name.clone(),
            kind: StoredKind::default(),
        }
    }
}

impl From<&Sender> for StoredSender {
    fn from(sender: &Sender) -> Self {
        Self {
            from: sender.from.as_ref().map(StoredRecipient::from),
            reply_to: sender.reply_to.as_ref().map(StoredRecipient::from),
        }
    }
}

impl StoredSender {
    fn into_sender(self) -> Result<Sender, RowError> {
        Ok(Sender {
            from: self.from.map(StoredRecipient::into_mailbox).transpose()?,
            reply_to: self.reply_to.map(StoredRecipient::into_mailbox).transpose()?,
        })
    }
}

impl StoredRecipient {
    fn into_mailbox(self) -> Result<Mailbox, RowError> {
        let address = self.address.parse();
        let address = address.map_err(|_| RowError::Value { column: "recipients" })?;
        Ok(Mailbox { address, display_name: self.name })
    }
}

impl From<&Reason> for StoredReason {
    fn from(reason: &Reason) -> Self {
        Self {
            code: reason.code.clone(),
            message: reason.message.clone(),
            remedy: reason.remedy.clone(),
            reply: reason.reply.as_ref().map(StoredReply::from),
        }
    }
}

impl From<StoredReason> for Reason {
    fn from(StoredReason { code, message, remedy, reply }: StoredReason) -> Self {
        Self { code, message, remedy, reply: reply.map(SmtpReply::from) }
    }
}

impl From<&SmtpReply> for StoredReply {
    fn from(reply: &SmtpReply) -> Self {
        let enhanced = reply.enhanced.map(|code| [code.class, code.subject, code.detail]);
        Self { code: reply.code, enhanced, text: reply.text.clone() }
    }
}

impl From<StoredReply> for SmtpReply {
    fn from(stored: StoredReply) -> Self {
        let enhanced = |[class, subject, detail]: [u16; 3]| EnhancedCode { class, subject, detail };
        Self { code: stored.code, enhanced: stored.enhanced.map(enhanced), text: stored.text }
    }
}

impl From<RecipientKind> for StoredKind {
    fn from(kind: RecipientKind) -> Self {
        match kind {
            RecipientKind::To => Self::To,
            RecipientKind::Cc => Self::Cc,
            RecipientKind::Bcc => Self::Bcc,
        }
    }
}

impl From<StoredKind> for RecipientKind {
    fn from(stored: StoredKind) -> Self {
        match stored {
            StoredKind::To => Self::To,
            StoredKind::Cc => Self::Cc,
            StoredKind::Bcc => Self::Bcc,
        }
    }
}

impl From<RecipientState> for StoredState {
    fn from(state: RecipientState) -> Self {
        match state {
            RecipientState::Pending => Self::Pending,
            RecipientState::Accepted => Self::Accepted,
            RecipientState::Refused => Self::Refused,
            RecipientState::Unknown => Self::Unknown,
        }
    }
}

impl From<StoredState> for RecipientState {
    fn from(stored: StoredState) -> Self {
        match stored {
            StoredState::Pending => Self::Pending,
            StoredState::Accepted => Self::Accepted,
            StoredState::Refused => Self::Refused,
            StoredState::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
