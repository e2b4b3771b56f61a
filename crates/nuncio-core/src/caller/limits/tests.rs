use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_silent_caller_has_a_burst_and_then_its_rate() {
    let mut bucket = TokenBucket::full(10, ms(0));
    let burst = (0..100).take_while(|_| bucket.take(10, ms(0)).is_ok()).count();
    assert_eq!(burst, 20);

    let mut taken = 0;
    for now in (0..10_000).step_by(10) {
        taken += u32::from(bucket.take(10, ms(now)).is_ok());
    }
    assert!((98..=100).contains(&taken), "{taken} in ten seconds");
}

#[test]
fn a_caller_that_is_refused_learns_when_it_may_come_back() {
    let mut bucket = TokenBucket::full(1, ms(0));
    bucket.take(1, ms(0)).unwrap();
    bucket.take(1, ms(0)).unwrap();

    let wait = bucket.take(1, ms(250)).unwrap_err();

    assert!((ms(749)..=ms(751)).contains(&wait), "{wait:?}");
    assert!(bucket.take(1, ms(250) + wait + ms(1)).is_ok());
    assert!(bucket.take(1, ms(250) + wait + ms(1)).is_err());
}

#[test]
fn what_was_not_used_is_not_saved_up_beyond_the_burst() {
    let mut bucket = TokenBucket::full(5, ms(0));
    bucket.take(5, ms(0)).unwrap();

    let later = ms(3_600_000);
    assert_eq!((0..100).take_while(|_| bucket.take(5, later).is_ok()).count(), 10);
}
