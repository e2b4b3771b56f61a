//! Callers hold, release and retry jobs, and find them again.

use nuncio_api::v1;
use nuncio_api::v1::{MailJobState, RecipientState};
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{PATIENCE, reason};
use nuncio_tests::mails::bulk;
use nuncio_tests::node::TestNode;
use nuncio_tests::settings::settings_for;
use tonic::{Code, Status};

#[tokio::test(flavor = "multi_thread")]
async fn a_held_job_outlasts_settings_and_restarts_and_leaves_when_it_is_released() {
    let simulator = Simulator::start(SimConfig::exchange()).await.unwrap();
    let node = TestNode::start().await;
    let held = node.submit(bulk("held")).await.name;
    let other = node.submit(bulk("other")).await.name;
    assert_eq!(hold(&node, &held).await.unwrap().reason.unwrap().code, "HELD_BY_CALLER");

    // New settings release what the channel holds.
    node.save_tested(settings_for(&simulator)).await;
    node.wait_for_state(&other, MailJobState::Sent, PATIENCE).await;
    let node = node.restart().await;
    let last = node.submit(bulk("last")).await.name;
    node.wait_for_state(&last, MailJobState::Sent, PATIENCE).await;
    assert_eq!(node.job(&held).await.0.state(), MailJobState::Held);
    assert_eq!(simulator.accepted_count(), 2);

    let released = release(&node, &held).await.unwrap();
    assert_eq!(released.state(), MailJobState::Queued);
    node.wait_for_state(&held, MailJobState::Sent, PATIENCE).await;
    let refused = release(&node, &held).await.unwrap_err();
    let expected = (Code::FailedPrecondition, "MAIL_JOB_NOT_HELD_BY_CALLER".to_owned());
    assert_eq!(reason(&refused), expected);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_job_is_tried_at_once_when_it_is_retried() {
    let (simulator, node) = node_and_simulator().await;
    let busy = Action::Reply("451 4.3.2 Please try again later".to_owned());
    simulator.faults().push(Fault::next(1, Phase::Rcpt, busy));
    let name = node.submit(bulk("deferred")).await.name;
    let deferred = node.wait_for_state(&name, MailJobState::Deferred, PATIENCE).await;

    let retried = retry(&node, &name, false).await.unwrap();

    let due = |job: &v1::MailJob| job.next_attempt_time.unwrap().seconds;
    assert!(due(&retried) + 60 < due(&deferred), "its class waits for two minutes");
    let sent = node.wait_for_state(&name, MailJobState::Sent, PATIENCE).await;
    assert_eq!((sent.attempt_count, simulator.accepted_count()), (2, 1));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_job_is_sent_once_more_with_its_message_id_if_a_duplicate_is_allowed() {
    let (simulator, node) = node_and_simulator().await;
    simulator.faults().push(Fault::next(1, Phase::EndOfData, Action::CutAfterAccept));
    let name = node.submit(bulk("unknown")).await.name;
    let unknown = node.wait_for_state(&name, MailJobState::Unknown, PATIENCE).await;
    assert_eq!(unknown.recipients[0].state(), RecipientState::Unknown);
    // Its mail is still there after a restart.
    let node = node.restart().await;

    let refused = retry(&node, &name, false).await.unwrap_err();
    let expected = (Code::FailedPrecondition, "MAIL_JOB_MAY_BE_DUPLICATED".to_owned());
    assert_eq!(reason(&refused), expected);
    assert_eq!(simulator.accepted_count(), 1);
    retry(&node, &name, true).await.unwrap();

    let sent = node.wait_for_state(&name, MailJobState::Sent, PATIENCE).await;
    assert_eq!(sent.recipients[0].state(), RecipientState::Accepted);
    assert_eq!(sent.message_id, unknown.message_id);
    let message_ids = simulator.message_ids();
    assert_eq!(message_ids.values().copied().collect::<Vec<_>>(), [2], "{message_ids:?}");
    let refused = retry(&node, &name, true).await.unwrap_err();
    let expected = (Code::FailedPrecondition, "MAIL_JOB_NOT_RETRYABLE".to_owned());
    assert_eq!(reason(&refused), expected);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_by_recipient_label_and_time() {
    let node = TestNode::start().await;
    let mut names = Vec::new();
    for site in ["north", "south", "north"] {
        let labels = [("site".to_owned(), site.to_owned())].into();
        names.push(node.submit(v1::CreateMailJobRequest { labels, ..bulk(site) }).await);
    }
    let [first, second, third] = names.as_slice() else { panic!("three jobs") };
    let all = v1::ListMailJobsRequest::default;
    let found = async |request| {
        let page = node.clients.mail_jobs.clone().list_mail_jobs(request).await;
        let jobs = page.unwrap().into_inner().mail_jobs;
        jobs.into_iter().map(|job| job.name).collect::<Vec<_>>()
    };

    let north = || [("site".to_owned(), "north".to_owned())].into();
    let labelled = found(v1::ListMailJobsRequest { labels: north(), ..all() }).await;
    assert_eq!(labelled, [third.name.as_str(), first.name.as_str()]);
    let address = first.recipients[0].address.clone();
    let to_guest = found(v1::ListMailJobsRequest { recipient: address.clone(), ..all() }).await;
    assert_eq!(to_guest.len(), 3);
    let recipient = format!("x{address}");
    assert!(found(v1::ListMailJobsRequest { recipient, ..all() }).await.is_empty());
    let since_time = second.create_time;
    let later = found(v1::ListMailJobsRequest { since_time, ..all() }).await;
    assert!(later.contains(&second.name) && later.contains(&third.name));
    let mut until = first.create_time.unwrap();
    until.seconds -= 1;
    let until_time = Some(until);
    assert!(found(v1::ListMailJobsRequest { until_time, ..all() }).await.is_empty());
    node.stop().await;
}

async fn node_and_simulator() -> (Simulator, TestNode) {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let node = TestNode::start().await;
    node.save_tested(settings_for(&simulator)).await;
    (simulator, node)
}

async fn hold(node: &TestNode, name: &str) -> Result<v1::MailJob, Status> {
    let request = v1::HoldMailJobRequest { name: name.to_owned() };
    let answer = node.clients.mail_jobs.clone().hold_mail_job(request).await?;
    Ok(answer.into_inner().mail_job.expect("the answer has a job"))
}

async fn release(node: &TestNode, name: &str) -> Result<v1::MailJob, Status> {
    let request = v1::ReleaseMailJobRequest { name: name.to_owned() };
    let answer = node.clients.mail_jobs.clone().release_mail_job(request).await?;
    Ok(answer.into_inner().mail_job.expect("the answer has a job"))
}

async fn retry(node: &TestNode, name: &str, allow_duplicate: bool) -> Result<v1::MailJob, Status> {
    let request = v1::RetryMailJobRequest { name: name.to_owned(), allow_duplicate };
    let answer = node.clients.mail_jobs.clone().retry_mail_job(request).await?;
    Ok(answer.into_inner().mail_job.expect("the answer has a job"))
}
