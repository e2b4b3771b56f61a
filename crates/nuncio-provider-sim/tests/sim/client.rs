//! A client that does exactly what a test tells it, word for word.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nuncio_provider_sim::config::*;
use nuncio_provider_sim::simulator::Simulator;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Nothing in these tests takes longer, unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Long enough to see that nothing comes.
const SILENCE: Duration = Duration::from_millis(150);

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) struct Smtp {
    io: Box<dyn Io>,
    input: Vec<u8>,
}

impl Smtp {
    /// Connected in clear text, nothing read yet.
    pub(crate) async fn plain(sim: &Simulator) -> Self {
        Self::over(TcpStream::connect(sim.starttls_addr()).await.unwrap())
    }

    /// Connected with TLS from the first byte, nothing read yet.
    pub(crate) async fn tls(sim: &Simulator) -> Self {
        let tcp = TcpStream::connect(sim.implicit_tls_addr()).await.unwrap();
        Self::over(handshake(sim, tcp).await.unwrap())
    }

    /// Connected with TLS, greeted, EHLO done.
    pub(crate) async fn hello(sim: &Simulator) -> Self {
        let mut smtp = Self::tls(sim).await;
        assert_code(&smtp.reply().await, "220");
        assert_code(&smtp.command("EHLO test").await, "250");
        smtp
    }

    /// Logged in with a fresh token as the default mailbox.
    pub(crate) async fn ready(sim: &Simulator) -> Self {
        Self::ready_as(sim, DEFAULT_MAILBOX).await
    }

    pub(crate) async fn ready_as(sim: &Simulator, mailbox: &str) -> Self {
        let mut smtp = Self::hello(sim).await;
        let response = xoauth2(mailbox, &token(sim).await);
        assert_code(&smtp.command("AUTH XOAUTH2").await, "334");
        assert_code(&smtp.command(&response).await, "235");
        smtp
    }

    pub(crate) fn over(io: impl Io + 'static) -> Self {
        Self { io: Box::new(io), input: Vec::new() }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.io.write_all(text.as_bytes()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    pub(crate) async fn command(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r\n")).await;
        self.reply().await
    }

    /// All lines of a reply, joined with `\n`; empty if the connection ended.
    pub(crate) async fn reply(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            let Some(line) = self.line().await else { return lines.join("\n") };
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return lines.join("\n");
            }
        }
    }

    pub(crate) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.input.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=at).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            let mut buffer = [0; 4096];
            let read = tokio::time::timeout(DEADLINE, self.io.read(&mut buffer))
                .await
                .expect("a reply in time");
            match read {
                Ok(0) | Err(_) => return None,
                Ok(size) => self.input.extend_from_slice(&buffer[..size]),
            }
        }
    }

    /// Whether the server says nothing, and keeps the connection open.
    pub(crate) async fn is_silent(&mut self) -> bool {
        let mut buffer = [0; 1];
        tokio::time::timeout(SILENCE, self.io.read(&mut buffer)).await.is_err()
    }

    /// Whether the server ends the connection without another word.
    pub(crate) async fn is_cut(&mut self) -> bool {
        self.line().await.is_none()
    }

    /// Sends MAIL and RCPT, which are to succeed, and opens DATA.
    pub(crate) async fn open(&mut self, from: &str, to: &[&str]) {
        assert_code(&self.command(&format!("MAIL FROM:<{from}>")).await, "250");
        for to in to {
            assert_code(&self.command(&format!("RCPT TO:<{to}>")).await, "250");
        }
        assert_code(&self.command("DATA").await, "354");
    }

    /// Sends a mail of the default mailbox, and returns the reply to the end of data.
    pub(crate) async fn mail(&mut self, message_id: &str, to: &[&str]) -> String {
        self.open(DEFAULT_MAILBOX, to).await;
        self.command(&format!("{}.", message(DEFAULT_MAILBOX, message_id))).await
    }
}

pub(crate) async fn handshake(sim: &Simulator, tcp: TcpStream) -> std::io::Result<impl Io + use<>> {
    let mut roots = RootCertStore::empty();
    roots.add(sim.pki().ca_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

pub(crate) fn message(from: &str, message_id: &str) -> String {
    format!(
        "From: Guest Portal <{from}>\r\nMessage-ID: <{message_id}>\r\nSubject: test\r\n\r\nhello\r\n"
    )
}

#[track_caller]
pub(crate) fn assert_code(reply: &str, code: &str) {
    assert!(reply.starts_with(code), "wanted `{code}`, got `{reply}`");
}

pub(crate) fn xoauth2(user: &str, token: &str) -> String {
    STANDARD.encode(format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// One HTTP request on a connection of its own; `None` if it broke.
pub(crate) async fn http(mut io: impl Io, head: &str, body: &str) -> Option<Response> {
    let request = format!(
        "{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    io.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    tokio::time::timeout(DEADLINE, io.read_to_end(&mut answer))
        .await
        .expect("an answer in time")
        .ok()?;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Response { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

/// A request to the token endpoint.
pub(crate) async fn to_token_endpoint(sim: &Simulator, head: &str, body: &str) -> Option<Response> {
    let tcp = TcpStream::connect(sim.token_addr()).await.unwrap();
    http(handshake(sim, tcp).await.unwrap(), head, body).await
}

/// A token request with these form fields.
pub(crate) async fn ask(
    sim: &Simulator,
    tenant: &str,
    fields: &[(&str, &str)],
) -> Option<Response> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let head = format!(
        "POST /{tenant}/oauth2/v2.0/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded"
    );
    to_token_endpoint(sim, &head, &body).await
}

/// The form of a good request.
pub(crate) const GOOD: [(&str, &str); 4] = [
    ("grant_type", "client_credentials"),
    ("client_id", DEFAULT_CLIENT_ID),
    ("client_secret", DEFAULT_CLIENT_SECRET),
    ("scope", DEFAULT_SCOPE),
];

/// The form of a good request with other values for some fields; an empty value is as good as none.
pub(crate) fn form<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let unchanged =
        GOOD.into_iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    unchanged.chain(changes.iter().copied()).collect()
}

pub(crate) async fn token(sim: &Simulator) -> String {
    token_for(sim, DEFAULT_SCOPE).await
}

pub(crate) async fn token_for(sim: &Simulator, scope: &str) -> String {
    let response = ask(sim, DEFAULT_TENANT_ID, &form(&[("scope", scope)])).await.unwrap();
    assert_eq!(response.status, 200, "{}", response.body);
    response.json()["access_token"].as_str().unwrap().to_owned()
}

/// A simulator of Exchange with changes.
pub(crate) async fn simulator(change: impl FnOnce(&mut SimConfig)) -> Simulator {
    let mut config = SimConfig::exchange();
    change(&mut config);
    Simulator::start(config).await.unwrap()
}

pub(crate) async fn exchange() -> Simulator {
    simulator(|_| {}).await
}
