//! What a proxy in the way means and what to do about it.

use std::fmt;

use nuncio_core::settings::proxy::{Proxy, ProxyKind};
use nuncio_core::smtp_test::StageError;

use super::ProxyError;

pub const PROXY_NOT_FOUND: &str = "PROXY_NOT_FOUND";
pub const PROXY_UNREACHABLE: &str = "PROXY_UNREACHABLE";
pub const PROXY_TIMED_OUT: &str = "PROXY_TIMED_OUT";
pub const PROXY_BROKEN: &str = "PROXY_BROKEN";
pub const PROXY_CREDENTIALS_MISSING: &str = "PROXY_CREDENTIALS_MISSING";
pub const PROXY_CREDENTIALS_REFUSED: &str = "PROXY_CREDENTIALS_REFUSED";
pub const PROXY_REFUSED: &str = "PROXY_REFUSED";
/// The proxy could not reach the server.
pub const PROXY_IN_VAIN: &str = "PROXY_IN_VAIN";
pub const NOT_A_PROXY: &str = "NOT_A_PROXY";

impl ProxyError {
    /// What it means to an operator. `server` is what was to be reached, for example ``the SMTP server `mx:587` ``.
    pub fn explain(&self, proxy: &Proxy, server: &dyn fmt::Display) -> StageError {
        let at = format!("the proxy `{}`", proxy.address);
        let (code, cause, remedy) = match self {
            Self::NotFound(error) => (
                PROXY_NOT_FOUND,
                format!("the name `{}` of the proxy could not be found: {error}", proxy.address.host),
                "check the proxy's name, and the name servers of this node".to_owned(),
            ),
            Self::Unreachable(error) => (
                PROXY_UNREACHABLE,
                format!("{at} could not be connected to: {error}"),
                "check the proxy's host and port, that it runs, and that a firewall lets this node out to it"
                    .to_owned(),
            ),
            Self::TimedOut { doing, waited } => (
                PROXY_TIMED_OUT,
                format!("{at} gave no answer within {:.0} s while {doing}", waited.as_secs_f64()),
                format!(
                    "check the proxy's host and port, that it is {}, that a firewall lets this node out to it \
                     and the proxy to the server, and the connection time-out",
                    kind(proxy)
                ),
            ),
            Self::Broken(error) => (
                PROXY_BROKEN,
                format!("{at} broke the connection when it was asked for {server}: {error}"),
                format!("check that it is {}, and see its log", kind(proxy)),
            ),
            Self::CredentialsWanted { answer } => (
                PROXY_CREDENTIALS_MISSING,
                format!("{at} wants a user name and a password ({answer})"),
                "give the proxy's user name and password, or have it admit this node's address".to_owned(),
            ),
            Self::CredentialsRefused { answer } => (
                PROXY_CREDENTIALS_REFUSED,
                format!("{at} refused user name and password ({answer})"),
                "check the proxy's user name and password; nuncio knows HTTP Basic and those of SOCKS, not \
                 NTLM or Kerberos"
                    .to_owned(),
            ),
            Self::Refused { answer } => (
                PROXY_REFUSED,
                format!("{at} refused to connect to {server} ({answer})"),
                "have the proxy's operator allow this server and port (many allow CONNECT to 443 only), or add \
                 the server to those that are reached past the proxy"
                    .to_owned(),
            ),
            Self::InVain { answer } => (
                PROXY_IN_VAIN,
                format!("{at} could not reach {server} ({answer})"),
                "check the server's host and port; if they are right, the proxy's name servers and its way to \
                 the server, and its log"
                    .to_owned(),
            ),
            Self::NotAProxy { answer } => (
                NOT_A_PROXY,
                format!("{at} does not answer like {}: {answer}", kind(proxy)),
                "check the proxy's kind (`http://` or `socks5://`), host and port".to_owned(),
            ),
        };
        StageError { code: code.to_owned(), cause, remedy, presented_chain: Vec::new() }
    }

    /// Whether it lasts until a person acts.
    pub fn needs_a_person(&self) -> bool {
        match self {
            Self::CredentialsWanted { .. }
            | Self::CredentialsRefused { .. }
            | Self::Refused { .. } => true,
            Self::NotFound(_)
            | Self::Unreachable(_)
            | Self::TimedOut { .. }
            | Self::Broken(_)
            | Self::InVain { .. }
            | Self::NotAProxy { .. } => false,
        }
    }
}

fn kind(proxy: &Proxy) -> &'static str {
    match proxy.address.kind {
        ProxyKind::Http => "an HTTP proxy",
        ProxyKind::Socks5 => "a SOCKS5 proxy",
    }
}
