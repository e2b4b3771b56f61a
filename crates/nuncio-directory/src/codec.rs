//! How guests and users are written down: JSON with the number of its version.
//!
//! A later version of nuncio reads what an earlier one has written. Texts that are empty are left out.

pub mod guest;
pub mod user;

use std::borrow::Cow;

use jiff::tz::TimeZone;
use nuncio_core::address::EmailAddress;

/// A record is none of this version of nuncio, or was damaged.
#[derive(Debug, thiserror::Error)]
#[error("the record of `{id}` cannot be read: {problem}")]
pub struct Broken {
    pub id: String,
    /// What is wrong, without the content: it is personal.
    pub problem: String,
}

impl Broken {
    fn new(id: &str, problem: impl Into<String>) -> Self {
        Self { id: id.to_owned(), problem: problem.into() }
    }

    /// Of the error of the parser only the place: its text may quote the content.
    fn json(id: &str, error: &serde_json::Error) -> Self {
        Self::new(id, format!("{:?} error in column {}", error.classify(), error.column()))
    }
}

fn check_version(id: &str, version: u32, known: u32) -> Result<(), Broken> {
    if version == known {
        return Ok(());
    }
    let problem = format!("it has version {version}, and this version of nuncio reads {known}");
    Err(Broken::new(id, problem))
}

fn address(id: &str, field: &str, text: &str) -> Result<Option<EmailAddress>, Broken> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Broken::new(id, format!("`{field}` is no address")))
}

/// A time zone that this machine does not know is taken for UTC: better than losing somebody.
fn time_zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

fn time_zone_name(zone: &TimeZone) -> Cow<'_, str> {
    Cow::Borrowed(zone.iana_name().unwrap_or("UTC"))
}

fn is_empty(text: &str) -> bool {
    text.is_empty()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn address_text(address: Option<&EmailAddress>) -> Cow<'_, str> {
    Cow::Borrowed(address.map_or("", EmailAddress::as_str))
}

#[cfg(test)]
mod tests;
