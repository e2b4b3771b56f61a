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
    let token = next_page_token(&request(&[Sent, Failed], ""), last);

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

fn at(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

/// A request with all filters.
fn full() -> v1::ListMailJobsRequest {
    let labels = [("site", "north"), ("floor", "2")];
    v1::ListMailJobsRequest {
        recipient: "guest@example.com".to_owned(),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        since_time: Some(at(1_000)),
        until_time: Some(at(2_000)),
        ..request(&[v1::MailJobState::Sent], "")
    }
}

#[test]
fn every_filter_comes_into_the_query() {
    let query = job_query(&full()).unwrap();

    let moment = |seconds| MailJobId::first_of(Timestamp::from_second(seconds).unwrap());
    let expect = JobQuery {
        before: Some(moment(2_000)),
        from: Some(moment(1_000)),
        limit: PAGE_SIZE,
        examine_max: Some(EXAMINED_MAX),
        states: vec![JobState::Sent],
        classes: vec![],
        recipient: Some("guest@example.com".parse().unwrap()),
        labels: full().labels,
    };
    assert_eq!(query, expect);
}

#[test]
fn a_token_fits_every_part_of_its_filter_only() {
    let last = MailJobId::first_of(Timestamp::from_second(1_500).unwrap());
    let page_token = next_page_token(&full(), last);
    let with = |request| v1::ListMailJobsRequest { page_token: page_token.clone(), ..request };

    assert_eq!(job_query(&with(full())).unwrap().before, Some(last));
    let label = |value: &str| BTreeMap::from([("site".to_owned(), value.to_owned())]);
    for other in [
        v1::ListMailJobsRequest { recipient: "other@example.com".to_owned(), ..full() },
        v1::ListMailJobsRequest { recipient: String::new(), ..full() },
        v1::ListMailJobsRequest { labels: label("north"), ..full() },
        v1::ListMailJobsRequest { labels: label("south"), ..full() },
        v1::ListMailJobsRequest { since_time: Some(at(1_001)), ..full() },
        v1::ListMailJobsRequest { since_time: None, ..full() },
        v1::ListMailJobsRequest { until_time: Some(at(2_001)), ..full() },
        v1::ListMailJobsRequest { states: vec![], ..full() },
    ] {
        let refused = job_query(&with(other));
        assert_eq!(refused, Err(ListError::PageToken(PageTokenError::OtherFilter)));
    }
}

#[test]
fn a_token_does_not_lead_out_of_the_time() {
    let late = MailJobId::first_of(Timestamp::from_second(9_000).unwrap());
    let page_token = next_page_token(&full(), late);

    let query = job_query(&v1::ListMailJobsRequest { page_token, ..full() }).unwrap();

    assert_eq!(query.before, job_query(&full()).unwrap().before);
}

#[test]
fn everything_that_is_wrong_with_a_filter_is_told_with_its_field() {
    let request = v1::ListMailJobsRequest {
        states: vec![99],
        recipient: "guest".to_owned(),
        labels: BTreeMap::from([(String::new(), "v".repeat(257))]),
        since_time: Some(at(2_000)),
        until_time: Some(at(2_000)),
        ..v1::ListMailJobsRequest::default()
    };

    let Err(ListError::Filter(violations)) = job_query(&request) else { panic!("it is valid") };

    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["states[0]", "recipient", "labels", "labels", "until_time"]);
}

#[test]
fn a_token_means_the_same_in_every_version() {
    let sent = request(&[v1::MailJobState::Sent], "");
    let last = MailJobId::from(Uuid::from_u128(7));

    assert_eq!(next_page_token(&sent, last), "MQAAAAAAAAAAAAAAAAAAAAdj9-iLXlyYTQ");
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
        let token = next_page_token(&request(&[], ""), id);

        prop_assert_eq!(job_query(&request(&[], &token)).unwrap().before, Some(id));
    }

    #[test]
    fn no_text_brings_the_reader_down(text in "\\PC{0,60}|[A-Za-z0-9_-]{0,60}") {
        let page = job_query(&request(&[], &text));
        prop_assert!(text.is_empty() || page.is_err());
        prop_assert!(text.is_empty() || resume_after(&text).is_err() || text.len() == 12);
    }
}
