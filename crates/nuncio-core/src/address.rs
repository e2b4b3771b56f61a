//! Addresses of mailboxes.

use std::fmt;
use std::str::FromStr;

use crate::violation::Fault;

/// The longest display name that a mailbox may carry, in characters.
pub const DISPLAY_NAME_CHARS_MAX: usize = 256;

/// The longest path of SMTP, in octets, without its angle brackets (RFC 5321, section 4.5.3.1.3).
const ADDRESS_OCTETS_MAX: usize = 254;

/// The address of a mailbox: `local-part@domain` (RFC 5321, section 4.1.2; RFC 6531).
///
/// Its `Debug` and `Display` show it, as errors to the caller must; logs carry the job's name instead.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress(String);

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("is empty; give an address such as `guest@example.com`")]
    Empty,
    #[error("is longer than {ADDRESS_OCTETS_MAX} octets (RFC 5321)")]
    TooLong,
    #[error("has a line break or control character, which could smuggle in a header")]
    ControlCharacter,
    #[error("is not an address: {0}")]
    Malformed(String),
}

impl AddressError {
    /// The kind of violation that such a text is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Empty => Fault::Missing,
            Self::TooLong => Fault::TooLong,
            Self::ControlCharacter => Fault::ControlCharacter,
            Self::Malformed(_) => Fault::Malformed,
        }
    }
}

impl EmailAddress {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the last `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').expect("it was parsed").1
    }
}

impl FromStr for EmailAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(AddressError::ControlCharacter);
        }
        if ADDRESS_OCTETS_MAX < text.len() {
            return Err(AddressError::TooLong);
        }
        let options =
            email_address::Options::default().without_display_text().without_domain_literal();
        email_address::EmailAddress::parse_with_options(text, options).map_err(|error| {
            let problem = error.to_string().to_lowercase();
            AddressError::Malformed(problem.trim_end_matches('.').to_owned())
        })?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address with an optional display name (RFC 5322, section 3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    pub address: EmailAddress,
    pub display_name: Option<String>,
}

impl From<EmailAddress> for Mailbox {
    fn from(address: EmailAddress) -> Self {
        Self { address, display_name: None }
    }
}
