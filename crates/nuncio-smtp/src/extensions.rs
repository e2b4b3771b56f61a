//! What a server offers in its answer to EHLO.

use crate::reply::Reply;

/// The extensions of a server (RFC 5321, section 4.1.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// The lines of the answer but the first, as sent.
    lines: Vec<String>,
}

impl Extensions {
    pub fn new(reply: &Reply) -> Self {
        Self { lines: reply.lines.iter().skip(1).cloned().collect() }
    }

    /// RFC 3207
    pub fn starttls(&self) -> bool {
        self.has("STARTTLS")
    }

    /// RFC 2920
    pub fn pipelining(&self) -> bool {
        self.has("PIPELINING")
    }

    /// RFC 3030
    pub fn chunking(&self) -> bool {
        self.has("CHUNKING")
    }

    /// RFC 6152
    pub fn eight_bit_mime(&self) -> bool {
        self.has("8BITMIME")
    }

    /// RFC 6531
    pub fn smtputf8(&self) -> bool {
        self.has("SMTPUTF8")
    }

    /// Whether the server wants to be told the size of a mail (RFC 1870).
    pub fn size(&self) -> bool {
        self.has("SIZE")
    }

    /// The largest mail in octets, where the server names one: zero means none (RFC 1870, section 3).
    pub fn size_max(&self) -> Option<u64> {
        let size = self.parameters("SIZE").next()?.parse().ok()?;
        Some(size).filter(|size| *size != 0)
    }

    /// The most recipients of a mail, where the server names a limit (RFC 9422, section 4.2).
    pub fn recipients_max(&self) -> Option<usize> {
        let mut limits = self.parameters("LIMITS").filter_map(|limit| limit.split_once('='));
        let limit = limits.find(|(name, _)| name.eq_ignore_ascii_case("RCPTMAX"));
        limit.and_then(|(_, value)| value.parse().ok()).filter(|most| *most != 0)
    }

    /// Whether the mechanism may be used for AUTH (RFC 4954). Some servers write `AUTH=`.
    pub fn has_mechanism(&self, name: &str) -> bool {
        self.mechanisms().any(|one| one.eq_ignore_ascii_case(name))
    }

    pub fn mechanisms(&self) -> impl Iterator<Item = &str> {
        self.parameters("AUTH")
    }

    /// All of them in one line, for people.
    pub fn list(&self) -> String {
        self.lines.join(", ")
    }

    fn has(&self, keyword: &str) -> bool {
        self.lines.iter().any(|line| split(line).0.eq_ignore_ascii_case(keyword))
    }

    fn parameters(&self, keyword: &str) -> impl Iterator<Item = &str> {
        let lines = self.lines.iter().map(|line| split(line));
        let found = lines.filter(move |(name, _)| name.eq_ignore_ascii_case(keyword));
        found.flat_map(|(_, rest)| rest.split_ascii_whitespace())
    }
}

fn split(line: &str) -> (&str, &str) {
    line.split_once([' ', '=']).unwrap_or((line, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extensions(lines: &[&str]) -> Extensions {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Extensions::new(&Reply { code: 250, enhanced: None, lines })
    }

    #[test]
    fn keywords_are_read_in_any_case_and_the_greeting_is_none() {
        let offered = extensions(&["PIPELINING", "size 1000", "Auth LOGIN xoauth2", "AUTH=PLAIN"]);

        assert!(!offered.pipelining());
        assert_eq!(offered.size_max(), Some(1000));
        assert_eq!(offered.mechanisms().collect::<Vec<_>>(), ["LOGIN", "xoauth2", "PLAIN"]);
        assert!(offered.has_mechanism("XOAUTH2"));
    }

    #[test]
    fn a_size_of_zero_or_none_is_no_limit() {
        assert_eq!(extensions(&["mx", "SIZE 0"]).size_max(), None);
        assert_eq!(extensions(&["mx", "SIZE"]).size_max(), None);
        assert!(extensions(&["mx", "SIZE"]).size());
        assert!(!extensions(&["mx"]).size());
        let limits = extensions(&["mx", "LIMITS MAILMAX=5 rcptmax=20"]);
        assert_eq!(limits.recipients_max(), Some(20));
        assert_eq!(extensions(&["mx", "LIMITS RCPTMAX=0"]).recipients_max(), None);
        assert_eq!(extensions(&["mx", "LIMITS MAILMAX=5"]).recipients_max(), None);
    }
}
