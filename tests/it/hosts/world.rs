//! A cluster on hosts of its own, its provider, and what can be known of both while hosts are broken.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::select_ok;
use nuncio_api::v1;
use nuncio_provider_sim::config::{
    DEFAULT_MAILBOX, DEFAULT_TENANT_ID, Limits, Listen, SimConfig, TlsConfig,
};
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{Caller, PATIENCE};
use nuncio_tests::local_cluster::LocalCluster;
use nuncio_tests::settings::{settings_for, with_oauth};
use tokio::time::{Instant, sleep};

use super::load::{HandedIn, Load};
use crate::asked;
use crate::truth::Truth;

pub(super) const NODES: [&str; 6] = ["pan-1", "pan-2", "mnt-1", "mnt-2", "psn-1", "psn-2"];
pub(super) const DATABASE: &str = "postgres-1 postgres-2";
pub(super) const ETCD: &str = "etcd-1 etcd-2 etcd-3";
/// How long a dead or silent leader is waited for (`LEASE_DURATION` of `nuncio-nodes`).
const LEASE: Duration = Duration::from_secs(10);
/// How late a successor may be on a busy machine.
const LATE_MAX: Duration = Duration::from_secs(5);
/// What the mailbox may send in a minute: more than is handed in, less than what an outage leaves behind.
const PER_MINUTE: u32 = 300;
const CONNECTIONS: u32 = 3;
/// How long a connection may take to get ready, in seconds: mails that wait for one are waited for by whoever leaves the
/// mailbox to others.
const CONNECT_TIMEOUT_S: i64 = 5;
/// How long the provider takes for a mail, in milliseconds: one is always under way.
const MAIL_MS: u64 = 100;
/// How long a call may wait for the begin of its answer.
const CALL: Duration = Duration::from_secs(3);
/// How long a test of settings from all nodes may take.
const TEST: Duration = Duration::from_secs(30);
/// How long all jobs may take to end.
const ENDS: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_millis(200);

/// The nodes that live, by their names.
pub(super) type Nodes = BTreeMap<String, v1::Node>;
/// The name of a node for each thing that one of them leads.
pub(super) type Leaders = BTreeMap<String, String>;

pub(super) struct World {
    pub(super) cluster: LocalCluster,
    pub(super) simulator: Simulator,
    load: Option<Load>,
}

impl World {
    pub(super) async fn start() -> Self {
        let cluster = LocalCluster::start().await;
        let simulator = provider(cluster.address("provider")).await;
        let world = Self { cluster, simulator, load: None };
        world.mend_provider();
        let pan = world.caller_with_patience("pan-1");
        pan.save_tested(world.settings()).await;
        pan.remind_guests_three_days_before().await;
        asked::tell_each_alarm_at_once(&world.caller("mnt-1")).await;
        let callers = |names: [&str; 2]| names.map(|name| world.caller(name));
        let load = Load::begin(
            &callers(["psn-1", "psn-2"]),
            &callers(["pan-1", "pan-2"]),
            &callers(["mnt-1", "mnt-2"]),
        );
        Self { load: Some(load), ..world }
    }

    pub(super) fn settings(&self) -> v1::SmtpSettings {
        let host = self.cluster.address("provider");
        let authority = format!("https://{host}:{}", self.simulator.token_addr().port());
        let settings = with_oauth(settings_for(&self.simulator), |oauth| {
            oauth.token_endpoint = format!("{authority}/{DEFAULT_TENANT_ID}/oauth2/v2.0/token");
        });
        let number = |limit: u32| limit.try_into().expect("it fits");
        let limits = v1::MailboxLimits {
            max_connections: number(CONNECTIONS),
            max_messages_per_minute: number(PER_MINUTE),
            ..v1::MailboxLimits::default()
        };
        let connect_timeout = Some(prost_types::Duration { seconds: CONNECT_TIMEOUT_S, nanos: 0 });
        v1::SmtpSettings {
            host: host.to_owned(),
            limits: Some(limits),
            connect_timeout,
            ..settings
        }
    }

