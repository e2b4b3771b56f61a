//! The way to people past the mail's provider: webhooks, syslog, and another mail server.

pub mod sender;

mod smtp;
mod syslog;
mod webhook;
