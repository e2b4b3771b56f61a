//! The way to people past the mail: webhooks and syslog.

pub mod sender;

mod syslog;
mod webhook;
