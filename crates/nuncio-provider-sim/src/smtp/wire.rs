//! Bytes to and from one client: lines, bodies, and replies that wait until the client waits for them.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use memchr::{memchr, memchr_iter};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest command line, bytes. RFC 4954 section 4 allows 12,288 within AUTH; the rest is for a command in front of it.
const LINE_MAX: usize = 16 * 1024;

/// Longest line of a message with its CRLF, bytes (RFC 5321 section 4.5.3.1.6).
const TEXT_LINE_MAX: usize = 1000;

/// A client that says nothing for so long is left (RFC 5321 section 4.5.3.2.7).
const IDLE_MAX: Duration = Duration::from_mins(5);

/// Replies that wait are sent when there are more bytes than this, also if the client goes on sending.
const OUTPUT_MAX: usize = 64 * 1024;

/// Bytes asked for in one read.
const READ_SIZE: usize = 32 * 1024;

/// How often a stalled connection looks whether the client is still there.
const STALL_LOOK: Duration = Duration::from_millis(20);

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By QUIT or after a 421.
    Politely,
    ByClient,
    /// A fault has cut it.
    Cut,
    TimedOut,
    Broken(#[expect(dead_code, reason = "for the debug log")] io::Error),
}

/// A line from the client.
#[derive(Debug)]
pub(crate) enum Line {
    /// Without its line end.
    Whole(BytesMut),
    TooLong,
}

/// A message as it came, dots unstuffed.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) data: BytesMut,
    pub(crate) bare_lf: bool,
    pub(crate) long_line: bool,
    /// There was more than allowed; `data` is not the whole message.
    pub(crate) too_big: bool,
}

pub(crate) struct Wire {
    socket: Socket,
    input: BytesMut,
    output: Vec<u8>,
    reply_delay: Duration,
    byte_by_byte: bool,
    flushes: u64,
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Between the two, while the handshake runs.
    Upgrading,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, reply_delay: Duration, byte_by_byte: bool) -> Self {
        Self {
            socket: Socket::Plain(stream),
            input: BytesMut::new(),
            output: Vec::new(),
            reply_delay,
            byte_by_byte,
            flushes: 0,
        }
    }

    /// How often replies were sent.
    pub(crate) fn flushes(&self) -> u64 {
        self.flushes
    }

    /// Whether the client has sent more than was read.
    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Begins TLS. What the client sent before the handshake is thrown away (RFC 3207 section 4.2).
    pub(crate) async fn start_tls(&mut self, acceptor: &TlsAcceptor) -> Result<(), Ended> {
        self.flush().await?;
        self.input.clear();
        let Socket::Plain(stream) = std::mem::replace(&mut self.socket, Socket::Upgrading) else {
            return Err(Ended::Broken(io::Error::other("TLS was begun twice")));
        };
        let handshake = tokio::time::timeout(IDLE_MAX, acceptor.accept(stream)).await;
        let stream = handshake.map_err(|_elapsed| Ended::TimedOut)?.map_err(Ended::Broken)?;
        self.socket = Socket::Tls(Box::new(stream));
        Ok(())
    }

    /// Puts bytes behind the replies that wait.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Sends the replies that wait.
    pub(crate) async fn flush(&mut self) -> Result<(), Ended> {
        if self.output.is_empty() {
            return Ok(());
        }
        if self.reply_delay != Duration::ZERO {
            tokio::time::sleep(self.reply_delay).await;
        }
        self.flushes += 1;
        let output = std::mem::take(&mut self.output);
        let size = if self.byte_by_byte { 1 } else { output.len() };
        for part in output.chunks(size) {
            self.socket.write(part).await.map_err(Ended::Broken)?;
        }
        self.output = output;
        self.output.clear();
        Ok(())
    }

    /// The next command line. Takes a bare LF for a line end too, as many servers do.
    pub(crate) async fn line(&mut self) -> Result<Line, Ended> {
        let mut scanned = 0;
        let mut too_long = false;
        loop {
            if let Some(at) = memchr(b'\n', &self.input[scanned..]) {
                let mut line = self.input.split_to(scanned + at + 1);
                let end = line.len() - if line.ends_with(b"\r\n") { 2 } else { 1 };
                line.truncate(end);
                return Ok(if too_long || LINE_MAX < end {
                    Line::TooLong
                } else {
                    Line::Whole(line)
                });
            }
            scanned = self.input.len();
            if LINE_MAX < scanned {
                self.input.clear();
                (scanned, too_long) = (0, true);
            }
            self.fill().await?;
        }
    }

    /// A message that ends with a dot on a line of its own (RFC 5321 section 4.1.1.4). Only CRLF ends a line.
    pub(crate) async fn dotted(&mut self, size_max: u64) -> Result<Body, Ended> {
        let limit = usize::try_from(size_max).unwrap_or(usize::MAX).saturating_add(READ_SIZE);
        let mut scanned = 0;
        let mut too_big = false;
        loop {
            if let Some(end) = find_end(&self.input, scanned, !too_big) {
                let mut raw = self.input.split_to(end);
                raw.truncate(end - b".\r\n".len());
                let mut body = unstuff(raw);
                body.too_big = too_big || size_max < body.data.len() as u64;
                return Ok(body);
            }
            scanned = self.input.len();
            if limit < scanned {
                // The end may be cut in two: its first four bytes stay.
                let _forgotten = self.input.split_to(scanned - 4);
                (scanned, too_big) = (4, true);
            }
            self.fill().await?;
        }
    }

    /// Takes `size` bytes of a chunk (RFC 3030) and puts at most `room` of them behind `data`. A first chunk with room
    /// for all of it is not copied.
    pub(crate) async fn chunk(
        &mut self,
        size: u64,
        room: u64,
        data: &mut BytesMut,
    ) -> Result<(), Ended> {
        if data.is_empty()
            && size <= room
            && let Ok(size) = usize::try_from(size)
        {
            while self.input.len() < size {
                self.fill().await?;
            }
            *data = self.input.split_to(size);
            return Ok(());
        }
        let mut missing = size;
        let mut room = room;
        while missing != 0 {
            if self.input.is_empty() {
                self.fill().await?;
            }
            let here = self.input.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
            let part = self.input.split_to(here);
            let kept = here.min(usize::try_from(room).unwrap_or(usize::MAX));
            data.extend_from_slice(&part[..kept]);
            missing -= here as u64;
            room -= kept as u64;
        }
        Ok(())
    }

    /// Says and reads nothing more until the client goes.
    pub(crate) async fn stall(&mut self) -> Ended {
        loop {
            match self.socket.tcp() {
                None => return Ended::ByClient,
                Some(tcp) => match tcp.ready(Interest::READABLE).await {
                    Ok(ready) if ready.is_read_closed() => return Ended::ByClient,
                    Ok(_) => tokio::time::sleep(STALL_LOOK).await,
                    Err(error) => return Ended::Broken(error),
                },
            }
        }
    }

    /// Ends the connection in order: what waits is sent, and TLS is closed.
    pub(crate) async fn close(&mut self) {
        if self.flush().await.is_ok() {
            let _client_may_be_gone = self.socket.shutdown().await;
        }
    }

    /// Reads more; before that, sends what the client is waiting for.
    async fn fill(&mut self) -> Result<(), Ended> {
        self.flush().await?;
        self.input.reserve(READ_SIZE);
        let read = tokio::time::timeout(IDLE_MAX, self.socket.read(&mut self.input)).await;
        match read.map_err(|_elapsed| Ended::TimedOut)?.map_err(Ended::Broken)? {
            0 => Err(Ended::ByClient),
            _ => Ok(()),
        }
    }

    /// Sends replies early if very many wait.
    pub(crate) async fn relieve(&mut self) -> Result<(), Ended> {
        if OUTPUT_MAX < self.output.len() { self.flush().await } else { Ok(()) }
    }
}

