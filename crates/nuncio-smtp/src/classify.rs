//! What a reply means: a table, and how it is looked up.

use std::ops::RangeInclusive;
use std::time::Duration;

use nuncio_core::job::Reason;
use nuncio_core::reply::{EnhancedCode, SmtpReply};

use crate::phase::Phase;
use rows::{
    CLIENT_REFUSED, DEFERRED, LOGIN_REFUSED, LOGIN_UNAVAILABLE, REFUSED, ROWS, SERVER_UNAVAILABLE,
};

mod rows;

/// The code of a deferral that no row knows.
pub const PROVIDER_DEFERRED: &str = "PROVIDER_DEFERRED";
/// The code of a refusal that no row knows.
pub const PROVIDER_REFUSED: &str = "PROVIDER_REFUSED";

/// What follows from a negative reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The token or password was not taken; a fresh token may be.
    Login,
    /// The provider refuses this client or mailbox; a person must act.
    Closed,
    /// The mailbox may not send as this sender. Whose matter that is depends on the sender.
    Sender,
    /// The server has lost the login; another connection helps, once.
    SessionLost,
    /// The server is in trouble, not the mail.
    Unavailable,
    /// The mailbox cannot be opened: mostly a missing permission, at times a passing trouble.
    Logon,
    /// Too fast or too many; slow down, for so long if that is known.
    Throttled(Option<Duration>),
    /// The same for all mailboxes of the tenant.
    TenantThrottled(Duration),
    /// Blocked for so long, as too many recipients were in one mail too often.
    TooManyThrottled(Duration),
    /// More recipients than the server takes in one mail.
    TooMany,
    /// Not now for this recipient or mail; after so long if that is known.
    Deferred(Option<Duration>),
    /// Never for this recipient or mail.
    Refused,
}

/// One line of the table. A reply must fit all that a row names.
#[derive(Debug)]
pub struct Row {
    /// Empty means any.
    phases: &'static [Phase],
    /// Zero means any.
    basic: u16,
    enhanced: Enhanced,
    /// A part of the reply's text in lower case; empty means any text.
    text: &'static str,
    class: Class,
    /// The stable name of the reason.
    code: &'static str,
    cause: &'static str,
    remedy: &'static str,
}

#[derive(Debug)]
enum Enhanced {
    Any,
    One(u16, u16, u16),
    /// The details may lie in a range.
    Range(u16, u16, RangeInclusive<u16>),
}

/// What a negative reply means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub class: Class,
    pub code: &'static str,
    pub cause: &'static str,
    pub remedy: &'static str,
}

/// Looks a negative reply up: by enhanced code and text, then by enhanced code, then by basic code, then
/// by the first digit (RFC 5321, section 4.2.1).
///
/// Of rows that fit equally well the first counts.
pub fn classify(phase: Phase, reply: &SmtpReply) -> Finding {
    let text = reply.text.to_lowercase();
    let fitting = ROWS.iter().filter(|row| row.fits(phase, reply, &text));
    // `max_by_key` would take the last of equals.
    match fitting.rev().max_by_key(|row| row.precision()) {
        Some(row) => {
            Finding { class: row.class, code: row.code, cause: row.cause, remedy: row.remedy }
        }
        None => by_first_digit(phase, reply.code),
    }
}

impl Finding {
    /// The reason of trouble on the way. Its message has the reply, as the state of a channel shows nothing else.
    pub fn reason(&self, reply: &SmtpReply) -> Reason {
        let reason = self.verdict(reply);
        Reason { message: format!("{}: `{reply}`", self.cause), ..reason }
    }

    /// The reason of a verdict, beside which the reply stands.
    pub fn verdict(&self, reply: &SmtpReply) -> Reason {
        Reason::new(self.code, self.cause).remedy(self.remedy).reply(reply.clone())
    }
}

impl Row {
    fn fits(&self, phase: Phase, reply: &SmtpReply, lower_text: &str) -> bool {
        (self.phases.is_empty() || self.phases.contains(&phase))
            && (self.basic == 0 || self.basic == reply.code)
            && self.enhanced.fits(reply.enhanced)
            && lower_text.contains(self.text)
    }

    fn precision(&self) -> (bool, bool) {
        (!matches!(self.enhanced, Enhanced::Any), !self.text.is_empty())
    }
}

impl Enhanced {
    fn fits(&self, code: Option<EnhancedCode>) -> bool {
        let Some(EnhancedCode { class, subject, detail }) = code else {
            return matches!(self, Self::Any);
        };
        match self {
            Self::Any => true,
            Self::One(a, b, c) => (*a, *b, *c) == (class, subject, detail),
            Self::Range(a, b, details) => (*a, *b) == (class, subject) && details.contains(&detail),
        }
    }
}

fn by_first_digit(phase: Phase, code: u16) -> Finding {
    let is_transient = code < 500;
    match (phase, is_transient) {
        (Phase::Auth, true) => LOGIN_UNAVAILABLE,
        (Phase::Auth, false) => LOGIN_REFUSED,
        (_, true) if phase.is_connecting() => SERVER_UNAVAILABLE,
        (_, false) if phase.is_connecting() => CLIENT_REFUSED,
        // 421 means that the server closes the connection, whoever is to blame.
        (_, true) if code == 421 => Finding { class: Class::Unavailable, ..DEFERRED },
        (_, true) => DEFERRED,
        (_, false) => REFUSED,
    }
}

#[cfg(test)]
mod tests;
