//! What a failed TLS handshake means and what to do about it.

use std::error::Error;
use std::fmt;
use std::io;

use nuncio_core::settings::trust_store::NAME_CHARS_MAX;
use nuncio_core::smtp_test::{PresentedCertificate, StageError};
use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use crate::chain::{self, RefusedChain, harmless, show_seconds};

pub const NO_VALID_CERTIFICATION_PATH: &str = "NO_VALID_CERTIFICATION_PATH";
pub const CERTIFICATE_EXPIRED: &str = "CERTIFICATE_EXPIRED";
pub const CERTIFICATE_NOT_YET_VALID: &str = "CERTIFICATE_NOT_YET_VALID";
pub const CERTIFICATE_NAME_MISMATCH: &str = "CERTIFICATE_NAME_MISMATCH";
/// The certificate has another fault, for example a bad signature or a wrong purpose.
pub const CERTIFICATE_REFUSED: &str = "CERTIFICATE_REFUSED";
pub const TLS_VERSION_NOT_SUPPORTED: &str = "TLS_VERSION_NOT_SUPPORTED";
pub const TLS_FAILED: &str = "TLS_FAILED";

/// How many sources of an error are searched.
const SOURCES_MAX: usize = 16;

/// The server that was spoken to.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// With its article, for example `the SMTP server`.
    pub role: &'a str,
    pub host: &'a str,
    pub port: u16,
}

