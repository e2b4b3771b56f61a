use super::*;

#[test]
fn a_rate_spreads_the_jobs_over_each_second() {
    let after = |number| due(Some(4), number);
    assert_eq!(after(0), Some(Duration::ZERO));
    assert_eq!(after(1), Some(Duration::from_millis(250)));
    assert_eq!(after(9), Some(Duration::from_millis(2_250)));
    assert_eq!(due(None, 9), None);
}

#[test]
fn a_text_has_the_size_that_was_asked_for_and_no_long_line() {
    let text = text(4096);
    assert_eq!(text.len(), 4096);
    assert!(text.lines().all(|line| line.len() < LINE));
}
