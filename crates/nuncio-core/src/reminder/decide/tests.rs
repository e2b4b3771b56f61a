use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::time;
use jiff::tz::TimeZone;

use super::super::Group;
use super::super::quiet::QuietHours;
use super::*;

const EXPIRY: &str = "2026-06-10T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn guest() -> Subject {
    Subject {
        name: "guests/anna".to_owned(),
        group: Group::Guest { guest_type: "contractor".to_owned() },
        standing: Standing::Open,
        ends: true,
        starts_at: Some(at("2026-01-01T00:00:00Z")),
        expires_at: Some(at(EXPIRY)),
        time_zone: TimeZone::UTC,
        email: Some("anna@guest.example".parse().unwrap()),
        sponsor: Some("sponsor@contoso.example".parse().unwrap()),
    }
}

/// 7 days, 3 days, 1 day, 2 hours.
fn settings() -> ReminderSettings {
    let stages = [168, 72, 24, 2].map(|hours| Stage::at(Duration::from_hours(hours))).to_vec();
    let guests = Rule { is_enabled: true, stages, copy_to_sponsor: false };
    ReminderSettings { guests, ..Default::default() }
}

fn quiet(mut settings: ReminderSettings) -> ReminderSettings {
    let hours = QuietHours::new(time(21, 0, 0, 0), time(7, 0, 0, 0)).unwrap();
    settings.quiet_hours = Some(hours);
    settings
}

fn hours(due: &[Due]) -> Vec<u64> {
    due.iter().map(|one| one.key.before.as_secs() / 3600).collect()
}

/// Decides and takes down what was decided.
fn step(
    subject: &Subject,
    settings: &ReminderSettings,
    ledger: &mut BTreeSet<LedgerKey>,
    now: &str,
) -> Decision {
    let decision = decide(subject, settings, ledger, at(now));
    let decided = decision.send.iter().chain(&decision.supersede);
    ledger.extend(decided.map(|due| due.key.clone()));
    decision
}

#[test]
fn a_stage_is_due_from_its_first_moment_on() {
    let (guest, settings, none) = (guest(), settings(), BTreeSet::new());

    let before = decide(&guest, &settings, &none, at("2026-06-03T11:59:59.999999Z"));
    let then = decide(&guest, &settings, &none, at("2026-06-03T12:00:00Z"));

    assert!(before.send.is_empty());
    assert_eq!(before.next_look, Some(at("2026-06-03T12:00:00Z")));
    assert_eq!(hours(&then.send), [168]);
    assert_eq!(then.next_look, Some(at("2026-06-07T12:00:00Z")));
}

#[test]
fn each_stage_is_sent_once_until_the_expiry_and_then_the_access_ends() {
    let (guest, settings, mut ledger) = (guest(), settings(), BTreeSet::new());
    let mut now = at("2026-05-01T00:00:00Z");
    let mut sent = Vec::new();
    loop {
        let decision = step(&guest, &settings, &mut ledger, &now.to_string());
        let again = decide(&guest, &settings, &ledger, now);
        assert!(again.send.is_empty() && again.supersede.is_empty(), "twice at {now}");
        sent.extend(hours(&decision.send));
        if decision.expire {
            break;
        }
        now = decision.next_look.expect("its state must change in the end");
    }

    assert_eq!((sent, now), (vec![168, 72, 24, 2], at(EXPIRY)));
}

#[test]
fn after_a_downtime_only_the_most_urgent_stage_is_sent() {
    let decision = decide(&guest(), &settings(), &BTreeSet::new(), at("2026-06-09T13:00:00Z"));

    assert_eq!(hours(&decision.send), [24]);
    assert_eq!(decision.send[0].since, at("2026-06-09T12:00:00Z"));
    assert_eq!(hours(&decision.supersede), [168, 72]);
}

#[test]
fn nothing_is_sent_from_the_expiry_on() {
    let (guest, settings, none) = (guest(), settings(), BTreeSet::new());

    let last = decide(&guest, &settings, &none, at("2026-06-10T11:59:59.999999Z"));
    let over = decide(&guest, &settings, &none, at(EXPIRY));

    assert_eq!(hours(&last.send), [2]);
    assert_eq!(over, Decision { expire: true, ..Decision::default() });
}

