//! A cluster of six nodes, three members of etcd and a PostgreSQL with a standby, each on a host of its own, behind TLS: hosts are killed,
//! paused, cut off from each other and put back, one fault after the other, while mails, guests and alarms come in.
//!
//! It is one test, as faults come to a cluster in turn, and what one leaves behind may be what the next one trips over. Each
//! says what is to be seen while it lasts; [`World::check`] says what must be true in the end.

mod load;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use nuncio_api::v1;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::environment;
use nuncio_tests::mails::bulk;
use nuncio_tests::report::say;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use self::world::{DATABASE, ETCD, Leaders, NODES, World, leaders, mailbox};

/// How long etcd has no quorum, in seconds; the variable asks for more.
const OUTAGE_S: u64 = 15;
const VARIABLE: &str = "NUNCIO_OUTAGE_S";
/// When the sender leaves the mailbox to others whose packets to the provider vanish: 30 seconds until its connections have
/// noticed it, 20 of patience, and those of a mail that waits for a connection.
const YIELDS: Duration = Duration::from_secs(70);
/// How far a clock is wrong, in seconds.
const WRONG_S: i64 = 300;
/// So many mails show that mail goes on.
const GOES_ON: u64 = 8;
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_hosts_break_one_after_the_other_loses_and_doubles_nothing() {
    let mut world = Box::pin(World::start()).await;
    Box::pin(leaders_die(&mut world)).await;
    Box::pin(leaders_stand_still(&mut world)).await;
    Box::pin(leaders_lose_the_database(&mut world)).await;
    Box::pin(the_sender_loses_the_provider(&mut world)).await;
    Box::pin(a_leader_loses_etcd(&mut world)).await;
    Box::pin(etcd_has_no_quorum(&mut world)).await;
    Box::pin(etcd_forgets_while_a_node_stands_still(&mut world)).await;
    Box::pin(the_database_fails_over(&mut world)).await;
    Box::pin(a_node_loses_the_other_roles(&mut world)).await;
    Box::pin(clocks_are_wrong(&mut world)).await;
    Box::pin(all_are_restarted(&mut world)).await;
    say(&Box::pin(world.check("hosts of a cluster")).await);
}

/// `kill -9` of all that lead something, at once.
async fn leaders_die(world: &mut World) {
    let dead = others_lead(world, "killed", |host| format!("kill {host}")).await;
    for host in dead {
        world.order(&format!("start {host}")).await;
    }
    world.heal().await;
}

/// All that lead something are paused for longer than their lease, and do not know it when they come back.
async fn leaders_stand_still(world: &mut World) {
    let paused = others_lead(world, "paused", |host| format!("pause {host}")).await;
    for host in &paused {
        world.order(&format!("resume {host}")).await;
    }
    world.heal().await;
    for host in paused {
        world.wait_for_log(&host, "this node leads no more").await;
    }
}

async fn leaders_lose_the_database(world: &mut World) {
    others_lead(world, "without database", |host| format!("cut {host} {DATABASE}")).await;
    world.heal().await;
}

/// Gives an order to each host that leads something; others lead within the lease, and mail goes on. Returns the hosts.
async fn others_lead(
    world: &mut World,
    how: &str,
    order: impl Fn(&str) -> String,
) -> BTreeSet<String> {
    let before = replaceable(world.leaders().await);
    // One host may lead several things.
    let hosts: BTreeSet<String> = before.values().cloned().collect();
    let begun = Instant::now();
    for host in &hosts {
        world.order(&order(host)).await;
    }
    let took = world.succeeded(&before, begun).await;
    say(&format!("hosts: leaders {how}: {before:?}; others after {took:?}"));
    world.arrive(GOES_ON, PATIENCE).await;
    hosts
}

/// Whoever sends cannot reach the provider, and the others can.
async fn the_sender_loses_the_provider(world: &mut World) {
    let sender = world.leaders().await[&mailbox()].clone();
    let begun = Instant::now();
    world.order(&format!("cut {sender} provider")).await;

    let within = YIELDS.saturating_sub(begun.elapsed());
    world
        .found("another one sends", within, |nodes| {
            leaders(nodes).filter(|leaders| leaders[&mailbox()] != sender)
        })
        .await;

    say(&format!(
        "hosts: {sender} without provider: another one sends after {:?}",
        begun.elapsed()
    ));
    world.arrive(GOES_ON, PATIENCE).await;
    world.heal().await;
}

