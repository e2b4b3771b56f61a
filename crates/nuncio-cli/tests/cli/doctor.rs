//! `nuncio doctor` and `nuncio nodes`

use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::test_smtp_from_node_response::Event;
use nuncio_api::v1::*;
use nuncio_cli::exit::Exit;

use crate::fake::{Fake, Script};
use crate::nuncio;

fn node(state: ChannelState) -> Node {
    Node {
        name: "nodes/a".to_owned(),
        roles: vec![NodeRole::Pan.into(), NodeRole::Psn.into()],
        version: "0.1.0".to_owned(),
        address: "127.0.0.1:7587".to_owned(),
        uptime: Some(prost_types::Duration { seconds: 3725, nanos: 0 }),
        settings_generation: 3,
        channel: Some(Channel { state: state.into(), connections: 1, ..Channel::default() }),
        state: NodeState::Live.into(),
        ..Node::default()
    }
}

fn settings(expire_date: &str) -> SmtpSettings {
    SmtpSettings {
        host: "mail.example.com".to_owned(),
        port: 587,
        email_address: "nuncio@example.com".to_owned(),
        generation: 3,
        authentication: Some(Authentication::Oauth(OauthAuthentication {
            client_secret_set: true,
            client_secret_expire_date: expire_date.to_owned(),
            ..OauthAuthentication::default()
        })),
        ..SmtpSettings::default()
    }
}

fn node_test(outcome: SmtpTestOutcome, mailbox: &str) -> Vec<TestSmtpFromNodeResponse> {
    let stage = SmtpTestStage {
        node: "nodes/a".to_owned(),
        kind: SmtpTestStageKind::Token.into(),
        outcome: outcome.into(),
        mailbox: mailbox.to_owned(),
        error_code: "INVALID_CLIENT_SECRET".to_owned(),
        cause: "the secret is wrong".to_owned(),
        remedy: "copy the value".to_owned(),
        ..SmtpTestStage::default()
    };
    let passed = outcome == SmtpTestOutcome::Passed;
    let node = "nodes/a".to_owned();
    let result = SmtpNodeTest { node, passed, stages: vec![stage.clone()] };
    let events = [Event::Stage(stage), Event::Result(result)];
    events.map(|event| TestSmtpFromNodeResponse { event: Some(event) }).into()
}

#[tokio::test]
async fn a_healthy_node_passes() {
    let settings = SmtpSettings {
        additional_mailboxes: vec!["nuncio-2@example.com".to_owned()],
        proxy: Some(Proxy { url: "http://squid:3128".to_owned(), ..Proxy::default() }),
        ..settings("2999-01-01")
    };
    let fake = Fake::start(Script {
        nodes: vec![node(ChannelState::Open)],
        settings: Some(settings),
        node_test: node_test(SmtpTestOutcome::Passed, ""),
        ..Script::default()
    })
    .await;

    let ran = nuncio(&fake.address, &["doctor"]).await;

    assert_eq!(ran.exit, Exit::Ok, "{ran:?}");
    let expect = "✓ settings: generation 3: nuncio@example.com and 1 more mailbox over \
                  mail.example.com:587, proxy http://squid:3128\n";
    assert!(ran.out.contains(expect), "{}", ran.out);
    assert!(ran.out.contains("✓ client secret: it is good until 2999-01-01"), "{}", ran.out);
    assert!(ran.out.ends_with("all is well\n"), "{}", ran.out);
}

#[tokio::test]
async fn every_problem_is_told_with_its_remedy() {
    let mut closed = node(ChannelState::Closed);
    closed.channel.as_mut().unwrap().reason = "the provider refuses the login".to_owned();
    closed.channel.as_mut().unwrap().remedy = "renew the secret".to_owned();
    let fake = Fake::start(Script {
        nodes: vec![closed],
        backlog: Backlog { held: 2, ..Backlog::default() },
        settings: Some(settings("2020-01-01")),
        node_test: node_test(SmtpTestOutcome::Failed, "b@x.test"),
        ..Script::default()
    })
    .await;

    let ran = nuncio(&fake.address, &["doctor"]).await;

    assert_eq!(ran.exit, Exit::Refused);
    for expect in [
        "✗ test: TOKEN failed for b@x.test from nodes/a: INVALID_CLIENT_SECRET: the secret is wrong\n    remedy: copy the value\n",
        "✗ client secret: it ended on 2020-01-01\n",
        "✗ channel of nodes/a: closed: the provider refuses the login\n    remedy: renew the secret\n",
        "! backlog: 0 queued, 0 sending, 0 deferred, 2 held\n",
        "problems: 3, warnings: 1\n",
    ] {
        assert!(ran.out.contains(expect), "{expect} is not in\n{}", ran.out);
    }
}

