//! The transport over real sockets, against the provider simulator.

#![expect(clippy::unwrap_used, reason = "a test says that it fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::mail::{Attachment, Mail, Recipient, RecipientKind};
use nuncio_core::outcome::{SendOutcome, Verdict};
use nuncio_core::ports::mail::{BodyGate, MailTransport, OutgoingMail, SmtpTester as _};
use nuncio_core::ports::token::{Token, TokenError, TokenRequest, TokenSource};
use nuncio_core::secret::{AccessToken, ClientSecret, Password, Sensitive};
use nuncio_core::settings::{
    Authentication, ClientCredential, Encryption, MailboxLimits, OauthClient, Provider,
    SavedSmtpSettings, SmtpSettings,
};
use nuncio_provider_sim::config::{
    DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_MAILBOX, DEFAULT_SCOPE, DEFAULT_TENANT_ID,
    Mechanisms, SimConfig, SimSecret,
};
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_runtime::clock::SystemClock;
use nuncio_smtp::probe::SmtpProbe;
use nuncio_smtp::transport::SmtpTransport;
use nuncio_tls::trust::Trust;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

const PASSWORD: &str = "correct horse";

/// The settings use a password, so nobody asks for a token.
struct NoTokens;

/// Gives a token that nobody takes until it is told so, and then tokens of the simulator.
struct SimTokens {
    address: SocketAddr,
    ca_pem: String,
    is_refused: AtomicBool,
}

impl SimTokens {
    fn new(simulator: &Simulator) -> Self {
        let (address, ca_pem) = (simulator.token_addr(), simulator.ca_pem());
        Self { address, ca_pem, is_refused: AtomicBool::new(false) }
    }

    /// A token of the simulator: about 900 characters.
    async fn get(&self) -> std::io::Result<String> {
        let form = format!(
            "grant_type=client_credentials&client_id={DEFAULT_CLIENT_ID}&client_secret={DEFAULT_CLIENT_SECRET}\
             &scope={DEFAULT_SCOPE}"
        );
        let request = format!(
            "POST /{DEFAULT_TENANT_ID}/oauth2/v2.0/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let trust = Trust::from_pem(&self.ca_pem).unwrap();
        let name = "localhost".try_into().unwrap();
        let tcp = TcpStream::connect(self.address).await?;
        let mut stream = TlsConnector::from(trust.client()).connect(name, tcp).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        Ok(json["access_token"].as_str().unwrap().to_owned())
    }
}

#[async_trait]
impl TokenSource for SimTokens {
    async fn token(&self, _request: TokenRequest<'_>) -> Result<Token, TokenError> {
        let token = if self.is_refused.load(Ordering::Relaxed) {
            self.get().await.unwrap()
        } else {
            "useless".to_owned()
        };
        Ok(Token {
            access_token: AccessToken::from(token),
            expires_at: Timestamp::MAX,
            passed_over: None,
        })
    }

    async fn invalidate(&self, _request: TokenRequest<'_>, _refused: &AccessToken) {
        self.is_refused.store(true, Ordering::Relaxed);
    }

    async fn fetch(&self, request: TokenRequest<'_>) -> Result<Token, TokenError> {
        self.token(request).await
    }