/// The primary PAN goes on without etcd and says so; what is saved meanwhile it has afterwards.
async fn a_leader_loses_etcd(world: &mut World) {
    let leader = world.leaders().await["pan"].clone();
    let other = if leader == "pan-1" { "pan-2" } else { "pan-1" };
    world.order(&format!("cut {leader} {ETCD}")).await;
    world
        .wait_for_nodes("who does not hear of settings says so", |nodes| {
            nodes.get(&leader).is_some_and(|node| !node.settings_trouble.is_empty())
        })
        .await;

    let refused = set_log_level(world, &leader, 1).await.expect_err("it has no etcd");
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    save_log_level(world, other, 2).await;
    assert_eq!(world.leaders().await["pan"], leader, "it leads without etcd");
    world.arrive(GOES_ON, PATIENCE).await;

    world.heal().await;
    all_have_one_log_level(world).await;
}

/// Two of three members are dead: settings cannot be saved, and all else goes on, also on a node that is started meanwhile.
async fn etcd_has_no_quorum(world: &mut World) {
    let outage = Duration::from_secs(environment::number(VARIABLE).unwrap_or(OUTAGE_S));
    world.order("kill etcd-1").await;
    world.order("kill etcd-2").await;
    let begun = Instant::now();

    world.order("kill psn-2").await;
    world.order("start psn-2").await;
    world.wait_for_nodes("psn-2 starts without etcd", |nodes| nodes.contains_key("psn-2")).await;
    let refused = set_log_level(world, "pan-1", 3).await.expect_err("etcd has no quorum");
    assert!([Code::Unavailable, Code::DeadlineExceeded].contains(&refused.code()), "{refused:?}");
    let mut mails = 0;
    while begun.elapsed() < outage {
        world.arrive(GOES_ON, PATIENCE).await;
        mails += GOES_ON;
    }

    say(&format!("hosts: etcd without quorum: {mails} mails and more in {:?}", begun.elapsed()));
    world.order("start etcd-1").await;
    world.order("start etcd-2").await;
    world.heal().await;
    save_log_level(world, "pan-1", 4).await;
    all_have_one_log_level(world).await;
}

/// A node that slept through changes and their compaction has all settings when it wakes.
async fn etcd_forgets_while_a_node_stands_still(world: &mut World) {
    let leaders = world.leaders().await;
    let idle = NODES.iter().rev().find(|host| leaders.values().all(|leader| leader != *host));
    let idle = idle.expect("three of six lead at most");
    world.order(&format!("pause {idle}")).await;
    for ttl in 5..8 {
        save_log_level(world, "pan-1", ttl).await;
    }
    world.order("compact").await;
    world.order(&format!("resume {idle}")).await;

    world.heal().await;
    all_have_one_log_level(world).await;
}

/// The primary of PostgreSQL dies, and its standby takes its place: it has all that was accepted.
async fn the_database_fails_over(world: &mut World) {
    world.order("kill postgres-1").await;
    let refused = world.caller("psn-1").try_submit(bulk("without a database")).await;
    let refused = refused.expect_err("it cannot store it");
    let passing = [Code::Unavailable, Code::DeadlineExceeded];
    assert!(passing.contains(&refused.code()), "{refused:?}");
    world.order("promote postgres-2").await;
    let begun = Instant::now();

    world.arrive(GOES_ON, PATIENCE).await;

    say(&format!("hosts: the database failed over: {GOES_ON} mails within {:?}", begun.elapsed()));
    world.order("start postgres-1").await;
    world.heal().await;
}

/// A PSN that sends is cut off from all other nodes when its mailbox is refused: it is named by a test of settings, and its
/// alarm waits until an MnT can be reached.
async fn a_node_loses_the_other_roles(world: &mut World) {
    let psn = has_psn_send(world).await;
    let others: Vec<_> = NODES.into_iter().filter(|host| **host != psn).collect();
    world.order(&format!("cut {psn} {}", others.join(" "))).await;
    let report = world.test_settings("pan-1").await;
    assert!(!report.passed);
    let failed = |node: &v1::SmtpNodeTest| !node.passed;
    let failed: Vec<_> =
        report.nodes.iter().filter(|node| failed(node)).map(|node| &node.node).collect();
    assert_eq!(failed, [&psn], "{report:#?}");

    let reply = "535 5.7.3 Authentication unsuccessful [sim]";
    world.simulator.faults().push(Fault::always(Phase::Auth, Action::Reply(reply.to_owned())));
    world.simulator.faults().push(Fault::next(3, Phase::Mail, Action::Cut));
    world
        .wait_for_nodes("its alarm waits", |nodes| {
            nodes.get(&psn).is_some_and(|node| 0 < node.waiting_alarms)
        })
        .await;

    world.mend_provider();
    world.heal().await;
    let pan = world.caller_with_patience("pan-1");
    pan.save_tested(world.settings()).await;
    world
        .wait_for_nodes("its alarm was taken", |nodes| {
            nodes.values().all(|node| node.waiting_alarms == 0)
        })
        .await;
    world.arrive(GOES_ON, PATIENCE).await;
}