impl Socket {
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.get_ref().0),
            Self::Upgrading => None,
        }
    }

    async fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(into).await,
            Self::Tls(stream) => stream.read_buf(into).await,
            Self::Upgrading => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Self::Upgrading => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
            Self::Upgrading => Ok(()),
        }
    }
}

/// Where the message ends: behind the first dot on a line of its own. `fresh`: the input starts with the message.
fn find_end(input: &[u8], scanned: usize, fresh: bool) -> Option<usize> {
    let mut ends = memchr_iter(b'\n', &input[scanned..]).map(|at| scanned + at + 1);
    ends.find(|end| {
        let line = &input[..*end];
        line.ends_with(b"\r\n.\r\n") || (fresh && line == b".\r\n")
    })
}

/// Takes away the dots that the client has put before dots (RFC 5321 section 4.5.2), in place.
fn unstuff(mut raw: BytesMut) -> Body {
    let mut body = Body::default();
    let (mut from, mut kept) = (0, 0);
    while from < raw.len() {
        let (length, bare_lf) = first_line(&raw[from..]);
        body.bare_lf |= bare_lf;
        body.long_line |= TEXT_LINE_MAX < length;
        let dot = usize::from(raw[from] == b'.');
        if from + dot != kept {
            raw.copy_within(from + dot..from + length, kept);
        }
        kept += length - dot;
        from += length;
    }
    raw.truncate(kept);
    body.data = raw;
    body
}

/// The length of the text up to and with the first CRLF, and whether it has an LF that stands alone.
fn first_line(text: &[u8]) -> (usize, bool) {
    let mut bare_lf = false;
    for at in memchr_iter(b'\n', text) {
        if text[..at].ends_with(b"\r") {
            return (at + 1, bare_lf);
        }
        bare_lf = true;
    }
    (text.len(), bare_lf)
}

/// Whether a message that came in chunks has a bare LF.
pub(crate) fn has_bare_lf(data: &[u8]) -> bool {
    memchr_iter(b'\n', data).any(|at| !data[..at].ends_with(b"\r"))
}

#[cfg(test)]
mod tests;
