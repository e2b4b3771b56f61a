use super::*;
use crate::directory::draft::GuestDraft;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn approval() -> Approval {
    Approval {
        id: ApprovalId::new([7; 16]),
        guest: GuestId::parse("ada").unwrap(),
        state: ApprovalState::Pending,
        approvers: vec!["boss@example.com".parse().unwrap()],
        created_at: at(0),
        expires_at: at(100),
        sent_at: at(0),
        sent_count: 1,
        request_jobs: Vec::new(),
        credentials: None,
        result_jobs: Vec::new(),
        decision: None,
        locale: String::new(),
        portal: String::new(),
    }
}

fn decision(verdict: Verdict, second: i64) -> Decision {
    Decision {
        verdict,
        decided_at: at(second),
        decided_by: "boss@example.com".to_owned(),
        reason: String::new(),
    }
}

#[test]
fn a_request_is_decided_once() {
    let approved = approval().decided(decision(Verdict::Approve, 5)).unwrap();
    assert_eq!(approved.state, ApprovalState::Approved);

    let again = approved.decided(decision(Verdict::Deny, 6)).unwrap_err();

    assert_eq!(again.state, ApprovalState::Approved);
    assert!(approved.cancelled(at(6)).is_err());
}

#[test]
fn a_request_is_over_in_time_even_if_nobody_has_noted_it() {
    assert!(approval().decided(decision(Verdict::Deny, 99)).is_ok());
    let late = approval().decided(decision(Verdict::Deny, 100)).unwrap_err();
    assert_eq!(late.state, ApprovalState::Expired);
}

#[test]
fn somebody_looks_at_it_when_there_is_something_to_do() {
    let waiting = approval();
    assert_eq!(waiting.due_at(at(1)), Some(at(100)));
    let approved = waiting.decided(decision(Verdict::Approve, 5)).unwrap();
    assert_eq!(approved.due_at(at(5)), None);
    let approved = with_credentials().decided(decision(Verdict::Approve, 5)).unwrap();
    assert_eq!(approved.due_at(at(5)), Some(at(5)));
}

#[test]
fn credentials_are_kept_for_who_is_approved_alone() {
    let waiting = with_credentials();

    let approved = waiting.decided(decision(Verdict::Approve, 5)).unwrap();
    assert_eq!(approved.credentials, waiting.credentials);
    assert_eq!(waiting.decided(decision(Verdict::Deny, 5)).unwrap().credentials, None);
    assert_eq!(waiting.cancelled(at(5)).unwrap().credentials, None);
}

#[test]
fn a_guest_who_is_changed_past_the_request_settles_it() {
    let waiting = with_credentials();
    let settled = |state| waiting.settled_by(Some(&guest(state)), at(5));

    assert_eq!(settled(GuestState::PendingApproval), None);
    let approved = settled(GuestState::Created).unwrap();
    assert_eq!(approved.state, ApprovalState::Approved);
    assert_eq!(approved.credentials, waiting.credentials);
    assert_eq!(approved.decision.unwrap().decided_by, BY_DIRECTORY);
    let denied = settled(GuestState::Denied).unwrap();
    assert_eq!((denied.state, denied.credentials), (ApprovalState::Denied, None));
    assert_eq!(denied.decision.unwrap().reason, "no room");
    assert_eq!(settled(GuestState::Expired).unwrap().state, ApprovalState::Cancelled);
    let removed = waiting.settled_by(None, at(5)).unwrap();
    assert_eq!((removed.state, removed.credentials), (ApprovalState::Cancelled, None));
    assert_eq!(waiting.settled_by(None, at(100)), None, "it has expired before");
}

fn with_credentials() -> Approval {
    let credentials = WaitingCredentials {
        sealed_password: vec![1, 2, 3],
        options: NoticeOptions::default(),
        labels: BTreeMap::new(),
    };
    Approval { credentials: Some(credentials), ..approval() }
}

fn guest(state: GuestState) -> Guest {
    let id = GuestId::parse("ada").unwrap();
    let valid_to = Some(at(1000));
    let draft = GuestDraft { state: Some(state), valid_to, ..GuestDraft::default() };
    let guest = draft.check(id, None, at(0)).unwrap();
    Guest { state_reason: "no room".to_owned(), ..guest }
}

#[test]
fn a_name_is_read_as_it_is_shown() {
    let id = approval().id;
    assert_eq!(id.to_string(), "approvals/07070707070707070707070707070707");
    assert_eq!(ApprovalId::from_name(&id.to_string()), Ok(id));
    for wrong in ["", "approvals/", "approvals/07", "07070707070707070707070707070707"] {
        assert_eq!(ApprovalId::from_name(wrong), Err(NotAnApprovalName), "{wrong}");
    }
    let upper = format!("approvals/{}", "A".repeat(32));
    assert_eq!(ApprovalId::from_name(&upper), Err(NotAnApprovalName));
}
