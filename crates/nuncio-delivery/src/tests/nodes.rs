//! Several nodes with one store that send for the same mailbox.

use std::time::Duration;

use nuncio_core::class::MailClass;
use nuncio_core::job::JobState;
use nuncio_nodes::lease::LEASE_DURATION;
use tokio::time::{Instant, sleep};

use super::sandbox::*;
use crate::channel::ChannelStatus;
use crate::observer::AlarmKind;

const MINUTE: Duration = Duration::from_mins(1);
/// What the provider allows in a minute.
const PER_MINUTE: usize = 30;

async fn submit_bulk(sandbox: &Sandbox, count: usize) {
    for _ in 0..count {
        sandbox.submit(of_class(MailClass::Bulk, mail())).await;
    }
}

/// The most messages that the provider has counted in any minute.
fn most_in_a_minute(at: &[Duration]) -> usize {
    let behind =
        |from: &Duration| at.iter().filter(|one| *from <= **one && **one < *from + MINUTE).count();
    at.iter().map(behind).max().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn eight_nodes_use_the_budget_of_a_mailbox_up_and_never_exceed_it() {
    let sandbox = Sandbox::new()
        .limits(limits(3, Some(30)))
        .taking(Duration::from_millis(800))
        .counting_at(CountsAt::End, PER_MINUTE);
    submit_bulk(&sandbox, 200).await;
    let seats: Vec<_> = (0..8).map(|number| sandbox.seat(&format!("psn-{number}"))).collect();

    sleep(5 * MINUTE).await;

    let (counted, refused) = sandbox.counted();
    assert_eq!(refused, 0);
    assert!(most_in_a_minute(&counted) <= PER_MINUTE);
    assert!(5 * PER_MINUTE * 98 <= counted.len() * 100, "{} mails", counted.len());
    assert!(sandbox.under_way_max() <= 3, "{} connections", sandbox.under_way_max());
    assert_eq!(seats.iter().filter(|seat| 0 < seat.sent()).count(), 1, "one of them sends");
    let standing_by = seats.iter().filter(|seat| seat.channel() == ChannelStatus::Standby);
    assert_eq!(standing_by.count(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_urgent_mail_leaves_within_three_seconds_while_bulk_waits_at_every_node() {
    let sandbox = Sandbox::new().limits(limits(3, Some(30))).taking(Duration::from_millis(500));
    submit_bulk(&sandbox, 200).await;
    let _seats: Vec<_> = (0..8).map(|number| sandbox.seat(&format!("psn-{number}"))).collect();
    sleep(MINUTE).await;

    for _ in 0..5 {
        let asked = Instant::now();
        let job = sandbox.submit(of_class(MailClass::Credentials, mail())).await;
        sandbox.ended(job).await;
        assert!(asked.elapsed() <= Duration::from_secs(3), "{:?}", asked.elapsed());
        sleep(Duration::from_secs(7)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_death_another_node_sends_within_the_lease_and_knows_what_was_sent() {
    let sandbox = Sandbox::new()
        .limits(limits(3, Some(30)))
        .answering_after(Duration::from_millis(800))
        .counting_at(CountsAt::Beginning, PER_MINUTE);
    let one = sandbox.seat("psn-1");
    for _ in 0..60 {
        sandbox.submit(of_class(MailClass::Credentials, mail())).await;
    }
    let heir = sandbox.seat("psn-2");
    // Three are under way then, which the provider has counted and the store has not.
    while sandbox.counted().0.len() < 21 {
        sleep(Duration::from_millis(100)).await;
    }

    one.die();
    let died = Instant::now();
    while heir.sent() == 0 {
        sleep(Duration::from_millis(100)).await;
    }
    let took = died.elapsed();
    sleep(3 * MINUTE).await;

    assert!(took <= LEASE_DURATION + Duration::from_secs(1), "{took:?}");
    let (counted, refused) = sandbox.counted();
    assert_eq!((refused, most_in_a_minute(&counted)), (0, PER_MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_hands_its_mailbox_over_at_once() {
    let sandbox = Sandbox::new().taking(Duration::from_secs(2));
    let one = sandbox.seat("psn-1");
    submit_bulk(&sandbox, 20).await;
    sleep(Duration::from_secs(5)).await;
    let heir = sandbox.seat("psn-2");
    sleep(Duration::from_millis(500)).await;

    one.stop().await;
    let stopped = Instant::now();
    while heir.sent() == 0 {
        sleep(Duration::from_millis(50)).await;
    }

    assert!(stopped.elapsed() <= Duration::from_millis(1100), "{:?}", stopped.elapsed());
    assert!(sandbox.under_way_max() <= 3, "{} connections", sandbox.under_way_max());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_reach_the_provider_leaves_the_mailbox_to_one_that_does() {
    let sandbox = Sandbox::new();
    let one = sandbox.seat("psn-1");
    let job = sandbox.submit(mail()).await;
    sandbox.ended(job).await;
    let other = sandbox.seat("psn-2");

    one.cut();
    let cut = Instant::now();
    let job = sandbox.submit(mail()).await;
    let ended = sandbox.ended(job).await;

    assert_eq!(ended.state, JobState::Sent);
    assert_eq!((one.sent(), other.sent()), (1, 1));
    assert!(cut.elapsed() <= Duration::from_secs(45), "{:?}", cut.elapsed());
    assert_eq!(one.channel(), ChannelStatus::Standby);
}

#[tokio::test(start_paused = true)]
async fn an_outage_at_all_nodes_is_still_an_alarm() {
    let sandbox = Sandbox::new().then(unavailable());
    let _seats = [sandbox.seat("psn-1"), sandbox.seat("psn-2"), sandbox.seat("psn-3")];
    sandbox.submit(mail()).await;

    sleep(10 * MINUTE).await;

    let raised = sandbox.alarms().into_iter().filter(|(_, alarm)| alarm.is_some());
    assert_eq!(raised.map(|(kind, _)| kind).collect::<Vec<_>>(), [AlarmKind::MailProviderDown]);
}
