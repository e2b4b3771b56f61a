//! The trouble of a channel is no matter of the mails that meet it.

use std::time::Duration;

use nuncio_core::class::MailClass;
use nuncio_core::job::{JobOptionsDraft, JobState};

use super::sandbox::*;
use crate::intake::Submission;

const FIRST: &str = "no-reply@example.com";
const SECOND: &str = "no-reply-2@example.com";
const HOUR: Duration = Duration::from_hours(1);
/// A mail to them makes the server break off.
const BROKEN: &str = "broken@example.com";

#[tokio::test(start_paused = true)]
async fn a_mail_that_one_mailbox_may_not_send_for_an_hour_goes_by_another_at_once() {
    for throttled_one in [FIRST, SECOND] {
        let sandbox = Sandbox::new().with_mailbox(SECOND).refusing(throttled_one, throttled(HOUR));
        let sandbox = sandbox.start();

        let mut jobs = Vec::new();
        for _ in 0..20 {
            jobs.push(sandbox.submit(mail()).await);
        }
        for job in jobs {
            let ended = sandbox.ended(job).await;
            assert_eq!((ended.state, ended.attempts), (JobState::Sent, 1));
        }

        assert!(sandbox.elapsed() < Duration::from_secs(1), "{:?}", sandbox.elapsed());
        assert!(sandbox.sent().iter().all(|one| one.mailbox != throttled_one));
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_mail_goes_at_once_with_new_settings() {
    let mut sandbox = Sandbox::new().replying([throttled(HOUR)]).start();
    let job = sandbox.submit(mail()).await;
    sandbox.reached(job, JobState::Deferred).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    let before = sandbox.elapsed();

    sandbox.save_settings(limits(3, None));

    assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    assert_eq!(sandbox.elapsed(), before);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_mail_goes_when_the_channel_opens_and_is_not_asked_for_before() {
    let sandbox = Sandbox::new().replying([throttled(HOUR)]).start();

    let job = sandbox.submit(mail()).await;

    assert_eq!(sandbox.ended(job).await.attempts, 1);
    assert_eq!(sandbox.elapsed(), HOUR);
    assert_eq!(sandbox.attempts(job).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_mail_lives_until_its_end() {
    let sandbox = Sandbox::new().replying([throttled(HOUR)]).start();
    let life = Duration::from_mins(10);
    let options = JobOptionsDraft { time_to_live: Some(life), ..JobOptionsDraft::default() };

    let job = sandbox.submit(Submission { options, ..mail() }).await;

    let ended = sandbox.ended(job).await;
    assert_eq!(ended.state, JobState::Expired);
    assert!(life <= sandbox.elapsed(), "{:?}", sandbox.elapsed());
    let reason = ended.reason.expect("it says why").message;
    assert!(reason.contains("4.3.2"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_mail_is_due_for_whoever_takes_over_from_a_dead_node() {
    let sandbox = Sandbox::new().replying([throttled(HOUR)]).start();
    let job = sandbox.submit(mail()).await;
    sandbox.reached(job, JobState::Deferred).await;

    let sandbox = sandbox.die().start_again();

    sandbox.ended(job).await;
    assert!(sandbox.elapsed() < Duration::from_secs(1), "{:?}", sandbox.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_mail_at_which_the_server_breaks_off_stops_no_others_however_urgent_it_is() {
    let sandbox = Sandbox::new().refusing(BROKEN, unavailable()).start();
    let broken = of_class(MailClass::AlarmCritical, mail_to(&[BROKEN]));
    let broken = sandbox.submit(broken).await;

    for _ in 0..200 {
        let job = sandbox.submit(mail()).await;
        sandbox.ended(job).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    assert!(sandbox.elapsed() < Duration::from_secs(230), "{:?}", sandbox.elapsed());
    let tries = sandbox.job(broken).await;
    assert_eq!((tries.state, tries.attempts), (JobState::Deferred, 0));
}

#[tokio::test(start_paused = true)]
async fn of_many_mails_another_one_tries_the_way_each_time() {
    let sandbox = Sandbox::new().unavailable_for(HOUR).start();
    let mut jobs = Vec::new();
    for _ in 0..20 {
        jobs.push(sandbox.submit(mail()).await);
    }
    tokio::time::sleep(Duration::from_mins(30)).await;

    for job in jobs {
        let tries = sandbox.attempts(job).await.len();
        assert!((1..=5).contains(&tries), "{tries} of about 40");
    }
}
