//! CONNECT of HTTP/1.1 (RFC 9110, section 9.3.6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use httparse::{EMPTY_HEADER, Response, Status};
use nuncio_core::settings::proxy::ProxyCredentials;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::ProxyError;
use crate::network::Io;

/// The longest answer that is read, in bytes, and the most header fields in it.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 64;
/// How much of a proxy's own words is shown, in characters.
const REASON_CHARS_MAX: usize = 100;

/// How each answer begins (RFC 9112, section 2.3).
const VERSION: &[u8] = b"HTTP/";

const USER_AGENT: &str = concat!("nuncio/", env!("CARGO_PKG_VERSION"));

/// Asks the proxy for a way to the server.
pub(super) async fn ask(
    mut stream: Box<dyn Io>,
    credentials: Option<&ProxyCredentials>,
    host: &str,
    port: u16,
) -> Result<Box<dyn Io>, ProxyError> {
    let request = request(credentials, host, port);
    stream.write_all(request.as_bytes()).await.map_err(ProxyError::Broken)?;
    stream.flush().await.map_err(ProxyError::Broken)?;
    let (status, reason) = answer(&mut stream).await?;
    let answer = show(status, &reason, credentials);
    match status {
        200..300 => Ok(stream),
        // To a wrong password tinyproxy says 401.
        401 | 407 if credentials.is_none() => Err(ProxyError::CredentialsWanted { answer }),
        401 | 407 => Err(ProxyError::CredentialsRefused { answer }),
        // 408 and 429 pass by themselves, and so do faults of the proxy. Which status tells of a server that
        // cannot be reached differs: Squid has 503, tinyproxy 500, others 502 and 504.
        408 | 429 | 500 | 502.. => Err(ProxyError::InVain { answer }),
        400.. => Err(ProxyError::Refused { answer }),
        _ => Err(ProxyError::NotAProxy { answer }),
    }
}

fn request(credentials: Option<&ProxyCredentials>, host: &str, port: u16) -> String {
    let server =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let authorization = credentials.map(|ProxyCredentials { username, password }| {
        // RFC 7617, section 2. UTF-8, as most proxies take it.
        let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
        format!("Proxy-Authorization: Basic {pair}\r\n")
    });
    let authorization = authorization.unwrap_or_default();
    format!(
        "CONNECT {server} HTTP/1.1\r\nHost: {server}\r\nUser-Agent: {USER_AGENT}\r\n{authorization}\r\n"
    )
}

/// Status and reason of the final answer.
async fn answer(stream: &mut Box<dyn Io>) -> Result<(u16, String), ProxyError> {
    let mut head = Vec::new();
    loop {
        head.push(read_byte(stream).await?);
        if !head.starts_with(&VERSION[..VERSION.len().min(head.len())]) {
            return Err(not_http("it does not begin with `HTTP/`"));
        }
        if head.ends_with(b"\n") {
            let mut fields = [EMPTY_HEADER; FIELDS_MAX];
            let mut response = Response::new(&mut fields);
            match response.parse(&head) {
                Ok(Status::Partial) => {}
                // An interim answer, whose end another one follows (RFC 9110, section 15.2).
                Ok(Status::Complete(_)) if response.code.is_some_and(|code| code < 200) => {
                    head.clear();
                }
                Ok(Status::Complete(_)) => {
                    let status = response.code.expect("it is complete");
                    return Ok((status, response.reason.unwrap_or_default().to_owned()));
                }
                Err(error) => return Err(not_http(&error.to_string())),
            }
        }
        if HEAD_BYTES_MAX <= head.len() {
            return Err(not_http(&format!("its head has more than {HEAD_BYTES_MAX} bytes")));
        }
    }
}

/// One by one, as right behind the answer there may be the first words of the server.
async fn read_byte(stream: &mut Box<dyn Io>) -> Result<u8, ProxyError> {
    stream.read_u8().await.map_err(ProxyError::Broken)
}

fn not_http(problem: &str) -> ProxyError {
    ProxyError::NotAProxy { answer: format!("no answer of HTTP ({problem})") }
}

/// The proxy's own words, unless they repeat a credential.
fn show(status: u16, reason: &str, credentials: Option<&ProxyCredentials>) -> String {
    let reason: String =
        reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    let repeats = credentials.is_some_and(|one| reason.contains(one.password.expose()));
    if reason.is_empty() || repeats { status.to_string() } else { format!("{status} {reason}") }
}
