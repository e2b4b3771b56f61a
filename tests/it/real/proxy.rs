//! Both servers are reached through real proxies: tinyproxy by CONNECT, microsocks by SOCKS5.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use nuncio_api::v1;
use nuncio_api::v1::{ChannelState, MailJobState, SmtpTestStageKind};
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails;
use nuncio_tests::node::TestNode;
use nuncio_tests::real_servers::RealServers;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{check_told, failed, fresh, good, shown, stage};

/// At the loopback address nothing listens there, and tinyproxy lets nuncio try.
const DEAD_PORT: i32 = 1;

#[derive(Clone, Copy)]
enum Kind {
    Http,
    Socks5,
}

const BOTH: [Kind; 2] = [Kind::Http, Kind::Socks5];

impl Kind {
    fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Socks5 => "socks5",
        }
    }

    fn port(self, servers: &RealServers) -> u16 {
        match self {
            Self::Http => servers.port("HTTP_PROXY_PORT"),
            Self::Socks5 => servers.port("SOCKS_PROXY_PORT"),
        }
    }

    fn url(self, servers: &RealServers) -> String {
        format!("{}://localhost:{}", self.scheme(), self.port(servers))
    }

    /// How often the proxy says that it has connected to this port.
    fn connections_to(self, servers: &RealServers, port: u16) -> usize {
        let (log, line) = match self {
            Self::Http => ("tinyproxy.log", format!("CONNECT localhost:{port} ")),
            Self::Socks5 => ("microsocks.out.log", format!("connected to localhost:{port}\n")),
        };
        let file = format!("{}/{log}", servers.get("LOG_DIR"));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        text.matches(&line).count()
    }
}

fn proxy(servers: &RealServers, kind: Kind) -> v1::Proxy {
    v1::Proxy {
        url: kind.url(servers),
        username: servers.get("PROXY_USER").to_owned(),
        password: servers.get("PROXY_PASSWORD").to_owned(),
        ..v1::Proxy::default()
    }
}

fn through(proxy: v1::Proxy, settings: v1::SmtpSettings) -> v1::SmtpSettings {
    v1::SmtpSettings { proxy: Some(proxy), ..settings }
}

#[tokio::test]
async fn mails_and_tokens_go_through_both_kinds_of_proxy() {
    let servers = RealServers::in_turn().await;
    let token_port = servers.port("OAUTH_PORT");
    let smtp_port = servers.port("SMTP_STARTTLS_PORT");
    for kind in BOTH {
        let node = TestNode::start().await;
        let recipient = fresh(&format!("proxy-{}", kind.scheme()));
        let before =
            (kind.connections_to(&servers, token_port), kind.connections_to(&servers, smtp_port));
        let settings = through(proxy(&servers, kind), good(&servers));

        let report = node.test(settings.clone()).await;
        assert_eq!(shown(&report), "+ - - + + + + +", "{report:#?}");
        let told = stage(&report, SmtpTestStageKind::Proxy);
        let expect = format!("connected to localhost:{smtp_port} through the proxy at 127.0.0.1:");
        assert!(told.detail.starts_with(&expect), "{told:#?}");
        assert!(told.elapsed.is_some(), "{told:#?}");
        let saved = node.save(settings).await.unwrap();
        let job = node.submit(mails::raw(v1::MailClass::Bulk, "through", &[&recipient])).await;
        let job = node.wait_for_end(&job.name, PATIENCE).await;

        assert_eq!(job.state(), MailJobState::Sent, "{job:#?}");
        servers.wait_for_mail(&recipient, 1, PATIENCE).await;
        // The test and the mail, each with a token and a connection of its own.
        assert!(before.0 + 2 <= kind.connections_to(&servers, token_port), "tokens");
        assert!(before.1 + 2 <= kind.connections_to(&servers, smtp_port), "mails");
        let shown = saved.proxy.unwrap();
        assert_eq!((shown.password.as_str(), shown.password_set), ("", true));
        node.stop().await;
    }
}

