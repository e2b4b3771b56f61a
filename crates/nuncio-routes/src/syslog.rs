//! Syslog: RFC 5424 over TLS (RFC 5425), TCP (RFC 6587, octet counting) or UDP (RFC 5426).

use std::fmt::Write as _;
use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use nuncio_core::alarm::Severity;
use nuncio_core::alarm::route::{MessageKind, Route, RouteFailure, RouteMessage, SyslogTransport};
use nuncio_net::network::{self, Io, Tcp};
use nuncio_tls::diagnosis::{Server, diagnose, tls_error};
use nuncio_tls::trust::Trust;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::sender::{Sender, failure};
use crate::webhook::trust;

/// System daemons (RFC 5424, section 6.2.1).
const FACILITY: u8 = 3;
/// The name of our structured data. 32473 is the enterprise number for those who have none (RFC 5612).
const SD_ID: &str = "alarm@32473";
/// The longest message, in bytes: what a receiver should take over UDP (RFC 5426, section 3.2) and over TLS
/// (RFC 5425, section 4.3.1).
const UDP_BYTES_MAX: usize = 2048;
const STREAM_BYTES_MAX: usize = 8192;
/// The longest value of structured data, in characters.
const VALUE_CHARS_MAX: usize = 512;
/// The longest name of structured data, in characters (RFC 5424, section 6.3.3).
const NAME_CHARS_MAX: usize = 32;
/// How long the receiver may take to close a connection; that it does not is no failure.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

pub(crate) async fn send(
    sender: &Sender,
    route: &Route,
    (host, port): (&str, u16),
    transport: SyslogTransport,
    message: &RouteMessage,
) -> Result<String, RouteFailure> {
    let sending = async {
        let addresses = network::resolve(&Tcp, host, port).await;
        let addresses = addresses.map_err(|error| failure("NOT_RESOLVED", error.to_string()))?;
        let server = Server { role: "the syslog receiver", host, port };
        let secure = transport == SyslogTransport::Tls;
        let trust = trust(&sender.trusts, secure, &route.ca_certificates_pem).await?;
        match transport {
            SyslogTransport::Udp => {
                let bytes = format(message, &sender.node, UDP_BYTES_MAX);
                datagram(addresses[0], bytes.as_bytes()).await.map_err(|error| told(server, &error))
            }
            SyslogTransport::Tcp | SyslogTransport::Tls => {
                let bytes = format(message, &sender.node, STREAM_BYTES_MAX);
                let written = write(&addresses, host, trust.as_ref(), &bytes).await;
                written.map_err(|error| told(server, &error))
            }
        }
    };
    let late = |_elapsed| {
        failure("TIMED_OUT", format!("not sent within {} s", route.timeout.as_secs_f32()))
    };
    timeout(route.timeout, sending).await.map_err(late)?
}

async fn datagram(address: SocketAddr, bytes: &[u8]) -> Result<String, Error> {
    let from: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(from).await?;
    socket.connect(address).await?;
    socket.send(bytes).await?;
    Ok("sent; UDP does not tell whether it has come".to_owned())
}

async fn write(
    addresses: &[SocketAddr],
    host: &str,
    trust: Option<&Trust>,
    message: &str,
) -> Result<String, Error> {
    let (stream, _address) = network::connect(&Tcp, addresses).await?;
    let mut stream: Box<dyn Io> = match trust {
        None => stream,
        Some(trust) => {
            let name = ServerName::try_from(host.to_owned()).map_err(Error::other)?;
            Box::new(TlsConnector::from(trust.client()).connect(name, stream).await?)
        }
    };
    stream.write_all(framed(message).as_bytes()).await?;
    stream.flush().await?;
    stream.shutdown().await?;
    // A receiver that resets the connection has not read it.
    let mut rest = [0; 256];
    let closed = async {
        loop {
            match stream.read(&mut rest).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // Many close without the notice of TLS.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    };
    match timeout(CLOSE_WAIT, closed).await {
        Ok(closed) => closed?,
        Err(_elapsed) => {}
    }
    Ok("written; syslog has no answer".to_owned())
}

/// The length in bytes before the message (RFC 5425, section 4.3).
fn framed(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// The message as RFC 5424 has it, in at most `bytes_max` bytes: what does not fit is left out, the longest first.
fn format(message: &RouteMessage, node: &str, bytes_max: usize) -> String {
    let header = header(message, node);
    let mut params: Vec<(String, String)> = [("id", &message.id)]
        .into_iter()
        .chain(message.fields.iter().map(|(name, value)| (name.as_str(), value)))
        .filter_map(|(name, value)| Some((param_name(name)?, cut(value, VALUE_CHARS_MAX))))
        .collect();
    let mut text = cut(&message.summary, VALUE_CHARS_MAX);
    loop {
        let whole = format!("{header} {} \u{feff}{text}", structured(&params));
        if whole.len() <= bytes_max {
            return whole;
        }
        let longest = (0..params.len()).max_by_key(|place| params[*place].1.len());
        match longest {
            Some(place) => drop(params.remove(place)),
            None => text = cut(&text, text.chars().count() / 2),
        }
    }
}

fn header(message: &RouteMessage, node: &str) -> String {
    let severity = match (message.kind, message.severity) {
        (MessageKind::AlarmResolved | MessageKind::MailBack | MessageKind::Test, _) => 5,
        (MessageKind::AlarmRaised | MessageKind::MailLate, Severity::Critical) => 2,
        (MessageKind::AlarmRaised | MessageKind::MailLate, Severity::Warning) => 4,
        (MessageKind::AlarmRaised | MessageKind::MailLate, Severity::Info) => 6,
    };
    let priority = FACILITY * 8 + severity;
    let host: String = node.chars().filter(char::is_ascii_graphic).take(255).collect();
    let host = if host.is_empty() { "-" } else { &host };
    let at = message.at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    format!("<{priority}>1 {at} {host} nuncio - {}", message.kind.name())
}

/// One element; a value has `"`, `\` and `]` escaped (RFC 5424, section 6.3.3).
fn structured(params: &[(String, String)]) -> String {
    let mut data = format!("[{SD_ID}");
    for (name, value) in params {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
        write!(data, " {name}=\"{value}\"").expect("a String takes everything");
    }
    data + "]"
}

/// A name as structured data may have it, if anything of it remains.
fn param_name(name: &str) -> Option<String> {
    let allowed = |c: &char| c.is_ascii_graphic() && !['=', ']', '"'].contains(c);
    let name: String = name.chars().filter(allowed).take(NAME_CHARS_MAX).collect();
    (!name.is_empty()).then_some(name)
}

/// In one line, as many receivers end a message where a line ends.
fn cut(text: &str, chars_max: usize) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(chars_max).map(printable).collect()
}

fn told(server: Server<'_>, error: &Error) -> RouteFailure {
    if tls_error(error).is_some() {
        let problem = diagnose(server, error);
        return failure("TLS", format!("{}; {}", problem.cause, problem.remedy));
    }
    let code = if error.kind() == ErrorKind::ConnectionRefused { "REFUSED" } else { "FAILED" };
    failure(code, format!("{server}: {error}"))
}

#[cfg(test)]
mod tests;
