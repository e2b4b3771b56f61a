use super::*;

const A: &str = "a@contoso.example";

fn limits(change: impl FnOnce(&mut Limits)) -> MailboxLimits {
    let mut limits = Limits::default();
    change(&mut limits);
    MailboxLimits::new(limits)
}

#[tokio::test(start_paused = true)]
async fn thirty_messages_fit_in_any_minute() {
    let limits = limits(|_| {});
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    for second in 0..30 {
        assert_eq!(limits.admit(A, 1, at(second)), Ok(()));
    }
    assert_eq!(limits.admit(A, 1, at(59)), Err(Exceeded::Rate { wait: Duration::from_secs(1) }));
    assert_eq!(limits.admit("b@contoso.example", 1, at(59)), Ok(()));
    assert_eq!(limits.admit(A, 1, at(60)), Ok(()));
    assert_eq!(limits.admit(A, 1, at(60)), Err(Exceeded::Rate { wait: Duration::from_secs(1) }));
}

#[tokio::test(start_paused = true)]
async fn recipients_of_a_day_are_forgotten_after_it() {
    let limits = limits(|it| it.recipients_per_day = 5);
    let start = Instant::now();
    assert_eq!(limits.admit(A, 5, start), Ok(()));
    assert_eq!(limits.admit(A, 1, start + DAY / 2), Err(Exceeded::RecipientsPerDay));
    assert_eq!(limits.admit(A, 5, start + DAY), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_uses_nothing_up() {
    let limits = limits(|it| it.recipients_per_day = 5);
    let now = Instant::now();
    assert_eq!(limits.admit(A, 6, now), Err(Exceeded::RecipientsPerDay));
    assert_eq!(limits.admit(A, 5, now), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn time_can_pass_faster() {
    let limits = limits(|it| (it.messages_per_minute, it.time_scale) = (1, 60.0));
    let now = Instant::now();
    assert_eq!(limits.admit(A, 1, now), Ok(()));
    assert_eq!(limits.admit(A, 1, now), Err(Exceeded::Rate { wait: Duration::from_secs(1) }));
    assert_eq!(limits.admit(A, 1, now + Duration::from_secs(1)), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_zero_admits_nothing() {
    let limits = limits(|it| it.messages_per_minute = 0);
    assert_eq!(limits.admit(A, 1, Instant::now()), Err(Exceeded::Rate { wait: MINUTE }));
}

#[test]
fn connections_come_and_go() {
    let limits = limits(|it| it.connections = 1);
    assert!(limits.enter(A));
    assert!(!limits.enter(A));
    assert!(limits.enter("b@contoso.example"));
    limits.leave(A);
    limits.leave(A);
    assert!(limits.enter(A));
}