impl fmt::Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}:{}`", self.role, self.host, self.port)
    }
}

/// The TLS error inside another error, for example inside an `io::Error` or an HTTP client's error.
pub fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    for _ in 0..SOURCES_MAX {
        let error = next?;
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // The source of an `io::Error` is not what it wraps but the source of that.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Says what is wrong with a handshake that ended with `error`, and what to do.
pub fn diagnose(server: Server<'_>, error: &(dyn Error + 'static)) -> StageError {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
            match other.0.downcast_ref::<RefusedChain>() {
                Some(refused) => diagnose_chain(server, refused),
                None => failed(server, &other.0),
            }
        }
        Some(tls) => diagnose_protocol(server, tls),
        None if is_cut(error) => stage_error(
            TLS_FAILED,
            format!("{server} closed the connection during the TLS handshake"),
            "check that the port speaks TLS and that no firewall between cuts TLS connections"
                .to_owned(),
        ),
        None => failed(server, error),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "an enum of rustls, which may grow")]
fn diagnose_chain(server: Server<'_>, refused: &RefusedChain) -> StageError {
    let presented = chain::presented(&refused.chain);
    let error = match &refused.problem {
        CertificateError::UnknownIssuer => unknown_issuer(server, refused),
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
            if refused.same_name_trusted =>
        {
            unknown_issuer(server, refused)
        }
        CertificateError::ExpiredContext { time, not_after } => {
            let (now, end) = (seconds(time.as_secs()), seconds(not_after.as_secs()));
            let which = whose(&presented, |certificate| certificate.not_after == end);
            stage_error(
                CERTIFICATE_EXPIRED,
                format!("{which} of {server} expired at {end}; it is {now} here"),
                "renew the server's certificate; if the time here is wrong, correct this node's clock"
                    .to_owned(),
            )
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            let (now, start) = (seconds(time.as_secs()), seconds(not_before.as_secs()));
            let which = whose(&presented, |certificate| certificate.not_before == start);
            stage_error(
                CERTIFICATE_NOT_YET_VALID,
                format!("{which} of {server} is valid from {start} on; it is {now} here"),
                "correct this node's clock; if it is right, have the server's certificate reissued"
                    .to_owned(),
            )
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            name_mismatch(server, &chain::hosts(&refused.chain))
        }
        problem => other_fault(server, problem),
    };
    StageError { presented_chain: presented, ..error }
}

fn unknown_issuer(server: Server<'_>, refused: &RefusedChain) -> StageError {
    let Some(issuer) = chain::missing_issuer(&refused.chain) else {
        return stage_error(
            NO_VALID_CERTIFICATION_PATH,
            format!("{server} presented a certificate that cannot be read"),
            "have the server's certificate replaced".to_owned(),
        );
    };
    let name = issuer.name;
    // First, as many a server that signs for itself is called `localhost`, and so is a certificate of the system.
    if let Some(own) = chain::self_signed(&refused.chain) {
        return stage_error(
            NO_VALID_CERTIFICATION_PATH,
            format!("the certificate `{own}` of {server} is signed by itself and not trusted"),
            format!(
                "have it replaced by one of a trusted authority, or, if you trust it, {}",
                to_add(&own)
            ),
        );
    }
    if refused.same_name_trusted {
        return stage_error(
            NO_VALID_CERTIFICATION_PATH,
            format!(
                "the certificate of {server} names the issuer `{name}`; an authority of this name is \
                 trusted, but its key did not sign the chain"
            ),
            format!(
                "if the authority has a new key, {}; otherwise somebody poses as `{name}`",
                to_add(&format!("{name} new"))
            ),
        );
    }
    stage_error(
        NO_VALID_CERTIFICATION_PATH,
        format!(
            "the certificates of {server} lead to `{name}`, which is not a trusted certificate authority"
        ),
        format!(
            "if you trust it, {}; an unexpected issuer means that something between opens TLS \
             connections",
            to_add(&name)
        ),
    )
}

/// How an operator comes to trust the certificate of this subject.
fn to_add(subject: &str) -> String {
    let name = store_name(subject);
    format!(
        "add its certificate in PEM by `nuncio settings trust add {name} --file {name}.pem`, or to \
         ca_certificates_pem"
    )
}

/// A name for the trust store, made of a subject such as `C=DE, CN=Corp Root`: `corp-root`.
fn store_name(subject: &str) -> String {
    let common = subject.rsplit_once("CN=").map_or(subject, |(_before, common)| common);
    let words = common.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    if name.is_empty() { "own-root".to_owned() } else { name }
}

fn name_mismatch(server: Server<'_>, hosts: &[String]) -> StageError {
    let names = if hosts.is_empty() { "no host".to_owned() } else { hosts.join(", ") };
    stage_error(
        CERTIFICATE_NAME_MISMATCH,
        format!("the certificate of {server} is valid for {names}, not for `{}`", server.host),
        "use a host name that the certificate is valid for, or have it reissued with this one"
            .to_owned(),
    )
}

fn other_fault(server: Server<'_>, problem: &CertificateError) -> StageError {
    let detail = harmless(&problem.to_string());
    if detail.contains("CaUsedAsEndEntity") {
        return stage_error(
            CERTIFICATE_REFUSED,
            format!("{server} presents the certificate of a certificate authority as its own"),
            "issue a server certificate, with `CA:FALSE` and the host as subject alternative name"
                .to_owned(),
        );
    }
    stage_error(
        CERTIFICATE_REFUSED,
        format!("the certificate of {server} was refused: {detail}"),
        "have the server's certificate replaced".to_owned(),
    )
}

#[expect(clippy::wildcard_enum_match_arm, reason = "an enum of rustls, which may grow")]
fn diagnose_protocol(server: Server<'_>, tls: &rustls::Error) -> StageError {
    match tls {
        rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13)
        | rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => stage_error(
            TLS_VERSION_NOT_SUPPORTED,
            format!("{server} speaks neither TLS 1.2 nor TLS 1.3"),
            "enable TLS 1.2 or later on the server; older versions are not safe (RFC 8996)"
                .to_owned(),
        ),
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure) => stage_error(
            TLS_FAILED,
            format!("{server} refused the handshake: no cipher or group in common"),
            "enable an AEAD cipher suite with ECDHE on the server".to_owned(),
        ),
        rustls::Error::InvalidMessage(_) => stage_error(
            TLS_FAILED,
            format!("{server} did not answer in TLS"),
            "check port and encryption: a port for STARTTLS does not speak TLS at once".to_owned(),
        ),
        other => failed(server, other),
    }
}

fn failed(server: Server<'_>, error: &dyn Error) -> StageError {
    stage_error(
        TLS_FAILED,
        format!("the TLS handshake with {server} failed: {}", harmless(&error.to_string())),
        "check the TLS settings of the server and what stands between it and this node".to_owned(),
    )
}

fn stage_error(code: &str, cause: String, remedy: String) -> StageError {
    StageError { code: code.to_owned(), cause, remedy, presented_chain: Vec::new() }
}

fn is_cut(error: &(dyn Error + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(
        kind,
        Some(
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        )
    )
}

fn whose(
    presented: &[PresentedCertificate],
    is_it: impl Fn(&PresentedCertificate) -> bool,
) -> String {
    match presented.iter().position(is_it) {
        Some(0) | None => "the certificate".to_owned(),
        Some(place) => format!("the authority's certificate `{}`", presented[place].subject),
    }
}

fn seconds(unix: u64) -> String {
    show_seconds(i64::try_from(unix).unwrap_or(i64::MAX))
}

#[cfg(test)]
pub(crate) mod tests;
