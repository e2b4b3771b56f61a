//! The budget of a mailbox of Exchange Online, used as far as it goes: 3 connections, 30 messages a minute.
//!
//! Nothing here runs faster than at the provider: a mailbox counts what it took in the last minute, so a short
//! minute would make a short pause of the machine look like a sender that exceeds its limit.

use std::time::Duration;

use futures::future::join_all;
use nuncio_api::v1;
use nuncio_provider_sim::config::{DEFAULT_MAILBOX, SimConfig};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::environment;
use nuncio_tests::mails::bulk;
use nuncio_tests::node::TestNode;
use nuncio_tests::report::say;
use nuncio_tests::settings::settings_for;
use tokio::time::{Instant, sleep};

/// How many minutes are looked at.
const MINUTES: u64 = 3;
/// Asks for another number of them, for long runs by hand.
const VARIABLE: &str = "NUNCIO_BUDGET_MINUTES";
/// What a mailbox of Exchange Online may send (Microsoft, "Exchange Online limits").
const PER_MINUTE: u64 = 30;
/// How much of it is to be used, in percent.
const USED_MIN: u64 = 98;
/// How often it is looked whether the machine stands still.
const TICK: Duration = Duration::from_millis(100);
/// A tick that comes later by more than this shows a machine that stood still: a node makes up for less.
const PAUSE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_uses_98_percent_of_the_budget_of_exchange_and_is_never_refused() {
    let minutes = environment::number(VARIABLE).unwrap_or(MINUTES);
    let exchange = SimConfig::exchange();
    let limits = (exchange.limits.connections, u64::from(exchange.limits.messages_per_minute));
    assert_eq!(limits, (3, PER_MINUTE));
    let simulator = Simulator::start(exchange).await.expect("the simulator starts");
    let node = TestNode::start().await;
    let provider = v1::SmtpProvider::ExchangeOnline.into();
    let settings = v1::SmtpSettings { provider, limits: None, ..settings_for(&simulator) };
    let saved = node.save_tested(settings).await.limits.expect("Exchange has limits");
    assert_eq!((saved.max_connections, saved.max_messages_per_minute), (3, 30), "as at Exchange");

    let submits = (0..PER_MINUTE * (minutes + 1)).map(|number| {
        let node = &node;
        async move { node.submit(bulk(&format!("mail {number}"))).await }
    });
    join_all(submits).await;
    let one = Duration::from_mins(1);
    simulator.wait_for_accepted(1, one).await.expect("the first mail arrives");
    let stood_still = stood_still(Duration::from_mins(minutes)).await;

    let mails = simulator.accepted();
    let end = mails[0].at + Duration::from_mins(minutes);
    let used = mails.iter().filter(|mail| mail.at < end).count();
    let used = u64::try_from(used).expect("it fits");
    let stats = simulator.stats();
    let lost = u64::try_from(stood_still.as_millis()).expect("it fits") * PER_MINUTE / 60_000;
    let budget = PER_MINUTE * minutes;
    say(&format!(
        "budget of Exchange: {used} of {budget} mails in {minutes} minutes, {} refused; the machine stood still for {} ms",
        stats.refused.rate + stats.refused.connections,
        stood_still.as_millis(),
    ));
    assert_eq!((stats.refused.rate, stats.refused.connections), (0, 0));
    let mailbox = &stats.mailboxes[DEFAULT_MAILBOX];
    assert!(mailbox.submitting.max <= 3, "{:?}", mailbox.submitting);
    assert!((budget - lost) * USED_MIN <= used * 100, "{used} of {budget}, less {lost}");
    assert!(used <= budget, "{used} of {budget}: the simulator counts wrongly");
    assert_eq!(simulator.duplicates(), []);
    node.stop().await;
}

/// Waits for so long, and returns for how long of that nothing on this machine ran.
pub(crate) async fn stood_still(time: Duration) -> Duration {
    let (begun, mut pauses) = (Instant::now(), Duration::ZERO);
    let mut tick = begun;
    while begun.elapsed() < time {
        sleep(TICK).await;
        let late = tick.elapsed().saturating_sub(TICK);
        if PAUSE < late {
            pauses += late;
        }
        tick = Instant::now();
    }
    pauses
}
