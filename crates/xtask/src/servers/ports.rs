//! Ports that nobody uses.

use std::net::{Ipv4Addr, TcpListener};

use crate::failure::{Failure, Result};

/// Below the ports that Linux gives to outgoing connections (32768 and up), which would come and go.
const FIRST: u16 = 20_000;
const END: u16 = 32_000;

/// Runs side by side begin their search at different places, so that they do not meet.
const STRIDE: u32 = 37;

/// Finds `count` free ports of the loopback address.
///
/// Nothing keeps another program from taking one before it is used: who starts a server must be ready to try again.
pub(crate) fn free(count: usize, seed: u32) -> Result<Vec<u16>> {
    let span = u32::from(END - FIRST);
    let offset = u16::try_from(seed.wrapping_mul(STRIDE) % span).expect("the span of ports fits");
    let mut listeners = Vec::with_capacity(count);
    for port in (FIRST + offset..END).chain(FIRST..FIRST + offset) {
        if listeners.len() == count {
            break;
        }
        // Each stays bound until all are found.
        listeners.extend(
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|listener| (port, listener)),
        );
    }
    if listeners.len() < count {
        return Err(Failure::new(format!("found only {} free ports of {count}", listeners.len())));
    }
    Ok(listeners.into_iter().map(|(port, _listener)| port).collect())
}
