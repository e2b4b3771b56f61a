//! How often one address may ask for the page.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// How often an address may ask within [`PERIOD`]: enough for people behind one proxy, and nothing for who guesses.
const REQUESTS_MAX: u32 = 120;
const PERIOD: Duration = Duration::from_mins(1);
/// The most addresses that are counted; when there are more, all are forgotten.
const ADDRESSES_MAX: usize = 10_000;

/// Counts requests in periods of a minute.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    seen: HashMap<IpAddr, (Instant, u32)>,
}

impl Limiter {
    /// Whether this address may ask now.
    pub(super) fn admit(&mut self, peer: IpAddr, now: Instant) -> bool {
        if ADDRESSES_MAX <= self.seen.len() && !self.seen.contains_key(&network(peer)) {
            self.seen.retain(|_, (since, _)| now.duration_since(*since) < PERIOD);
            if ADDRESSES_MAX <= self.seen.len() {
                self.seen.clear();
            }
        }
        let (since, count) = self.seen.entry(network(peer)).or_insert((now, 0));
        if PERIOD <= now.duration_since(*since) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= REQUESTS_MAX
    }
}

/// Who has one address of IPv6 has 2^64 of them.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_ask_again_a_minute_later_and_others_are_not_held_back() {
        let (mut limiter, start) = (Limiter::default(), Instant::now());
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let admitted = (0..1000).filter(|_| limiter.admit(one, start)).count();

        assert_eq!(admitted, 120);
        assert!(limiter.admit(other, start));
        assert!(limiter.admit(one, start + PERIOD));
    }

    #[test]
    fn addresses_of_one_network_are_one_and_memory_is_bounded() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        for host in 0..500_u128 {
            limiter.admit(IpAddr::V6(((0x2001_0db8 << 96) + host).into()), now);
        }
        assert_eq!(limiter.seen.len(), 1);
        for network in 0..30_000_u128 {
            limiter.admit(IpAddr::V6(((0x2001_0db8 << 96) + (network << 64)).into()), now);
        }
        assert!(limiter.seen.len() <= ADDRESSES_MAX);
    }
}
