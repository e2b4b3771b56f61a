use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn draft() -> SilenceDraft {
    SilenceDraft {
        matcher: Matcher { alarm_type: "process-down".into(), ..Matcher::default() },
        starts_at: None,
        ends_at: Some(now() + Duration::from_hours(1)),
        comment: "maintenance".into(),
    }
}

fn check(draft: SilenceDraft) -> Result<Silence, Vec<String>> {
    let checked = draft.check("id".into(), "me".into(), now());
    checked.map_err(|violations| violations.iter().map(|one| one.field.clone()).collect())
}

#[test]
fn a_star_stands_for_any_characters() {
    for (pattern, text, fits) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("a*", "a", true),
        ("*b", "ab", true),
        ("*b", "ba", false),
        ("a*c*e", "abcde", true),
        ("a*c*e", "ace", true),
        ("a*c*e", "aec", false),
        ("*", "", true),
        ("*", "x", true),
        ("aa*a", "aa", false),
        ("**x**", "axa", true),
        ("*.lab", "node-1.lab", true),
    ] {
        assert_eq!(fits_glob(pattern, text), fits, "{pattern} {text}");
    }
}

#[test]
fn all_parts_of_a_matcher_must_fit() {
    let alarm = AlarmIdentity {
        alarm_type: "process-down".into(),
        node: "node-1".into(),
        labels: BTreeMap::from([("process".into(), "radius".into())]),
    };
    let labels = |value: &str| BTreeMap::from([("process".to_owned(), value.to_owned())]);
    let matcher = |node: &str, value: &str| Matcher {
        alarm_type: String::new(),
        node: node.into(),
        labels: labels(value),
    };

    assert!(matcher("node-*", "radius").fits(&alarm));
    assert!(!matcher("node-2", "radius").fits(&alarm));
    assert!(!matcher("node-*", "tacacs").fits(&alarm));
    let absent =
        Matcher { labels: BTreeMap::from([("x".into(), "y".into())]), ..Matcher::default() };
    assert!(!absent.fits(&alarm));
}

#[test]
fn a_silence_begins_now_and_ends_in_time() {
    let silence = check(draft()).unwrap();

    assert!(silence.is_active(now()));
    assert!(!silence.is_active(now() + Duration::from_hours(1)), "its end is not part of it");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let wrong = SilenceDraft {
        matcher: Matcher { node: "a\r\nb".into(), ..Matcher::default() },
        starts_at: None,
        ends_at: Some(now()),
        comment: String::new(),
    };

    let fields = check(wrong).unwrap_err();

    assert_eq!(fields, ["silence.node", "silence.comment", "silence.end_time"]);
    assert_eq!(
        check(SilenceDraft::default()).unwrap_err(),
        ["silence", "silence.comment", "silence.end_time"]
    );
}

#[test]
fn no_silence_lasts_for_ever() {
    let long = SilenceDraft { ends_at: Some(now() + SILENCE_MAX * 2), ..draft() };

    assert_eq!(check(long).unwrap_err(), ["silence.end_time"]);
}
