//! Reads the replies of a server out of a stream of bytes.

use nuncio_core::reply::{EnhancedCode, SmtpReply};

/// The longest line of a reply, in octets. RFC 5321, section 4.5.3.1.5 allows 512, Exchange sends more.
pub const LINE_OCTETS_MAX: usize = 2048;
/// The longest reply, all its lines together, in octets.
pub const REPLY_OCTETS_MAX: usize = 64 * 1024;

/// A reply with its lines kept apart, as the answer to EHLO needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    pub enhanced: Option<EnhancedCode>,
    /// Without codes and line ends; control characters became blanks.
    pub lines: Vec<String>,
}

impl Reply {
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

impl From<Reply> for SmtpReply {
    fn from(reply: Reply) -> Self {
        let text = reply.lines.join(" ").trim().to_owned();
        Self { code: reply.code, enhanced: reply.enhanced, text }
    }
}

/// Why the bytes are no reply. The connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    #[error("the server sent a line of more than {LINE_OCTETS_MAX} octets")]
    LineTooLong,
    #[error("the server sent a reply of more than {REPLY_OCTETS_MAX} octets")]
    ReplyTooLong,
    #[error("the server sent a line that does not begin with a reply code")]
    NoCode,
    #[error("the server changed the reply code from {first} to {then} within one reply")]
    CodeChanged { first: u16, then: u16 },
}

/// Takes bytes in any portions and gives whole replies.
#[derive(Debug, Default)]
pub struct ReplyParser {
    buffer: Vec<u8>,
    /// Where the first octet lies that was not taken yet.
    start: usize,
    /// Up to where no line end was found.
    searched: usize,
    /// The lines of the reply that is not complete yet.
    open: Option<Reply>,
    open_octets: usize,
}

impl ReplyParser {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next reply, or nothing until more bytes are fed.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        while let Some(end) = self.line_end()? {
            let line = &self.buffer[self.start..end];
            self.open_octets += line.len() + 1;
            if REPLY_OCTETS_MAX < self.open_octets {
                return Err(ReplyError::ReplyTooLong);
            }
            let line = parse_line(line.strip_suffix(b"\r").unwrap_or(line))?;
            self.start = end + 1;
            self.searched = self.start;
            let reply = add(self.open.take(), &line)?;
            if line.is_last {
                self.open_octets = 0;
                return Ok(Some(reply));
            }
            self.open = Some(reply);
        }
        Ok(None)
    }

    /// Whether every byte that was fed belonged to a reply already given.
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len() && self.open.is_none()
    }

    fn line_end(&mut self) -> Result<Option<usize>, ReplyError> {
        let found = self.buffer[self.searched..].iter().position(|b| *b == b'\n');
        let end = found.map(|place| self.searched + place);
        self.searched = end.unwrap_or(self.buffer.len());
        if LINE_OCTETS_MAX < self.searched - self.start {
            return Err(ReplyError::LineTooLong);
        }
        Ok(end)
    }
}

struct Line {
    code: u16,
    is_last: bool,
    enhanced: Option<EnhancedCode>,
    text: String,
}

fn parse_line(line: &[u8]) -> Result<Line, ReplyError> {
    let (code, rest) = line.split_at_checked(3).ok_or(ReplyError::NoCode)?;
    if !code.iter().all(u8::is_ascii_digit) || !(b'2'..=b'5').contains(&code[0]) {
        return Err(ReplyError::NoCode);
    }
    let code = code.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let (is_last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return Err(ReplyError::NoCode),
    };
    let text = String::from_utf8_lossy(text).replace(char::is_control, " ");
    let (enhanced, text) = split_enhanced(code, &text);
    Ok(Line { code, is_last, enhanced, text })
}

/// Takes the enhanced code off. Replies of the class 3 have none (RFC 2034, section 4).
///
/// Its class need not be that of the basic code: Exchange has `550 4.5.3`.
fn split_enhanced(code: u16, text: &str) -> (Option<EnhancedCode>, String) {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    match first.parse() {
        Ok(enhanced) if !(300..400).contains(&code) => (Some(enhanced), rest.trim().to_owned()),
        Ok(_) | Err(_) => (None, text.trim_end().to_owned()),
    }
}

fn add(open: Option<Reply>, line: &Line) -> Result<Reply, ReplyError> {
    let mut reply = open.unwrap_or(Reply { code: line.code, enhanced: None, lines: Vec::new() });
    if reply.code != line.code {
        return Err(ReplyError::CodeChanged { first: reply.code, then: line.code });
    }
    reply.enhanced = reply.enhanced.or(line.enhanced);
    reply.lines.push(line.text.clone());
    Ok(reply)
}

#[cfg(test)]
mod tests;
