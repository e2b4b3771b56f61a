use super::*;

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
        credentials_jobs: Vec::new(),
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
    let mut approved = waiting.decided(decision(Verdict::Approve, 5)).unwrap();
    assert_eq!(approved.due_at(at(5)), None);
    approved.credentials_jobs = vec![MailJobId::first_of(at(0))];
    assert_eq!(approved.due_at(at(5)), Some(at(5)));
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
