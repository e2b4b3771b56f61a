use std::collections::BTreeMap;
use std::time::Duration;

use nuncio_core::alarm::route::{RouteTarget, SmtpLogin};
use nuncio_core::ports::routes::RouteSender as _;
use nuncio_core::secret::Password;
use nuncio_core::settings::Encryption;
use nuncio_provider_sim::config::{Mailbox as SimMailbox, RecipientRule, SimConfig, SimSecret};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_runtime::clock::SystemClock;

use super::*;

const FROM: &str = "nuncio@backup.example";
const PASSWORD: &str = "correct horse";

fn message() -> RouteMessage {
    RouteMessage {
        id: "f00/123/raised".to_owned(),
        kind: MessageKind::AlarmRaised,
        at: Timestamp::UNIX_EPOCH,
        severity: Severity::Critical,
        summary: "Mailbox Closed: it is closed\nnow".to_owned(),
        fields: BTreeMap::from([("node".to_owned(), "psn-1".to_owned())]),
    }
}

fn with_password() -> SimConfig {
    let mut config = SimConfig::exchange();
    let password = Some(SimSecret::new(PASSWORD));
    config.mailboxes.push(SimMailbox { password, ..SimMailbox::new(FROM) });
    config.smtp.mechanisms.plain = true;
    config
}

fn route(simulator: &Simulator, password: Option<&str>) -> Route {
    let login = password.map(|password| SmtpLogin {
        username: FROM.to_owned(),
        password: Password::from(password.to_owned()),
    });
    let address = |text: &str| text.parse().unwrap();
    Route {
        id: "backup".to_owned(),
        enabled: true,
        target: RouteTarget::Smtp(SmtpTarget {
            host: "localhost".to_owned(),
            port: simulator.starttls_addr().port(),
            encryption: Encryption::StartTls,
            login,
            from: address(FROM),
            recipients: vec![address("ops@backup.example"), address("oncall@backup.example")],
        }),
        timeout: Duration::from_secs(30),
        ca_certificates_pem: simulator.ca_pem(),
    }
}

async fn sent(route: &Route) -> Result<String, RouteFailure> {
    Sender::new(Arc::new(SystemClock), "node-1").send(route, &message()).await
}

#[tokio::test]
async fn a_message_comes_as_a_mail_with_the_same_message_id_each_time() {
    let simulator = Simulator::start(with_password()).await.unwrap();
    let route = route(&simulator, Some(PASSWORD));

    let said = sent(&route).await.unwrap();
    sent(&route).await.unwrap();

    let mails = simulator.accepted();
    let text = String::from_utf8(mails[0].data.clone()).unwrap();
    assert!(said.starts_with("250"), "{said}");
    assert_eq!((mails[0].mail_from.as_str(), mails[0].recipients.len()), (FROM, 2));
    assert!(text.contains("Subject: [CRITICAL] Mailbox Closed: it is closed now"), "{text}");
    assert!(text.contains("node: psn-1"), "{text}");
    let id = "f00.123.raised@backup.example";
    assert_eq!(simulator.message_ids().get(id), Some(&2), "{:?}", simulator.message_ids());
    assert_ne!(mails[0].connection, mails[1].connection, "each has its own");
}

#[tokio::test]
async fn a_relay_that_knows_this_node_needs_no_login() {
    let mut config = SimConfig::exchange();
    config.smtp.auth_not_required = true;
    let simulator = Simulator::start(config).await.unwrap();

    sent(&route(&simulator, None)).await.unwrap();

    assert_eq!(simulator.accepted()[0].mailbox, FROM);
}

#[tokio::test]
async fn what_goes_wrong_is_told_with_its_reason_and_without_the_password() {
    let simulator = Simulator::start(with_password()).await.unwrap();

    let wrong = sent(&route(&simulator, Some("battery staple"))).await.unwrap_err();
    let mut nobody = route(&simulator, Some(PASSWORD));
    if let RouteTarget::Smtp(target) = &mut nobody.target {
        target.port = 1;
    }
    let nobody = sent(&nobody).await.unwrap_err();
    let mut untrusted = route(&simulator, Some(PASSWORD));
    untrusted.ca_certificates_pem.clear();
    let untrusted = sent(&untrusted).await.unwrap_err();

    assert_eq!(wrong.code, "INVALID_PASSWORD", "{wrong}");
    assert!(!wrong.to_string().contains("battery"), "{wrong}");
    assert_eq!(nobody.code, "CONNECTION_REFUSED", "{nobody}");
    assert!(!nobody.not_understood);
    assert!(untrusted.code.starts_with("TLS") || untrusted.message.contains("certificate"));
}

#[tokio::test]
async fn a_message_that_somebody_has_got_is_told_and_one_that_all_refuse_is_given_up_early() {
    let mut config = with_password();
    config.recipients.push(RecipientRule::refused("oncall@backup.example"));
    let one = Simulator::start(config.clone()).await.unwrap();
    config.recipients.push(RecipientRule::refused("ops@backup.example"));
    let both = Simulator::start(config).await.unwrap();

    let said = sent(&route(&one, Some(PASSWORD))).await.unwrap();
    let failure = sent(&route(&both, Some(PASSWORD))).await.unwrap_err();

    assert!(said.contains("only for 1 of 2 recipients"), "{said}");
    assert_eq!(failure.code, "MAIL_REFUSED", "{failure}");
    assert!(failure.not_understood);
}
