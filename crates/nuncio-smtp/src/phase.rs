//! The phases of a connection, and how long each may take.

use std::fmt;
use std::time::Duration;

/// Where in the talk with the server something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    Dns,
    Connect,
    /// Everything between nuncio and the proxy, in place of the two before.
    Proxy,
    Tls,
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    Reset,
    Mail,
    Rcpt,
    Data,
    /// The content of the mail, up to its last portion.
    Body,
    /// From the last portion, which ends with the lone dot, to the reply.
    EndOfData,
    Quit,
}

/// To wait for the name service.
const DNS: Duration = Duration::from_secs(20);
/// To wait for the greeting. RFC 5321, section 4.5.3.2.1 says 5 minutes; the connection time-out of the
/// settings is below that in practice and ends the wait earlier.
const GREETING: Duration = Duration::from_mins(5);
/// To wait for EHLO, STARTTLS or AUTH, for which RFC 5321 names no time, and for a TLS handshake.
const LOGIN: Duration = Duration::from_mins(2);
/// RFC 5321, sections 4.5.3.2.2 and 4.5.3.2.3, say 5 minutes for MAIL and RCPT; one minute of silence in
/// front of a mail means a dead server, and another connection costs less than the wait.
const COMMAND: Duration = Duration::from_mins(1);
/// RFC 5321, section 4.5.3.2.4.
const DATA: Duration = Duration::from_mins(2);
/// For each portion of the content: RFC 5321, section 4.5.3.2.5.
const BODY: Duration = Duration::from_mins(3);
/// RFC 5321, section 4.5.3.2.6: ending this wait early makes duplicates.
const END_OF_DATA: Duration = Duration::from_mins(10);
/// To part: nothing depends on the answer.
const QUIT: Duration = Duration::from_secs(3);

impl Phase {
    /// How long the server may be silent in this phase.
    pub fn limit(self) -> Duration {
        match self {
            Self::Dns => DNS,
            Self::Connect | Self::Proxy | Self::Greeting => GREETING,
            Self::Tls | Self::Ehlo | Self::StartTls | Self::Auth => LOGIN,
            Self::Reset | Self::Mail | Self::Rcpt => COMMAND,
            Self::Data => DATA,
            Self::Body => BODY,
            Self::EndOfData => END_OF_DATA,
            Self::Quit => QUIT,
        }
    }

    /// What was going on, for messages: `while waiting for the greeting`.
    pub fn doing(self) -> &'static str {
        match self {
            Self::Dns => "looking up the host name",
            Self::Connect => "connecting",
            Self::Proxy => "connecting through the proxy",
            Self::Tls => "making the TLS connection",
            Self::Greeting => "waiting for the greeting",
            Self::Ehlo => "waiting for the answer to EHLO",
            Self::StartTls => "waiting for the answer to STARTTLS",
            Self::Auth => "logging in",
            Self::Reset => "waiting for the answer to RSET",
            Self::Mail => "waiting for the answer to MAIL",
            Self::Rcpt => "waiting for the answer to RCPT",
            Self::Data => "waiting for the answer to DATA",
            Self::Body => "sending the mail",
            Self::EndOfData => "waiting for the answer to the mail",
            Self::Quit => "waiting for the answer to QUIT",
        }
    }

    /// Whether it belongs to getting ready, under the connection time-out of the settings.
    pub fn is_connecting(self) -> bool {
        self < Self::Reset
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Greeting => "greeting",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Auth => "auth",
            Self::Reset => "rset",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Body => "body",
            Self::EndOfData => "end_of_data",
            Self::Quit => "quit",
        })
    }
}
