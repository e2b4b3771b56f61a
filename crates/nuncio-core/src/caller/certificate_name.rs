//! The name in a certificate: a SPIFFE ID (<https://spiffe.io/docs/latest/spiffe-specs/spiffe-id/>).
//!
//! A certificate has exactly one URI among its names, as an X.509-SVID must: `spiffe://nuncio.local/nuncio/node/psn-1` or
//! `spiffe://nuncio.local/nuncio/client/portal-app`.

use std::fmt;
use std::str::FromStr;

use super::is_name;

/// The longest trust domain, in bytes (SPIFFE ID, section 2.3).
const TRUST_DOMAIN_BYTES_MAX: usize = 255;

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateName {
    pub trust_domain: TrustDomain,
    pub kind: Kind,
    pub name: String,
}

/// What it is that has a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Node,
    Client,
}

/// The installation to which certificates belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDomain(String);

/// A text is no such name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCertificateName {
    #[error(
        "the certificate has no name of the form `spiffe://…/nuncio/node/NAME` or `spiffe://…/nuncio/client/NAME`"
    )]
    OtherForm,
    #[error(
        "the certificate has no URI among its names, such as `spiffe://nuncio.local/nuncio/client/NAME`"
    )]
    None,
    #[error("the certificate has more than one URI among its names, where SPIFFE allows one")]
    Several,
    #[error("the certificate is of another trust domain than that of this node")]
    OtherTrustDomain,
}

/// A text is no trust domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be lower-case letters, digits, `-`, `_` and `.`, such as `nuncio.local`")]
pub struct NoTrustDomain;

impl CertificateName {
    /// Reads the URIs of a certificate. With `home` only names of this trust domain count.
    pub fn of<S: AsRef<str>>(
        uris: &[S],
        home: Option<&TrustDomain>,
    ) -> Result<Self, NoCertificateName> {
        let name: Self = match uris {
            [] => return Err(NoCertificateName::None),
            [one] => one.as_ref().parse()?,
            [_, _, ..] => return Err(NoCertificateName::Several),
        };
        if home.is_some_and(|home| *home != name.trust_domain) {
            return Err(NoCertificateName::OtherTrustDomain);
        }
        Ok(name)
    }
}

impl Kind {
    fn segment(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Client => "client",
        }
    }
}

impl TrustDomain {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = NoTrustDomain;

    fn from_str(text: &str) -> Result<Self, NoTrustDomain> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        let is_one =
            (1..=TRUST_DOMAIN_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed);
        if is_one { Ok(Self(text.to_owned())) } else { Err(NoTrustDomain) }
    }
}

impl FromStr for CertificateName {
    type Err = NoCertificateName;

    fn from_str(uri: &str) -> Result<Self, NoCertificateName> {
        let read = || {
            let (trust_domain, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
            let (kind, name) = path.strip_prefix("nuncio/")?.split_once('/')?;
            let kind = [Kind::Node, Kind::Client].into_iter().find(|one| one.segment() == kind)?;
            let trust_domain = trust_domain.parse().ok()?;
            is_name(name).then(|| Self { trust_domain, kind, name: name.to_owned() })
        };
        read().ok_or(NoCertificateName::OtherForm)
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust_domain, kind, name } = self;
        write!(f, "spiffe://{}/nuncio/{}/{name}", trust_domain.0, kind.segment())
    }
}

#[cfg(test)]
mod tests;