#[tokio::test]
async fn the_password_of_a_proxy_is_kept_for_this_proxy_only() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let settings = through(proxy(&servers, Kind::Http), good(&servers));
    let saved = node.save_tested(settings).await;

    assert_eq!(shown(&node.test(saved.clone()).await), "+ - - + + + + +");
    let other = v1::Proxy { url: Kind::Socks5.url(&servers), ..saved.proxy.clone().unwrap() };
    let refused = node.save(through(other, saved)).await.unwrap_err();

    let told = format!("{refused:?}");
    assert!(told.contains("INVALID_SMTP_SETTINGS") && told.contains("proxy.password"), "{told}");
    node.stop().await;
}

#[tokio::test]
async fn servers_past_the_proxy_are_reached_directly() {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let nowhere = v1::Proxy {
        url: format!("http://localhost:{DEAD_PORT}"),
        bypass: vec!["localhost".to_owned()],
        ..v1::Proxy::default()
    };

    let report = node.test(through(nowhere, good(&servers))).await;

    assert_eq!(shown(&report), "- + + + + + + +", "{report:#?}");
    node.stop().await;
}

/// Checks what is told where the proxy is in the way of both servers.
async fn check(
    kind: Kind,
    change: impl FnOnce(&mut v1::SmtpSettings, &mut v1::Proxy),
    expect: &str,
    cause: &[&str],
    remedy: &[&str],
) {
    let servers = RealServers::in_turn().await;
    let node = TestNode::start().await;
    let (mut settings, mut proxy) = (good(&servers), proxy(&servers, kind));
    change(&mut settings, &mut proxy);

    let report = node.test(through(proxy, settings)).await;

    assert_eq!(shown(&report), expect, "{report:#?}");
    let proxy_stage = stage(&report, SmtpTestStageKind::Proxy);
    check_told(proxy_stage, cause, remedy);
    assert!(!format!("{report:?}").contains(servers.get("PROXY_PASSWORD")));
    node.stop().await;
}

