//! The second route: people are told past the mail.

use nuncio_api::v1;
use nuncio_api::v1::alarm_route::Target;
use nuncio_provider_sim::config::{Mailbox, SimConfig, SimSecret};
use nuncio_provider_sim::fault::{Action, Fault, Phase};
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

const PASSWORD: &str = "correct-horse-battery";
const SECOND_SENDER: &str = "nuncio@backup.example";

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

/// A mail server that has nothing to do with the provider: it takes a password.
async fn second_server() -> Simulator {
    let mut config = SimConfig::exchange();
    let password = Some(SimSecret::new(PASSWORD));
    config.mailboxes.push(Mailbox { password, ..Mailbox::new(SECOND_SENDER) });
    Simulator::start(config).await.expect("the simulator starts")
}

fn by_mail(server: &Simulator, password: &str) -> v1::AlarmRoute {
    let target = v1::SmtpTarget {
        host: "localhost".to_owned(),
        port: server.starttls_addr().port().into(),
        encryption: v1::SmtpEncryption::Starttls.into(),
        password: Some(v1::PasswordAuthentication {
            password: password.to_owned(),
            ..v1::PasswordAuthentication::default()
        }),
        from_address: SECOND_SENDER.to_owned(),
        recipients: vec!["oncall@backup.example".to_owned()],
    };
    v1::AlarmRoute {
        name: "alarmRoutes/backup".to_owned(),
        target: Some(Target::Smtp(target)),
        ca_certificates_pem: server.ca_pem(),
        ..v1::AlarmRoute::default()
    }
}

async fn save_route(node: &TestNode, route: v1::AlarmRoute) -> v1::AlarmRoute {
    let alarm_route = Some(route);
    let request =
        v1::UpdateAlarmRouteRequest { alarm_route, allow_missing: true, validate_only: false };
    let answer = node.clients.alarm_routes.clone().update_alarm_route(request).await;
    answer.expect("it is valid").into_inner().alarm_route.expect("the answer has a route")
}

#[tokio::test]
async fn an_alarm_comes_by_a_second_mail_server_while_the_provider_refuses_the_secret() {
    let provider = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let second = second_server().await;
    let node = TestNode::start_with(NodeOptions {
        roles: "pan,mnt,psn".to_owned(),
        ..NodeOptions::default()
    })
    .await;
    let shown = save_route(&node, by_mail(&second, PASSWORD)).await;
    // Saved again without it: the password stays.
    save_route(&node, by_mail(&second, "")).await;
    node.save_tested(settings_for(&provider)).await;
    provider.expire_secrets();

    node.submit(bulk("cannot be sent")).await;

    assert!(second.wait_for_accepted(1, PATIENCE).await.is_ok(), "it comes by mail");
    let mails = second.accepted();
    let text = String::from_utf8_lossy(&mails[0].data).into_owned();
    assert_eq!(mails[0].recipients, ["oncall@backup.example"]);
    assert!(text.contains("Subject: [CRITICAL] Mailbox Closed"), "{text}");
    assert!(text.contains("CLIENT_SECRET_EXPIRED"), "{text}");
    assert_eq!(provider.stats().mails_accepted, 0);
    let seen = format!("{shown:?} {}", node.logs.text());
    assert!(!seen.contains(PASSWORD), "{seen}");
    let file = std::fs::read(node.data_dir().join("settings/alarm-routes.json")).expect("saved");
    assert!(!String::from_utf8_lossy(&file).contains(PASSWORD), "it is encrypted");
    node.stop().await;
}

/// Names this recipient, whose mails go at once.
async fn tell_at_once(node: &TestNode, address: &str) {
    let settings = v1::AlarmSettings {
        recipients: vec![address.to_owned()],
        group_wait: Some(prost_types::Duration { seconds: 0, nanos: 0 }),
        ..v1::AlarmSettings::default()
    };
    let paths = vec!["recipients".to_owned(), "group_wait".to_owned()];
    let request = v1::UpdateAlarmSettingsRequest {
        alarm_settings: Some(settings),
        update_mask: Some(prost_types::FieldMask { paths }),
        validate_only: false,
    };
    node.clients.alarms.clone().update_alarm_settings(request).await.expect("it is answered");
}

#[tokio::test]
async fn alarms_take_the_second_route_while_the_provider_is_down_and_it_is_told_that_mail_is_back()
{
    let provider = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let second = second_server().await;
    let node = TestNode::start_with(NodeOptions {
        roles: "pan,mnt,psn".to_owned(),
        ..NodeOptions::default()
    })
    .await;
    save_route(&node, by_mail(&second, PASSWORD)).await;
    node.save_tested(settings_for(&provider)).await;
    tell_at_once(&node, "ops@example.com").await;
    provider.faults().push(Fault::always(Phase::Connect, Action::Cut));
    let identity = v1::AlarmIdentity {
        r#type: "process-down".to_owned(),
        node: "node-1".to_owned(),
        ..v1::AlarmIdentity::default()
    };
    let alarm = v1::NewAlarm {
        identity: Some(identity),
        description: "radius does not answer".to_owned(),
        ..v1::NewAlarm::default()
    };

    let request = v1::RaiseAlarmRequest { alarm: Some(alarm), validate_only: false };
    node.clients.alarms.clone().raise_alarm(request).await.expect("it is taken");

    // Nobody knows yet that the provider is down: a critical alarm waits a minute for its mail.
    second.wait_for_accepted(1, PATIENCE * 3).await.expect("it comes by the second server");
    let late = String::from_utf8_lossy(&second.accepted()[0].data).into_owned();
    assert!(late.contains("[MAIL IS LATE] [CRITICAL] Process Down on node-1"), "{late}");
    assert!(late.contains("radius does not answer"), "{late}");
    assert_eq!(provider.stats().mails_accepted, 0);

    provider.faults().clear();
    // New settings try again at once.
    node.save_tested(settings_for(&provider)).await;
    provider.wait_for_accepted(1, PATIENCE).await.expect("mail is back");
    second.wait_for_accepted(2, PATIENCE * 2).await.expect("that is told");
    let back = String::from_utf8_lossy(&second.accepted()[1].data).into_owned();
    assert!(back.contains("[MAIL IS BACK]"), "{back}");
    assert!(back.contains("mails_late: 1") && back.contains("mails_sent: 1"), "{back}");
    assert_eq!(second.accepted_count(), 2, "each is told once");
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
