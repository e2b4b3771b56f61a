//! From what an operator types about a proxy to a proxy.

use crate::secret::Password;
use crate::settings::proxy::{Bypass, Proxy, ProxyAddress, ProxyCredentials, ProxyKind};
use crate::violation::Violations;

/// The most servers and networks that are reached directly.
const BYPASS_MAX: usize = 100;
/// The longest user name and password, in bytes (RFC 1929, section 2).
const CREDENTIAL_BYTES_MAX: usize = 255;

/// A proxy as an operator gives it; empty texts are left out.
#[derive(Clone, Debug, Default)]
pub struct ProxyDraft {
    pub url: String,
    pub username: String,
    pub password: Option<Password>,
    pub bypass: Vec<String>,
}

impl ProxyDraft {
    /// Makes the proxy, with the password of the `saved` one if it is the same, or notes all that is wrong.
    pub(super) fn check(self, violations: &mut Violations, saved: Option<&Proxy>) -> Option<Proxy> {
        let address = violations.check("proxy.url", self.url.parse::<ProxyAddress>());
        let bypass = check_bypass(violations, &self.bypass);
        let credentials = self.check_credentials(violations, address.as_ref(), saved);
        Some(Proxy { address: address?, credentials, bypass })
    }

    fn check_credentials(
        self,
        violations: &mut Violations,
        address: Option<&ProxyAddress>,
        saved: Option<&Proxy>,
    ) -> Option<ProxyCredentials> {
        if self.username.is_empty() {
            if self.password.is_some() {
                violations.add("proxy.username", "is missing, but there is a password");
            }
            return None;
        }
        check_credential(violations, "proxy.username", &self.username);
        let is_http = address.is_none_or(|address| address.kind == ProxyKind::Http);
        if is_http && self.username.contains(':') {
            // RFC 7617, section 2.
            violations.add("proxy.username", "has a colon, which HTTP Basic cannot carry");
        }
        let saved_credentials = saved.and_then(|saved| saved.credentials.as_ref());
        let is_same = saved.is_some_and(|saved| Some(&saved.address) == address)
            && saved_credentials.is_some_and(|saved| saved.username == self.username);
        let password = match (self.password, saved_credentials) {
            (Some(password), _) => {
                check_credential(violations, "proxy.password", password.expose());
                password
            }
            (None, Some(saved)) if is_same => saved.password.clone(),
            // It may well be the saved one when the URL is right.
            (None, Some(_)) if address.is_none() => return None,
            // Otherwise whoever may test settings could have the saved password sent to a proxy of theirs.
            (None, Some(_)) => {
                let problem =
                    "is missing; the saved one is for another proxy or user: give it again";
                violations.add("proxy.password", problem);
                return None;
            }
            (None, None) => {
                violations.add("proxy.password", "is missing, and none is saved");
                return None;
            }
        };
        Some(ProxyCredentials { username: self.username, password })
    }
}

fn check_credential(violations: &mut Violations, field: &str, text: &str) {
    if text.chars().any(char::is_control) {
        violations.add(field, "has a line break or control character; was it pasted with one?");
    }
    if CREDENTIAL_BYTES_MAX < text.len() {
        violations.add(field, format!("is longer than {CREDENTIAL_BYTES_MAX} bytes"));
    }
}

fn check_bypass(violations: &mut Violations, texts: &[String]) -> Vec<Bypass> {
    if BYPASS_MAX < texts.len() {
        let problem = format!("has {} entries; give at most {BYPASS_MAX}", texts.len());
        violations.add("proxy.bypass", problem);
        return Vec::new();
    }
    let parse = |(index, text): (usize, &String)| {
        violations.check(format!("proxy.bypass[{index}]"), text.parse())
    };
    texts.iter().enumerate().filter_map(parse).collect()
}