#[tokio::test]
async fn missing_and_wrong_credentials_of_a_proxy_are_told_apart() {
    for kind in BOTH {
        check(
            kind,
            |_settings, proxy| {
                proxy.username.clear();
                proxy.password.clear();
            },
            "PROXY_CREDENTIALS_MISSING - - - PROXY_CREDENTIALS_MISSING - - -",
            &["wants a user name and a password"],
            &["give the proxy's user name and password"],
        )
        .await;
        check(
            kind,
            |_settings, proxy| proxy.password = "wrong".to_owned(),
            "PROXY_CREDENTIALS_REFUSED - - - PROXY_CREDENTIALS_REFUSED - - -",
            &["refused user name and password"],
            &["check the proxy's user name and password"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_port_that_a_proxy_does_not_allow_is_told() {
    let plain = i32::from(RealServers::in_turn().await.port("SMTP_PLAIN_PORT"));
    check(
        Kind::Http,
        |settings, _proxy| settings.port = plain,
        "PROXY_REFUSED - - - + - - -",
        &["refused to connect to the SMTP server", "403"],
        &["have the proxy's operator allow this server and port"],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_a_proxy_cannot_reach_is_told() {
    for kind in BOTH {
        check(
            kind,
            |settings, _proxy| settings.port = DEAD_PORT,
            "PROXY_IN_VAIN - - - + - - -",
            &["could not reach the SMTP server `localhost:1`"],
            &["check the server's host and port"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_told_from_a_name_that_nobody_knows() {
    for (url, code, cause) in [
        (format!("http://localhost:{DEAD_PORT}"), "PROXY_UNREACHABLE", "could not be connected to"),
        ("socks5://proxy.invalid:1080".to_owned(), "PROXY_NOT_FOUND", "`proxy.invalid`"),
    ] {
        check(
            Kind::Http,
            |_settings, proxy| proxy.url = url,
            &format!("{code} - - - {code} - - -"),
            &[cause],
            &["check the proxy's"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_proxy_of_the_other_kind_is_told() {
    let servers = RealServers::in_turn().await;
    let (http, socks) = (Kind::Http.port(&servers), Kind::Socks5.port(&servers));
    check(
        Kind::Socks5,
        |_settings, proxy| proxy.url = format!("http://localhost:{socks}"),
        "NOT_A_PROXY - - - NOT_A_PROXY - - -",
        &["does not answer like an HTTP proxy"],
        &["check the proxy's kind"],
    )
    .await;
    // An HTTP proxy that hears SOCKS waits for the end of the line.
    check(
        Kind::Http,
        |settings, proxy| {
            settings.connect_timeout = Some(prost_types::Duration { seconds: 2, nanos: 0 });
            proxy.url = format!("socks5://localhost:{http}");
        },
        "PROXY_TIMED_OUT - - - PROXY_TIMED_OUT - - -",
        &["gave no answer within 2 s"],
        &["that it is a SOCKS5 proxy"],
    )
    .await;
}

/// A proxy sees ciphertext only: the certificate is the server's, checked by the server's name.
#[tokio::test]
async fn the_certificate_of_the_server_is_checked_through_the_proxy() {
    let servers = RealServers::in_turn().await;
    for kind in BOTH {
        let node = TestNode::start().await;
        let wrong_name = v1::SmtpSettings {
            port: servers.port("SMTP_WRONG_NAME_PORT").into(),
            ..good(&servers)
        };

        let report = node.test(through(proxy(&servers, kind), wrong_name)).await;

        assert_eq!(shown(&report), "+ - - CERTIFICATE_NAME_MISMATCH + - - -", "{report:#?}");
        assert!(!failed(&report).presented_chain.is_empty(), "{report:#?}");
        node.stop().await;
    }
}

/// Passes on to a proxy what comes to a port, as long as it lives.
struct Middle {
    address: SocketAddr,
    to: u16,
    tasks: JoinSet<()>,
}

impl Middle {
    async fn to(to: u16) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut middle = Self { address: any, to, tasks: JoinSet::new() };
        middle.open().await;
        middle
    }

    async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let to = self.to;
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await.unwrap();
                    // How it ends is for both sides to see.
                    drop(copy_bidirectional(&mut near, &mut far).await);
                });
            }
        });
    }

    /// Cuts all connections; new ones are refused.
    async fn close(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[tokio::test]
async fn a_proxy_that_goes_away_holds_mails_and_costs_no_attempt() {
    let servers = RealServers::in_turn().await;
    for kind in BOTH {
        let node = TestNode::start().await;
        let recipient = fresh(&format!("proxy-away-{}", kind.scheme()));
        let mut middle = Middle::to(kind.port(&servers)).await;
        let url = format!("{}://{}", kind.scheme(), middle.address);
        let by_middle = v1::Proxy { url, ..proxy(&servers, kind) };
        node.save_tested(through(by_middle, good(&servers))).await;

        middle.close().await;
        let job = node.submit(mails::raw(v1::MailClass::Bulk, "away", &[&recipient])).await;
        let held = node.wait_for_state(&job.name, MailJobState::Deferred, PATIENCE).await;
        let why = held.reason.unwrap_or_default();
        // A connection that was under way breaks; those that come later are refused.
        let codes = ["PROXY_UNREACHABLE", "PROXY_BROKEN"];
        assert!(codes.contains(&why.code.as_str()) && held.attempt_count == 0, "{why:?}");
        let channel = node.wait_for_channel(ChannelState::Paused, PATIENCE).await;
        assert!(channel.reason.contains("the proxy"), "{channel:?}");
        middle.open().await;

        let job = node.wait_for_end(&job.name, PATIENCE).await;
        assert_eq!((job.state(), job.attempt_count), (MailJobState::Sent, 1), "{job:#?}");
        servers.wait_for_mail(&recipient, 1, PATIENCE).await;
        node.stop().await;
    }
}
