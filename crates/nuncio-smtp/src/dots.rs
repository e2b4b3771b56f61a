//! Makes a message fit for DATA: its lines end with CRLF, its dots are doubled, a lone dot ends it.

/// What ends the content (RFC 5321, section 4.1.1.4).
const END: &[u8] = b".\r\n";

/// The message as it goes over the wire, its end mark included.
///
/// A dot at the start of a line is doubled (RFC 5321, section 4.5.2). A CR or LF by itself becomes a
/// line end: on the wire it could pass for one at some servers and end the mail early (SMTP smuggling).
/// A message without either is not copied.
pub fn stuff(mut message: Vec<u8>) -> Vec<u8> {
    if needs_change(&message) {
        message = change(&message);
    }
    message.reserve(2 + END.len());
    if !message.is_empty() && !message.ends_with(b"\r\n") {
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(END);
    message
}

fn needs_change(message: &[u8]) -> bool {
    let mut before = b'\n';
    for &byte in message {
        let changes = match byte {
            b'.' => before == b'\n' || before == b'\r',
            b'\n' => before != b'\r',
            _ => before == b'\r',
        };
        if changes {
            return true;
        }
        before = byte;
    }
    before == b'\r'
}

fn change(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 32 + 8);
    let mut at_start = true;
    let mut bytes = message.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' | b'\n' => {
                if byte == b'\r' {
                    bytes.next_if_eq(&b'\n');
                }
                out.extend_from_slice(b"\r\n");
                at_start = true;
                continue;
            }
            b'.' if at_start => out.extend_from_slice(b".."),
            _ => out.push(byte),
        }
        at_start = false;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        assert_eq!(String::from_utf8(stuff(message.into())).unwrap(), expect);
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

        let wire = stuff(message);

        assert_eq!(wire.as_ptr(), place);
    }

    proptest! {
        #[test]
        fn a_server_reads_what_was_meant(message in "[a.\r\n\u{e9}]{0,40}") {
            let wire = stuff(message.clone().into_bytes());

            prop_assert_eq!(unstuff(&wire), canonical(message.as_bytes()));
        }

        #[test]
        fn a_lone_cr_or_lf_never_reaches_the_wire(message: Vec<u8>) {
            let wire = stuff(message);
            let without = String::from_utf8_lossy(&wire).replace("\r\n", "");

            prop_assert!(!without.contains(['\r', '\n']));
        }
    }
}
