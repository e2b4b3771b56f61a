use super::*;

const NO_JITTER: f64 = 0.0;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn reason() -> Reason {
    Reason::new("TEST", "a test")
}

fn unavailable() -> Effect {
    Effect::Unavailable { reason: reason(), retry_after: None }
}

fn closed() -> Effect {
    Effect::Closed { reason: reason() }
}

fn after(effects: impl IntoIterator<Item = (u64, Effect)>) -> Channel {
    let mut channel = Channel::default();
    for (at, effect) in effects {
        channel.observe(effect, s(at), NO_JITTER);
    }
    channel
}

#[test]
fn mails_that_fail_together_are_one_failure() {
    let channel = after([(0, unavailable()), (0, unavailable()), (0, unavailable())]);

    assert_eq!(channel.permit(s(0)), Permit::NoneUntil(s(1)));
    assert_eq!(channel.permit(s(1)), Permit::Probe);
}

#[test]
fn each_failed_probe_doubles_the_pause() {
    let channel = after([(0, unavailable()), (1, unavailable()), (3, unavailable())]);

    assert_eq!(channel.permit(s(3)), Permit::NoneUntil(s(7)));
}

#[test]
fn the_pause_never_exceeds_its_maximum() {
    let channel = after((0..40).map(|n| (n * 1000, unavailable())));

    assert_eq!(channel.permit(s(39_000)), Permit::NoneUntil(s(39_060)));
}

#[test]
fn a_good_probe_opens_the_channel_and_forgets_the_failures() {
    let mut channel = after([(0, unavailable()), (1, unavailable())]);

    assert!(channel.observe(Effect::Healthy, s(3), NO_JITTER));

    assert_eq!(channel.permit(s(3)), Permit::All);
    channel.observe(unavailable(), s(4), NO_JITTER);
    assert_eq!(channel.permit(s(4)), Permit::NoneUntil(s(5)));
}

#[test]
fn a_late_success_does_not_end_a_pause() {
    let mut channel = after([(0, closed())]);

    assert!(!channel.observe(Effect::Healthy, s(1), NO_JITTER));

    assert_eq!(channel.permit(s(1)), Permit::NoneUntil(s(30)));
}

#[test]
fn a_refused_login_closes_a_paused_channel() {
    let channel = after([(0, unavailable()), (0, closed())]);

    assert!(matches!(
        channel.status(s(0), Timestamp::UNIX_EPOCH),
        ChannelStatus::Closed { retry_at, .. } if retry_at == Timestamp::UNIX_EPOCH + s(60)
    ));
}

#[test]
fn the_providers_hint_is_respected() {
    let hint = Effect::Throttled { reason: reason(), retry_after: Some(s(90)) };
    let channel = after([(0, hint)]);

    assert_eq!(channel.permit(s(1)), Permit::NoneUntil(s(90)));
}

#[test]
fn new_settings_open_the_channel() {
    let mut channel = after([(0, closed())]);

    channel.reset();

    assert_eq!(channel.permit(s(1)), Permit::All);
}
