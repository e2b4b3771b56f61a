//! Portal mail: what is known of approvals and senders, out.

use jiff::Timestamp;
use nuncio_core::portal::approval::Approval;
use nuncio_core::portal::sender::RefusedSender;

use crate::convert::time::timestamp;
use crate::v1;

/// An approval as it stands at `now`, without its mails.
pub fn approval(approval: &Approval, now: Timestamp) -> v1::Approval {
    let decision = approval.decision.as_ref();
    v1::Approval {
        name: approval.id.to_string(),
        guest: approval.guest.to_string(),
        state: v1::ApprovalState::from(approval.state_at(now)).into(),
        approvers: approval.approvers.iter().map(ToString::to_string).collect(),
        create_time: Some(timestamp(approval.created_at)),
        expire_time: Some(timestamp(approval.expires_at)),
        send_time: Some(timestamp(approval.sent_at)),
        send_count: i32::try_from(approval.sent_count).unwrap_or(i32::MAX),
        request_jobs: Vec::new(),
        credentials_waiting: approval.credentials.is_some(),
        result_jobs: Vec::new(),
        decided_by: decision.map(|one| one.decided_by.clone()).unwrap_or_default(),
        decide_time: decision.map(|one| timestamp(one.decided_at)),
        reason: decision.map(|one| one.reason.clone()).unwrap_or_default(),
    }
}

pub fn refused_sender(sender: RefusedSender) -> v1::RefusedSender {
    v1::RefusedSender {
        refuse_time: Some(timestamp(sender.refused_since)),
        last_try_time: Some(timestamp(sender.last_tried_at)),
        next_try_time: Some(timestamp(sender.next_try_at())),
        refusal_count: i32::try_from(sender.refusals).unwrap_or(i32::MAX),
        address: sender.address.to_string(),
        reason: sender.reason,
    }
}
