use super::*;
use crate::alarm::settings::AlarmSettings;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Two mails at once, and one more each minute; digests gather for two minutes.
fn settings() -> AlarmSettings {
    AlarmSettings {
        limit: Limit { burst: 2, mails_per_hour: 60 },
        critical_limit: Limit { burst: 1, mails_per_hour: 60 },
        digest_interval: Duration::from_mins(2),
        ..AlarmSettings::default()
    }
}

fn mail(lane: Lane) -> MailSummary {
    MailSummary {
        alarm_type: "a-type".to_owned(),
        alarms: 10,
        resolved: 1,
        lane,
        locale: "en".to_owned(),
    }
}

fn somebody() -> AlarmRecipient {
    AlarmRecipient::new("a@example.com".parse().unwrap(), &settings(), at(0))
}

#[test]
fn what_is_beyond_the_limit_is_counted_until_the_digest_goes_out() {
    let (mut one, settings) = (somebody(), settings());
    for _mail in 0..2 {
        assert_eq!(one.admit(&mail(Lane::Normal), &settings, at(0)), Admission::Mail);
    }
    for _mail in 0..5 {
        assert_eq!(one.admit(&mail(Lane::Normal), &settings, at(1)), Admission::Digest(1));
    }
    // There would be room, but the digest must not be overtaken.
    assert_eq!(one.admit(&mail(Lane::Normal), &settings, at(100)), Admission::Digest(1));

    assert_eq!(one.take_digest(&settings, at(100)), None, "it gathers two minutes");
    let digest = one.take_digest(&settings, at(122)).unwrap();
    assert_eq!((digest.mails, digest.alarms, digest.resolved), (6, 60, 6));
    assert_eq!(digest.types, BTreeMap::from([("a-type".to_owned(), 60)]));
    assert_eq!(one.admit(&mail(Lane::Normal), &settings, at(122)), Admission::Mail);
}

#[test]
fn critical_mails_have_a_lane_of_their_own() {
    let (mut one, settings) = (somebody(), settings());
    for _mail in 0..10 {
        one.admit(&mail(Lane::Normal), &settings, at(0));
    }

    assert_eq!(one.admit(&mail(Lane::Critical), &settings, at(0)), Admission::Mail);
    assert_eq!(one.admit(&mail(Lane::Critical), &settings, at(1)), Admission::Digest(1));
    let digest = one.take_digest(&settings, at(62)).expect("a critical one does not gather");
    assert!(digest.is_critical);
}

#[test]
fn a_digest_counts_however_many_types_there_are_in_little_room() {
    let (mut one, settings) = (somebody(), settings());
    for number in 0..10_000 {
        let mail = MailSummary { alarm_type: format!("type-{number}"), ..mail(Lane::Normal) };
        one.admit(&mail, &settings, at(0));
    }

    let digest = one.take_digest(&settings, at(1000)).unwrap();
    assert_eq!(digest.types.len(), DIGEST_TYPES_MAX + 1);
    assert_eq!(digest.types.values().sum::<u64>(), 10 * 9_998);
}

#[test]
fn the_due_time_is_never_too_early_for_the_digest() {
    let (mut one, settings) = (somebody(), settings());
    let mut now = at(0);
    for _round in 0..500 {
        while one.admit(&mail(Lane::Normal), &settings, now) == Admission::Mail {}
        now = one.due_at(&settings);
        assert!(one.take_digest(&settings, now).is_some(), "at {now}");
    }
}

#[test]
fn who_gets_nothing_for_long_is_forgotten() {
    let (mut one, settings) = (somebody(), settings());
    one.admit(&mail(Lane::Normal), &settings, at(0));

    assert!(!one.is_forgettable(&settings, at(10)));
    assert!(one.is_forgettable(&settings, one.due_at(&settings)));
}

#[test]
fn a_clock_that_goes_back_gives_nothing_and_takes_nothing() {
    let (mut one, settings) = (somebody(), settings());
    one.admit(&mail(Lane::Normal), &settings, at(1000));

    assert_eq!(one.admit(&mail(Lane::Normal), &settings, at(0)), Admission::Mail);
    assert_eq!(one.admit(&mail(Lane::Normal), &settings, at(1000)), Admission::Digest(1));
}
