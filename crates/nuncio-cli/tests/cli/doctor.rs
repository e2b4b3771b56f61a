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
        backlog: Some(Backlog { queued: 4, ..Backlog::default() }),
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
    closed.backlog = Some(Backlog { held: 2, ..Backlog::default() });
    let fake = Fake::start(Script {
        nodes: vec![closed],
        settings: Some(settings("2020-01-01")),
        node_test: node_test(SmtpTestOutcome::Failed, "b@x.test"),
        ..Script::default()
    })
    .await;

    let ran = nuncio(&fake.address, &["doctor"]).await;

    assert_eq!(ran.exit, Exit::Refused);
    for expect in [
        "✗ test: TOKEN failed for b@x.test: INVALID_CLIENT_SECRET: the secret is wrong\n    remedy: copy the value\n",
        "✗ client secret: it ended on 2020-01-01\n",
        "✗ channel of nodes/a: closed: the provider refuses the login\n    remedy: renew the secret\n",
        "! backlog of nodes/a: 0 queued, 0 sending, 0 deferred, 2 held\n",
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

#[tokio::test]
async fn nodes_are_a_table() {
    let nodes = vec![node(ChannelState::Open)];
    let fake = Fake::start(Script { nodes, ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["nodes"]).await;

    assert_eq!(ran.exit, Exit::Ok);
    let expect = "\
NODE     ROLES    VERSION  ADDRESS         UPTIME  SETTINGS  CHANNEL  CONNECTIONS  TOKEN UNTIL  QUEUED  SENDING  DEFERRED  HELD
nodes/a  pan,psn  0.1.0    127.0.0.1:7587  1h 2m   3         OPEN     1            -            4       0        0         0
";
    assert_eq!(ran.out, expect);
}
