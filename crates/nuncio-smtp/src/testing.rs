//! Scripted servers over streams in memory, and what else the tests of this crate share.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::job::Reason;
use nuncio_core::mail::{Mail, Recipient, RecipientKind};
use nuncio_core::ports::mail::{BodyGate, OutgoingMail};
use nuncio_core::ports::token::{Token, TokenError, TokenErrorKind, TokenRequest, TokenSource};
use nuncio_core::secret::{AccessToken, ClientSecret, Sensitive};
use nuncio_core::settings::{
    Authentication, ClientCredential, Encryption, MailboxLimits, OauthClient, Provider,
    SavedSmtpSettings, SmtpSettings,
};
use nuncio_net::network::{Io, Network};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::auth::{Login, Mechanism};

pub(crate) const HOST: &str = "mx.test";
pub(crate) const MAILBOX: &str = "sender@mx.test";
pub(crate) const DEAD_PORT: u16 = 1;
const STREAM_BYTES: usize = 256 * 1024;
/// Longer than any client waits.
const DEAF_FOR: Duration = Duration::from_hours(1);

/// A network on which each connection meets the next script. Each line of a script is a step:
///
/// `S: text` says a line, `RAW: text` says it without its end, `C: text` wants exactly this line,
/// `BODY` wants a mail up to its end, `BDAT` wants one in a chunk, `WAIT` waits for [`Servers::go_on`], `TLS` makes a TLS connection, `CUT` closes, `HANG` says nothing
/// more, `DEAF` reads nothing more either. At its end the server waits for QUIT or the end of the stream.
pub(crate) struct Servers {
    scripts: Mutex<VecDeque<String>>,
    running: Mutex<JoinSet<()>>,
    acceptor: TlsAcceptor,
    pub(crate) ca_pem: String,
    heard: Arc<Mutex<Vec<String>>>,
    go_on: Arc<Notify>,
    /// What the name service says of [`HOST`]. Nothing answers at [`DEAD_PORT`].
    pub(crate) addresses: Vec<SocketAddr>,
    refuse: bool,
}

impl Servers {
    pub(crate) fn new(scripts: &[String]) -> Self {
        let (acceptor, ca_pem) = identity(HOST);
        Self {
            scripts: Mutex::new(scripts.iter().cloned().collect()),
            running: Mutex::default(),
            acceptor,
            ca_pem,
            heard: Arc::default(),
            go_on: Arc::default(),
            addresses: vec![([192, 0, 2, 1], 587).into()],
            refuse: false,
        }
    }

    /// A host that has an address where nothing listens.
    pub(crate) fn closed_port() -> Self {
        Self { refuse: true, ..Self::new(&[]) }
    }

    /// All lines that the servers heard, the contents of mails joined into one.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Lets a server that waits go on.
    pub(crate) fn go_on(&self) {
        self.go_on.notify_one();
    }

    pub(crate) fn is_every_script_used(&self) -> bool {
        self.scripts.lock().unwrap().is_empty()
    }

    /// Waits until every server has ended, and fails if one heard what it did not want.
    pub(crate) async fn finish(&self) {
        let mut running = std::mem::take(&mut *self.running.lock().unwrap());
        while let Some(end) = running.join_next().await {
            end.unwrap();
        }
        assert!(self.is_every_script_used(), "there were fewer connections than scripts");
    }
}

