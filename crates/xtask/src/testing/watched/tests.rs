use crate::command::command;
use crate::environment::root;
use crate::output::Stopwatch;

use super::*;

/// A shell that prints what a test harness prints.
fn shell(script: &str) -> Command {
    command(&root(), &["sh", "-c", script])
}

const HANGS: &str = "echo 'test a::slow has been running for over 60 seconds'; \
                     echo 'test a::hangs has been running for over 60 seconds'; \
                     echo 'test a::slow ... ok'; ";

#[test]
fn tests_that_hang_are_killed_with_all_that_they_started_and_named() {
    let watch = Stopwatch::start();
    let mut tests = shell(&format!("{HANGS} sh -c 'echo inner; sleep 47; true' & sleep 47"));

    let failure = run(&mut tests, Duration::from_secs(1)).expect_err("it hangs").to_string();

    assert!(failure.starts_with("the tests were killed after 1s; "), "{failure}");
    assert!(failure.ends_with("still running for more than a minute: a::hangs"), "{failure}");
    assert!(watch.elapsed() < Duration::from_secs(30));
}

#[test]
fn tests_that_end_in_time_are_told_apart_by_their_status() {
    let limit = Duration::from_mins(1);
    assert!(run(&mut shell("echo 'test a ... ok'"), limit).is_ok());
    let failure = run(&mut shell("exit 101"), limit).expect_err("they failed").to_string();
    assert!(failure.contains("101"), "{failure}");
}
