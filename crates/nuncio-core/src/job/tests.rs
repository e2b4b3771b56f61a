use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn label(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

/// Checks options; `expect` is the field that is wrong, or empty.
#[track_caller]
fn check(draft: JobOptionsDraft, expect: &str) {
    let violations = draft.check(NOW).err().unwrap_or_default();
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields.join(" "), expect, "{violations}");
}

#[track_caller]
fn check_request_id(request_id: &str, expect: &str) {
    let request_id = request_id.to_owned();
    check(JobOptionsDraft { request_id, ..JobOptionsDraft::default() }, expect);
}

#[track_caller]
fn check_labels(labels: BTreeMap<String, String>, expect: &str) {
    check(JobOptionsDraft { labels, ..JobOptionsDraft::default() }, expect);
}

#[test]
fn options_may_all_be_left_out() {
    let options = JobOptionsDraft::default().check(NOW).unwrap();

    let labels = BTreeMap::new();
    let expect = JobOptions { request_id: None, due_at: NOW, time_to_live: None, labels };
    assert_eq!(options, expect);
}

#[test]
fn a_request_id_is_short_and_visible() {
    check_request_id("0192f0c1-aaaa-7bbb-8ccc-0123456789ab", "");
    check_request_id(&"x".repeat(REQUEST_ID_CHARS_MAX), "");
    check_request_id(&"x".repeat(REQUEST_ID_CHARS_MAX + 1), "request_id");
    check_request_id("two words", "request_id");
    check_request_id("line\nbreak", "request_id");
    check_request_id("ümlaut", "request_id");
}

#[test]
fn a_job_may_start_up_to_30_days_ahead() {
    let not_before = |at| JobOptionsDraft { not_before: Some(at), ..JobOptionsDraft::default() };
    let last = NOW + NOT_BEFORE_MAX;

    assert_eq!(not_before(last).check(NOW).unwrap().due_at, last);
    check(not_before(last + Duration::from_micros(1)), "not_before_time");
    let past = not_before(NOW - Duration::from_hours(1));
    assert_eq!(past.check(NOW).unwrap().due_at, NOW, "the past means now");
}

#[test]
fn a_time_to_live_is_up_to_7_days() {
    let lives = |life| JobOptionsDraft { time_to_live: Some(life), ..JobOptionsDraft::default() };

    check(lives(Duration::from_millis(1)), "");
    check(lives(TIME_TO_LIVE_MAX), "");
    check(lives(Duration::ZERO), "time_to_live");
    check(lives(TIME_TO_LIVE_MAX + Duration::from_nanos(1)), "time_to_live");
}

#[test]
fn labels_are_few_and_small() {
    check_labels(label("portal/zone_1.a-b", "Zürich 1"), "");
    check_labels(label("", "x"), "labels.");
    check_labels(label("a b", "x"), "labels.a b");
    check_labels(label("ü", "x"), "labels.ü");
    check_labels(label("k", &"ü".repeat(LABEL_VALUE_CHARS_MAX)), "");
    check_labels(label("k", &"ü".repeat(LABEL_VALUE_CHARS_MAX + 1)), "labels.k");
    check_labels(label("k", "a\r\nb"), "labels.k");
    let long = "k".repeat(LABEL_KEY_CHARS_MAX + 1);
    check_labels(label(&long, "x"), &format!("labels.{}", &long[1..]));
    let many = |count| (0..count).map(|number| (format!("k{number}"), String::new())).collect();
    check_labels(many(LABELS_MAX), "");
    check_labels(many(LABELS_MAX + 1), "labels");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let draft = JobOptionsDraft {
        request_id: " ".to_owned(),
        not_before: Some(NOW + Duration::from_hours(24 * 365)),
        time_to_live: Some(Duration::ZERO),
        labels: label("?", "\n"),
    };

    let faults = draft.clone().check(NOW).unwrap_err();
    let faults: Vec<_> = faults.iter().map(|one| one.fault.name()).collect();
    let expect = ["MALFORMED", "TOO_FAR_AHEAD", "OUT_OF_RANGE", "MALFORMED", "CONTROL_CHARACTER"];
    assert_eq!(faults, expect);
    check(draft, "request_id not_before_time time_to_live labels.? labels.?");
}

#[test]
fn an_id_is_a_name_and_back() {
    let id = MailJobId::new(NOW, [7; 10]);

    assert_eq!(id.to_string().parse(), Ok(id));
    assert!(id.to_string().starts_with("mailJobs/"));
    assert_eq!(id.as_uuid().get_version_num(), 7);
}

#[test]
fn what_is_no_name_is_refused() {
    let uuid = MailJobId::new(NOW, [7; 10]).as_uuid();
    for name in [
        String::new(),
        "mailJobs/".to_owned(),
        uuid.to_string(),
        format!("mailjobs/{uuid}"),
        format!("mailJobs/{}", uuid.simple()),
        format!("mailJobs/{uuid}/x"),
        format!(" mailJobs/{uuid}"),
        "x".repeat(10_000),
    ] {
        let refused = name.parse::<MailJobId>().unwrap_err();
        assert!(refused.0.len() <= 100, "an error is no place for a long text");
        assert!(name.starts_with(&refused.0));
    }
}

#[test]
fn a_state_either_waits_or_is_being_sent_or_is_final() {
    for state in JobState::ALL {
        let sending = state == JobState::Sending;
        let count = [state.is_waiting(), sending, state.is_final()].into_iter().filter(|is| *is);
        assert_eq!(count.count(), 1, "{}", state.name());
    }
}

proptest! {
    #[test]
    fn ids_sort_by_the_time_of_their_making(
        first in 0_i64..4_000_000_000_000,
        later in 1_i64..1_000_000,
        random: [[u8; 10]; 2],
    ) {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let older = MailJobId::new(at(first), random[0]);
        prop_assert!(older < MailJobId::new(at(first + later), random[1]));
    }

    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,60}") {
        for name in [text.clone(), format!("mailJobs/{text}")] {
            if let Ok(id) = name.parse::<MailJobId>() {
                prop_assert!(id.to_string().eq_ignore_ascii_case(&name));
            }
        }
    }
}
