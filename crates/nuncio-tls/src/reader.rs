//! Reads certificates that operators give.

use nuncio_core::ports::trust::{CertificateFacts, CertificateProblem, CertificateReader};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::chain;

/// Reads X.509 certificates, and takes only those that a handshake can use.
#[derive(Clone, Copy, Debug, Default)]
pub struct X509Reader;

impl CertificateReader for X509Reader {
    fn read(&self, pem: &str) -> Result<CertificateFacts, CertificateProblem> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(CertificateProblem::PrivateKey);
        }
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = read.map_err(|_problem| CertificateProblem::NotPem)?;
        let [certificate] = certificates.as_slice() else {
            return Err(match certificates.len() {
                0 => CertificateProblem::Missing,
                count => CertificateProblem::Several { count },
            });
        };
        let facts = chain::facts(certificate).ok_or(CertificateProblem::NotACertificate)?;
        let usable = RootCertStore::empty().add(certificate.clone());
        usable.map_err(|_problem| CertificateProblem::NotACertificate)?;
        Ok(facts)
    }
}

#[cfg(test)]
mod tests;
