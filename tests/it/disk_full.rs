//! The disk of the data folder is full, really: a small file system that something else has filled up.

use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::{MailClass, MailJobState};
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{PATIENCE, reason};
use nuncio_tests::http;
use nuncio_tests::mails::raw;
use nuncio_tests::process::ServeProcess;
use nuncio_tests::report::say;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::time::sleep;
use tonic::Code;

/// The disk, in bytes: a new store and some jobs fit.
const DISK: u64 = 24 * 1024 * 1024;
/// The text of a mail, in bytes.
const TEXT: usize = 100 * 1024;
/// How many jobs are there before the disk is full.
const JOBS: usize = 40;
/// How many more jobs may be taken where the room that the store has already is enough for them.
const MORE_MAX: usize = 200;
/// How long the disk stays full.
const FULL_FOR: Duration = Duration::from_secs(5);
/// How long the provider takes for a mail, in milliseconds: some are always under way.
const MAIL_MS: u64 = 100;

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
    let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
    simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(MAIL_MS)));
    let folder = TempDir::with_prefix("nuncio-it-").expect("a temporary folder can be made");
    let (node, disk) = ServeProcess::start_on_small_disk(folder.path(), DISK).await;
    node.save_tested(settings_for(&simulator)).await;
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
    assert_eq!(http::get(&node.http, "/livez").await.0, 200);

    disk.make_room();
    names.push(node.submit(request(number)).await.name);
    let jobs = node.wait_for_ends(&names, PATIENCE).await;

    for job in &jobs {
        assert_eq!((job.state(), job.attempt_count), (MailJobState::Sent, 1), "{job:#?}");
    }
    let count = u64::try_from(names.len()).expect("it fits");
    assert_eq!((simulator.accepted_count(), simulator.duplicates()), (count, Vec::new()));
    say(&format!(
        "disk full: {count} jobs, {sent_before} sent before, {sent_meanwhile} meanwhile, all sent once"
    ));
    assert_eq!(node.stop().await.code, Some(0));
}
