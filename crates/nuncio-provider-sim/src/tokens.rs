//! The access tokens that were handed out, and what they are good for.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// Tokens remembered; the oldest is forgotten, and refused from then on.
const TOKENS_MAX: usize = 100_000;

/// What a token was given for.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) tenant_id: String,
    pub(crate) audience: String,
    pub(crate) roles: Vec<String>,
    pub(crate) expires: Timestamp,
}

/// The tokens that were handed out.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    grants: HashMap<String, Grant>,
    order: VecDeque<String>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("tokens", &self.grants.len()).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Makes a token, padded to `size` characters.
    pub(crate) fn issue(&self, grant: Grant, now: Timestamp, size: usize) -> String {
        let token = encode(&grant, now, size);
        let mut state = self.lock();
        if TOKENS_MAX <= state.order.len()
            && let Some(oldest) = state.order.pop_front()
        {
            state.grants.remove(&oldest);
        }
        state.order.push_back(token.clone());
        state.grants.insert(token.clone(), grant);
        token
    }

    /// What a token is good for, if it was handed out here and its time is not over.
    pub(crate) fn check(&self, token: &str, now: Timestamp) -> Option<Grant> {
        self.lock().grants.get(token).filter(|grant| now < grant.expires).cloned()
    }

    /// Ends the time of all tokens.
    pub(crate) fn expire_all(&self, now: Timestamp) {
        self.lock().grants.values_mut().for_each(|grant| grant.expires = grant.expires.min(now));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no code under this lock panics")
    }
}

/// Random bytes as lower-case hexadecimal digits in the shape of a GUID.
pub(crate) fn guid() -> String {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    let hex = bytes.iter().fold(String::with_capacity(32), |mut hex, byte| {
        use std::fmt::Write;
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    });
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A JWT with a signature of random bytes: resource servers know their own tokens here, clients must not look inside.
fn encode(grant: &Grant, now: Timestamp, size: usize) -> String {
    let header = json!({ "typ": "JWT", "alg": "RS256", "kid": "simulator" });
    let issued = now.as_second();
    let mut claims = json!({
        "aud": grant.audience,
        "iss": format!("https://sts.windows.net/{}/", grant.tenant_id),
        "iat": issued,
        "nbf": issued,
        "exp": grant.expires.as_second(),
        "appid": grant.client_id,
        "appidacr": "1",
        "idtyp": "app",
        "oid": guid(),
        "roles": grant.roles,
        "tid": grant.tenant_id,
        "uti": guid(),
        "ver": "1.0",
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut signature = [0; 256];
    fill(&mut signature);
    let signature = URL_SAFE_NO_PAD.encode(signature);

    let token = format!("{}.{}.{signature}", part(&header), part(&claims));
    let missing = size.saturating_sub(token.len());
    if missing == 0 {
        return token;
    }
    // Three bytes of the claims become four characters; the rest lengthens the signature.
    claims["xms_pad"] = json!("p".repeat((missing / 4 * 3).saturating_sub(16)));
    let mut token = format!("{}.{}.{signature}", part(&header), part(&claims));
    while token.len() < size {
        token.push('A');
    }
    token
}

pub(crate) fn fill(bytes: &mut [u8]) {
    rand::fill(bytes).expect("the system's random numbers do not run out");
}

/// The moment `seconds` after `now`.
pub(crate) fn after(now: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
