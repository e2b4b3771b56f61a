//! The links of an approval: signed, ending, each for one decision of one approver.
//!
//! A link holds the approval (128 random bits), the decision, the approver and the end, and their HMAC-SHA256. That it
//! works once is a matter of the approval: it is decided once.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use nuncio_core::portal::approval::{ApprovalId, Verdict};

/// The version of a link: its first byte.
const VERSION: u8 = 1;
/// What is signed besides: no other signature with this key is one of a link.
const PURPOSE: &[u8] = b"nuncio approval link\0";
/// Version, approval, decision, approver, end.
const PAYLOAD_BYTES: usize = 1 + 16 + 1 + 1 + 8;
/// The longest text that is looked at: longer than any link.
const TOKEN_CHARS_MAX: usize = 128;

/// What a link says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) approval: ApprovalId,
    pub(crate) verdict: Verdict,
    /// The place among the approvers.
    pub(crate) approver: u8,
    /// The first moment when it works no more, to the second.
    pub(crate) expires_at: Timestamp,
}

/// The text is no link that this service made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forged;

impl Link {
    /// The last part of the link's address.
    pub(crate) fn token(&self, key: &hmac::Key) -> String {
        let payload = self.payload();
        let tag = hmac::sign(key, &[PURPOSE, &payload].concat());
        URL_SAFE_NO_PAD.encode([&payload[..], tag.as_ref()].concat())
    }

    /// Reads a link, if it was signed with this key. The signature is compared in constant time.
    pub(crate) fn read(token: &str, key: &hmac::Key) -> Result<Self, Forged> {
        if TOKEN_CHARS_MAX < token.len() {
            return Err(Forged);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Forged)?;
        let (payload, tag) = bytes.split_first_chunk::<PAYLOAD_BYTES>().ok_or(Forged)?;
        hmac::verify(key, &[PURPOSE, payload].concat(), tag).map_err(|_| Forged)?;
        let (&[version], rest) = payload.split_first_chunk::<1>().ok_or(Forged)?;
        let (approval, rest) = rest.split_first_chunk::<16>().ok_or(Forged)?;
        let (&[verdict, approver], rest) = rest.split_first_chunk::<2>().ok_or(Forged)?;
        let expires_at = i64::from_be_bytes(rest.try_into().map_err(|_| Forged)?);
        let verdict = Verdict::ALL.into_iter().find(|one| byte(*one) == verdict).ok_or(Forged)?;
        if version != VERSION {
            return Err(Forged);
        }
        let expires_at = Timestamp::from_second(expires_at).map_err(|_| Forged)?;
        Ok(Self { approval: ApprovalId::new(*approval), verdict, approver, expires_at })
    }

    fn payload(&self) -> Vec<u8> {
        let mut payload = vec![VERSION];
        payload.extend(self.approval.bytes());
        payload.extend([byte(self.verdict), self.approver]);
        payload.extend(self.expires_at.as_second().to_be_bytes());
        payload
    }
}

fn byte(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Approve => 1,
        Verdict::Deny => 2,
    }
}

#[cfg(test)]
mod tests;