/// Nodes start with clocks that are minutes ahead and behind. They go by that of the database.
async fn clocks_are_wrong(world: &mut World) {
    for (host, ahead_s) in [("pan-1", WRONG_S), ("psn-1", -WRONG_S), ("mnt-1", WRONG_S)] {
        world.order(&format!("stop {host}")).await;
        world.order(&format!("start {host} {ahead_s}")).await;
    }
    world
        .wait_for_nodes("wrong clocks are told", |nodes| {
            let ahead = |host: &str| {
                let ahead = nodes.get(host).and_then(|node| node.clock_ahead);
                ahead.map_or(0, |ahead| ahead.seconds)
            };
            WRONG_S - 5 < ahead("pan-1")
                && ahead("psn-1") < 5 - WRONG_S
                && WRONG_S - 5 < ahead("mnt-1")
        })
        .await;
    world.arrive(3 * GOES_ON, PATIENCE).await;
}

/// One node after the other, as an upgrade does it; those with wrong clocks have right ones again.
async fn all_are_restarted(world: &mut World) {
    for host in NODES {
        world.order(&format!("stop {host}")).await;
        world.order(&format!("start {host}")).await;
        world.wait_for_nodes(host, |nodes| nodes.contains_key(host)).await;
    }
    world.heal().await;
    world.arrive(GOES_ON, PATIENCE).await;
}

/// Has the duty to send handed over until a PSN has it, and names that.
async fn has_psn_send(world: &mut World) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let sender = world.leaders().await[&mailbox()].clone();
        if sender.starts_with("psn") {
            return sender;
        }
        assert!(Instant::now() < deadline, "no PSN ever sends");
        world.order(&format!("stop {sender}")).await;
        world.order(&format!("start {sender}")).await;
        world.heal().await;
    }
}

/// Saves another setting, told from others by its length.
async fn set_log_level(world: &World, pan: &str, minutes: i64) -> Result<(), Status> {
    let request = v1::SetLogLevelRequest {
        component: "smtp".to_owned(),
        severity: v1::LogSeverity::Debug.into(),
        ttl: Some(prost_types::Duration { seconds: minutes * 60, nanos: 0 }),
    };
    let mut levels = world.caller_with_patience(pan).clients.log_levels;
    levels.set_log_level(request).await.map(|_answer| ())
}

/// The same where etcd is there: a member that has just come back may refuse once more, and the answer says to try again.
async fn save_log_level(world: &World, pan: &str, minutes: i64) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(refused) = set_log_level(world, pan, minutes).await {
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        assert!(Instant::now() < deadline, "etcd does not come back: {refused:?}");
        sleep(PAUSE).await;
    }
}

/// Every node runs the same.
async fn all_have_one_log_level(world: &World) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut seen = Vec::new();
        for host in NODES {
            let mut levels = world.caller(host).clients.log_levels;
            let answer = levels.list_log_levels(v1::ListLogLevelsRequest {}).await;
            seen.push(answer.expect("it is told").into_inner().log_levels);
        }
        if seen.iter().all(|levels| !levels.is_empty() && *levels == seen[0]) {
            return;
        }
        assert!(Instant::now() < deadline, "nodes differ: {seen:#?}");
        sleep(PAUSE).await;
    }
}

/// Those that leave a node of each role when all of them are gone: if both nodes of a role lead something, only the one that
/// leads for its role.
fn replaceable(leaders: Leaders) -> Leaders {
    let others: Vec<_> =
        [&leaders["pan"], &leaders["mnt"]].map(|host| (&host[..3], host.clone())).into();
    let is_last =
        |host: &String| others.iter().any(|(role, other)| host.starts_with(role) && host != other);
    let last = is_last(&leaders[&mailbox()]);
    leaders.into_iter().filter(|(duty, _host)| *duty != mailbox() || !last).collect()
}
