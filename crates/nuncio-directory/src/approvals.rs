//! Requests for approval as records, and what becomes of them when their guest is changed past them.
//!
//! They stand here, and not with the portal that makes them, so that a guest who is approved or denied in the
//! directory settles them in the same transaction.

pub mod sealed;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use nuncio_core::directory::guest::{Guest, GuestId};
use nuncio_core::job::MailJobId;
use nuncio_core::portal::approval::{
    Approval, ApprovalId, ApprovalState, Decision, Verdict, WaitingCredentials,
};
use nuncio_core::portal::plan::NoticeOptions;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, Expected, Record, RecordKey, RecordKind, RecordQuery, RecordStore, Write,
};
use serde::{Deserialize, Serialize};

/// One record for each approval; the guest is its owner.
pub const APPROVAL: RecordKind = RecordKind("approval");
/// How long an approval is kept after its end.
pub const KEPT: std::time::Duration = std::time::Duration::from_hours(30 * 24);
/// How many approvals of one guest are looked at to find one that is pending.
const OF_GUEST_MAX: u32 = 1000;

#[derive(Serialize, Deserialize)]
struct ApprovalV1 {
    guest: String,
    state: StateV1,
    approvers: Vec<String>,
    created_at: Timestamp,
    expires_at: Timestamp,
    sent_at: Timestamp,
    sent_count: u32,
    request_jobs: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credentials: Option<CredentialsV1>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    result_jobs: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<DecisionV1>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    locale: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    portal: String,
}

