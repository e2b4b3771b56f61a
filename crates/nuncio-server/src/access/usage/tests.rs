use super::*;

fn caller(name: &str) -> CallerId {
    CallerId(name.to_owned())
}

fn limits(calls_per_second: u32, calls_at_once: u32) -> CallerLimits {
    CallerLimits { calls_per_second: Some(calls_per_second), calls_at_once: Some(calls_at_once) }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_calls_too_fast_waits_and_others_do_not() {
    let (usage, limits) = (Usage::new(), limits(1, 100));
    for _ in 0..2 {
        usage.enter(&caller("a"), limits).unwrap();
    }

    let refused = usage.enter(&caller("a"), limits).unwrap_err();

    let Exceeded::Rate { limit: 1, retry_after } = refused else { panic!("{refused:?}") };
    assert!(usage.enter(&caller("b"), limits).is_ok());
    tokio::time::advance(retry_after + Duration::from_millis(1)).await;
    assert!(usage.enter(&caller("a"), limits).is_ok());
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_under_way_than_may_be() {
    let (usage, limits) = (Usage::new(), limits(100, 2));
    let first = usage.enter(&caller("a"), limits).unwrap();
    let _second = usage.enter(&caller("a"), limits).unwrap();

    let refused = usage.enter(&caller("a"), limits).unwrap_err();
    assert_eq!(refused, Exceeded::AtOnce { limit: 2, retry_after: AT_ONCE_RETRY });
    drop(first);

    assert!(usage.enter(&caller("a"), limits).is_ok());
}
