use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn mail(lane: Lane) -> AlarmMail {
    AlarmMail {
        job: MailJobId::new(NOW, [0; 10]),
        alarm_type: "process-down".to_owned(),
        subject: "[CRITICAL] Process Down on node-1".to_owned(),
        text: "radius does not answer".to_owned(),
        lane,
        alarms: 2,
        made_at: NOW,
        is_known: false,
        is_late: false,
    }
}

fn outage() -> MailOutage {
    MailOutage::new(&mail(Lane::Normal), &AlarmSettings::default(), NOW)
}

fn at(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

#[test]
fn a_mail_is_late_after_minutes_and_a_critical_one_at_once_while_mail_is_broken() {
    let next = |lane, is_broken, now| mail(lane).next_look(is_broken, at(now));

    assert_eq!(next(Lane::Critical, true, 10), None);
    assert_eq!(next(Lane::Critical, false, 10), Some(at(40)));
    assert_eq!(next(Lane::Critical, false, 40), Some(at(60)));
    assert_eq!(next(Lane::Critical, false, 60), None);
    assert_eq!(next(Lane::Normal, true, 10), Some(at(40)));
    assert_eq!(next(Lane::Normal, true, 299), Some(at(300)));
    assert_eq!(next(Lane::Normal, true, 300), None);
}

#[test]
fn critical_mails_are_told_one_by_one_up_to_the_limit_and_then_counted() {
    let settings = AlarmSettings::default();
    let mut outage = outage();

    let told = (0..30).filter_map(|_| outage.take_late(&mail(Lane::Critical), &settings, at(10)));
    let told: Vec<RouteMessage> = told.collect();

    assert_eq!(told.len(), settings.critical_limit.burst as usize);
    assert!(told[0].summary.starts_with("[CRITICAL] Process Down on node-1"), "{told:?}");
    assert_eq!((told[0].kind, told[0].severity), (MessageKind::MailLate, Severity::Critical));
    assert_ne!(told[0].id, told[1].id);
    assert_eq!(outage.take_digest(&settings, at(11)), None, "there is no room");
    let digest = outage.take_digest(&settings, at(3600)).expect("there is room again");
    assert_eq!(digest.fields["mails"], "10");
    assert_eq!(digest.fields["types"], "process-down: 20");
    assert_eq!(outage.take_digest(&settings, at(7200)), None, "it is told once");
}

#[test]
fn other_mails_are_gathered_and_told_together() {
    let settings = AlarmSettings::default();
    let mut outage = outage();

    assert_eq!(outage.take_late(&mail(Lane::Normal), &settings, at(300)), None);
    assert_eq!(outage.take_late(&mail(Lane::Normal), &settings, at(300)), None);
    let first = outage.take_digest(&settings, at(300)).expect("they have waited long enough");
    assert_eq!(outage.take_late(&mail(Lane::Normal), &settings, at(301)), None);

    assert_eq!(first.fields["mails"], "2");
    assert_eq!(outage.take_digest(&settings, at(302)), None, "the next one gathers");
    assert!(outage.take_digest(&settings, at(300) + settings.digest_interval).is_some());
}

#[test]
fn what_the_second_route_knows_is_counted_and_not_told_again() {
    let settings = AlarmSettings::default();
    let mut outage = outage();
    let known = AlarmMail { is_known: true, ..mail(Lane::Critical) };

    assert_eq!(outage.take_late(&known, &settings, at(10)), None);
    assert_eq!(outage.take_digest(&settings, at(3600)), None);
    assert_eq!((outage.waiting, outage.mails), (1, 1));
}

#[test]
fn the_end_is_told_when_none_waits_and_one_has_gone_out() {
    let settings = AlarmSettings::default();
    let mut outage = outage();
    for _mail in 0..3 {
        outage.take_late(&mail(Lane::Normal), &settings, at(300));
    }
    let lost = MailFate::Lost { state: JobState::Expired, reason: String::new() };

    outage.take_end(&lost, true);
    outage.take_end(&MailFate::Sent, true);
    assert_eq!(outage.end(at(400)), None, "one waits");
    outage.take_end(&MailFate::Sent, true);
    let end = outage.end(at(400)).expect("it is over");

    assert_eq!(end.kind, MessageKind::MailBack);
    let count = |name: &str| end.fields[name].as_str();
    assert_eq!((count("mails_late"), count("mails_sent"), count("mails_lost")), ("3", "2", "1"));
}

#[test]
fn mail_is_not_back_because_all_that_waited_has_expired() {
    let settings = AlarmSettings::default();
    let mut outage = outage();
    outage.take_late(&mail(Lane::Normal), &settings, at(300));

    outage.take_end(&MailFate::Lost { state: JobState::Expired, reason: String::new() }, true);
    assert_eq!(outage.end(at(400)), None);
    outage.take_end(&MailFate::Sent, false);

    assert!(outage.end(at(500)).is_some(), "a later mail proves it");
}

#[test]
fn late_mails_are_looked_at_more_rarely_the_longer_it_lasts() {
    let settings = AlarmSettings::default();
    let outage = outage();
    let wait = |seconds| outage.look_at(&settings, at(seconds)).duration_since(at(seconds));

    let waits = [60, 3600, 100_000].map(|seconds| wait(seconds).as_secs());

    assert_eq!(waits, [30, 60, 300]);
}
