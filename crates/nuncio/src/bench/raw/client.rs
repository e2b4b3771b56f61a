//! A client of SMTP without any care: it knows its server, and gives up when that says something else.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nuncio_provider_sim::config::DEFAULT_MAILBOX;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// Bytes asked for in one read.
const READ: usize = 16 * 1024;

/// How much is sent before an answer is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// One command: four round trips a mail.
    InStep,
    /// All commands, then the mail: two round trips.
    Pipelining,
    /// Commands and mail together, and the next mails too.
    Chunking,
}

/// A connection that has logged in.
pub(super) struct Client {
    stream: TlsStream<TcpStream>,
    input: Vec<u8>,
}

impl Client {
    pub(super) async fn connect(
        address: SocketAddr,
        tls: TlsConnector,
        token: &str,
    ) -> io::Result<Self> {
        let mut tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let mut input = Vec::new();
        replies(&mut tcp, &mut input, 1).await?;
        for command in ["EHLO bench.test\r\n", "STARTTLS\r\n"] {
            tcp.write_all(command.as_bytes()).await?;
            replies(&mut tcp, &mut input, 1).await?;
        }
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let mut client = Self { stream: tls.connect(name, tcp).await?, input };
        let response = format!("user={DEFAULT_MAILBOX}\x01auth=Bearer {token}\x01\x01");
        let auth = format!("AUTH XOAUTH2 {}\r\n", STANDARD.encode(response));
        for command in ["EHLO bench.test\r\n", &auth] {
            client.say(command.as_bytes(), 1).await?;
        }
        Ok(client)
    }

    /// Sends a mail for each number.
    pub(super) async fn send(
        mut self,
        dialect: Dialect,
        numbers: Range<u64>,
        size: usize,
        in_flight: u64,
    ) -> io::Result<()> {
        let text = text(size);
        let mut unanswered = 0;
        for number in numbers {
            let mail = mail(dialect, number, &text);
            match dialect {
                Dialect::InStep => {
                    for command in [MAIL, RCPT, DATA] {
                        self.say(command.as_bytes(), 1).await?;
                    }
                    self.say(&mail, 1).await?;
                }
                Dialect::Pipelining => {
                    self.say([MAIL, RCPT, DATA].concat().as_bytes(), 3).await?;
                    self.say(&mail, 1).await?;
                }
                Dialect::Chunking => {
                    let commands = format!("{MAIL}{RCPT}BDAT {} LAST\r\n", mail.len());
                    let waits = in_flight <= unanswered + 1;
                    unanswered += u64::from(!waits);
                    let bytes = [commands.as_bytes(), &mail].concat();
                    self.say(&bytes, if waits { 3 } else { 0 }).await?;
                }
            }
        }
        for _mail in 0..unanswered {
            replies(&mut self.stream, &mut self.input, 3).await?;
        }
        Ok(())
    }

    /// Says something in one go, and waits for so many replies.
    async fn say(&mut self, bytes: &[u8], count: usize) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        replies(&mut self.stream, &mut self.input, count).await
    }
}

const MAIL: &str = "MAIL FROM:<no-reply@contoso.example>\r\n";
const RCPT: &str = "RCPT TO:<guest@example.com>\r\n";
const DATA: &str = "DATA\r\n";

/// A mail with a Message-ID of its own; for DATA with the dot that ends it.
fn mail(dialect: Dialect, number: u64, text: &str) -> Vec<u8> {
    let end = if dialect == Dialect::Chunking { "" } else { ".\r\n" };
    let header = format!(
        "From: {DEFAULT_MAILBOX}\r\nTo: guest@example.com\r\nSubject: mail {number}\r\n\
         Message-ID: <{number}.{dialect:?}@bench.test>\r\n\r\n"
    );
    [&header, text, end].concat().into_bytes()
}

/// Lines of letters.
fn text(size: usize) -> String {
    const LINE: &str =
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrst\r\n";
    LINE.repeat(size.div_ceil(LINE.len()))
}

/// Reads so many replies, all of them good.
async fn replies(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    input: &mut Vec<u8>,
    count: usize,
) -> io::Result<()> {
    let mut missing = count;
    while 0 < missing {
        while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = input.drain(..=end).collect();
            if !line.starts_with(b"2") && !line.starts_with(b"3") {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                return Err(io::Error::other(format!("the server said `{line}`")));
            }
            // A line with a dash is followed by another of the same reply.
            if line.get(3) != Some(&b'-') {
                missing -= 1;
                if missing == 0 {
                    return Ok(());
                }
            }
        }
        input.reserve(READ);
        if stream.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
