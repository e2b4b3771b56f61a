//! The clock of the machine is set while jobs wait and while they are sent.

use jiff::SignedDuration;
use tokio::time::sleep;

use super::*;

const AHEAD: SignedDuration = SignedDuration::from_hours(3);
const BACK: SignedDuration = SignedDuration::from_hours(-3);
/// In virtual time: then the mail is handed over, and its answer is to come.
const UNTIL_UNDER_WAY: Duration = Duration::from_secs(5);
/// What a mailbox may send in a minute in these tests.
const PER_MINUTE: u32 = 30;

#[tokio::test(start_paused = true)]
async fn a_mail_under_way_is_left_to_its_sender_when_the_clock_is_set() {
    for by in [AHEAD, BACK] {
        let sandbox = Sandbox::new().answering_after(Duration::from_secs(40)).start();
        let job = sandbox.submit(mail()).await;
        sleep(UNTIL_UNDER_WAY).await;

        sandbox.set_clock(by);

        let ended = sandbox.ended(job).await;
        assert_eq!((ended.state, ended.attempts), (JobState::Sent, 1), "{by}: {ended:?}");
        assert_eq!(sandbox.sent().len(), 1, "{by}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_may_go_twice_goes_once_when_the_clock_is_set() {
    for by in [AHEAD, BACK] {
        let sandbox = Sandbox::new().answering_after(Duration::from_secs(40)).start();
        let job = sandbox.submit(of_class(MailClass::AlarmCritical, mail())).await;
        sleep(UNTIL_UNDER_WAY).await;

        sandbox.set_clock(by);

        assert_eq!(sandbox.ended(job).await.state, JobState::Sent, "{by}");
        sleep(Duration::from_hours(4)).await;
        assert_eq!(sandbox.sent().len(), 1, "{by}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_jobs_of_a_dead_node_are_rescued_although_the_clock_was_set() {
    let sandbox = Sandbox::new().answering_after(Duration::from_hours(2)).start();
    let job = sandbox.submit(mail()).await;
    sleep(UNTIL_UNDER_WAY).await;
    let sandbox = sandbox.die();

    sandbox.set_clock(AHEAD);
    let sandbox = sandbox.start_again();

    assert_eq!(sandbox.ended(job).await.state, JobState::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_ahead_makes_no_storm_of_attempts() {
    let sandbox = Sandbox::new().unavailable_for(Duration::from_hours(1)).start();
    let mut jobs = Vec::new();
    for _ in 0..50 {
        jobs.push(sandbox.submit(mail()).await);
    }
    for by in [AHEAD, BACK, AHEAD] {
        sleep(Duration::from_mins(10)).await;
        sandbox.set_clock(by);
    }

    for job in jobs {
        assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    }

    let asked = sandbox.sent().len() - 50;
    assert!(asked <= 75, "{asked} attempts in an hour of outage");
    assert!(sandbox.under_way_max() <= 3);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_delays_what_waits_and_stops_nothing_else() {
    let sandbox = Sandbox::new().replying([deferred()]).start();
    let waiting = sandbox.submit(mail()).await;
    sandbox.reached(waiting, JobState::Deferred).await;

    sandbox.set_clock(BACK);
    let next = sandbox.submit(mail()).await;

    sandbox.ended(next).await;
    assert!(sandbox.elapsed() < Duration::from_mins(1), "{:?}", sandbox.elapsed());
    assert_eq!(sandbox.ended(waiting).await.state, JobState::Sent);
    assert!(sandbox.elapsed() < Duration::from_hours(4), "{:?}", sandbox.elapsed());
    assert_eq!(sandbox.sent().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_budget_of_a_minute_holds_whatever_the_clock_says() {
    let sandbox = Sandbox::new().limits(limits(3, Some(PER_MINUTE))).start();
    let mut jobs = Vec::new();
    for _ in 0..150 {
        jobs.push(sandbox.submit(mail()).await);
    }
    for by in [AHEAD, BACK, BACK, AHEAD] {
        sleep(Duration::from_secs(50)).await;
        sandbox.set_clock(by);
    }

    for job in jobs {
        sandbox.ended(job).await;
    }

    let sent = sandbox.sent();
    let window = usize::try_from(PER_MINUTE).unwrap();
    for (first, next) in sent.iter().zip(&sent[window..]) {
        let minute = Duration::from_mins(1);
        assert!(first.at + minute <= next.at, "{:?} and {:?}", first.at, next.at);
    }
    assert_eq!(sent.len(), 150);
}
