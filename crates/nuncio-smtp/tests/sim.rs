//! The transport over real sockets, against the provider simulator.

#![expect(clippy::unwrap_used, reason = "a test says that it fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::mail::{Attachment, Mail, Recipient, RecipientKind};
use nuncio_core::outcome::{SendOutcome, Verdict};
use nuncio_core::ports::mail::{BodyGate, MailTransport, OutgoingMail, SmtpTester as _};
use nuncio_core::ports::token::{Token, TokenError, TokenRequest, TokenSource};
use nuncio_core::secret::{AccessToken, Password, Sensitive};
use nuncio_core::settings::{
    Authentication, Encryption, MailboxLimits, Provider, SavedSmtpSettings, SmtpSettings,
};
use nuncio_provider_sim::config::{DEFAULT_MAILBOX, Mechanisms, SimConfig, SimSecret};
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_runtime::clock::SystemClock;
use nuncio_smtp::probe::SmtpProbe;
use nuncio_smtp::transport::SmtpTransport;
use tokio::sync::mpsc;

const PASSWORD: &str = "correct horse";

/// The settings use a password, so nobody asks for a token.
struct NoTokens;

#[async_trait]
impl TokenSource for NoTokens {
    async fn token(&self, _request: TokenRequest<'_>) -> Result<Token, TokenError> {
        unreachable!("the settings use a password")
    }

