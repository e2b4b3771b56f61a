//! Delivery as a whole over in-memory ports, in virtual time.

mod budget;
mod channel;
mod clock;
mod mailboxes;
mod nodes;
mod sandbox;
mod senders;

use std::time::Duration;

use nuncio_core::class::MailClass;
use nuncio_core::job::{JobState, Reason, RecipientState};
use nuncio_core::outcome::{SendOutcome, Verdict};

use crate::channel::ChannelStatus;
use sandbox::*;

#[tokio::test(start_paused = true)]
async fn a_mail_is_sent_once() {
    let sandbox = Sandbox::new().replying([accepted()]).start();

    let job = sandbox.submit(mail()).await;

    let ended = sandbox.ended(job).await;
    assert_eq!((ended.state, ended.attempts), (JobState::Sent, 1));
    assert_eq!(sandbox.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deferred_mail_is_sent_later_with_the_same_message_id() {
    let sandbox = Sandbox::new().replying([deferred(), accepted()]).start();

    let job = sandbox.submit(mail()).await;

    assert_eq!(sandbox.ended(job).await.attempts, 2);
    let sent = sandbox.sent();
    assert_eq!(sent[0].message_id, sent[1].message_id);
    let backoff = MailClass::Bulk.retry_policy().backoff_min;
    assert!(sent[0].at + backoff <= sent[1].at, "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_too_many_for_one_mail_gets_another_one_at_once_without_an_attempt() {
    let (taken, left) = (
        || Verdict::Accepted(reply(250, "ok")),
        || Verdict::InAnotherMail(because("TOO_MANY_RECIPIENTS", reply(452, "enough"))),
    );
    let outcomes = [
        SendOutcome::Judged(vec![taken(), left(), left()]),
        SendOutcome::Judged(vec![taken(), left()]),
        accepted(),
    ];
    let sandbox = Sandbox::new().replying(outcomes).start();

    let job = sandbox.submit(mail_to(&["a@example.com", "b@example.com", "c@example.com"])).await;

    let ended = sandbox.ended(job).await;
    assert_eq!((ended.state, ended.attempts), (JobState::Sent, 1));
    let sent = sandbox.sent();
    let to: Vec<_> = sent.iter().map(|one| one.recipients.join(" ")).collect();
    let (b, c) = ("b@example.com", "c@example.com");
    assert_eq!(to, [format!("a@example.com {b} {c}"), format!("{b} {c}"), c.to_owned()]);
    assert!(sent[2].at < sent[0].at + Duration::from_secs(1), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn only_recipients_without_an_answer_are_tried_again() {
    let first = SendOutcome::Judged(vec![
        Verdict::Accepted(reply(250, "ok")),
        Verdict::Refused(because("RECIPIENT_UNKNOWN", reply(550, "no such user"))),
        Verdict::Deferred {
            reason: because("PROVIDER_DEFERRED", reply(450, "later")),
            retry_after: None,
        },
    ]);
    let sandbox = Sandbox::new().replying([first, accepted()]).start();

    let to = ["a@example.com", "b@example.com", "c@example.com"];
    let job = sandbox.submit(mail_to(&to)).await;

    let ended = sandbox.ended(job).await;
    assert_eq!(ended.state, JobState::Sent);
    let states: Vec<_> = ended.recipients.iter().map(|one| one.state).collect();
    let (accepted, refused) = (RecipientState::Accepted, RecipientState::Refused);
    assert_eq!(states, [accepted, refused, accepted]);
    assert_eq!(sandbox.sent()[1].recipients, ["c@example.com"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_six_hours_costs_no_attempt() {
    let six_hours = Duration::from_hours(6);
    let sandbox = Sandbox::new().unavailable_for(six_hours).start();

    let job = sandbox.submit(mail()).await;

    let ended = sandbox.ended(job).await;
    assert_eq!((ended.state, ended.attempts), (JobState::Sent, 1));
    assert!(six_hours <= sandbox.elapsed());
}

#[tokio::test(start_paused = true)]
async fn while_the_provider_is_down_it_is_asked_by_one_mail_at_a_time_and_ever_more_rarely() {
    let sandbox = Sandbox::new().unavailable_for(Duration::from_hours(1)).start();

    let mut jobs = Vec::new();
    for _ in 0..50 {
        jobs.push(sandbox.submit(mail()).await);
    }
    for job in jobs {
        assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    }

    let asked = sandbox.sent().len() - 50;
    assert!(asked <= 75, "{asked} attempts in an hour of outage");
}

#[tokio::test(start_paused = true)]
async fn a_closed_channel_holds_the_jobs_and_says_why() {
    let sandbox = Sandbox::new().replying([closed()]).then(closed()).start();

    let job = sandbox.submit(mail()).await;
    let held = sandbox.reached(job, JobState::Held).await;

    assert_eq!(held.reason.expect("a held job has one").code, "INVALID_EMAIL_ADDRESS");
    assert_eq!(held.attempts, 0);
    assert!(matches!(sandbox.channel(), ChannelStatus::Closed { .. }));
}

#[tokio::test(start_paused = true)]
async fn new_settings_release_what_is_held_at_once() {
    let mut sandbox = Sandbox::new().replying([closed()]).then(accepted()).start();
    let job = sandbox.submit(mail()).await;
    sandbox.reached(job, JobState::Held).await;
    let before = sandbox.elapsed();

    sandbox.save_settings(limits(3, None));

    assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    assert!(sandbox.elapsed() < before + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_trust_store_releases_what_is_held_at_once() {
    let sandbox = Sandbox::new().replying([closed()]).then(accepted()).start();
    let job = sandbox.submit(mail()).await;
    sandbox.reached(job, JobState::Held).await;
    let before = sandbox.elapsed();

    sandbox.change_trust();

    assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    assert!(sandbox.elapsed() < before + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_fails_with_old_settings_is_sent_at_once_with_the_new_ones() {
    let second = Duration::from_secs(1);
    let sandbox = Sandbox::new().replying([closed()]).taking(second).recording_in(second);
    let mut sandbox = sandbox.start();
    let job = sandbox.submit(mail()).await;
    sandbox.reached(job, JobState::Sending).await;

    sandbox.save_settings(limits(3, None));

    assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    assert_eq!(sandbox.elapsed(), 4 * second, "both attempts and both records");
}

#[tokio::test(start_paused = true)]
async fn a_connection_takes_the_next_mail_while_the_last_one_is_being_recorded() {
    let second = Duration::from_secs(1);
    let sandbox = Sandbox::new().limits(limits(1, None)).taking(second).recording_in(second);
    let sandbox = sandbox.start();

    let mut jobs = Vec::new();
    for _ in 0..10 {
        jobs.push(sandbox.submit(mail()).await);
    }
    for job in jobs {
        sandbox.ended(job).await;
    }

    assert_eq!(sandbox.under_way_max(), 1);
    assert_eq!(sandbox.elapsed(), 11 * second);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_without_settings_and_all_of_it_with_them() {
    let mut sandbox = Sandbox::new().without_settings().start();
    let job = sandbox.submit(mail()).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(sandbox.sent(), []);
    assert_eq!(sandbox.channel(), ChannelStatus::NotConfigured);

    sandbox.save_settings(limits(3, None));

    assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
}

#[tokio::test(start_paused = true)]
async fn never_more_mails_are_under_way_than_connections_are_allowed() {
    let second = Duration::from_secs(1);
    let sandbox = Sandbox::new().limits(limits(3, None)).taking(second).start();

    let mut jobs = Vec::new();
    for _ in 0..30 {
        jobs.push(sandbox.submit(mail()).await);
    }
    for job in jobs {
        sandbox.ended(job).await;
    }

    assert_eq!(sandbox.under_way_max(), 3);
    assert_eq!(sandbox.elapsed().as_secs(), 10, "all three were used all the time");
}

#[tokio::test(start_paused = true)]
async fn credentials_go_before_bulk() {
    let mut sandbox = Sandbox::new().limits(limits(1, None)).without_settings().start();
    let bulk = sandbox.submit(mail()).await;
    let credentials = sandbox.submit(of_class(MailClass::Credentials, mail())).await;

    sandbox.save_settings(limits(1, None));
    sandbox.ended(bulk).await;
    sandbox.ended(credentials).await;

    let order: Vec<_> = sandbox.sent().iter().map(|one| one.message_id.clone()).collect();
    let id = |job| sandbox.job(job);
    assert_eq!(order, [id(credentials).await.message_id, id(bulk).await.message_id]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_sent_again_for_credentials_and_left_alone_for_bulk() {
    let sandbox = Sandbox::new().replying([unknown(), accepted(), unknown()]).start();

    let credentials = sandbox.submit(of_class(MailClass::Credentials, mail())).await;
    assert_eq!(sandbox.ended(credentials).await.state, JobState::Sent);
    let bulk = sandbox.submit(mail()).await;

    let ended = sandbox.ended(bulk).await;
    assert_eq!(ended.state, JobState::Unknown);
    assert_eq!(ended.recipients[0].state, RecipientState::Unknown);
    assert_eq!(sandbox.sent().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_in_its_time_expires() {
    let sandbox = Sandbox::new().replying([]).then(unavailable()).start();

    let job = sandbox.submit(mail()).await;

    let ended = sandbox.ended(job).await;
    assert_eq!(ended.state, JobState::Expired);
    let reason = ended.reason.expect("it says why");
    assert!(reason.message.contains("test outage"), "{reason:?}");
    assert!(MailClass::Bulk.time_to_live() <= sandbox.elapsed() + Duration::from_mins(2));
}

#[tokio::test(start_paused = true)]
async fn every_end_is_told_once_whatever_brought_it() {
    let mut sandbox = Sandbox::new().without_settings().start();
    let waits_in_vain = sandbox.submit(of_class(MailClass::Alarm, mail())).await;
    sandbox.ended(waits_in_vain).await;
    sandbox.save_settings(limits(3, None));
    let is_sent = sandbox.submit(mail()).await;
    sandbox.ended(is_sent).await;

    let sandbox = sandbox.shut_down().await;

    let expected = [(MailClass::Alarm, JobState::Expired), (MailClass::Bulk, JobState::Sent)];
    assert_eq!(sandbox.ends(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_lease_was_taken_over_sends_nothing() {
    let sandbox = Sandbox::new().stealing_the_first_lease().start();

    let job = sandbox.submit(mail()).await;

    assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    assert_eq!(sandbox.sent().len(), 1, "the first attempt stopped at the gate");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_the_mails_under_way_end() {
    let sandbox = Sandbox::new().taking(Duration::from_secs(5)).start();
    let job = sandbox.submit(mail()).await;
    sandbox.reached(job, JobState::Sending).await;

    let sandbox = sandbox.shut_down().await;

    assert_eq!(sandbox.job(job).await.state, JobState::Sent);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_moment_loses_no_outcome() {
    let sandbox = Sandbox::new().failing_settlements(3).start();

    let job = sandbox.submit(mail()).await;

    assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    assert_eq!(sandbox.sent().len(), 1);
    assert!(sandbox.full_news().starts_with(&[false, true]), "{:?}", sandbox.full_news());
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_told_until_the_store_takes_it_however_long_it_was_away() {
    let sandbox = Sandbox::new().failing_settlements(7200).start();

    let job = sandbox.submit(mail()).await;

    assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    assert_eq!(sandbox.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_stayed_here_because_the_store_failed_is_not_of_unknown_outcome() {
    let sandbox = Sandbox::new().losing_the_first_answer_to_a_mark().start();

    let job = sandbox.submit(mail()).await;

    let ended = sandbox.ended(job).await;
    assert_eq!((ended.state, ended.attempts), (JobState::Sent, 1));
    assert_eq!(sandbox.sent().len(), 1);
    assert!(sandbox.elapsed() < Duration::from_secs(5), "{:?}", sandbox.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_million_old_jobs_delay_no_rescue_and_are_all_removed() {
    let sandbox = Sandbox::new().answering_after(Duration::from_hours(2)).start();
    let job = sandbox.submit(mail()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;

    let sandbox = sandbox.die().with_old_batches(2000).start_again();

    assert_eq!(sandbox.ended(job).await.state, JobState::Unknown);
    assert!(sandbox.elapsed() < Duration::from_secs(70), "{:?}", sandbox.elapsed());
    tokio::time::sleep(Duration::from_mins(8)).await;
    assert_eq!(sandbox.old_batches(), 0);
}

fn unknown() -> SendOutcome {
    let reason = Reason::new("CONNECTION_LOST", "cut after the final dot");
    SendOutcome::Unknown { verdicts: vec![None], reason }
}

fn deferred() -> SendOutcome {
    let reason = because("PROVIDER_DEFERRED", reply(451, "busy"));
    SendOutcome::Judged(vec![Verdict::Deferred { reason, retry_after: None }])
}
