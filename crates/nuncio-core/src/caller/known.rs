//! The callers that an installation knows.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::limits::{CALLS_AT_ONCE_MAX, CALLS_PER_SECOND_MAX, CallerLimits};
use super::{Caller, LOCAL, NAME_CHARS_MAX, OWN, Permission, is_free};
use crate::job::CallerId;
use crate::violation::{Fault, Violations};

/// The most callers that are kept.
pub const CALLERS_MAX: usize = 500;
/// What every token begins with, so that scanners for secrets find it.
pub const TOKEN_PREFIX: &str = "nuncio_";
/// How many random bytes a token has: too many to be guessed, so that a plain digest of it is safe to keep.
pub const TOKEN_RANDOM_BYTES: usize = 32;

/// All callers, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callers(pub Vec<KnownCaller>);

/// A caller and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCaller {
    pub name: String,
    pub permissions: BTreeSet<Permission>,
    pub limits: CallerLimits,
    pub credential: Credential,
    pub created_at: Timestamp,
}

/// How a caller proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// By a certificate of a client with its name.
    Certificate,
    /// By a token, of which only this is known.
    Token(TokenHash),
}

/// The SHA-256 digest of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

impl Callers {
    /// The caller that has this token. The digests may be compared as they come: nobody who does not know the token can aim
    /// at one.
    pub fn by_token(&self, token: &str) -> Option<&KnownCaller> {
        let wanted = Credential::Token(TokenHash::of(token));
        self.0.iter().find(|one| one.credential == wanted)
    }

    /// The caller whose certificate has this name.
    pub fn by_certificate(&self, name: &str) -> Option<&KnownCaller> {
        let is_it =
            |one: &&KnownCaller| one.credential == Credential::Certificate && one.name == name;
        self.0.iter().find(is_it)
    }

    pub fn find(&self, name: &str) -> Option<&KnownCaller> {
        self.0.iter().find(|one| one.name == name)
    }
}

impl KnownCaller {
    pub fn caller(&self) -> Caller {
        let id = CallerId(self.name.clone());
        Caller { id, permissions: self.permissions.clone(), is_node: false }
    }
}

/// What is wrong with a name, permissions and limits that somebody wants for a caller.
pub fn check(
    name: &str,
    permissions: &BTreeSet<Permission>,
    limits: CallerLimits,
) -> Result<(), Violations> {
    let mut violations = Violations::default();
    if !is_free(name) {
        let problem = format!(
            "must be 1 to {NAME_CHARS_MAX} letters, digits, `-`, `_` and `.`, and none of nuncio's own names \
             (`{LOCAL}`, `{}`)",
            OWN.join("`, `")
        );
        violations.add_as(Fault::Malformed, "caller.name", problem);
    }
    if permissions.is_empty() {
        let all = Permission::ALL.map(Permission::name).join("`, `");
        violations.add_as(Fault::Missing, "caller.permissions", format!("name one of `{all}`"));
    }
    for (field, value, max) in [
        ("calls_per_second", limits.calls_per_second, CALLS_PER_SECOND_MAX),
        ("calls_at_once", limits.calls_at_once, CALLS_AT_ONCE_MAX),
    ] {
        if value.is_some_and(|value| !(1..=max).contains(&value)) {
            let (field, problem) = (format!("caller.{field}"), format!("must be 1 to {max}"));
            violations.add_as(Fault::OutOfRange, field, problem);
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

#[cfg(test)]
mod tests;
