//! Nodes with one database, of which one leads: it is paused, cut off, killed, and all of them share a mailbox.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use nuncio_api::v1;
use nuncio_api::v1::{MailClass, MailJobState};
use nuncio_provider_sim::config::{DEFAULT_MAILBOX, Limits, SimConfig};
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::environment;
use nuncio_tests::mails::{bulk, raw};
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::process::ServeProcess;
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::relay::Relay;
use nuncio_tests::report::say;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::budget::stood_still;
use crate::truth::Truth;

/// How long a dead or silent leader is waited for (`LEASE_DURATION` of `nuncio-nodes`).
const LEASE: Duration = Duration::from_secs(10);
/// How late a successor may be on a busy machine.
const LATE_MAX: Duration = Duration::from_secs(5);
/// What the mailbox of these tests may send, so that a minute is used up within a test.
const PER_MINUTE: u32 = 60;
/// How long the provider takes for a mail, in milliseconds.
const MAIL_MS: u64 = 400;
/// How long all jobs may take to end.
const ENDS: Duration = Duration::from_mins(3);
/// How many nodes share a mailbox, and for how many minutes; `NUNCIO_BUDGET_MINUTES` asks for more.
const NODES: usize = 8;
const MINUTES: u64 = 2;
const VARIABLE: &str = "NUNCIO_BUDGET_MINUTES";
/// How soon a mail has to leave that somebody waits for.
const URGENT: Duration = Duration::from_secs(3);

/// Two nodes on one database, and a provider that counts what their mailbox sends.
struct Pair {
    simulator: Simulator,
    folders: TempDir,
    one: ServeProcess,
    two: ServeProcess,
}

impl Pair {
    /// The first node reaches the database by `way`, if there is one.
    async fn start(name: &str, way: Option<&Relay>) -> Self {
        let limits =
            Limits { connections: 3, messages_per_minute: PER_MINUTE, ..Limits::default() };
        let config = SimConfig { limits, ..SimConfig::exchange() };
        let simulator = Simulator::start(config).await.expect("the simulator starts");
        simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(MAIL_MS)));
        let url = RealServers::from_env().get("POSTGRES_URL").to_owned();
        let store = nuncio_tests::postgres::new_store(&url, name).await;
        let by_way = way.map_or_else(|| store.clone(), |way| over(&store, way));
        let folders = TempDir::with_prefix("nuncio-it-").expect("a folder can be made");
        let one = node(folders.path(), "one", &by_way).await;
        one.save_tested(limited(&simulator)).await;
        one.wait_for_channel(v1::ChannelState::Open, PATIENCE).await;
        let two = node(folders.path(), "two", &store).await;
        two.save_tested(limited(&simulator)).await;
        Self { simulator, folders, one, two }
    }

    /// Hands in mails that go at once, and waits until some have arrived.
    async fn begin(&self, count: u32, arrived: u64) -> Vec<String> {
        let urgent =
            |number: u32| raw(MailClass::Credentials, &format!("{number}"), &["g@example.com"]);
        let submits = (0..count).map(|number| self.two.submit(urgent(number)));
        let jobs = join_all(submits).await;
        let seen = self.simulator.accepted_count() + arrived;
        self.simulator.wait_for_accepted(seen, PATIENCE).await.expect("mails go out");
        jobs.into_iter().map(|job| job.name).collect()
    }

    /// Waits until the second node leads the mailbox, and gives how long that took.
    async fn succeeded(&self) -> Duration {
        let begun = Instant::now();
        self.two.wait_for_channel(v1::ChannelState::Open, PATIENCE).await;
        begun.elapsed()
    }

    /// Nothing is lost, nothing is doubled that must not be, and the mailbox has sent no more than it may. `stuck`
    /// connections had a mail under way that nobody could end.
    async fn check(self, names: &[String], stuck: u64, story: &str) {
        let jobs = Box::pin(self.two.wait_for_ends(names, ENDS)).await;
        let Self { simulator, folders, one: _one, two } = self;
        let truth = Truth { simulator: &simulator, caller: &two, story: story.to_owned() };
        let counts = Box::pin(truth.compare(names, jobs)).await;
        let stats = simulator.stats();
        let connections = stats.mailboxes[DEFAULT_MAILBOX].submitting.max;
        let refused = stats.refused.rate;
        say(&format!("{story}: {counts}, {connections} connections, {refused} refused"));
        assert_eq!(refused, 0, "{story}");
        assert!(connections <= 3 + stuck, "{story}: {connections} connections");
        assert_eq!(two.stop().await.code, Some(0));
        drop(folders);
    }
}

async fn node(folders: &Path, name: &str, store: &str) -> ServeProcess {
    let keys = folders.join("settings.key").display().to_string();
    let args = ["--node-name", name, "--store-url", store, "--keys-file", &keys];
    let args = [&args[..], &["--delivery-lease-s", "5"]].concat();
    ServeProcess::start(&folders.join(name), &args).await
}