    async fn invalidate(&self, _request: TokenRequest<'_>, _refused: &AccessToken) {}

    async fn fetch(&self, request: TokenRequest<'_>) -> Result<Token, TokenError> {
        self.token(request).await
    }

    async fn cached_until(&self, _request: TokenRequest<'_>) -> Option<Timestamp> {
        None
    }
}

struct OpenGate;

#[async_trait]
impl BodyGate for OpenGate {
    async fn open(&self) -> bool {
        true
    }
}

struct Fixture {
    simulator: Simulator,
    transport: SmtpTransport,
    saved: SavedSmtpSettings,
}

impl Fixture {
    async fn new(encryption: Encryption) -> Self {
        let mut config = SimConfig::sink();
        config.limits.connections = 3;
        config.mailboxes[0].password = Some(SimSecret::new(PASSWORD));
        config.smtp.mechanisms = Mechanisms { plain: true, ..Mechanisms::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let address = match encryption {
            Encryption::Tls => simulator.implicit_tls_addr(),
            Encryption::None | Encryption::StartTls => simulator.starttls_addr(),
        };
        let settings = SmtpSettings {
            provider: Provider::Generic,
            host: "localhost".to_owned(),
            port: address.port(),
            connect_timeout: Duration::from_secs(20),
            encryption,
            email_address: DEFAULT_MAILBOX.parse().unwrap(),
            authentication: Authentication::Password {
                username: DEFAULT_MAILBOX.to_owned(),
                password: Password::from(PASSWORD.to_owned()),
            },
            ca_certificates_pem: simulator.ca_pem(),
            limits: MailboxLimits { connections_max: 3, messages_per_minute_max: None },
        };
        let saved = SavedSmtpSettings { settings, generation: 1, saved_at: Timestamp::UNIX_EPOCH };
        let transport = SmtpTransport::new(Arc::new(NoTokens), Arc::new(SystemClock), "node.test");
        Self { simulator, transport, saved }
    }

    async fn send(&self, number: usize) -> SendOutcome {
        self.transport.send(&self.saved, &mail(number), &OpenGate).await
    }

    async fn finish(self) {
        self.transport.close_idle().await;
        assert_eq!(self.simulator.stats().protocol_errors, 0);
        self.simulator.shutdown().await;
    }
}

fn mail(number: usize) -> OutgoingMail {
    let address: EmailAddress = "guest@example.com".parse().unwrap();
    let recipient = Recipient { mailbox: address.clone().into(), kind: RecipientKind::To };
    OutgoingMail {
        message_id: format!("<{number}@nuncio.test>"),
        date: "2026-11-23T12:00:00Z".parse().unwrap(),
        recipients: vec![address],
        mail: Mail {
            from: None,
            reply_to: None,
            recipients: vec![recipient],
            subject: format!("mail {number}"),
            text: Some(Sensitive::from(".\r\n..\nGrüße\n.".to_owned())),
            html: None,
            attachments: Vec::new(),
            template: None,
        },
    }
}

fn is_accepted(outcome: &SendOutcome) -> bool {
    matches!(outcome, SendOutcome::Judged(verdicts)
        if verdicts.iter().all(|verdict| matches!(verdict, Verdict::Accepted(_))))
}

#[tokio::test]
async fn many_senders_keep_to_three_connections_and_lose_nothing() {
    let fixture = Fixture::new(Encryption::StartTls).await;

    let outcomes = join_all((0..100).map(|number| fixture.send(number))).await;

    assert!(outcomes.iter().all(is_accepted), "{outcomes:?}");
    let stats = fixture.simulator.stats();
    assert_eq!((stats.mails_accepted, stats.mails_repeated), (100, 0));
    assert!(stats.connections.max <= 3, "{:?}", stats.connections);
    assert!(stats.connections.total <= 3, "connections are kept: {:?}", stats.connections);
    fixture.finish().await;
}

#[tokio::test]
async fn a_large_mail_arrives_as_it_was_meant() {
    let fixture = Fixture::new(Encryption::Tls).await;
    let content: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    let mut large = mail(1);
    large.mail.attachments = vec![Attachment {
        file_name: "large.bin".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        content: content.clone(),
    }];

    let outcome = fixture.transport.send(&fixture.saved, &large, &OpenGate).await;

    assert!(is_accepted(&outcome), "{outcome:?}");
    let accepted = fixture.simulator.accepted();
    let parsed = mail_parser::MessageParser::default().parse(&accepted[0].data).unwrap();
    assert_eq!(parsed.body_text(0).unwrap(), ".\r\n..\r\nGrüße\r\n.");
    assert!(parsed.attachment(0).unwrap().contents() == content, "the file is the same");
    fixture.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_after_acceptance_is_unknown() {
    let fixture = Fixture::new(Encryption::StartTls).await;
    let fault = Fault::next(1, Phase::EndOfData, Action::CutAfterAccept);
    fixture.simulator.faults().push(fault);

    let outcome = fixture.send(1).await;

    assert!(matches!(outcome, SendOutcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(fixture.simulator.accepted_count(), 1, "it was taken all the same");
    fixture.finish().await;
}

#[tokio::test]
async fn a_cut_before_the_content_is_certainly_not_sent() {
    for phase in [Phase::Connect, Phase::Ehlo, Phase::Tls, Phase::Auth, Phase::Mail, Phase::Data] {
        let fixture = Fixture::new(Encryption::StartTls).await;
        fixture.simulator.faults().push(Fault::next(1, phase, Action::Cut));

        let outcome = fixture.send(1).await;

        assert!(matches!(outcome, SendOutcome::Unavailable { .. }), "{phase:?}: {outcome:?}");
        assert_eq!(fixture.simulator.accepted_count(), 0);
        assert!(is_accepted(&fixture.send(1).await), "the next attempt goes through");
        fixture.finish().await;
    }
}

#[tokio::test]
async fn a_throttled_mail_goes_out_over_the_same_connection_later() {
    let fixture = Fixture::new(Encryption::StartTls).await;
    let reply = Action::Reply("432 4.3.2 Concurrent connections limit exceeded".to_owned());
    fixture.simulator.faults().push(Fault::next(1, Phase::EndOfData, reply));

    let outcome = fixture.send(1).await;

    assert!(matches!(outcome, SendOutcome::Throttled { .. }), "{outcome:?}");
    assert!(is_accepted(&fixture.send(1).await));
    assert_eq!(fixture.simulator.stats().connections.total, 1);
    fixture.finish().await;
}

#[tokio::test]
async fn the_probe_passes_good_settings_and_sends_nothing() {
    let fixture = Fixture::new(Encryption::StartTls).await;
    let probe = SmtpProbe::new(Arc::new(NoTokens), "node.test", "node-1");
    let (stages, _listener) = mpsc::channel(16);

    let test = probe.test(&fixture.saved.settings, stages).await;

    assert!(test.passed(), "{test:?}");
    assert_eq!(fixture.simulator.accepted_count(), 0);
    fixture.finish().await;
}