#[derive(Serialize, Deserialize)]
struct CredentialsV1 {
    /// In Base64.
    sealed_password: String,
    separate_mails: bool,
    copy_me: bool,
    copy_password: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct DecisionV1 {
    approve: bool,
    at: Timestamp,
    by: String,
    reason: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum StateV1 {
    Pending,
    Approved,
    Denied,
    Expired,
    Cancelled,
}

/// An approval and the version of its record.
#[derive(Clone, Debug)]
pub struct Stored {
    pub approval: Approval,
    pub version: i64,
}

pub fn key(id: ApprovalId) -> RecordKey {
    RecordKey::new(APPROVAL, id.hex())
}

/// Writes an approval; in the end it is kept for [`KEPT`].
pub fn put(approval: &Approval, expected: Expected, now: Timestamp) -> Write {
    Write::Put {
        key: key(approval.id),
        expected,
        owner: Some(approval.guest.as_str().to_owned()),
        due_at: Some(approval.due_at(now).unwrap_or(now + KEPT)),
        content: content(approval),
    }
}

fn content(approval: &Approval) -> String {
    serde_json::to_string(&stored(approval)).expect("texts always become JSON")
}

pub async fn find(records: &dyn RecordStore, id: ApprovalId) -> Result<Option<Stored>, StoreError> {
    let found = records.read(&[key(id)]).await?;
    Ok(found.into_iter().flatten().next().as_ref().and_then(decode))
}

pub async fn list(
    records: &dyn RecordStore,
    guest: Option<&GuestId>,
    after: Option<String>,
    limit: u32,
) -> Result<Vec<Record>, StoreError> {
    let owner = guest.map(|guest| guest.as_str().to_owned());
    records.list_records(&RecordQuery { kind: APPROVAL, owner, after, limit }).await
}

/// The approval of a guest that waits for a decision, if there is one.
pub async fn pending_of(
    records: &dyn RecordStore,
    guest: &GuestId,
    now: Timestamp,
) -> Result<Option<Stored>, StoreError> {
    let all = list(records, Some(guest), None, OF_GUEST_MAX).await?;
    let mut all = all.iter().filter_map(decode);
    Ok(all.find(|stored| stored.approval.state_at(now) == ApprovalState::Pending))
}

/// Settles the request of a guest who is to stand as `after` says, or is to be removed, in the changeset that
/// makes him so. Credentials that have waited are made into mails by whoever looks at the request next.
pub async fn settle(
    records: &dyn RecordStore,
    guest: &GuestId,
    after: Option<&Guest>,
    changes: &mut Changeset,
) -> Result<(), StoreError> {
    let now = changes.now;
    let Some(Stored { approval, version }) = pending_of(records, guest, now).await? else {
        return Ok(());
    };
    if let Some(settled) = approval.settled_by(after, now) {
        // Nobody needs to be asked any more.
        changes.cancel.extend(&approval.request_jobs);
        changes.writes.push(put(&settled, Expected::Version(version), now));
    }
    Ok(())
}

pub fn decode(record: &Record) -> Option<Stored> {
    let id = ApprovalId::from_hex(&record.key.id).ok()?;
    let content: ApprovalV1 = serde_json::from_str(&record.content).ok()?;
    let jobs = |names: Vec<String>| -> Vec<MailJobId> {
        names.iter().filter_map(|name| name.parse().ok()).collect()
    };
    let approval = Approval {
        id,
        guest: GuestId::parse(&content.guest).ok()?,
        state: content.state.into(),
        approvers: content.approvers.iter().filter_map(|one| one.parse().ok()).collect(),
        created_at: content.created_at,
        expires_at: content.expires_at,
        sent_at: content.sent_at,
        sent_count: content.sent_count,
        request_jobs: jobs(content.request_jobs),
        credentials: content.credentials.map(credentials).transpose().ok()?,
        result_jobs: jobs(content.result_jobs),
        decision: content.decision.map(|one| Decision {
            verdict: if one.approve { Verdict::Approve } else { Verdict::Deny },
            decided_at: one.at,
            decided_by: one.by,
            reason: one.reason,
        }),
        locale: content.locale,
        portal: content.portal,
    };
    Some(Stored { approval, version: record.version })
}

fn credentials(stored: CredentialsV1) -> Result<WaitingCredentials, base64::DecodeError> {
    let CredentialsV1 { sealed_password, separate_mails, copy_me, copy_password, labels } = stored;
    Ok(WaitingCredentials {
        sealed_password: BASE64_STANDARD.decode(sealed_password)?,
        options: NoticeOptions { separate_mails, copy_me, copy_password },
        labels,
    })
}

fn stored_credentials(credentials: &WaitingCredentials) -> CredentialsV1 {
    let NoticeOptions { separate_mails, copy_me, copy_password } = credentials.options;
    CredentialsV1 {
        sealed_password: BASE64_STANDARD.encode(&credentials.sealed_password),
        separate_mails,
        copy_me,
        copy_password,
        labels: credentials.labels.clone(),
    }
}

fn stored(approval: &Approval) -> ApprovalV1 {
    let names = |jobs: &[MailJobId]| jobs.iter().map(ToString::to_string).collect();
    ApprovalV1 {
        guest: approval.guest.as_str().to_owned(),
        state: approval.state.into(),
        approvers: approval.approvers.iter().map(ToString::to_string).collect(),
        created_at: approval.created_at,
        expires_at: approval.expires_at,
        sent_at: approval.sent_at,
        sent_count: approval.sent_count,
        request_jobs: names(&approval.request_jobs),
        credentials: approval.credentials.as_ref().map(stored_credentials),
        result_jobs: names(&approval.result_jobs),
        decision: approval.decision.as_ref().map(|one| DecisionV1 {
            approve: one.verdict == Verdict::Approve,
            at: one.decided_at,
            by: one.decided_by.clone(),
            reason: one.reason.clone(),
        }),
        locale: approval.locale.clone(),
        portal: approval.portal.clone(),
    }
}

impl From<StateV1> for ApprovalState {
    fn from(state: StateV1) -> Self {
        match state {
            StateV1::Pending => Self::Pending,
            StateV1::Approved => Self::Approved,
            StateV1::Denied => Self::Denied,
            StateV1::Expired => Self::Expired,
            StateV1::Cancelled => Self::Cancelled,
        }
    }
}

impl From<ApprovalState> for StateV1 {
    fn from(state: ApprovalState) -> Self {
        match state {
            ApprovalState::Pending => Self::Pending,
            ApprovalState::Approved => Self::Approved,
            ApprovalState::Denied => Self::Denied,
            ApprovalState::Expired => Self::Expired,
            ApprovalState::Cancelled => Self::Cancelled,
        }
    }
}