#[tokio::test]
async fn a_node_without_settings_is_told_how_to_get_them() {
    let nodes = vec![node(ChannelState::NotConfigured)];
    let fake = Fake::start(Script { nodes, ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["doctor", "--output", "json"]).await;

    assert_eq!(ran.exit, Exit::Refused);
    let json = ran.json();
    assert_eq!(json["passed"], false);
    assert_eq!(json["findings"][1]["part"], "settings");
    assert_eq!(json["findings"][1]["outcome"], "FAILED");
}

/// A cluster in which something is wrong with every node.
fn troubled() -> Vec<Node> {
    let late = Some(prost_types::Timestamp { seconds: 1_795_000_000, nanos: 0 });
    let twin = Node {
        shares_name: true,
        clock_ahead: Some(prost_types::Duration { seconds: -3, nanos: -400_000_000 }),
        ..node(ChannelState::Open)
    };
    let lagging = Node {
        name: "nodes/b".to_owned(),
        settings_generation: 1,
        settings_lag: 2,
        settings_trouble: "etcd has not answered yet".to_owned(),
        version: "0.2.0".to_owned(),
        ..node(ChannelState::Open)
    };
    let dead = Node {
        name: "nodes/c".to_owned(),
        state: NodeState::Dead.into(),
        last_heard_time: late,
        version: "0.0.9".to_owned(),
        ..node(ChannelState::Closed)
    };
    vec![twin, lagging, dead]
}

#[tokio::test]
async fn nodes_that_lag_are_dead_or_have_the_name_of_another_are_told_with_a_remedy() {
    let fake = Fake::start(Script {
        nodes: troubled(),
        settings: Some(settings("2999-01-01")),
        node_test: node_test(SmtpTestOutcome::Passed, ""),
        ..Script::default()
    })
    .await;

    let ran = nuncio(&fake.address, &["doctor"]).await;

    assert_eq!(ran.exit, Exit::Ok, "{ran:?}");
    for expect in [
        "! server: ",
        "2 live, version 0.1.0 and 0.2.0\n    remedy: bring all nodes to one version\n",
        "! nodes/a: another live node has this name too; this one is at 127.0.0.1:7587\n    remedy: give each node",
        "! clock of nodes/a: -3.4s against that of the store\n",
        "! settings of nodes/b: new ones are not heard of, the last good ones are used: etcd has not answered yet\n",
        "! settings of nodes/b: generation 1, 2 behind the other nodes\n",
        "! nodes/c: dead; last heard of at 2026-11-18T11:06:40Z\n    remedy: look why",
        "mail goes out; warnings: 6\n",
    ] {
        assert!(ran.out.contains(expect), "{expect} is not in\n{}", ran.out);
    }
    assert!(!ran.out.contains("channel of nodes/c"), "{}", ran.out);
}

#[tokio::test]
async fn the_saved_settings_can_be_tested_from_all_nodes_and_each_is_shown_by_itself() {
    use test_smtp_settings_response::Event;

    let stage = |node: &str, kind: SmtpTestStageKind| SmtpTestStage {
        node: node.to_owned(),
        kind: kind.into(),
        outcome: SmtpTestOutcome::Passed.into(),
        ..SmtpTestStage::default()
    };
    let failed = SmtpTestStage {
        outcome: SmtpTestOutcome::Failed.into(),
        error_code: "NODE_UNREACHABLE".to_owned(),
        cause: "it does not answer".to_owned(),
        remedy: "start it".to_owned(),
        ..stage("b", SmtpTestStageKind::Node)
    };
    let (dns, tcp) = (stage("a", SmtpTestStageKind::Dns), stage("a", SmtpTestStageKind::Tcp));
    let of = |node: &str, passed, stages| SmtpNodeTest { node: node.to_owned(), passed, stages };
    let nodes =
        vec![of("a", true, vec![dns.clone(), tcp.clone()]), of("b", false, vec![failed.clone()])];
    let report = SmtpTestReport { passed: false, nodes, except_nodes: Vec::new() };
    let events =
        [Event::Stage(dns), Event::Stage(failed), Event::Stage(tcp), Event::Report(report)];
    let fake = Fake::start(Script {
        nodes: vec![node(ChannelState::Open)],
        settings: Some(settings("2999-01-01")),
        test: events.map(|event| TestSmtpSettingsResponse { event: Some(event) }).into(),
        ..Script::default()
    })
    .await;

    let ran = nuncio(&fake.address, &["doctor", "--all-nodes"]).await;

    assert_eq!(ran.exit, Exit::Refused, "{ran:?}");
    let place = |text: &str| ran.out.find(text).unwrap_or_else(|| panic!("{text}: {}", ran.out));
    let order = ["from a\n", "DNS", "TCP", "from b\n", "NODE_UNREACHABLE", "✓ test: the saved"];
    assert!(order.map(place).is_sorted(), "{}", ran.out);
    let expect =
        "✗ test: NODE failed from b: NODE_UNREACHABLE: it does not answer\n    remedy: start it\n";
    assert!(ran.out.contains(expect), "{}", ran.out);
}

#[tokio::test]
async fn nodes_are_a_table() {
    let nodes = vec![node(ChannelState::Open)];
    let backlog = Backlog { queued: 4, ..Backlog::default() };
    let fake = Fake::start(Script { nodes, backlog, ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["nodes"]).await;

    assert_eq!(ran.exit, Exit::Ok);
    let expect = "\
NODE     STATE  ROLES    VERSION  ADDRESS         UPTIME  SETTINGS  CHANNEL  CONNECTIONS  TOKEN UNTIL
nodes/a  LIVE   pan,psn  0.1.0    127.0.0.1:7587  1h 2m   3         OPEN     1            -
backlog: 4 queued, 0 sending, 0 deferred, 0 held
";
    assert_eq!(ran.out, expect);
}

#[tokio::test]
async fn what_is_wrong_with_nodes_is_seen_in_their_table() {
    let fake = Fake::start(Script { nodes: troubled(), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["nodes"]).await;

    let rows: Vec<Vec<&str>> =
        ran.out.lines().map(|line| line.split("  ").map(str::trim).collect()).collect();
    let row = |name: &str| {
        let found = rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("{}", ran.out));
        found.iter().copied().filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(row("nodes/a").last(), Some(&"-3.4s"));
    assert_eq!(row("nodes/b")[6], "1 (2 behind)");
    assert_eq!(row("nodes/c")[1], "DEAD since 2026-11-18T11:06:40Z");
    assert!(ran.out.contains("name      another live node has it too"), "{}", ran.out);
}
