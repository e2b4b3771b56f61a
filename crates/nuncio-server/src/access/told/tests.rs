use super::*;

#[tokio::test(start_paused = true)]
async fn lines_of_one_caller_are_limited_and_what_is_left_out_is_counted() {
    let told = Told::default();
    for _ in 0..LINES_PER_MINUTE {
        assert_eq!(told.line("a"), Some(0));
    }
    for _ in 0..7 {
        assert_eq!(told.line("a"), None);
    }
    assert_eq!(told.line("b"), Some(0), "another caller is told of");

    tokio::time::advance(MINUTE).await;

    assert_eq!(told.line("a"), Some(7));
    assert_eq!(told.line("a"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn strangers_beyond_number_share_their_lines() {
    let told = Told::default();
    let lines = (0..WHO_MAX * 3).filter(|number| told.line(&number.to_string()).is_some()).count();

    assert!(lines <= WHO_MAX + 2 * usize::try_from(LINES_PER_MINUTE).unwrap(), "{lines}");
    assert!(told.0.lock().unwrap().len() <= WHO_MAX + 1);
}
