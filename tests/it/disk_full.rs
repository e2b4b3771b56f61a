//! The disk of the data folder is full, really: a small file system that something else has filled up.

use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::{MailClass, MailJobState};
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{Caller, PATIENCE, reason};
use nuncio_tests::http;
use nuncio_tests::mails::raw;
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::private_postgres::PrivatePostgres;
use nuncio_tests::process::ServeProcess;
use nuncio_tests::report::say;
use nuncio_tests::settings::settings_for;
use nuncio_tests::small_disk::SmallDisk;
use tempfile::TempDir;
use tokio::time::sleep;
use tonic::Code;

/// The disk, in bytes: a new store and some jobs fit.
const DISK: u64 = 24 * 1024 * 1024;
/// That of a database: what PostgreSQL makes for itself, and some jobs.
const DATABASE_DISK: u64 = 64 * 1024 * 1024;
/// The text of a mail, in bytes.
const TEXT: usize = 100 * 1024;
/// How many jobs are there before the disk is full.
const JOBS: usize = 40;
/// How many more jobs may be taken where the room that the store has already is enough for them.
const MORE_MAX: usize = 200;
/// How long the disk stays full.
const FULL_FOR: Duration = Duration::from_secs(5);
/// How long the provider takes for a mail, in milliseconds: some are always under way.
const MAIL_MS: u64 = 300;

/// Every second one may never be sent twice.
fn request(number: usize) -> v1::CreateMailJobRequest {
    let class = if number.is_multiple_of(2) { MailClass::Bulk } else { MailClass::AlarmCritical };
    let mut request = raw(class, &format!("mail {number}"), &["guest@example.com"]);
    if let Some(v1::Mail { content: Some(v1::mail::Content::Raw(raw)), .. }) = &mut request.mail {
        raw.text = "x".repeat(TEXT);
    }
    v1::CreateMailJobRequest { request_id: format!("job-{number}"), ..request }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_jobs_loses_none_and_is_overcome_without_a_restart() {
    let simulator = slow_simulator().await;
    let folder = TempDir::with_prefix("nuncio-it-").expect("a temporary folder can be made");
    let (node, disk) = ServeProcess::start_on_small_disk(folder.path(), DISK).await;
    node.save_tested(settings_for(&simulator)).await;

    let seen = fill_up_and_make_room(&node, &node.http, &disk, &simulator).await;

    say(&format!("disk full: {seen}"));
    assert_eq!(node.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_database_refuses_jobs_loses_none_and_is_overcome_without_a_restart() {
    let simulator = slow_simulator().await;
    let (database, disk) = PrivatePostgres::start_on_small_disk(DATABASE_DISK).await;
    let store_url = Some(database.url());
    let node = TestNode::start_with(NodeOptions { store_url, ..NodeOptions::default() }).await;
    node.save_tested(settings_for(&simulator)).await;

    let seen = fill_up_and_make_room(&node, &node.http.to_string(), &disk, &simulator).await;

    say(&format!("disk full, PostgreSQL: {seen}"));
    node.stop().await;
}

async fn slow_simulator() -> Simulator {
    let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
    simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(MAIL_MS)));
    simulator
}

/// Fills the disk while mails are sent, makes room again, and returns what was seen.
async fn fill_up_and_make_room(
    node: &Caller,
    http: &str,
    disk: &SmallDisk,
    simulator: &Simulator,
) -> String {
    let mut names = Vec::new();
    for number in 0..JOBS {
        names.push(node.submit(request(number)).await.name);
    }

    disk.fill_up();
    let mut refused = None;
    for number in JOBS..JOBS + MORE_MAX {
        match node.try_submit(request(number)).await {
            Ok(job) => names.push(job.name),
            Err(status) => {
                refused = Some((number, status));
                break;
            }
        }
    }
    let (number, status) = refused.expect("a full disk takes no jobs");
    assert_eq!(reason(&status), (Code::ResourceExhausted, "STORE_FULL".to_owned()));
    assert!(status.message().contains("make room"), "{status:?}");
    let sent_before = simulator.accepted_count();
    sleep(FULL_FOR).await;
    let sent_meanwhile = simulator.accepted_count() - sent_before;
    let status = node.try_submit(request(number)).await.expect_err("it is still full");
    assert_eq!(reason(&status), (Code::ResourceExhausted, "STORE_FULL".to_owned()));
    assert_eq!(node.jobs().await.len(), names.len(), "what was refused is not there, all else is");
    assert_eq!(http::get(http, "/livez").await.0, 200);

    disk.make_room();
    names.push(node.submit(request(number)).await.name);
    let jobs = node.wait_for_ends(&names, PATIENCE).await;

    for job in &jobs {
        assert_eq!((job.state(), job.attempt_count), (MailJobState::Sent, 1), "{job:#?}");
    }
    let count = u64::try_from(names.len()).expect("it fits");
    assert_eq!((simulator.accepted_count(), simulator.duplicates()), (count, Vec::new()));
    format!("{count} jobs, {sent_before} sent before, {sent_meanwhile} meanwhile, all sent once")
}
