//! What a reply means: a table, and how it is looked up.

use std::ops::RangeInclusive;
use std::time::Duration;

use nuncio_core::job::Reason;
use nuncio_core::reply::{EnhancedCode, SmtpReply};

use crate::phase::Phase;
use rows::ROWS;

mod rows;

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
    /// Too fast or too many; slow down, for so long if that is known.
    Throttled(Option<Duration>),
    /// Not now for this recipient or mail.
    Deferred,
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
    /// The reason for the job, with the reply.
    pub fn reason(&self, reply: &SmtpReply) -> Reason {
        Reason::new(self.code, format!("{}: `{reply}`", self.cause))
            .remedy(self.remedy)
            .reply(reply.clone())
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
    if phase == Phase::Auth {
        return if is_transient {
            Finding {
                class: Class::Unavailable,
                code: "LOGIN_UNAVAILABLE",
                cause: "the SMTP server cannot check the login now",
                remedy: "wait; if it lasts, ask the provider",
            }
        } else {
            Finding {
                class: Class::Closed,
                code: "LOGIN_REFUSED",
                cause: "the SMTP server refused the login",
                remedy: "check user name, authentication method and the mailbox's permissions",
            }
        };
    }
    if phase.is_connecting() {
        return if is_transient {
            Finding {
                class: Class::Unavailable,
                code: "SERVER_UNAVAILABLE",
                cause: "the SMTP server does not serve now",
                remedy: "wait; if it lasts, ask the provider",
            }
        } else {
            Finding {
                class: Class::Closed,
                code: "CLIENT_REFUSED",
                cause: "the SMTP server refuses this client",
                remedy: "check host and port, and whether the server admits this node's address",
            }
        };
    }
    if is_transient {
        // 421 means that the server closes the connection, whoever is to blame.
        let class = if code == 421 { Class::Unavailable } else { Class::Deferred };
        Finding {
            class,
            code: "PROVIDER_DEFERRED",
            cause: "the provider asked to try again later",
            remedy: "",
        }
    } else {
        Finding {
            class: Class::Refused,
            code: "PROVIDER_REFUSED",
            cause: "the provider refused the mail",
            remedy: "",
        }
    }
}

#[cfg(test)]
mod tests;
