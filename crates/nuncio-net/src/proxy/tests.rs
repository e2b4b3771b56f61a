use std::sync::Mutex;

use async_trait::async_trait;
use nuncio_core::settings::proxy::ProxyCredentials;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const SERVER: &str = "the SMTP server `mx.test:587`";
const STREAM_BYTES: usize = 64 * 1024;

/// A network with one proxy, which is the other end of a stream.
struct OneProxy(Mutex<Option<DuplexStream>>);

#[async_trait]
impl Network for OneProxy {
    async fn resolve(&self, host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        match host {
            "proxy.test" => Ok(vec![([192, 0, 2, 7], 3128).into()]),
            "slow.test" => std::future::pending().await,
            _ => Err(io::Error::other("no such host is known")),
        }
    }

    async fn connect(&self, _address: SocketAddr) -> io::Result<Box<dyn Io>> {
        match self.0.lock().unwrap().take() {
            Some(stream) => Ok(Box::new(stream)),
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

fn proxy(url: &str) -> Proxy {
    Proxy { address: url.parse().unwrap(), credentials: None, bypass: Vec::new() }
}

fn with_password(proxy: Proxy) -> Proxy {
    let password = "s3cret".to_owned().into();
    let credentials = Some(ProxyCredentials { username: "nuncio".to_owned(), password });
    Proxy { credentials, ..proxy }
}

const HTTP: &str = "http://proxy.test:3128";
const SOCKS: &str = "socks5://proxy.test:1080";

/// A proxy that says `answer` whatever it hears, and the end of its stream.
async fn ask(proxy: &Proxy, answer: &[u8]) -> (Result<Tunnel, ProxyError>, DuplexStream) {
    let (near, mut far) = duplex(STREAM_BYTES);
    far.write_all(answer).await.unwrap();
    let network = OneProxy(Mutex::new(Some(near)));
    let until = Instant::now() + Duration::from_mins(1);
    (reach(&network, proxy, "mx.test", 587, until).await, far)
}

async fn heard(mut far: DuplexStream) -> Vec<u8> {
    let mut heard = Vec::new();
    far.read_to_end(&mut heard).await.unwrap();
    heard
}

/// Checks what comes of an answer: the code, and whether a person must act.
async fn check(proxy: &Proxy, answer: &[u8], code: &str, needs_a_person: bool, told: &str) {
    let (result, far) = ask(proxy, answer).await;
    // A proxy that has said all it has to say hangs up.
    drop(far);
    let error = result.err().unwrap_or_else(|| panic!("no way through by {answer:?}"));
    let explained = error.explain(proxy, &SERVER);
    assert_eq!(explained.code, code, "{explained:?}");
    assert_eq!(error.needs_a_person(), needs_a_person, "{explained:?}");
    assert!(explained.cause.contains(told), "{explained:?}");
    assert!(!explained.remedy.is_empty());
    assert!(!format!("{error:?}{explained:?}").contains("s3cret"), "{explained:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_server_says_right_behind_the_answer_is_left_to_its_reader() {
    let answers =
        ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n"];
    for answer in answers {
        let (tunnel, _far) = ask(&proxy(HTTP), format!("{answer}220 mx").as_bytes()).await;

        let mut tunnel = tunnel.unwrap();
        let mut greeting = [0; 6];
        tunnel.stream.read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"220 mx");
        assert_eq!(tunnel.proxy_address, ([192, 0, 2, 7], 3128).into());
    }
}

#[tokio::test(start_paused = true)]
async fn an_http_proxy_is_asked_for_the_server_by_name() {
    let (tunnel, far) = ask(&with_password(proxy(HTTP)), b"HTTP/1.1 200 OK\r\n\r\n").await;
    drop(tunnel.unwrap());

    let expect = format!(
        "CONNECT mx.test:587 HTTP/1.1\r\nHost: mx.test:587\r\nUser-Agent: nuncio/{}\r\n\
         Proxy-Authorization: Basic bnVuY2lvOnMzY3JldA==\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(String::from_utf8(heard(far).await).unwrap(), expect);
}

#[tokio::test(start_paused = true)]
async fn interim_answers_are_passed_over() {
    let answer =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    ask(&proxy(HTTP), answer).await.0.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refusals_of_an_http_proxy_are_told_apart() {
    let (bare, known) = (proxy(HTTP), with_password(proxy(HTTP)));
    let answer =
        |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nno no").into_bytes();
    for (proxy, status, code, needs_a_person) in [
        (&bare, "407 Proxy Authentication Required", "PROXY_CREDENTIALS_MISSING", true),
        (&known, "407 Proxy Authentication Required", "PROXY_CREDENTIALS_REFUSED", true),
        (&known, "401 Unauthorized", "PROXY_CREDENTIALS_REFUSED", true),
        (&bare, "403 Filtered", "PROXY_REFUSED", true),
        (&bare, "405 Method Not Allowed", "PROXY_REFUSED", true),
        (&bare, "501 Not Implemented", "PROXY_REFUSED", true),
        (&bare, "429 Too Many Requests", "PROXY_IN_VAIN", false),
        (&bare, "500 Unable to connect", "PROXY_IN_VAIN", false),
        (&bare, "502 Bad Gateway", "PROXY_IN_VAIN", false),
        (&bare, "503 Service Unavailable", "PROXY_IN_VAIN", false),
        (&bare, "504 Gateway Timeout", "PROXY_IN_VAIN", false),
        (&bare, "302 Found", "NOT_A_PROXY", false),
    ] {
        check(proxy, &answer(status), code, needs_a_person, status).await;
    }
    check(&known, &answer("403 bad password s3cret"), "PROXY_REFUSED", true, "(403)").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_http_proxy_is_told() {
    let http = proxy(HTTP);
    check(&http, b"220 mx.test ESMTP\r\n", "NOT_A_PROXY", false, "not answer like an HTTP proxy")
        .await;
    let endless = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &vec![b'x'; 20_000]].concat();
    // Without the end of a line.
    check(&http, b"\x05\xff", "NOT_A_PROXY", false, "not answer like an HTTP proxy").await;
    check(&http, &endless, "NOT_A_PROXY", false, "more than 16384 bytes").await;
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(65));
    check(&http, many.as_bytes(), "NOT_A_PROXY", false, "too many headers").await;
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_hangs_up_in_the_middle_is_told() {
    for (url, answer) in [
        (HTTP, b"HTTP/1.1 200".as_slice()),
        (HTTP, b""),
        (SOCKS, b"\x05"),
        (SOCKS, b"\x05\x00\x05\x00"),
    ] {
        let (near, mut far) = duplex(STREAM_BYTES);
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
        let network = OneProxy(Mutex::new(Some(near)));
        let until = Instant::now() + Duration::from_mins(1);

        let error = reach(&network, &proxy(url), "mx.test", 587, until).await.err().unwrap();

        assert!(matches!(error, ProxyError::Broken(_)), "{error:?}");
    }
}

/// The beginnings of answers that proxies give, so that random ones get far.
fn beginning() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"HTTP/1.1 ".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Just(vec![5]),
        Just(vec![5, 0, 5]),
        Just(vec![5, 2, 1, 0, 5, 0, 0]),
        Just(Vec::new()),
    ]
}

proptest! {
    /// Whatever a proxy says, there is an end, and an explanation that fits on a screen.
    #[test]
    fn no_answer_breaks_the_talk_with_a_proxy(
        begin in beginning(),
        rest in proptest::collection::vec(any::<u8>(), 0..300),
        socks in any::<bool>(),
        known in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = duplex(STREAM_BYTES);
            far.write_all(&[begin, rest].concat()).await.unwrap();
            far.shutdown().await.unwrap();
            let proxy = proxy(if socks { SOCKS } else { HTTP });
            let proxy = if known { with_password(proxy) } else { proxy };
            let credentials = proxy.credentials.as_ref();
            let asked = match proxy.address.kind {
                ProxyKind::Http => http::ask(Box::new(near), credentials, "mx.test", 587).await,
                ProxyKind::Socks5 => socks::ask(Box::new(near), credentials, "mx.test", 587).await,
            };
            if let Err(error) = asked {
                let told = error.explain(&proxy, &SERVER);
                assert!(told.cause.len() < 1000 && !told.cause.contains("s3cret"), "{told:?}");
                assert!(!told.cause.chars().any(char::is_control), "{told:?}");
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn each_step_with_a_silent_proxy_has_the_same_dead_line() {
    let started = Instant::now();
    let until = started + Duration::from_secs(20);
    let (near, _far) = duplex(STREAM_BYTES);
    let network = OneProxy(Mutex::new(Some(near)));

    let silent = reach(&network, &proxy(HTTP), "mx.test", 587, until).await.err().unwrap();
    assert!(matches!(silent, ProxyError::TimedOut { doing: Doing::Asking, .. }), "{silent:?}");
    assert_eq!(started.elapsed(), Duration::from_secs(20));

    let until = Instant::now() + Duration::from_secs(20);
    let slow = proxy("http://slow.test:3128");
    let error = reach(&network, &slow, "mx.test", 587, until).await.err().unwrap();
    let explained = error.explain(&slow, &SERVER);
    assert_eq!(explained.code, "PROXY_TIMED_OUT");
    assert!(explained.cause.contains("within 20 s while its name was looked up"), "{explained:?}");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_not_there_is_told_from_an_unknown_name() {
    let network = OneProxy(Mutex::default());
    let until = Instant::now() + Duration::from_secs(20);
    for (url, code) in [(HTTP, "PROXY_UNREACHABLE"), ("http://typo.test:1", "PROXY_NOT_FOUND")] {
        let proxy = proxy(url);
        let error = reach(&network, &proxy, "mx.test", 587, until).await.err().unwrap();
        assert_eq!(error.explain(&proxy, &SERVER).code, code);
    }
}

/// RFC 1928, section 6: the answer to the request, for an IPv4 address.
fn socks_answer(code: u8) -> Vec<u8> {
    vec![5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0]
}

#[tokio::test(start_paused = true)]
async fn a_socks_proxy_is_asked_for_the_server_by_name() {
    let (tunnel, far) = ask(&proxy(SOCKS), &[socks_answer(0), b"220 mx".to_vec()].concat()).await;
    let mut tunnel = tunnel.unwrap();
    let mut greeting = [0; 6];
    tunnel.stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"220 mx");
    drop(tunnel);

    let request =
        [&[5, 1, 0, 5, 1, 0, 3, 7], b"mx.test".as_slice(), &587_u16.to_be_bytes()].concat();
    assert_eq!(heard(far).await, request);
}

#[tokio::test(start_paused = true)]
async fn a_socks_proxy_is_told_user_name_and_password_if_it_asks() {
    let answer = [&[5, 2, 1, 0], &socks_answer(0)[2..]].concat();
    let (tunnel, far) = ask(&with_password(proxy(SOCKS)), &answer).await;
    drop(tunnel.unwrap());

    // RFC 1929, section 2.
    let login = [b"\x01\x06nuncio".as_slice(), b"\x06s3cret"].concat();
    let heard = heard(far).await;
    assert!(heard.windows(login.len()).any(|window| window == login), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn refusals_of_a_socks_proxy_are_told_apart() {
    let (bare, known) = (proxy(SOCKS), with_password(proxy(SOCKS)));
    check(&bare, &[5, 0xFF], "PROXY_CREDENTIALS_MISSING", true, "user name").await;
    check(&known, &[5, 0xFF], "PROXY_CREDENTIALS_REFUSED", true, "neither").await;
    check(&known, &[5, 2, 1, 1], "PROXY_CREDENTIALS_REFUSED", true, "password").await;
    for (reply, code, needs_a_person, told) in [
        (1, "PROXY_IN_VAIN", false, "general"),
        (2, "PROXY_REFUSED", true, "not allowed by ruleset"),
        (3, "PROXY_IN_VAIN", false, "network unreachable"),
        (4, "PROXY_IN_VAIN", false, "host unreachable"),
        (5, "PROXY_IN_VAIN", false, "connection refused"),
        (6, "PROXY_IN_VAIN", false, "ttl expired"),
        (7, "PROXY_REFUSED", true, "command not supported"),
        (8, "PROXY_REFUSED", true, "address type not supported"),
        (9, "NOT_A_PROXY", false, "does not know"),
    ] {
        check(&bare, &socks_answer(reply), code, needs_a_person, told).await;
    }
    check(&bare, b"HTTP/1.1 400 Bad Request\r\n\r\n", "NOT_A_PROXY", false, "like a SOCKS5 proxy")
        .await;
}
