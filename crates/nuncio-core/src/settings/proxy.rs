//! The proxy between nuncio and its servers.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::secret::Password;

/// A proxy for the SMTP server and the token endpoint. It looks up the servers' names by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    pub address: ProxyAddress,
    pub credentials: Option<ProxyCredentials>,
    /// The servers that are reached directly.
    pub bypass: Vec<Bypass>,
}

/// Where a proxy is and what it speaks. Its `Display` is its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAddress {
    pub kind: ProxyKind,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyKind {
    /// By CONNECT (RFC 9110, section 9.3.6).
    Http,
    /// RFC 1928
    Socks5,
}

/// What a proxy wants to know: HTTP Basic (RFC 7617), or user name and password of SOCKS (RFC 1929).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyCredentials {
    pub username: String,
    pub password: Password,
}

/// Servers that are reached without the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bypass {
    /// This name, in lower case.
    Host(String),
    /// This domain, in lower case and without the leading dot, and every name below it.
    Domain(String),
    /// Addresses. A name is not looked up for this.
    Network(IpNet),
}

/// Why a text is no URL of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    #[error("is no proxy that nuncio knows; give `http://host:3128` or `socks5://host:1080`")]
    Scheme,
    #[error("has a user name; give it in `username`, and the password in `password`")]
    Credentials,
    #[error("has no port; give one as in `http://host:3128`")]
    Port,
    #[error("has no host name or address; give one as in `http://host:3128`")]
    Host,
    #[error("has something behind the port; give only scheme, host and port")]
    Path,
}

/// Why a text names no servers to be reached directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is neither a host name, nor a domain as in `.example.com`, nor addresses as in `10.0.0.0/8`"
)]
pub struct BypassError;

/// The longest name of a host, in characters (RFC 1035, section 2.3.4).
const HOST_CHARS_MAX: usize = 253;

impl Proxy {
    /// Whether the server is reached through the proxy.
    pub fn is_for(&self, host: &str) -> bool {
        !self.bypass.iter().any(|bypass| bypass.holds(host))
    }
}

impl FromStr for ProxyAddress {
    type Err = ProxyUrlError;

    fn from_str(url: &str) -> Result<Self, ProxyUrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(ProxyUrlError::Scheme)?;
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => ProxyKind::Http,
            "socks5" => ProxyKind::Socks5,
            _ => return Err(ProxyUrlError::Scheme),
        };
        if rest.contains('@') {
            return Err(ProxyUrlError::Credentials);
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(ProxyUrlError::Path);
        }
        let bare_ipv6 = authority.ends_with(']');
        let (host, port) =
            authority.rsplit_once(':').filter(|_| !bare_ipv6).ok_or(ProxyUrlError::Port)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(ProxyUrlError::Port)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(host) if host.parse::<std::net::Ipv6Addr>().is_ok() => host,
            None if is_host_name(host) => host,
            Some(_) | None => return Err(ProxyUrlError::Host),
        };
        Ok(Self { kind, host: host.to_owned(), port })
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, host, port } = self;
        let scheme = match kind {
            ProxyKind::Http => "http",
            ProxyKind::Socks5 => "socks5",
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

impl Bypass {
    /// Whether the server is reached directly.
    pub fn holds(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        match self {
            Self::Host(name) => host == *name,
            Self::Domain(domain) => {
                let above = host.strip_suffix(domain.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            Self::Network(network) => {
                host.parse::<IpAddr>().is_ok_and(|address| network.contains(&address))
            }
        }
    }
}

impl FromStr for Bypass {
    type Err = BypassError;

    fn from_str(text: &str) -> Result<Self, BypassError> {
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        let lower = text.trim_end_matches('.').to_ascii_lowercase();
        let domain = lower.strip_prefix("*.").or_else(|| lower.strip_prefix('.'));
        match domain {
            Some(domain) if is_host_name(domain) => Ok(Self::Domain(domain.to_owned())),
            None if is_host_name(&lower) => Ok(Self::Host(lower)),
            Some(_) | None => Err(BypassError),
        }
    }
}

impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => f.write_str(name),
            Self::Domain(domain) => write!(f, ".{domain}"),
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                write!(f, "{}", network.addr())
            }
            Self::Network(network) => write!(f, "{network}"),
        }
    }
}

fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    text.len() <= HOST_CHARS_MAX && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