#[test]
fn a_new_stage_that_is_longer_than_one_that_was_sent_is_not_sent_any_more() {
    let (guest, mut settings, mut ledger) = (guest(), settings(), BTreeSet::new());
    step(&guest, &settings, &mut ledger, "2026-06-09T12:00:00Z");
    settings.guests.stages.insert(1, Stage::at(Duration::from_hours(100)));

    let decision = decide(&guest, &settings, &ledger, at("2026-06-09T13:00:00Z"));

    assert_eq!((hours(&decision.send), hours(&decision.supersede)), (vec![], vec![100]));
}

#[test]
fn an_extension_makes_the_old_stages_void_and_new_ones() {
    let (mut guest, settings, mut ledger) = (guest(), settings(), BTreeSet::new());
    step(&guest, &settings, &mut ledger, "2026-06-10T10:00:00Z");
    guest.expires_at = Some(at("2026-07-10T12:00:00Z"));

    let now = step(&guest, &settings, &mut ledger, "2026-06-10T10:00:01Z");
    let later = step(&guest, &settings, &mut ledger, "2026-07-03T12:00:00Z");

    assert!(now.send.is_empty());
    assert_eq!(now.next_look, Some(at("2026-07-03T12:00:00Z")));
    assert_eq!(hours(&later.send), [168]);
}

#[test]
fn a_stage_as_long_as_the_whole_access_is_none() {
    let mut daily = guest();
    daily.starts_at = Some(at("2026-06-09T12:00:00Z"));

    let decision = decide(&daily, &settings(), &BTreeSet::new(), at("2026-06-09T12:00:00Z"));

    assert!(decision.send.is_empty() && decision.supersede.is_empty());
    assert_eq!(decision.next_look, Some(at("2026-06-10T10:00:00Z")));
}

#[test]
fn suspended_denied_disabled_and_never_expiring_subjects_get_nothing() {
    for why in [WhyNot::Suspended, WhyNot::Denied, WhyNot::Disabled, WhyNot::NeverExpires] {
        let mut closed = guest();
        closed.standing = Standing::Closed(why);
        let now = at("2026-06-10T11:00:00Z");

        let decision = decide(&closed, &settings(), &BTreeSet::new(), now);

        let at_the_end = Decision { next_look: Some(at(EXPIRY)), ..Decision::default() };
        assert_eq!(decision, at_the_end);
        assert_eq!(first_look(&closed, &settings()), Some(at(EXPIRY)));
        assert_eq!(why_not(&closed, &settings(), &BTreeSet::new(), Channel::Subject, now), why);
    }
}

#[test]
fn a_password_that_has_expired_is_looked_at_no_more() {
    let mut user = guest();
    (user.ends, user.group) = (false, Group::NetworkUser);
    let mut settings = settings();
    settings.network_users = settings.guests.clone();

    let before = decide(&user, &settings, &BTreeSet::new(), at("2026-06-10T11:00:00Z"));
    let after = decide(&user, &settings, &BTreeSet::new(), at(EXPIRY));

    assert_eq!((hours(&before.send), before.next_look), (vec![2], None));
    assert_eq!(after, Decision::default());
}

#[test]
fn guest_and_sponsor_are_told_each_by_itself() {
    let (mut guest, mut settings, mut ledger) = (guest(), settings(), BTreeSet::new());
    settings.guests.copy_to_sponsor = true;
    let address = guest.email.take();

    let without = step(&guest, &settings, &mut ledger, "2026-06-07T12:00:00Z");
    guest.email = address;
    let with = step(&guest, &settings, &mut ledger, "2026-06-07T13:00:00Z");

    let channels = |due: &[Due]| due.iter().map(|one| one.key.channel).collect::<Vec<_>>();
    assert_eq!(channels(&without.send), [Channel::Sponsor]);
    assert_eq!(channels(&with.send), [Channel::Subject]);
}

