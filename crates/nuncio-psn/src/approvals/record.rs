//! How approvals are written down.

use jiff::Timestamp;
use nuncio_core::directory::guest::GuestId;
use nuncio_core::job::MailJobId;
use nuncio_core::portal::approval::{Approval, ApprovalId, ApprovalState, Decision, Verdict};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Expected, Record, RecordKey, RecordKind, RecordQuery, RecordStore, Write,
};
use serde::{Deserialize, Serialize};

use crate::portal::service::to_json;

/// One record for each approval; the guest is its owner.
pub(crate) const APPROVAL: RecordKind = RecordKind("approval");
/// How long an approval is kept after its end.
pub(crate) const KEPT: std::time::Duration = std::time::Duration::from_hours(30 * 24);
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    credentials_jobs: Vec<String>,
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
pub(crate) struct Stored {
    pub(crate) approval: Approval,
    pub(crate) version: i64,
}

pub(crate) fn key(id: ApprovalId) -> RecordKey {
    RecordKey::new(APPROVAL, id.hex())
}

/// Writes an approval; in the end it is kept for [`KEPT`].
pub(crate) fn put(approval: &Approval, expected: Expected, now: Timestamp) -> Write {
    Write::Put {
        key: key(approval.id),
        expected,
        owner: Some(approval.guest.as_str().to_owned()),
        due_at: Some(approval.due_at(now).unwrap_or(now + KEPT)),
        content: to_json(&stored(approval)),
    }
}

pub(crate) async fn find(
    records: &dyn RecordStore,
    id: ApprovalId,
) -> Result<Option<Stored>, StoreError> {
    let found = records.read(&[key(id)]).await?;
    Ok(found.into_iter().flatten().next().as_ref().and_then(decode))
}

pub(crate) async fn list(
    records: &dyn RecordStore,
    guest: Option<&GuestId>,
    after: Option<String>,
    limit: u32,
) -> Result<Vec<Record>, StoreError> {
    let owner = guest.map(|guest| guest.as_str().to_owned());
    records.list_records(&RecordQuery { kind: APPROVAL, owner, after, limit }).await
}

/// The approval of a guest that waits for a decision, if there is one.
pub(crate) async fn pending_of(
    records: &dyn RecordStore,
    guest: &GuestId,
    now: Timestamp,
) -> Result<Option<Approval>, StoreError> {
    let all = list(records, Some(guest), None, OF_GUEST_MAX).await?;
    let mut all = all.iter().filter_map(decode).map(|stored| stored.approval);
    Ok(all.find(|approval| approval.state_at(now) == ApprovalState::Pending))
}

pub(crate) fn decode(record: &Record) -> Option<Stored> {
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
        credentials_jobs: jobs(content.credentials_jobs),
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
        credentials_jobs: names(&approval.credentials_jobs),
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