    /// Asks a node as its administrator.
    pub(super) fn caller(&self, host: &str) -> Caller {
        self.cluster.caller(host, CALL)
    }

    /// The same, for what takes its time.
    pub(super) fn caller_with_patience(&self, host: &str) -> Caller {
        self.cluster.caller(host, TEST)
    }

    /// The provider has no faults any more, but is as slow as ever.
    pub(super) fn mend_provider(&self) {
        self.simulator.faults().clear();
        self.simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(MAIL_MS)));
    }

    /// Has the settings tested from all nodes by a PAN.
    pub(super) async fn test_settings(&self, pan: &str) -> v1::SmtpTestReport {
        self.caller_with_patience(pan).test(self.settings()).await
    }

    pub(super) async fn order(&mut self, order: &str) {
        self.cluster.order(order).await;
    }

    /// What the nodes say of all, by the name of each; of those that live, by the first that answers.
    async fn nodes(&self) -> Nodes {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asked = NODES.map(|host| {
                let mut nodes = self.caller(host).clients.nodes;
                Box::pin(async move { nodes.list_nodes(v1::ListNodesRequest {}).await })
            });
            if let Ok((answer, _others)) = select_ok(asked).await {
                let nodes = answer.into_inner().nodes.into_iter();
                let nodes = nodes.filter(|node| node.state() == v1::NodeState::Live);
                let name = |node: &v1::Node| node.name.trim_start_matches("nodes/").to_owned();
                return nodes.map(|node| (name(&node), node)).collect();
            }
            assert!(Instant::now() < deadline, "no node answers");
            sleep(PAUSE).await;
        }
    }

    /// Waits until what the nodes say of all is as it should be.
    pub(super) async fn wait_for_nodes(&self, what: &str, is_so: impl Fn(&Nodes) -> bool) {
        self.found(what, PATIENCE, |nodes| is_so(nodes).then_some(())).await;
    }

    /// Looks at what the nodes say of all until there is `what`.
    pub(super) async fn found<T>(
        &self,
        what: &str,
        within: Duration,
        find: impl Fn(&Nodes) -> Option<T>,
    ) -> T {
        let begun = Instant::now();
        loop {
            let nodes = self.nodes().await;
            if let Some(found) = find(&nodes) {
                return found;
            }
            let took = begun.elapsed();
            assert!(took <= within, "{what}: not after {took:?}: {nodes:#?}");
            sleep(PAUSE).await;
        }
    }

    /// Waits until a host has logged `part`.
    pub(super) async fn wait_for_log(&self, host: &str, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.cluster.log(host).contains(part) {
            assert!(Instant::now() < deadline, "{host} has not logged `{part}`");
            sleep(PAUSE).await;
        }
    }

    /// Who leads, by what is led: PAN, MnT and the mailbox, all three of them.
    pub(super) async fn leaders(&self) -> Leaders {
        self.found("all is led", PATIENCE, leaders).await
    }

    /// Waits until others lead what `before` led, and returns how long that took since `begun`; panics where the lease does
    /// not explain it.
    pub(super) async fn succeeded(&self, before: &Leaders, begun: Instant) -> Duration {
        let within = (LEASE + LATE_MAX).saturating_sub(begun.elapsed());
        let others = |nodes: &Nodes| {
            leaders(nodes).filter(|now| before.iter().all(|(duty, old)| now[duty] != *old))
        };
        self.found(&format!("others than {before:?} lead"), within, others).await;
        begun.elapsed()
    }

    /// Waits until so many more mails have arrived at the provider.
    pub(super) async fn arrive(&self, more: u64, within: Duration) {
        let wanted = self.simulator.accepted_count() + more;
        let arrived = self.simulator.wait_for_accepted(wanted, within).await;
        arrived.unwrap_or_else(|few| panic!("mails do not go out: {few}"));
    }

    /// Everything is repaired: all nodes live, and run the same settings, without trouble.
    pub(super) async fn heal(&mut self) {
        self.order("heal").await;
        self.wait_for_nodes("all nodes are well", |nodes| {
            let is_well = |node: &v1::Node| {
                node.settings_lag == 0 && node.settings_trouble.is_empty() && !node.shares_name
            };
            nodes.len() == NODES.len() && nodes.values().all(is_well)
        })
        .await;
    }

    /// Nothing is lost, nothing is doubled but where its state says so, the mailbox has sent no more than it may, each guest
    /// was reminded by one mail and each alarm told by one.
    pub(super) async fn check(mut self, story: &str) -> String {
        let handed_in = self.load.take().expect("it goes on").end().await;
        let HandedIn { mails, subjects, again, slowest } = handed_in;
        let (psn, mnt) = (self.caller("psn-1"), self.caller("mnt-1"));
        self.wait_for_subjects(subjects, &psn, &mnt).await;
        let jobs = Box::pin(psn.hurry_all(ENDS)).await;
        let all: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
        let missing: Vec<_> = mails.iter().filter(|name| !all.contains(name)).collect();
        assert!(missing.is_empty(), "{story}: lost: {missing:?}");
        let truth = Truth { simulator: &self.simulator, caller: &psn, story: story.to_owned() };
        let counts = Box::pin(truth.compare(&all, jobs)).await;
        let stats = self.simulator.stats();
        let connections = stats.mailboxes[DEFAULT_MAILBOX].submitting.max;
        assert_eq!(stats.refused.rate, 0, "{story}: more than the mailbox may send");
        // What a host had under way that was paused or cut off stays open at the provider: nobody can close that.
        assert!(connections <= u64::from(2 * CONNECTIONS), "{story}: {connections} connections");
        self.cluster.stop().await;
        format!(
            "{story}: {counts}; {subjects} guests and alarms, {connections} connections at most, 0 refused; {again} calls \
             asked again, the slowest took {slowest:?}"
        )
    }

    async fn wait_for_subjects(&self, count: u64, psn: &Caller, mnt: &Caller) {
        let deadline = Instant::now() + ENDS;
        loop {
            let (reminders, alarms) = (asked::reminders(psn).await, asked::alarms(mnt).await);
            let twice = |counts: &BTreeMap<String, usize>| counts.values().any(|count| 1 < *count);
            assert!(!twice(&reminders), "reminded twice: {reminders:#?}");
            assert!(!twice(&alarms), "told twice: {alarms:#?}");
            let told = alarms.values().filter(|told| **told == 1).count();
            if [reminders.len(), told].map(|seen| u64::try_from(seen).expect("it fits"))
                == [count; 2]
            {
                return;
            }
            let seen = format!("{} reminded, {told} told of {count}", reminders.len());
            assert!(Instant::now() < deadline, "missed: {seen}: {alarms:#?}");
            sleep(PAUSE).await;
        }
    }
}

/// Who leads, by what is led, if all of it is.
pub(super) fn leaders(nodes: &Nodes) -> Option<Leaders> {
    let leader = |duty: String| {
        let (name, _node) = nodes.iter().find(|(_name, node)| node.leads.contains(&duty))?;
        Some((duty, name.clone()))
    };
    ["pan".to_owned(), "mnt".to_owned(), mailbox()].into_iter().map(leader).collect()
}

/// How `nuncio nodes` names the duty to send.
pub(super) fn mailbox() -> String {
    format!("mailbox/{DEFAULT_MAILBOX}")
}

/// A provider that keeps to the limits of a mailbox, where the hosts reach it.
async fn provider(address: &str) -> Simulator {
    let port: SocketAddr = format!("{address}:0").parse().expect("it is an address");
    let config = SimConfig {
        listen: Listen { token: port, starttls: port, implicit_tls: port, ..Listen::default() },
        tls: TlsConfig { names: vec![address.to_owned()], ..TlsConfig::default() },
        limits: Limits {
            connections: CONNECTIONS,
            messages_per_minute: PER_MINUTE,
            ..Limits::default()
        },
        ..SimConfig::exchange()
    };
    Simulator::start(config).await.expect("the simulator starts")
}