#[test]
fn what_falls_into_quiet_hours_is_sent_when_they_end_and_only_the_most_urgent() {
    let mut guest = guest();
    guest.expires_at = Some(at("2026-06-10T08:00:00Z"));
    let mut settings = quiet(settings());
    settings.guests.stages.insert(3, Stage::at(Duration::from_hours(6)));
    let (none, evening) = (BTreeSet::new(), at("2026-06-09T20:00:00Z"));
    let known = places(&guest, &settings, evening).into_iter().collect();

    let before = decide(&guest, &settings, &known, evening);
    let at_night = decide(&guest, &settings, &known, at("2026-06-10T02:00:00Z"));
    let morning = decide(&guest, &settings, &known, at("2026-06-10T07:00:00Z"));

    assert_eq!(before.next_look, Some(at("2026-06-10T07:00:00Z")));
    assert!(at_night.send.is_empty() && at_night.supersede.is_empty());
    assert_eq!(at_night.next_look, Some(at("2026-06-10T07:00:00Z")));
    assert_eq!((hours(&morning.send), hours(&morning.supersede)), (vec![2], vec![6]));
    let down_till_night = decide(&guest, &settings, &none, at("2026-06-10T02:00:00Z"));
    assert!(down_till_night.send.is_empty());
}

#[test]
fn what_expires_before_the_quiet_hours_end_is_told_at_once() {
    let mut guest = guest();
    guest.expires_at = Some(at("2026-06-10T06:00:00Z"));

    let decision = decide(&guest, &quiet(settings()), &BTreeSet::new(), at("2026-06-10T04:00:00Z"));

    assert_eq!(hours(&decision.send), [2]);
}

#[test]
fn the_first_look_is_never_later_than_the_first_decision() {
    let mut guest = guest();
    for settings in [settings(), quiet(settings())] {
        for minutes in 0..(36 * 60) {
            guest.expires_at = Some(at(EXPIRY) + Duration::from_mins(minutes));
            let first = first_look(&guest, &settings).unwrap();
            let early = first - SignedDuration::from_micros(1);
            let before = decide(&guest, &settings, &BTreeSet::new(), early);

            assert!(before.send.is_empty(), "{minutes}");
            assert_eq!(before.next_look, Some(first), "{minutes}");
            let then = decide(&guest, &settings, &BTreeSet::new(), first);
            assert_eq!(then.send.len(), 1, "{minutes}");
        }
    }
}

#[test]
fn a_forecast_tells_what_will_be_sent_and_when() {
    let coming = |until| {
        let now = at("2026-06-08T00:00:00Z");
        let all = forecast(&guest(), &settings(), &BTreeSet::new(), now, at(until));
        all.iter()
            .map(|(at, due)| (at.to_string(), due.key.before.as_secs() / 3600))
            .collect::<Vec<_>>()
    };

    let first = ("2026-06-08T00:00:00Z".to_owned(), 72);
    let second = ("2026-06-09T12:00:00Z".to_owned(), 24);
    assert_eq!(coming("2026-06-09T12:00:00.000001Z"), [first, second]);
    assert_eq!(coming("2026-06-09T12:00:00Z").len(), 1);
}

#[test]
fn it_is_told_why_somebody_gets_nothing() {
    let now = at("2026-06-01T00:00:00Z");
    let why = |subject: &Subject, settings: &ReminderSettings, channel| {
        why_not(subject, settings, &BTreeSet::new(), channel, now)
    };
    let (guest, on, off) = (guest(), settings(), ReminderSettings::default());
    let mut bare = guest.clone();
    (bare.email, bare.sponsor) = (None, None);
    let mut short = guest.clone();
    short.starts_at = Some(at("2026-06-10T11:00:00Z"));

    assert_eq!(why(&guest, &off, Channel::Subject), WhyNot::SwitchedOff);
    assert_eq!(why(&guest, &on, Channel::Subject), WhyNot::Later);
    assert_eq!(why(&bare, &on, Channel::Subject), WhyNot::NoAddress);
    assert_eq!(why(&bare, &on, Channel::Sponsor), WhyNot::NoSponsor);
    assert_eq!(why(&short, &on, Channel::Subject), WhyNot::TooShort);
    let taken = places(&guest, &on, at("2026-06-10T11:59:00Z")).into_iter().collect();
    assert_eq!(why_not(&guest, &on, &taken, Channel::Subject, now), WhyNot::AlreadySent);
}
