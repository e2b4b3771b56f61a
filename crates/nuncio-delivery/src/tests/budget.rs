//! The budget of a mailbox: messages a minute, recipients a day, and room for what is urgent.

use std::time::Duration;

use nuncio_core::class::MailClass;
use nuncio_core::job::JobState;
use nuncio_core::settings::MailboxLimits;

use super::sandbox::*;

#[tokio::test(start_paused = true)]
async fn no_minute_has_more_messages_than_the_mailbox_may_send() {
    let sandbox = Sandbox::new().limits(limits(3, Some(30))).start();

    let mut jobs = Vec::new();
    for _ in 0..100 {
        jobs.push(sandbox.submit(mail()).await);
    }
    for job in jobs {
        sandbox.ended(job).await;
    }

    let at: Vec<Duration> = sandbox.sent().iter().map(|one| one.at).collect();
    for run in at.windows(31) {
        assert!(
            run[0] + Duration::from_mins(1) <= run[30],
            "31 mails from {:?} to {:?}",
            run[0],
            run[30]
        );
    }
    assert_eq!(at.last().expect("they were sent").as_secs(), 198, "one every two seconds");
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_forget_what_was_sent_in_the_last_minute() {
    let sandbox = Sandbox::new().limits(limits(3, Some(30))).start();
    let mut jobs = Vec::new();
    for _ in 0..45 {
        jobs.push(sandbox.submit(mail()).await);
    }
    sandbox.sent_count(30).await;

    let sandbox = sandbox.shut_down().await.start_again();
    for job in jobs {
        sandbox.ended(job).await;
    }

    let at: Vec<Duration> = sandbox.sent().iter().map(|one| one.at).collect();
    for run in at.windows(31) {
        assert!(run[0] + Duration::from_mins(1) <= run[30], "{:?} and {:?}", run[0], run[30]);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_until_the_store_has_told_what_was_sent_before() {
    let sandbox = Sandbox::new().limits(limits(3, Some(30))).start();
    for _ in 0..60 {
        sandbox.submit(of_class(MailClass::Credentials, mail())).await;
    }
    sandbox.sent_count(30).await;

    let sandbox = sandbox.shut_down().await.failing_usage(10).start_again();
    sandbox.sent_count(60).await;

    let at: Vec<Duration> = sandbox.sent().iter().map(|one| one.at).collect();
    assert!(at[29] + Duration::from_mins(1) <= at[30], "{:?} and {:?}", at[29], at[30]);
    assert!(at[30] < Duration::from_secs(61), "{:?}", at[30]);
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_the_store_forgets_nobody_whom_the_mailbox_reached_today() {
    let daily = MailboxLimits { recipients_per_day_max: Some(1), ..limits(3, None) };
    let sandbox = Sandbox::new().limits(daily).start();
    let first = sandbox.submit(mail()).await;
    sandbox.ended(first).await;

    let sandbox = sandbox.shut_down().await.failing_usage(3600).start_again();
    let second = sandbox.submit(mail()).await;
    sandbox.ended(second).await;

    let late = sandbox.elapsed().checked_sub(Duration::from_hours(24)).expect("a day is over");
    assert!(late < Duration::from_mins(15), "{late:?} after a day");
}

#[tokio::test(start_paused = true)]
async fn urgent_mails_may_use_the_whole_minute_at_once() {
    let sandbox = Sandbox::new().limits(limits(3, Some(30))).start();

    let mut jobs = Vec::new();
    for _ in 0..30 {
        jobs.push(sandbox.submit(of_class(MailClass::Credentials, mail())).await);
    }
    for job in jobs {
        sandbox.ended(job).await;
    }

    assert!(sandbox.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn credentials_leave_within_two_seconds_however_much_bulk_waits() {
    let sandbox = Sandbox::new().limits(limits(3, Some(30))).start();
    for _ in 0..200 {
        sandbox.submit(mail()).await;
    }

    for count in [1, 7, 29, 35, 75, 120] {
        sandbox.sent_count(count).await;
        let before = sandbox.elapsed();
        let job = sandbox.submit(of_class(MailClass::Credentials, mail())).await;
        sandbox.ended(job).await;
        let waited = sandbox.elapsed().saturating_sub(before);
        assert!(waited <= Duration::from_secs(2), "{waited:?} after {count} bulk mails");
    }
}

#[tokio::test(start_paused = true)]
async fn no_day_has_more_recipients_than_the_mailbox_may_reach() {
    // One is kept for what is urgent.
    let daily = MailboxLimits { recipients_per_day_max: Some(11), ..limits(3, None) };
    let sandbox = Sandbox::new().limits(daily).start();
    let four = ["a@example.com", "b@example.com", "c@example.com", "d@example.com"];
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(sandbox.submit(mail_to(&four)).await);
    }
    let waits = sandbox.reached(jobs[2], JobState::Deferred).await;
    let small = sandbox.submit(mail_to(&four[..2])).await;

    assert_eq!(sandbox.ended(small).await.state, JobState::Sent);
    assert!(sandbox.elapsed() < Duration::from_mins(11), "a smaller mail passes by");
    let reason = waits.reason.expect("it says why it waits");
    assert_eq!((reason.code.as_str(), waits.attempts), ("RECIPIENT_LIMIT_REACHED", 0));
    assert_eq!(sandbox.ended(jobs[2]).await.state, JobState::Sent);
    let late = sandbox.elapsed().checked_sub(Duration::from_hours(24)).expect("a day is over");
    assert!(late < Duration::from_mins(15), "{late:?} after a day");
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_forget_whom_the_mailbox_has_reached_today() {
    let daily = MailboxLimits { recipients_per_day_max: Some(1), ..limits(3, None) };
    let sandbox = Sandbox::new().limits(daily).start();
    let first = sandbox.submit(mail()).await;
    sandbox.ended(first).await;

    let sandbox = sandbox.shut_down().await.start_again();
    let second = sandbox.submit(mail()).await;
    sandbox.ended(second).await;

    assert!(Duration::from_hours(24) <= sandbox.elapsed(), "{:?}", sandbox.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_comes_later_counts_what_was_sent_without_one_once() {
    let mut sandbox = Sandbox::new().limits(limits(3, None)).taking(Duration::from_millis(1));
    sandbox = sandbox.start();
    for _ in 0..20 {
        let job = sandbox.submit(mail()).await;
        sandbox.ended(job).await;
    }

    sandbox.save_settings(limits(3, Some(30)));
    let mut jobs = Vec::new();
    for _ in 0..11 {
        jobs.push(sandbox.submit(of_class(MailClass::Credentials, mail())).await);
    }
    for job in jobs {
        sandbox.ended(job).await;
    }

    let at: Vec<Duration> = sandbox.sent().iter().map(|one| one.at).collect();
    assert!(at[29] < Duration::from_secs(1), "ten are left of the minute: {at:?}");
    assert!(Duration::from_mins(1) <= at[30], "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_provider_is_used_to_the_full_and_has_nothing_to_refuse() {
    for counts_at in [CountsAt::Beginning, CountsAt::End] {
        for class in [MailClass::Bulk, MailClass::Credentials] {
            let sandbox = Sandbox::new().limits(limits(3, Some(30))).counting_at(counts_at, 30);
            let sandbox = sandbox.answering_after(Duration::from_secs(2)).start();
            for _ in 0..360 {
                sandbox.submit(of_class(class, mail())).await;
            }
            sandbox.sent_count(360).await;

            let (counted, refusals) = sandbox.counted();

            // Ten minutes behind the first one.
            let minutes = Duration::from_mins(1)..Duration::from_mins(11);
            let used = counted.iter().filter(|at| minutes.contains(at)).count();
            assert!(300 * 98 / 100 <= used, "{used} of 300, {counts_at:?}, {class:?}");
            assert_eq!(refusals, 0, "{counts_at:?}, {class:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_find_room_in_a_day_that_bulk_would_use_up() {
    let daily = MailboxLimits { recipients_per_day_max: Some(20), ..limits(3, None) };
    let sandbox = Sandbox::new().limits(daily).start();
    for _ in 0..30 {
        sandbox.submit(mail()).await;
    }
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(sandbox.sent().len(), 18, "a tenth is kept");

    for _ in 0..2 {
        let before = sandbox.elapsed();
        let job = sandbox.submit(of_class(MailClass::Credentials, mail())).await;
        sandbox.ended(job).await;
        assert!(sandbox.elapsed() < before + Duration::from_secs(1));
    }

    sandbox.sent_count(32).await;
    let late = sandbox.elapsed().checked_sub(Duration::from_hours(24)).expect("a day is over");
    assert!(late < Duration::from_mins(15), "{late:?} after a day");
}

#[tokio::test(start_paused = true)]
async fn an_urgent_mail_finds_a_connection_while_slow_bulk_goes_out() {
    let minute = Duration::from_mins(1);
    let sandbox = Sandbox::new().limits(limits(3, Some(30))).answering_after(minute).start();
    for _ in 0..10 {
        sandbox.submit(mail()).await;
    }
    tokio::time::sleep(minute / 2).await;
    assert_eq!(sandbox.sent().len(), 2, "one of three connections is kept");
    let before = sandbox.elapsed();

    let job = sandbox.submit(of_class(MailClass::Credentials, mail())).await;
    sandbox.ended(job).await;

    assert_eq!(sandbox.elapsed(), before + minute);
    sandbox.sent_count(11).await;
    assert!(sandbox.elapsed() < 5 * minute, "{:?}", sandbox.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_was_turned_away_behind_its_content_counts() {
    let sandbox = Sandbox::new().limits(limits(3, Some(2))).replying([unavailable()]).start();
    let mut jobs = Vec::new();
    for _ in 0..2 {
        jobs.push(sandbox.submit(of_class(MailClass::Credentials, mail())).await);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }

    for job in jobs {
        sandbox.ended(job).await;
    }

    let at: Vec<Duration> = sandbox.sent().iter().map(|one| one.at).collect();
    assert!(at[0] + Duration::from_mins(1) <= at[2], "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_day_of_refused_logins_uses_nothing_of_the_day() {
    let daily = MailboxLimits { recipients_per_day_max: Some(10), ..limits(3, None) };
    let mut sandbox = Sandbox::new().limits(daily).closing("no-reply@example.com").start();
    let job = sandbox.submit(mail_to(&["a@example.com", "b@example.com", "c@example.com"])).await;
    tokio::time::sleep(Duration::from_hours(24)).await;
    let before = sandbox.elapsed();

    sandbox.refuse_nobody();
    sandbox.save_settings(daily);

    assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    assert_eq!(sandbox.elapsed(), before);
}