    async fn cached_until(&self, _request: TokenRequest<'_>) -> Option<Timestamp> {
        None
    }
}

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
        Self::with(SimConfig::sink(), encryption).await
    }

    /// Whose connection has just carried a mail, so that the next one goes out together with its commands.
    async fn warm() -> Self {
        let fixture = Self::new(Encryption::StartTls).await;
        assert!(is_accepted(&fixture.send(0).await));
        fixture
    }

    async fn with(mut config: SimConfig, encryption: Encryption) -> Self {
        config.limits.connections = 3;
        config.mailboxes[0].password = Some(SimSecret::new(PASSWORD));
        config.smtp.mechanisms = Mechanisms { plain: true, ..Mechanisms::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let authentication = Authentication::Password {
            username: DEFAULT_MAILBOX.to_owned(),
            password: Password::from(PASSWORD.to_owned()),
        };
        Self::over(simulator, encryption, authentication, Arc::new(NoTokens))
    }

    fn over(
        simulator: Simulator,
        encryption: Encryption,
        authentication: Authentication,
        tokens: Arc<dyn TokenSource>,
    ) -> Self {
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
            proxy: None,
            additional_mailboxes: Vec::new(),
            authentication,
            ca_certificates_pem: simulator.ca_pem(),
            limits: MailboxLimits {
                connections_max: 3,
                messages_per_minute_max: None,
                recipients_per_day_max: None,
            },
        };
        let saved = SavedSmtpSettings {
            settings,
            generation: 1,
            saved_at: Timestamp::UNIX_EPOCH,
            history: Vec::new(),
        };
        let transport = SmtpTransport::new(tokens, Arc::new(SystemClock), "node.test");
        Self { simulator, transport, saved }
    }

    async fn send(&self, number: usize) -> SendOutcome {
        self.transport
            .send(&self.saved, &self.saved.settings.email_address, &mail(number), &OpenGate)
            .await
    }

    async fn finish(self) {
        self.transport.close_all_idle().await;
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
            other_senders: Vec::new(),
            references: Vec::new(),
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

    let outcome = fixture
        .transport
        .send(&fixture.saved, &fixture.saved.settings.email_address, &large, &OpenGate)
        .await;

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
async fn a_mail_costs_one_round_trip_with_chunking_and_two_with_pipelining() {
    for (pipelining, chunking, expect) in
        [(true, true, 1), (true, false, 2), (false, true, 4), (false, false, 4)]
    {
        let mut config = SimConfig::sink();
        config.smtp.extensions.pipelining = pipelining;
        config.smtp.extensions.chunking = chunking;
        let fixture = Fixture::with(config, Encryption::StartTls).await;
        assert!(is_accepted(&fixture.send(0).await), "it makes the connection");
        let first = fixture.simulator.stats().round_trips;

        for number in 1..=20 {
            assert!(is_accepted(&fixture.send(number).await));
        }

        let stats = fixture.simulator.stats();
        let shown = format!("pipelining {pipelining}, chunking {chunking}");
        assert_eq!(stats.round_trips - first, 20 * expect, "{shown}");
        assert_eq!(stats.connections.total, 1, "{shown}");
        let accepted = fixture.simulator.accepted();
        let parser = mail_parser::MessageParser::default;
        assert!(accepted.iter().all(|mail| {
            let parsed = parser().parse(&mail.data).unwrap();
            parsed.body_text(0).unwrap() == ".\r\n..\r\nGrüße\r\n."
        }));
        fixture.finish().await;
    }
}

#[tokio::test]
async fn a_cut_behind_a_mail_that_went_at_once_is_unknown() {
    for (phase, action, accepted) in [
        (Phase::Mail, Action::Cut, 1),
        (Phase::Rcpt, Action::Cut, 1),
        (Phase::Body, Action::Cut, 1),
        (Phase::EndOfData, Action::Cut, 1),
        (Phase::EndOfData, Action::CutAfterAccept, 2),
    ] {
        let fixture = Fixture::warm().await;
        fixture.simulator.faults().push(Fault::next(1, phase, action.clone()));

        let outcome = fixture.send(1).await;

        assert!(matches!(outcome, SendOutcome::Unknown { .. }), "{phase:?}: {outcome:?}");
        assert_eq!(fixture.simulator.accepted_count(), accepted, "{phase:?} {action:?}");
        assert!(is_accepted(&fixture.send(2).await), "the next one goes over a new connection");
        assert_eq!(fixture.simulator.stats().mails_repeated, 0);
        fixture.finish().await;
    }
}

#[tokio::test]
async fn a_connection_that_ends_between_mails_costs_nothing() {
    let fixture = Fixture::warm().await;
    let going = Action::Reply("421 4.3.2 Service not available".to_owned());
    fixture.simulator.faults().push(Fault::next(1, Phase::Mail, going));

    assert!(is_accepted(&fixture.send(1).await), "421 says that it was not taken");

    let stats = fixture.simulator.stats();
    assert_eq!((stats.mails_accepted, stats.mails_repeated, stats.connections.total), (2, 0, 2));
    fixture.finish().await;
}

#[tokio::test]
async fn refusals_of_a_mail_that_went_at_once_are_told_apart() {
    let refused = |outcome: &SendOutcome, code: u16| {
        matches!(outcome, SendOutcome::Judged(verdicts)
            if matches!(&verdicts[..], [Verdict::Refused(reason)]
                if reason.reply.as_ref().is_some_and(|reply| reply.code == code)))
    };
    for (phase, reply) in [
        (Phase::Mail, "552 5.3.4 Message size exceeds fixed maximum message size"),
        (Phase::Rcpt, "550 5.1.1 User unknown"),
        (Phase::EndOfData, "554 5.6.0 Corrupt message content"),
    ] {
        let fixture = Fixture::warm().await;
        fixture.simulator.faults().push(Fault::next(1, phase, Action::Reply(reply.to_owned())));

        let outcome = fixture.send(1).await;

        assert!(refused(&outcome, reply[..3].parse().unwrap()), "{phase:?}: {outcome:?}");
        for number in 2..5 {
            assert!(is_accepted(&fixture.send(number).await), "the connection goes on");
        }
        let stats = fixture.simulator.stats();
        assert_eq!((stats.mails_accepted, stats.connections.total), (4, 1), "{phase:?}");
        fixture.finish().await;
    }
}

#[tokio::test]
async fn a_token_goes_by_oauthbearer_where_xoauth2_is_missing() {
    let mut config = SimConfig::sink();
    config.smtp.mechanisms =
        Mechanisms { login: true, plain: false, xoauth2: false, oauthbearer: true };
    let simulator = Simulator::start(config).await.unwrap();
    let tokens = Arc::new(SimTokens::new(&simulator));
    let client = OauthClient {
        client_id: DEFAULT_CLIENT_ID.to_owned(),
        tenant_id: None,
        credential: ClientCredential::SecretPost(ClientSecret::from("unused".to_owned())),
        client_secret_expire_date: None,
        next_secret: None,
        token_endpoint: simulator.token_url(DEFAULT_TENANT_ID),
        scope: DEFAULT_SCOPE.to_owned(),
    };
    let authentication = Authentication::Oauth(client);
    let fixture = Fixture::over(simulator, Encryption::StartTls, authentication, tokens);

    // The first token is short and goes in the AUTH line, the second has a line of its own.
    let outcome = fixture.send(1).await;

    assert!(is_accepted(&outcome), "{outcome:?}");
    let stats = fixture.simulator.stats();
    assert_eq!((stats.auths_refused, stats.auths_accepted), (1, 1));
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
