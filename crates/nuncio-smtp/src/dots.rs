//! Makes a message fit for the wire: its lines end with CRLF; for DATA its dots are doubled and a lone dot ends it.

use std::borrow::Cow;
use std::fmt;

/// What ends the content of DATA (RFC 5321, section 4.1.1.4).
const END: &[u8] = b".\r\n";

/// A message that is fit for the wire: every line ends with CRLF, the last one too.
pub struct Content {
    /// With [`END`] behind it: most messages go by DATA as they lie here.
    octets_and_end: Vec<u8>,
    /// Whether a line begins with a dot.
    has_dots: bool,
}

impl Content {
    /// A CR or LF by itself becomes a line end: on the wire it could pass for one at some servers and end
    /// the mail early (SMTP smuggling). A message without either is not copied.
    pub fn new(mut message: Vec<u8>) -> Self {
        if has_lone_cr_or_lf(&message) {
            message = with_whole_line_ends(&message);
        }
        message.reserve(2 + END.len());
        if !message.is_empty() && !message.ends_with(b"\r\n") {
            message.extend_from_slice(b"\r\n");
        }
        let has_dots =
            message.first() == Some(&b'.') || message.windows(2).any(|two| two == b"\n.");
        message.extend_from_slice(END);
        Self { octets_and_end: message, has_dots }
    }

    /// The message as it is meant, which is how BDAT takes it (RFC 3030, section 2).
    pub fn octets(&self) -> &[u8] {
        &self.octets_and_end[..self.octets_and_end.len() - END.len()]
    }

    /// For BDAT: [`octets`](Self::octets) in portions of so many octets.
    pub fn chunk_portions(&self, octets: usize) -> impl Iterator<Item = Cow<'_, [u8]>> {
        self.octets().chunks(octets).map(Cow::Borrowed)
    }

    /// For DATA: a dot at the start of a line is doubled (RFC 5321, section 4.5.2), a lone dot ends the
    /// last portion. Each holds so many octets, and as many dots more as it takes.
    pub fn data_portions(&self, octets: usize) -> impl Iterator<Item = Cow<'_, [u8]>> {
        let text = if self.has_dots { self.octets() } else { &self.octets_and_end };
        text.chunks(octets).enumerate().map(move |(number, portion)| {
            if !self.has_dots {
                return Cow::Borrowed(portion);
            }
            let begin = number * octets;
            let mut out = stuff(portion, begin == 0 || text[begin - 1] == b'\n');
            if begin + portion.len() == text.len() {
                out.extend_from_slice(END);
            }
            Cow::Owned(out)
        })
    }
}

// What people write to each other is no matter of logs.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} octets)", self.octets().len())
    }
}

fn has_lone_cr_or_lf(message: &[u8]) -> bool {
    let mut before = 0;
    for &byte in message {
        if (byte == b'\n') != (before == b'\r') {
            return true;
        }
        before = byte;
    }
    before == b'\r'
}

fn with_whole_line_ends(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 32 + 8);
    let mut bytes = message.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' | b'\n' => {
                if byte == b'\r' {
                    bytes.next_if_eq(&b'\n');
                }
                out.extend_from_slice(b"\r\n");
            }
            _ => out.push(byte),
        }
    }
    out
}

fn stuff(portion: &[u8], mut at_start: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(portion.len() + portion.len() / 32 + 8);
    for &byte in portion {
        if byte == b'.' && at_start {
            out.push(b'.');
        }
        out.push(byte);
        at_start = byte == b'\n';
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wire(message: &[u8], portion: usize) -> Vec<u8> {
        let content = Content::new(message.to_vec());
        content.data_portions(portion).flat_map(Cow::into_owned).collect()
    }

    /// What a server makes of the content, by RFC 5321, section 4.5.2.
    fn unstuff(wire: &[u8]) -> Vec<u8> {
        let text = wire.strip_suffix(END).expect("it has an end");
        let mut out = Vec::new();
        for line in text.split_inclusive(|b| *b == b'\n') {
            assert_ne!(line, END, "the mail ends only once");
            out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        out
    }

    /// The message with each line end made a CRLF, and one at its end.
    fn canonical(message: &[u8]) -> Vec<u8> {
        let mut out = String::from_utf8_lossy(message).replace("\r\n", "\n").replace('\r', "\n");
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.replace('\n', "\r\n").into_bytes()
    }

    fn check(message: &str, expect: &str) {
        for portion in [1, 2, 3, 1000] {
            let wire = String::from_utf8(wire(message.as_bytes(), portion)).unwrap();
            assert_eq!(wire, expect, "in portions of {portion}");
        }
    }

    #[test]
    fn dots_at_the_start_of_a_line_are_doubled() {
        check("a\r\n.\r\n..b\r\nc.\r\n", "a\r\n..\r\n...b\r\nc.\r\n.\r\n");
        check(".a", "..a\r\n.\r\n");
        check("", ".\r\n");
    }

    #[test]
    fn a_lone_cr_or_lf_never_ends_the_mail() {
        check("a\n.\nb", "a\r\n..\r\nb\r\n.\r\n");
        check("a\r.\rb\r", "a\r\n..\r\nb\r\n.\r\n");
        check("a\r\n.\rMAIL FROM:<x@y>", "a\r\n..\r\nMAIL FROM:<x@y>\r\n.\r\n");
    }

    #[test]
    fn a_message_that_is_fit_is_not_copied() {
        let mut message = b"a\r\nb\r\n".to_vec();
        message.reserve(100);
        let place = message.as_ptr();

        let content = Content::new(message);

        assert_eq!(content.octets().as_ptr(), place);
        let portions: Vec<_> = content.data_portions(4).collect();
        assert!(portions.iter().all(|one| matches!(one, Cow::Borrowed(_))), "{portions:?}");
    }

    #[test]
    fn the_words_of_a_mail_are_not_shown() {
        assert_eq!(format!("{:?}", Content::new(b"secret".to_vec())), "Content(8 octets)");
    }

    proptest! {
        #[test]
        fn a_server_reads_what_was_meant(
            message in "[a.\r\n\u{e9}]{0,40}",
            portion in 1_usize..20,
        ) {
            let wire = wire(message.as_bytes(), portion);
            let content = Content::new(message.clone().into_bytes());
            let chunk: Vec<u8> =
                content.chunk_portions(portion).flat_map(Cow::into_owned).collect();

            prop_assert_eq!(unstuff(&wire), canonical(message.as_bytes()));
            prop_assert_eq!(chunk, canonical(message.as_bytes()));
        }

        #[test]
        fn a_lone_cr_or_lf_never_reaches_the_wire(message: Vec<u8>) {
            let wire = wire(&message, 7);
            let without = String::from_utf8_lossy(&wire).replace("\r\n", "");

            prop_assert!(!without.contains(['\r', '\n']));
        }
    }
}
