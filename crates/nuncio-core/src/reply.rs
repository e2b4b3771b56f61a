//! Replies of an SMTP server.

use std::fmt;

/// A reply of an SMTP server (RFC 5321, section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpReply {
    /// The basic code, 200 to 599.
    pub code: u16,
    /// The enhanced status code (RFC 3463), where the server gave one.
    pub enhanced: Option<EnhancedCode>,
    /// The text without codes, its lines joined by a blank.
    pub text: String,
}

/// An enhanced status code: class, subject and detail (RFC 3463, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnhancedCode {
    pub class: u16,
    pub subject: u16,
    pub detail: u16,
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl std::str::FromStr for EnhancedCode {
    type Err = NotEnhanced;

    fn from_str(text: &str) -> Result<Self, NotEnhanced> {
        let mut parts = text.split('.').map(|part| {
            let digits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            if digits { part.parse::<u16>().map_err(|_| NotEnhanced) } else { Err(NotEnhanced) }
        });
        let mut next = || parts.next().ok_or(NotEnhanced)?;
        let (class, subject, detail) = (next()?, next()?, next()?);
        if parts.next().is_some() || ![2, 4, 5].contains(&class) {
            return Err(NotEnhanced);
        }
        Ok(Self { class, subject, detail })
    }
}

/// The text is no enhanced status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an enhanced status code")]
pub struct NotEnhanced;

impl fmt::Display for SmtpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, " {}", self.text) }
    }
}
