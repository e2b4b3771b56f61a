use proptest::prelude::*;

use super::*;
use crate::error::reason;

fn request(states: &[v1::MailJobState], page_token: &str) -> v1::ListMailJobsRequest {
    v1::ListMailJobsRequest {
        page_token: page_token.to_owned(),
        states: states.iter().map(|state| i32::from(*state)).collect(),
        ..v1::ListMailJobsRequest::default()
    }
}

fn check_size(page_size: i32, expect: u32) {
    let request = v1::ListMailJobsRequest { page_size, ..v1::ListMailJobsRequest::default() };
    assert_eq!(job_query(&request).unwrap().limit, expect);
}

#[test]
fn a_page_has_a_usual_and_a_largest_size() {
    check_size(0, PAGE_SIZE);
    check_size(1, 1);
    check_size(1000, PAGE_SIZE_MAX);
    check_size(i32::MAX, PAGE_SIZE_MAX);
}

#[test]
fn a_token_fits_its_filter_only() {
    use v1::MailJobState::{Failed, Held, Sent};
    let last = MailJobId::from(Uuid::from_u128(7));
    let token = next_page_token(&job_query(&request(&[Sent, Failed], "")).unwrap(), last);

    let next = job_query(&request(&[Failed, Sent, Sent], &token)).unwrap();
    let other = job_query(&request(&[Sent, Held], &token));
    let none = job_query(&request(&[], &token));

    assert_eq!(next.before, Some(last));
    assert_eq!(other, Err(ListError::PageToken(PageTokenError::OtherFilter)));
    assert_eq!(none, Err(ListError::PageToken(PageTokenError::OtherFilter)));
}

#[test]
fn the_same_word_as_state_and_as_class_is_not_the_same_filter() {
    // No name is both today; if one becomes so, the digest must tell them apart.
    for state in JobState::ALL {
        for class in MailClass::ALL {
            assert_ne!(state.name(), class.name());
        }
    }
}

#[test]
fn a_token_means_the_same_in_every_version() {
    let query = job_query(&request(&[v1::MailJobState::Sent], "")).unwrap();
    let last = MailJobId::from(Uuid::from_u128(7));

    assert_eq!(next_page_token(&query, last), "MQAAAAAAAAAAAAAAAAAAAAdj9-iLXlyYTQ");
    assert_eq!(resume_token(ChangeSeq(258)), "dwAAAAAAAAEC");
}

fn check_refused(request: &v1::ListMailJobsRequest, expect: &str) {
    let status = Status::from(job_query(request).unwrap_err());
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason(&status).as_deref(), Some(expect));
}

#[test]
fn what_is_wrong_with_a_list_has_its_reason() {
    let default = v1::ListMailJobsRequest::default;
    check_refused(&v1::ListMailJobsRequest { page_size: -1, ..default() }, "INVALID_PAGE_SIZE");
    check_refused(&v1::ListMailJobsRequest { states: vec![99], ..default() }, "INVALID_FILTER");
    check_refused(&v1::ListMailJobsRequest { classes: vec![0], ..default() }, "INVALID_FILTER");
    let many = v1::ListMailJobsRequest { states: vec![1; 101], ..default() };
    check_refused(&many, "INVALID_FILTER");
    check_refused(&request(&[], "next, please"), "INVALID_PAGE_TOKEN");
    // A token of a watch is none of a list.
    check_refused(&request(&[], &resume_token(ChangeSeq(1))), "INVALID_PAGE_TOKEN");
}

#[test]
fn a_watch_without_token_goes_on_behind_no_change() {
    assert_eq!(resume_after(""), Ok(None));
}

#[test]
fn a_negative_change_is_none() {
    assert_eq!(resume_after(&resume_token(ChangeSeq(-1))), Err(NotAResumeToken));
}

proptest! {
    #[test]
    fn a_resume_token_comes_back_as_it_went(seq in 0..=i64::MAX) {
        prop_assert_eq!(resume_after(&resume_token(ChangeSeq(seq))), Ok(Some(ChangeSeq(seq))));
    }

    #[test]
    fn a_page_token_comes_back_as_it_went(id: u128) {
        let id = MailJobId::from(Uuid::from_u128(id));
        let token = next_page_token(&JobQuery::default(), id);

        prop_assert_eq!(job_query(&request(&[], &token)).unwrap().before, Some(id));
    }

    #[test]
    fn no_text_brings_the_reader_down(text in "\\PC{0,60}|[A-Za-z0-9_-]{0,60}") {
        let page = job_query(&request(&[], &text));
        prop_assert!(text.is_empty() || page.is_err());
        prop_assert!(text.is_empty() || resume_after(&text).is_err() || text.len() == 12);
    }
}
