//! The load generator: each way to measure gives figures, and they fit together.

use nuncio_tests::process::Process;
use serde_json::Value;

/// Runs `nuncio bench`, and checks that each of these figures is there and not zero.
async fn figures(args: &[&str], wanted: &[&str]) -> Value {
    let bench = ["bench", "--output", "json", "--size", "300", "--connections", "2"];
    let ended = Process::run(&[bench.as_slice(), args].concat(), &[]).await;
    assert_eq!(ended.code, Some(0), "{args:?}: {ended:#?}");
    let figures: Value = serde_json::from_str(&ended.stdout).expect("it says JSON");
    for name in wanted {
        let value = figures[name].as_f64();
        assert!(value.is_some_and(|value| 0.0 < value), "{args:?}: {name} in {figures}");
    }
    figures
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_is_sent_once_and_watched() {
    let wanted = ["accept_per_s", "sent_per_s", "submit_p50_ms", "sent_p99_ms", "resident_mib"];
    let seen = figures(&["--jobs", "40"], &wanted).await;
    assert_eq!((&seen["jobs"], &seen["sink_mails"]), (&40.into(), &40.into()), "{seen}");
    assert_eq!((&seen["sink_repeated"], &seen["not_sent"]), (&0.into(), &0.into()), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_without_chunking_costs_a_round_trip_more() {
    let drain = ["--mode", "drain", "--no-watch", "--jobs", "200"];
    let seen = figures(&[&drain, ["--no-chunking"].as_slice()].concat(), &["sent_per_s"]).await;
    assert_eq!(seen["round_trips_per_mail"].as_f64(), Some(2.0), "{seen}");
    let seen = figures(&drain, &["sent_per_s", "load_cpu_ms_per_job"]).await;
    assert!(seen["round_trips_per_mail"].as_f64().is_some_and(|trips| trips < 1.5), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_is_measured_in_each_way_to_send() {
    let wanted = ["in_step_per_s", "pipelining_per_s", "chunking_per_s"];
    figures(&["--mode", "sink", "--jobs", "200"], &wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_mail_takes_longer_until_it_is_sent_than_until_it_is_accepted() {
    let wanted = ["single_accept_p50_ms", "single_sent_p50_ms", "disk_p50_ms"];
    let seen = figures(&["--mode", "single", "--jobs", "10"], &wanted).await;
    let span = |name: &str| seen[name].as_f64().expect("it is a number");
    assert!(span("single_accept_p50_ms") < span("single_sent_p50_ms"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_node_is_not_drained() {
    let ended = Process::run(&["bench", "--running", "--mode", "drain"], &[]).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("leave out `--running`"), "{}", ended.stderr);
}
