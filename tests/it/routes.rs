//! The second route: people are told past the mail.

use nuncio_api::v1;
use nuncio_api::v1::alarm_route::Target;
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{PATIENCE, reason};
use nuncio_tests::mails::bulk;
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::settings::settings_for;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tonic::{Code, Status};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

/// A syslog receiver over TCP.
struct Receiver(TcpListener);

impl Receiver {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a port is free"))
    }

    fn target(&self) -> Target {
        let port = self.0.local_addr().expect("it is bound").port();
        let transport = v1::SyslogTransport::Tcp.into();
        Target::Syslog(v1::SyslogTarget {
            host: "127.0.0.1".to_owned(),
            port: port.into(),
            transport,
        })
    }

    /// Takes messages until one has this part.
    async fn message_with(&self, part: &str) -> String {
        let taking = async {
            loop {
                let (mut stream, _) = self.0.accept().await.expect("the node connects");
                let mut message = String::new();
                stream.read_to_string(&mut message).await.expect("syslog is text");
                if message.contains(part) {
                    return message;
                }
            }
        };
        timeout(PATIENCE, taking).await.unwrap_or_else(|_| panic!("no message with {part}"))
    }
}

async fn save(node: &TestNode, id: &str, target: Target) -> Result<v1::AlarmRoute, Status> {
    let name = format!("alarmRoutes/{id}");
    let route = v1::AlarmRoute { name, target: Some(target), ..v1::AlarmRoute::default() };
    let request = v1::UpdateAlarmRouteRequest {
        alarm_route: Some(route),
        allow_missing: true,
        validate_only: false,
    };
    let answer = node.clients.alarm_routes.clone().update_alarm_route(request).await?;
    Ok(answer.into_inner().alarm_route.expect("the answer has a route"))
}

fn webhook(url: &str, secret: &str) -> Target {
    Target::Webhook(v1::WebhookTarget { url: url.to_owned(), secret: secret.to_owned() })
}

#[tokio::test]
async fn a_route_is_tried_kept_over_a_restart_and_its_secret_is_never_shown() {
    let receiver = Receiver::start().await;
    let node =
        TestNode::start_with(NodeOptions { roles: "mnt".to_owned(), ..NodeOptions::default() })
            .await;
    save(&node, "siem", receiver.target()).await.expect("it is valid");
    save(&node, "on-call", webhook("http://127.0.0.1:1/x", SECRET)).await.expect("it is valid");
    let node = node.restart().await;
    let mut routes = node.clients.alarm_routes.clone();

    let request = v1::TestAlarmRouteRequest { name: "alarmRoutes/siem".to_owned() };
    let (tested, message) =
        tokio::join!(routes.test_alarm_route(request), receiver.message_with("route.test"));
    let attempt = tested.expect("it is tried").into_inner().attempt.expect("it has an outcome");
    let mut routes = node.clients.alarm_routes.clone();
    let request = v1::TestAlarmRouteRequest { name: "alarmRoutes/on-call".to_owned() };
    let refused = routes.test_alarm_route(request).await.expect("it is tried").into_inner();

    assert_eq!(attempt.failure, "", "{attempt:?}");
    assert!(message.contains("nuncio - route.test [alarm@32473 id="), "{message}");
    assert_eq!(refused.attempt.expect("it has an outcome").failure, "REFUSED");
    let list =
        routes.list_alarm_routes(v1::ListAlarmRoutesRequest {}).await.expect("they are listed");
    let shown = format!("{:?} {}", list.into_inner(), node.logs.text());
    assert!(!shown.contains("MDEyMzQ1"), "{shown}");
    let settings =
        std::fs::read(node.data_dir().join("settings/alarm-routes.json")).expect("it is saved");
    assert!(!String::from_utf8_lossy(&settings).contains("MDEyMzQ1"), "it is encrypted");
    node.stop().await;
}

#[tokio::test]
async fn routes_that_cannot_work_are_refused_with_every_fault() {
    let node =
        TestNode::start_with(NodeOptions { roles: "mnt".to_owned(), ..NodeOptions::default() })
            .await;

    let plain = save(&node, "On Call", webhook("http://alarms.example.com/", "hunter2")).await;
    let unknown = node
        .clients
        .alarm_routes
        .clone()
        .test_alarm_route(v1::TestAlarmRouteRequest { name: "alarmRoutes/none".to_owned() })
        .await;

    let plain = plain.expect_err("it is not valid");
    assert_eq!(reason(&plain), (Code::InvalidArgument, "INVALID_ALARM_ROUTE".to_owned()));
    assert!(!format!("{plain:?}").contains("hunter2"), "{plain:?}");
    let unknown = unknown.expect_err("there is none");
    assert_eq!(reason(&unknown), (Code::NotFound, "ALARM_ROUTE_NOT_FOUND".to_owned()));
    node.stop().await;
}
#[tokio::test]
async fn a_secret_that_expires_is_told_by_syslog_although_mail_is_dead() {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let receiver = Receiver::start().await;
    let node = TestNode::start_with(NodeOptions {
        roles: "pan,mnt,psn".to_owned(),
        ..NodeOptions::default()
    })
    .await;
    save(&node, "siem", receiver.target()).await.expect("it is valid");
    node.save_tested(settings_for(&simulator)).await;
    simulator.expire_secrets();

    node.submit(bulk("cannot be sent")).await;

    let message = receiver.message_with("mailbox-closed").await;
    assert!(message.contains("alarm.raised"), "{message}");
    assert!(message.contains("CLIENT_SECRET_EXPIRED"), "{message}");
    node.stop().await;
    assert_eq!(simulator.stats().mails_accepted, 0);
}
