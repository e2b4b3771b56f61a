//! The certificates that a server presented.

use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use nuncio_core::ports::trust::CertificateFacts;
use nuncio_core::smtp_test::PresentedCertificate;
use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

/// The most certificates that are kept of a chain; real ones have two to four.
pub const PRESENTED_MAX: usize = 10;

/// The longest name that is shown, in characters.
const NAME_CHARS_MAX: usize = 200;
/// How many hosts of a certificate are shown.
const HOSTS_MAX: usize = 10;

/// A chain that was not trusted, and why.
#[derive(Debug)]
pub struct RefusedChain {
    pub problem: CertificateError,
    /// The server's own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Whether an authority of the missing issuer's name is trusted, though with another key.
    pub same_name_trusted: bool,
}

impl fmt::Display for RefusedChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate refused: {}", self.problem)
    }
}

impl std::error::Error for RefusedChain {}

/// The name of a certificate authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    pub name: String,
    /// The DER form, as in the certificate.
    pub der: Vec<u8>,
}

/// What the certificates say of themselves. One that cannot be read shows as such.
pub fn presented(chain: &[CertificateDer<'_>]) -> Vec<PresentedCertificate> {
    chain.iter().map(present).collect()
}

/// The authority that would have to be trusted for this chain: the issuer where the chain ends.
pub fn missing_issuer(chain: &[CertificateDer<'_>]) -> Option<Issuer> {
    let parsed: Vec<_> = chain.iter().filter_map(|certificate| parse(certificate)).collect();
    let mut last = parsed.first()?;
    for _ in 1..parsed.len() {
        let next = parsed.iter().find(|next| {
            next.subject().as_raw() == last.issuer().as_raw()
                && next.subject().as_raw() != last.subject().as_raw()
        });
        let Some(next) = next else { break };
        last = next;
    }
    Some(Issuer { name: show_name(last.issuer()), der: last.issuer().as_raw().to_vec() })
}

/// The name of the server's own certificate, if it is signed by itself.
pub fn self_signed(chain: &[CertificateDer<'_>]) -> Option<String> {
    let own = parse(chain.first()?)?;
    (own.subject().as_raw() == own.issuer().as_raw()).then(|| show_name(own.subject()))
}

/// The hosts that the server's own certificate is valid for (RFC 9525, section 6.2).
pub fn hosts(chain: &[CertificateDer<'_>]) -> Vec<String> {
    let own = chain.first().and_then(parse);
    let names = own.as_ref().and_then(|own| own.subject_alternative_name().ok().flatten());
    let names = names.iter().flat_map(|names| &names.value.general_names);
    names.filter_map(show_host).take(HOSTS_MAX).collect()
}

/// The names of a certificate that are URIs (RFC 5280, section 4.2.1.6), as they stand there.
pub fn uris(certificate: &CertificateDer<'_>) -> Vec<String> {
    let parsed = parse(certificate);
    let names = parsed.as_ref().and_then(|parsed| parsed.subject_alternative_name().ok().flatten());
    let names = names.iter().flat_map(|names| &names.value.general_names);
    // One more than is shown, so that whoever counts them sees that there are too many.
    names.filter_map(uri_of).take(HOSTS_MAX + 1).collect()
}

/// Whether a server may show the certificate: one with purposes names that one among them (RFC 5280, section 4.2.1.12).
pub(crate) fn is_for_servers(certificate: &CertificateDer<'_>) -> bool {
    let parsed = parse(certificate);
    let purposes = parsed.as_ref().and_then(|parsed| parsed.extended_key_usage().ok().flatten());
    purposes.is_none_or(|purposes| purposes.value.server_auth || purposes.value.any)
}

/// What a certificate says of itself; none if it cannot be read.
pub(crate) fn facts(certificate: &CertificateDer<'_>) -> Option<CertificateFacts> {
    let parsed = parse(certificate)?;
    let at = |time: ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some(CertificateFacts {
        subject: show_name(parsed.subject()),
        issuer: show_name(parsed.issuer()),
        sha256_fingerprint: fingerprint(certificate),
        not_before: at(parsed.validity().not_before)?,
        not_after: at(parsed.validity().not_after)?,
        is_authority: parsed.is_ca(),
        is_self_signed: parsed.subject().as_raw() == parsed.issuer().as_raw(),
    })
}

/// Whether `der` is the name whose content, without its tag and length, is `content`.
pub fn is_name(der: &[u8], content: &[u8]) -> bool {
    // Tag and length take at least two bytes, and five at most for a length below 16 MiB.
    der.ends_with(content) && (2..=5).contains(&(der.len() - content.len()))
}

/// Text of a stranger, made fit for a message.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

pub(crate) fn show_seconds(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map_or_else(|_out_of_range| format!("second {seconds} of Unix time"), |at| at.to_string())
}

fn present(certificate: &CertificateDer<'_>) -> PresentedCertificate {
    let sha256_fingerprint = fingerprint(certificate);
    let unreadable = || "unreadable".to_owned();
    match parse(certificate) {
        Some(parsed) => PresentedCertificate {
            subject: show_name(parsed.subject()),
            issuer: show_name(parsed.issuer()),
            not_before: show_time(parsed.validity().not_before),
            not_after: show_time(parsed.validity().not_after),
            sha256_fingerprint,
        },
        None => PresentedCertificate {
            subject: unreadable(),
            issuer: unreadable(),
            not_before: unreadable(),
            not_after: unreadable(),
            sha256_fingerprint,
        },
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'a>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(certificate).ok().map(|(_rest, parsed)| parsed)
}

fn show_name(name: &X509Name<'_>) -> String {
    harmless(&name.to_string())
}

fn show_host(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(host) = name {
        return Some(harmless(host));
    }
    let GeneralName::IPAddress(bytes) = name else { return None };
    let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
    v4.or_else(|_other_length| v6()).ok().map(|address| address.to_string())
}

fn uri_of(name: &GeneralName<'_>) -> Option<String> {
    let GeneralName::URI(uri) = name else { return None };
    Some((*uri).to_owned())
}

fn show_time(time: ASN1Time) -> String {
    show_seconds(time.timestamp())
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = digest(&SHA256, certificate);
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes everything");
        hex
    })
}
