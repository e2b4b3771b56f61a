//! The fingerprint of an alarm: the same on every node and in every version.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::alarm::AlarmIdentity;

/// How many bytes of the digest are kept: 128 bits, so that nobody makes two alarms the same.
const BYTES: usize = 16;

/// A digest of type, node and labels; in hexadecimal digits it is the last part of an alarm's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 2 * BYTES && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "alarms/{}", self.0)
    }
}

impl AlarmIdentity {
    pub fn fingerprint(&self) -> Fingerprint {
        let pairs = self.labels.iter().flat_map(|(key, value)| [key, value]);
        let parts = [&self.alarm_type, &self.node].into_iter().chain(pairs);
        Fingerprint(digest(parts.map(String::as_str)))
    }
}

/// A digest of texts in their order. The lengths are part of it, so that no two lists are taken for one.
pub(super) fn digest<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    use fmt::Write as _;

    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let mut text = String::with_capacity(2 * BYTES);
    for byte in &hasher.finalize()[..BYTES] {
        write!(text, "{byte:02x}").expect("a text takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn identity(alarm_type: &str, node: &str, labels: &[(&str, &str)]) -> AlarmIdentity {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        AlarmIdentity {
            alarm_type: alarm_type.to_owned(),
            node: node.to_owned(),
            labels: labels.collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn the_fingerprint_never_changes() {
        let alarm = identity("process-down", "node-1", &[("process", "radius")]);

        assert_eq!(alarm.fingerprint().as_str(), "ab839e02e08fbcba8287233acf5fa9c3");
    }

    #[test]
    fn what_differs_has_different_fingerprints() {
        let prints = [
            identity("a", "b", &[]),
            identity("ab", "", &[]),
            identity("a", "", &[("b", "")]),
            identity("a", "b", &[("c", "d")]),
            identity("a", "b", &[("cd", "")]),
            identity("a", "b", &[("c", "d"), ("e", "f")]),
        ]
        .map(|one| one.fingerprint());

        let distinct: std::collections::HashSet<_> = prints.iter().collect();
        assert_eq!(distinct.len(), prints.len(), "{prints:?}");
    }

    #[test]
    fn only_a_fingerprint_is_one() {
        let fingerprint = identity("a", "b", &[]).fingerprint();

        assert_eq!(Fingerprint::parse(fingerprint.as_str()), Some(fingerprint.clone()));
        assert_eq!(Fingerprint::parse(&fingerprint.as_str().to_uppercase()), None);
        assert_eq!(Fingerprint::parse("../../etc"), None);
    }
}
