use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::job::Reason;

use super::*;

const RETRY_AT: Timestamp = Timestamp::UNIX_EPOCH;

fn paused() -> ChannelStatus {
    ChannelStatus::Paused {
        reason: Reason::new("CONNECTION_REFUSED", "refused"),
        retry_at: RETRY_AT,
    }
}

fn closed() -> ChannelStatus {
    ChannelStatus::Closed {
        reason: Reason::new("CLIENT_SECRET_EXPIRED", "535"),
        retry_at: RETRY_AT,
    }
}

fn told(changes: &[AlarmChange]) -> Vec<(bool, &'static str)> {
    let told = |change: &AlarmChange| match change {
        AlarmChange::Raise(kind, _) => (true, kind.name()),
        AlarmChange::Clear(kind) => (false, kind.name()),
    };
    changes.iter().map(told).collect()
}

#[test]
fn a_closed_mailbox_is_told_once_until_it_is_open() {
    let mut alarms = Alarms::default();
    let at = Duration::from_secs;

    assert_eq!(told(&alarms.observe(&closed(), false, at(1))), [(true, "mailbox-closed")]);
    assert_eq!(alarms.observe(&closed(), false, at(2)), []);
    assert_eq!(
        told(&alarms.observe(&ChannelStatus::Open, false, at(3))),
        [(false, "mailbox-closed")]
    );
    assert_eq!(alarms.observe(&ChannelStatus::Open, false, at(4)), []);
}

#[test]
fn a_provider_is_down_when_its_trouble_lasts() {
    let mut alarms = Alarms::default();
    let begin = Duration::from_secs(7);

    assert_eq!(alarms.observe(&paused(), false, begin), []);
    assert_eq!(alarms.look_again_at(), Some(begin + PROVIDER_DOWN_AFTER));
    let before = PROVIDER_DOWN_AFTER + Duration::from_secs(6);
    assert_eq!(alarms.observe(&paused(), false, before), []);
    let now = begin + PROVIDER_DOWN_AFTER;
    assert_eq!(told(&alarms.observe(&paused(), false, now)), [(true, "mail-provider-down")]);
    assert_eq!(alarms.look_again_at(), None);
    let over = alarms.observe(&ChannelStatus::Open, true, now);
    assert!(told(&over).contains(&(false, "mail-provider-down")), "{over:?}");
}

#[test]
fn trouble_that_heals_in_between_is_no_alarm() {
    let mut alarms = Alarms::default();

    assert_eq!(alarms.observe(&paused(), false, Duration::ZERO), []);
    assert_eq!(alarms.observe(&ChannelStatus::Open, false, Duration::from_mins(4)), []);
    assert_eq!(alarms.observe(&paused(), false, Duration::from_mins(5)), []);
    assert_eq!(alarms.observe(&paused(), false, Duration::from_mins(9)), []);
}

#[test]
fn a_provider_that_answers_no_is_not_down() {
    let mut alarms = Alarms::default();
    alarms.observe(&paused(), false, Duration::ZERO);
    alarms.observe(&paused(), false, PROVIDER_DOWN_AFTER);

    let changes = alarms.observe(&closed(), false, PROVIDER_DOWN_AFTER);

    assert_eq!(told(&changes), [(false, "mail-provider-down"), (true, "mailbox-closed")]);
}

#[test]
fn the_first_mail_of_a_life_ends_what_an_earlier_one_has_raised() {
    let mut alarms = Alarms::default();

    assert_eq!(alarms.observe(&ChannelStatus::Open, false, Duration::ZERO), []);
    let first = alarms.observe(&ChannelStatus::Open, true, Duration::from_secs(1));
    assert_eq!(told(&first), [(false, "mailbox-closed"), (false, "mail-provider-down")]);
    assert_eq!(alarms.observe(&ChannelStatus::Open, true, Duration::from_secs(2)), []);
}