#[async_trait]
impl Network for Servers {
    async fn resolve(&self, host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        if host == HOST {
            Ok(self.addresses.clone())
        } else {
            Err(io::Error::other("no such host is known"))
        }
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Io>> {
        if address.port() == DEAD_PORT {
            return std::future::pending().await;
        }
        if self.refuse {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let Some(script) = self.scripts.lock().unwrap().pop_front() else {
            return std::future::pending().await;
        };
        let (near, far) = duplex(STREAM_BYTES);
        let server = Server {
            stream: Some(Box::new(far)),
            heard: Arc::clone(&self.heard),
            go_on: Arc::clone(&self.go_on),
            script,
        };
        self.running.lock().unwrap().spawn(server.run(self.acceptor.clone()));
        Ok(Box::new(near))
    }
}

struct Server {
    stream: Option<Box<dyn Io>>,
    heard: Arc<Mutex<Vec<String>>>,
    go_on: Arc<Notify>,
    script: String,
}

impl Server {
    async fn run(mut self, acceptor: TlsAcceptor) {
        for step in self.script.clone().lines().map(str::trim_start) {
            let (verb, text) = step.split_once(": ").unwrap_or((step.trim_end(), ""));
            match verb {
                "S" | "S:" => self.say(&format!("{text}\r\n")).await,
                "RAW" => self.say(&text.replace("\\n", "\r\n")).await,
                "C" | "C:" => {
                    let line = self.hear(b"\r\n").await;
                    assert_eq!(line.as_deref(), Some(text), "in\n{}", self.script);
                }
                "BODY" => assert!(self.hear(b"\r\n.\r\n").await.is_some(), "no whole mail"),
                "BDAT" => self.hear_chunk().await,
                "WAIT" => self.go_on.notified().await,
                "TLS" => {
                    let stream = self.stream.take().unwrap();
                    match acceptor.accept(stream).await {
                        Ok(stream) => self.stream = Some(Box::new(stream)),
                        Err(_refused_by_the_client) => return,
                    }
                }
                "CUT" => return,
                "DEAF" => {
                    tokio::time::sleep(DEAF_FOR).await;
                    return;
                }
                "HANG" => {
                    while self.hear(b"\r\n").await.is_some() {}
                    return;
                }
                other => panic!("`{other}` is no step"),
            }
        }
        match self.hear(b"\r\n").await.as_deref() {
            None => {}
            Some("QUIT") => self.say("221 2.0.0 bye\r\n").await,
            Some(other) => panic!("`{other}` behind the end of\n{}", self.script),
        }
    }

    async fn say(&mut self, text: &str) {
        let stream = self.stream.as_mut().unwrap();
        // The client may have gone; what it should have done is checked by what is heard.
        drop(stream.write_all(text.as_bytes()).await);
        drop(stream.flush().await);
    }

    async fn hear_chunk(&mut self) {
        let line = self.hear(b"\r\n").await.expect("a command");
        let size = line.strip_prefix("BDAT ").and_then(|rest| rest.strip_suffix(" LAST"));
        let size = size.and_then(|size| size.parse().ok()).expect("`BDAT … LAST`");
        let mut content = vec![0; size];
        self.stream.as_mut().unwrap().read_exact(&mut content).await.unwrap();
        self.heard.lock().unwrap().push(String::from_utf8(content).unwrap());
    }

    /// What comes up to `end`, without it; nothing if the client has gone.
    async fn hear(&mut self, end: &[u8]) -> Option<String> {
        let mut heard = Vec::new();
        while !heard.ends_with(end) {
            match self.stream.as_mut().unwrap().read_u8().await {
                Ok(byte) => heard.push(byte),
                Err(_end) => return None,
            }
        }
        heard.truncate(heard.len() - end.len());
        let heard = String::from_utf8(heard).unwrap();
        self.heard.lock().unwrap().push(heard.clone());
        Some(heard)
    }
}

/// A server with a certificate for `name` by a new authority, and that authority.
fn identity(name: &str) -> (TlsAcceptor, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

/// The talk up to the EHLO over TLS, whose answer offers `extensions`.
pub(crate) fn starttls(extensions: &str) -> String {
    format!(
        "S: 220 mx.test ready\nC: EHLO node.test\nS: 250-mx.test\nS: 250 STARTTLS\nC: STARTTLS\n\
         S: 220 2.0.0 go\nTLS\n{}",
        ehlo(extensions)
    )
}

/// The talk up to EHLO without TLS.
pub(crate) fn plain(extensions: &str) -> String {
    format!("S: 220 mx.test ready\n{}", ehlo(extensions))
}

fn ehlo(extensions: &str) -> String {
    let lines = extensions.replace(", ", "\nS: 250-");
    format!("C: EHLO node.test\nS: 250-mx.test\nS: 250-{lines}\nS: 250 HELP\n")
}

/// A login with `token` up to the server's answer.
pub(crate) fn auth(token: &str) -> String {
    let response = oauth_login(token).responses(Mechanism::Xoauth2).remove(0);
    format!("C: AUTH XOAUTH2\nS: 334 \nC: {response}\n")
}

pub(crate) fn oauth_login(token: &str) -> Login {
    Login::Oauth {
        username: MAILBOX.to_owned(),
        token: access_token(token),
        host: HOST.to_owned(),
        port: 587,
    }
}

/// A pipelined transaction for one recipient, up to the server's answer to the mail.
pub(crate) fn mail() -> String {
    format!(
        "C: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nC: DATA\nS: 250 2.1.0 ok\n\
         S: 250 2.1.5 ok\nS: 354 go\nBODY\n"
    )
}

/// The commands for one recipient and the mail, which come together.
pub(crate) fn at_once() -> String {
    format!("C: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nBDAT\n")
}

pub(crate) fn access_token(text: &str) -> AccessToken {
    AccessToken::from(text.to_owned())
}

/// Gives tokens one after the other: the next one after each that was invalidated.
pub(crate) struct Tokens {
    pub(crate) next: Mutex<VecDeque<Result<Token, TokenError>>>,
    /// What was asked.
    pub(crate) calls: Mutex<Vec<String>>,
}

impl Tokens {
    pub(crate) fn new(tokens: &[&str]) -> Arc<Self> {
        Self::until("2026-11-23T13:00:00Z", tokens)
    }

    pub(crate) fn until(expires_at: &str, tokens: &[&str]) -> Arc<Self> {
        let expires_at = expires_at.parse().unwrap();
        let token =
            |text: &&str| Token { access_token: access_token(text), expires_at, passed_over: None };
        let next = Mutex::new(tokens.iter().map(token).map(Ok).collect());
        Arc::new(Self { next, calls: Mutex::default() })
    }

    pub(crate) fn failing(code: &str, kind: TokenErrorKind) -> Arc<Self> {
        let reason = Reason::new(code, "no token").remedy("do something");
        let error = TokenError { kind, reason, presented_chain: Vec::new() };
        Arc::new(Self { next: Mutex::new([Err(error)].into()), calls: Mutex::default() })
    }

    pub(crate) fn calls(&self) -> String {
        self.calls.lock().unwrap().join(" ")
    }

    #[expect(clippy::result_large_err, reason = "the error of the port")]
    fn give(&self, call: &str) -> Result<Token, TokenError> {
        self.calls.lock().unwrap().push(call.to_owned());
        self.next
            .lock()
            .unwrap()
            .front()
            .cloned()
            .expect("no more tokens were meant to be asked for")
    }
}

#[async_trait]
impl TokenSource for Tokens {
    async fn token(&self, _request: TokenRequest<'_>) -> Result<Token, TokenError> {
        self.give("token")
    }

    async fn invalidate(&self, _request: TokenRequest<'_>, refused: &AccessToken) {
        self.calls.lock().unwrap().push("invalidate".to_owned());
        let mut next = self.next.lock().unwrap();
        let is_present = matches!(next.front(), Some(Ok(token)) if token.access_token == *refused);
        if is_present && next.len() > 1 {
            next.pop_front();
        }
    }

    async fn fetch(&self, _request: TokenRequest<'_>) -> Result<Token, TokenError> {
        self.give("fetch")
    }

    async fn cached_until(&self, _request: TokenRequest<'_>) -> Option<Timestamp> {
        None
    }
}

/// A gate that is open or shut.
pub(crate) struct Gate(pub(crate) bool);

#[async_trait]
impl BodyGate for Gate {
    async fn open(&self) -> bool {
        self.0
    }
}

pub(crate) fn oauth() -> Authentication {
    Authentication::Oauth(OauthClient {
        client_id: "client".to_owned(),
        tenant_id: None,
        credential: ClientCredential::SecretPost(ClientSecret::from("secret".to_owned())),
        client_secret_expire_date: None,
        next_secret: None,
        token_endpoint: "https://login.test/token".to_owned(),
        scope: "mail".to_owned(),
    })
}

pub(crate) fn settings(servers: &Servers) -> SavedSmtpSettings {
    let limits = MailboxLimits {
        connections_max: 3,
        messages_per_minute_max: None,
        recipients_per_day_max: None,
    };
    let settings = SmtpSettings {
        provider: Provider::Generic,
        host: HOST.to_owned(),
        port: 587,
        connect_timeout: Duration::from_mins(1),
        encryption: Encryption::StartTls,
        email_address: MAILBOX.parse().unwrap(),
        proxy: None,
        additional_mailboxes: Vec::new(),
        authentication: oauth(),
        ca_certificates_pem: servers.ca_pem.clone(),
        limits,
    };
    SavedSmtpSettings {
        settings,
        generation: 1,
        saved_at: Timestamp::UNIX_EPOCH,
        history: Vec::new(),
    }
}

/// The same without TLS and login.
pub(crate) fn plain_settings(servers: &Servers) -> SavedSmtpSettings {
    let mut saved = settings(servers);
    saved.settings.encryption = Encryption::None;
    saved.settings.authentication = Authentication::None;
    saved
}

pub(crate) fn outgoing(recipients: &[&str]) -> OutgoingMail {
    let recipient = |text: &&str| Recipient {
        mailbox: text.parse::<nuncio_core::address::EmailAddress>().unwrap().into(),
        kind: RecipientKind::To,
    };
    let recipients: Vec<Recipient> = recipients.iter().map(recipient).collect();
    OutgoingMail {
        message_id: "<1@nuncio.test>".to_owned(),
        date: "2026-11-23T12:00:00Z".parse().unwrap(),
        recipients: recipients.iter().map(|one| one.mailbox.address.clone()).collect(),
        mail: Mail {
            from: None,
            reply_to: None,
            other_senders: Vec::new(),
            references: Vec::new(),
            recipients,
            subject: "hello".to_owned(),
            text: Some(Sensitive::from("a text\n.\nmore".to_owned())),
            html: None,
            attachments: Vec::new(),
            template: None,
        },
    }
}
