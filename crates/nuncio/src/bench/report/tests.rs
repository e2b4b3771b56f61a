use super::*;

#[test]
fn a_percentile_is_a_span_that_was_seen() {
    let spans = Spans::new((1..=200).rev().map(Duration::from_millis).collect());
    let check = |percent, millis| {
        assert_eq!(spans.percentile(percent), Some(Duration::from_millis(millis)), "p{percent}");
    };
    check(50, 100);
    check(99, 198);
    check(100, 200);
}

#[test]
fn one_span_is_every_percentile_and_none_is_none() {
    let one = Spans::new(vec![Duration::from_millis(7)]);
    assert_eq!(one.told(), "p50 7.0 ms, p90 7.0 ms, p99 7.0 ms, max 7.0 ms");
    assert_eq!(Spans::new(vec![]).told(), "");
}
