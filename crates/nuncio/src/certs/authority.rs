//! Makes certificates.

use std::net::IpAddr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use nuncio_core::caller::certificate_name::{CertificateName, Kind, TrustDomain};
use nuncio_core::ports::trust::{CertificateFacts, CertificateReader as _};
use nuncio_tls::reader::X509Reader;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use super::files::Pair;

/// What the common name of an authority begins with; its trust domain follows.
const AUTHORITY_NAME: &str = "nuncio authority of ";

/// An authority that signs.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    trust_domain: TrustDomain,
    facts: CertificateFacts,
}

/// What was made, and what to tell of it.
pub(super) struct Made {
    pub(super) pair: Pair,
    /// The name in the certificate.
    pub(super) name: String,
    /// The first moment at which it does not count any more.
    pub(super) until: String,
}

/// Whom a certificate is for.
pub(super) struct Leaf {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) roles: Vec<String>,
    pub(super) dns: Vec<String>,
    pub(super) ip: Vec<IpAddr>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum AuthorityError {
    #[error("the certificate cannot be made")]
    Make(#[from] rcgen::Error),
    #[error("`ca.pem` and `ca.key` are no authority of `nuncio certs init`")]
    NotOurs,
    #[error("`{0}` is no host name")]
    Host(String),
    #[error(
        "the authority ends at {end}, before the certificate would; give less `--days`, or make a new authority"
    )]
    EndsBefore { end: Timestamp },
    #[error("the clock of this machine is out of range")]
    Clock,
}

impl Authority {
    /// Makes a new one, which signs no other authority.
    pub(super) fn make(
        trust_domain: &TrustDomain,
        now: Timestamp,
        days: u16,
    ) -> Result<Made, AuthorityError> {
        let name = format!("spiffe://{}", trust_domain.as_str());
        let (mut params, until) = valid(now, days)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![SanType::URI(name.as_str().try_into()?)];
        let common = format!("{AUTHORITY_NAME}{}", trust_domain.as_str());
        params.distinguished_name.push(DnType::CommonName, common);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Made { pair: Pair { certificate, key: key.serialize_pem() }, name, until })
    }

    /// Takes one that was made here.
    pub(super) fn read(pair: &Pair) -> Result<Self, AuthorityError> {
        let facts = X509Reader.read(&pair.certificate);
        let facts = facts.map_err(|_problem| AuthorityError::NotOurs)?;
        let (_, trust_domain) =
            facts.subject.split_once(AUTHORITY_NAME).ok_or(AuthorityError::NotOurs)?;
        let trust_domain = trust_domain.parse().map_err(|_problem| AuthorityError::NotOurs)?;
        let key = KeyPair::from_pem(&pair.key)?;
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate, key)?;
        Ok(Self { issuer, trust_domain, facts })
    }

    pub(super) fn issue(
        &self,
        leaf: &Leaf,
        now: Timestamp,
        days: u16,
    ) -> Result<Made, AuthorityError> {
        let (mut params, until) = valid(now, days)?;
        let end: Timestamp = until.parse().map_err(|_problem| AuthorityError::Clock)?;
        if self.facts.not_after < end {
            return Err(AuthorityError::EndsBefore { end: self.facts.not_after });
        }
        let trust_domain = self.trust_domain.clone();
        let name = CertificateName { trust_domain, kind: leaf.kind, name: leaf.name.clone() };
        let name = name.to_string();
        params.subject_alt_names = vec![SanType::URI(name.as_str().try_into()?)];
        for host in &leaf.dns {
            let host = host.as_str().try_into();
            let host = host.map_err(|_problem| AuthorityError::Host(leaf.dns.join(", ")))?;
            params.subject_alt_names.push(SanType::DnsName(host));
        }
        params.subject_alt_names.extend(leaf.ip.iter().copied().map(SanType::IpAddress));
        if !leaf.roles.is_empty() {
            let roles = format!("roles {}", leaf.roles.join(" "));
            params.distinguished_name.push(DnType::OrganizationalUnitName, roles);
        }
        params.distinguished_name.push(DnType::CommonName, leaf.name.as_str());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match leaf.kind {
            Kind::Node => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
            Kind::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Made { pair: Pair { certificate, key: key.serialize_pem() }, name, until })
    }
}

/// A certificate that is valid from yesterday on, as clocks differ, for so many days from today. The second is its end.
fn valid(now: Timestamp, days: u16) -> Result<(CertificateParams, String), AuthorityError> {
    let today = TimeZone::UTC.to_datetime(now).date();
    let start = today.yesterday().map_err(|_problem| AuthorityError::Clock)?;
    let end = today.checked_add(i64::from(days).days());
    let end = end.map_err(|_problem| AuthorityError::Clock)?;
    let at = |date: Date| {
        let part = |part: i8| u8::try_from(part).expect("months and days are above zero");
        date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (at(start), at(end));
    params.distinguished_name = DistinguishedName::new();
    Ok((params, format!("{end}T00:00:00Z")))
}
