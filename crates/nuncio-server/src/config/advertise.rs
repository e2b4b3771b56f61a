//! Where other nodes reach this one.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::problem::Problems;
use super::sources::{Found, Key, Sources};

/// The longest host name, in characters (RFC 1035, section 2.3.4, as text).
const HOST_CHARS_MAX: usize = 253;

/// Where the gRPC of this node is for the other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    host: String,
    /// None means the one that is bound.
    port: Option<u16>,
}

impl Advertised {
    /// As the others are told it, `host:port`, when the node listens at `bound`.
    pub fn address(&self, bound: SocketAddr) -> String {
        format!("{}:{}", self.host, self.port.unwrap_or_else(|| bound.port()))
    }
}

/// What the operator says, or what follows from the address that is listened on.
pub(super) fn check(
    sources: &Sources,
    listen: Option<&Found<SocketAddr>>,
    host_name: String,
    problems: &mut Problems,
) -> Option<Advertised> {
    let given = sources.get_text(Key::GrpcAdvertise, problems, advertised, None)?.value;
    let listen = listen?.value.ip();
    Some(given.unwrap_or_else(|| Advertised {
        host: if listen.is_unspecified() { host_name } else { host(listen) },
        port: None,
    }))
}

fn advertised(text: &str) -> Result<Option<Advertised>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let problem = || {
        format!(
            "`{text}` is no host with port; give it as `psn-1.example.com:7587`, `10.0.0.7:7587` or `[fd00::7]:7587`"
        )
    };
    let (name, port) = text.rsplit_once(':').ok_or_else(problem)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(problem)?;
    let bracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let address = match bracketed {
        Some(inner) => Some(IpAddr::V6(inner.parse::<Ipv6Addr>().map_err(|_| problem())?)),
        None => name.parse::<IpAddr>().ok(),
    };
    match address {
        Some(address) if address.is_unspecified() => Err(format!(
            "`{text}` names no single machine; give the name or the address by which other nodes reach this one"
        )),
        Some(IpAddr::V6(_)) if bracketed.is_none() => Err(problem()),
        Some(address) => Ok(Some(Advertised { host: host(address), port: Some(port) })),
        None if is_name(name) => Ok(Some(Advertised { host: name.to_owned(), port: Some(port) })),
        None => Err(problem()),
    }
}

fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=HOST_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let bound = "127.0.0.1:9".parse().unwrap();
        let told = advertised(text).map(|one| one.unwrap().address(bound));
        assert_eq!(told.ok().as_deref(), expect, "{text}");
    }

    #[test]
    fn a_name_or_an_address_with_a_port_is_one() {
        for good in ["psn-1.example.com:7587", "psn_1:1", "10.0.0.7:7587", "[fd00::7]:7587"] {
            check(good, Some(good));
        }
        check("[FD00:0::7]:7587", Some("[fd00::7]:7587"));
    }

    #[test]
    fn what_others_cannot_reach_is_none() {
        for bad in [
            "psn-1",
            "psn-1:0",
            "psn-1:70000",
            ":7587",
            "fd00::7:7587",
            "[psn-1]:7587",
            "0.0.0.0:7587",
            "[::]:7587",
            "http://psn-1:7587",
            "psn 1:7587",
            "user@psn-1:7587",
        ] {
            check(bad, None);
        }
    }
}