/// The address of a database, as it is reached by a relay.
fn over(store: &str, way: &Relay) -> String {
    let server = store.split('@').nth(1).and_then(|rest| rest.split('/').next());
    let server = server.expect("it has a server");
    way.lead_to(Some(server.parse().expect("it is an address and a port")));
    store.replace(server, &way.address.to_string())
}

fn limited(simulator: &Simulator) -> v1::SmtpSettings {
    let limits = v1::MailboxLimits {
        max_connections: 3,
        max_messages_per_minute: PER_MINUTE.try_into().expect("it fits"),
        ..v1::MailboxLimits::default()
    };
    v1::SmtpSettings { limits: Some(limits), ..settings_for(simulator) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_paused_beyond_its_lease_comes_back_and_changes_nothing() {
    let pair = Pair::start("paused", None).await;
    let names = pair.begin(75, 20).await;

    pair.one.process.pause().await;
    let took = pair.succeeded().await;
    pair.simulator.wait_for_accepted(30, PATIENCE).await.expect("the successor sends");
    pair.one.process.resume().await;
    let said = "this node leads no more";
    let deadline = Instant::now() + PATIENCE;
    while !pair.one.process.stderr().contains(said) {
        assert!(Instant::now() < deadline, "it does not step down: {}", pair.one.process.stderr());
        sleep(Duration::from_millis(20)).await;
    }

    assert!(took <= LEASE + LATE_MAX, "{took:?}");
    say(&format!("paused leader: the next one led after {took:?}"));
    // What it had under way stays open at the provider: neither it nor the next one can close that.
    Box::pin(pair.check(&names, 3, "paused leader")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_loses_the_database_steps_down_and_another_one_goes_on() {
    let way = Relay::start().await;
    let pair = Pair::start("cut_leader", Some(&way)).await;
    let names = pair.begin(75, 20).await;

    way.cut();
    let took = pair.succeeded().await;

    assert!(took <= LEASE + LATE_MAX, "{took:?}");
    say(&format!("leader without database: the next one led after {took:?}"));
    Box::pin(pair.check(&names, 0, "leader without database")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_nodes_use_98_percent_of_a_mailbox_and_send_urgent_mails_at_once() {
    let minutes = environment::number(VARIABLE).unwrap_or(MINUTES);
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let url = RealServers::from_env().get("POSTGRES_URL").to_owned();
    let store_url = Some(nuncio_tests::postgres::new_store(&url, "eight_nodes").await);
    let options = NodeOptions { store_url, ..NodeOptions::default() };
    let nodes = join_all((0..NODES).map(|_| TestNode::start_with(options.clone()))).await;
    let provider = v1::SmtpProvider::ExchangeOnline.into();
    for node in &nodes {
        let settings = v1::SmtpSettings { provider, limits: None, ..settings_for(&simulator) };
        node.save_tested(settings).await;
    }
    for number in 0..30 * (minutes + 1) {
        nodes[usize::try_from(number).expect("it fits") % NODES]
            .submit(bulk(&format!("mail {number}")))
            .await;
    }
    simulator.wait_for_accepted(1, PATIENCE).await.expect("the first mail arrives");
    let begun = Instant::now();

    let urgent = async {
        let mut slowest = Duration::ZERO;
        while begun.elapsed() < Duration::from_mins(minutes) {
            sleep(Duration::from_secs(13)).await;
            let asked = Instant::now();
            let urgent = raw(MailClass::Credentials, "your password", &["guest@example.com"]);
            let job = nodes[NODES - 1].submit(urgent).await;
            nodes[0].wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;
            slowest = slowest.max(asked.elapsed());
        }
        slowest
    };
    let (slowest, stood_still) = tokio::join!(urgent, stood_still(Duration::from_mins(minutes)));

    let mails = simulator.accepted();
    let end = mails[0].at + Duration::from_mins(minutes);
    let used = u64::try_from(mails.iter().filter(|mail| mail.at < end).count()).expect("it fits");
    let stats = simulator.stats();
    let refused = stats.refused.rate + stats.refused.connections;
    say(&format!(
        "{NODES} nodes, one mailbox: {used} of {} mails in {minutes} minutes, {refused} refused, the slowest urgent mail \
         after {slowest:?}",
        30 * minutes
    ));
    assert_eq!(refused, 0);
    assert!(stats.mailboxes[DEFAULT_MAILBOX].submitting.max <= 3);
    let lost = u64::try_from(stood_still.as_millis()).expect("it fits") * 30 / 60_000;
    assert!((30 * minutes - lost) * 98 <= used * 100, "{used} mails, less {lost}");
    assert!(slowest <= URGENT + stood_still, "{slowest:?}");
    for node in nodes {
        node.stop().await;
    }
}
