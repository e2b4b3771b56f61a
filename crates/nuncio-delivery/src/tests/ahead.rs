//! Mails that are claimed before a connection is free for them.

use std::time::Duration;

use nuncio_core::class::MailClass;
use nuncio_core::job::{JobState, MailJobId};
use nuncio_core::settings::MailboxLimits;

use super::sandbox::*;

const MAIL: Duration = Duration::from_millis(30);
const CLAIM: Duration = Duration::from_millis(10);
const CONNECTIONS: u32 = 3;

/// A store that takes its time, and a queue of mails that leave at once.
async fn queue(limits: MailboxLimits, mails: usize) -> (Sandbox, Vec<MailJobId>) {
    let sandbox = Sandbox::new().limits(limits).taking(MAIL).claiming_in(CLAIM);
    let sandbox = sandbox.leaving_at_once(1);
    let mut jobs = Vec::new();
    for _ in 0..mails {
        jobs.push(sandbox.submit(mail()).await);
    }
    (sandbox, jobs)
}

#[tokio::test(start_paused = true)]
async fn no_connection_waits_for_the_disk_while_a_queue_is_sent() {
    let (sandbox, jobs) = queue(limits(CONNECTIONS, None), 300).await;

    let sandbox = sandbox.start();
    for job in jobs {
        sandbox.ended(job).await;
    }

    // One hundred mails over each, and some claims until they follow each other.
    let at_least = MAIL * 100;
    assert!(sandbox.elapsed() < at_least + CLAIM * 10, "{:?}", sandbox.elapsed());
    assert_eq!(sandbox.under_way_max(), CONNECTIONS);
    assert_eq!(sandbox.sent().len(), 300);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_connection_goes_back_untried_when_the_way_closes() {
    let (sandbox, jobs) = queue(limits(CONNECTIONS, None), 60).await;
    let sandbox = sandbox.replying((0..30).map(|_| accepted())).then(closed()).start();

    sandbox.sent_count(33).await;
    sandbox.channel_closed().await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let sent = sandbox.sent().len();
    assert!(sent <= 33 + 3, "{sent} mails went over a way that was closed");
    let mut untried = 0;
    for job in jobs {
        let job = sandbox.job(job).await;
        assert_ne!(job.state, JobState::Sending, "{job:?}");
        untried += usize::from(job.reason.is_some_and(|reason| reason.code == "NOT_TRIED"));
    }
    assert!((1..=3).contains(&untried), "{untried}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_back_at_a_stop() {
    let (sandbox, jobs) = queue(limits(CONNECTIONS, None), 60).await;
    let sandbox = sandbox.start();
    sandbox.sent_count(30).await;

    let sandbox = sandbox.shut_down().await;

    for job in &jobs {
        assert_ne!(sandbox.job(*job).await.state, JobState::Sending);
    }
    let sandbox = sandbox.start_again();
    for job in jobs {
        assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    }
    assert_eq!(sandbox.sent().len(), 60);
}

#[tokio::test(start_paused = true)]
async fn an_urgent_mail_passes_those_that_wait_for_a_connection() {
    let (sandbox, _) = queue(limits(CONNECTIONS, None), 300).await;
    let sandbox = sandbox.start();
    sandbox.sent_count(30).await;
    let before = sandbox.elapsed();

    let job = sandbox.submit(of_class(MailClass::Credentials, mail())).await;

    sandbox.ended(job).await;
    let took = sandbox.elapsed().saturating_sub(before);
    assert!(took <= MAIL * 3 + CLAIM, "{took:?}");
}

/// How many mails are unknown after a node has died amid a queue.
async fn unknown_after_death(limits: MailboxLimits) -> usize {
    let (sandbox, jobs) = queue(limits, 300).await;
    let sandbox = sandbox.start();
    sandbox.sent_count(100).await;
    let sandbox = sandbox.die();
    sandbox.rescue().await;
    let mut unknown = 0;
    for job in jobs {
        unknown += usize::from(sandbox.job(job).await.state == JobState::Unknown);
    }
    unknown
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_leaves_two_unknown_mails_for_each_connection_at_most() {
    let unlimited = unknown_after_death(limits(CONNECTIONS, None)).await;
    let limited = unknown_after_death(limits(CONNECTIONS, Some(6000))).await;

    assert!((4..=6).contains(&unlimited), "{unlimited}");
    assert!(limited <= 3, "nothing is claimed ahead where messages are limited: {limited}");
}
