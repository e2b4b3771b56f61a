//! Where etcd is, and who asks it.

use std::path::{Path, PathBuf};

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::EtcdError;
use crate::files::{self, FileError};

/// What a node has to know of etcd. Users and rights are given by the name in the client certificate
/// (<https://etcd.io/docs/v3.4/op-guide/authentication/#using-tls-common-name>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdConfig {
    /// `https://host:port` of each member, or `http://` on this machine; at least one.
    pub endpoints: Vec<String>,
    /// What the keys of this cluster begin with: `/nuncio/`.
    pub prefix: String,
    /// Certificate authorities in PEM that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    pub identity: Option<IdentityFiles>,
}

/// The client certificate with its chain, and its private key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

impl EtcdConfig {
    /// How etcd is connected to; the files are read anew.
    pub(super) fn options(&self) -> Result<ConnectOptions, EtcdError> {
        let options = ConnectOptions::new()
            .with_connect_timeout(super::CONNECT_TIMEOUT)
            .with_keep_alive(super::KEEP_ALIVE_INTERVAL, super::KEEP_ALIVE_TIMEOUT)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if self.endpoints.iter().all(|endpoint| endpoint.starts_with("http://")) {
            return Ok(options);
        }
        let mut tls = TlsOptions::new().with_native_roots();
        if let Some(path) = &self.ca_file {
            let pem = read(path)?;
            check(path, "certificate", CertificateDer::from_pem_slice(&pem))?;
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        if let Some(files) = &self.identity {
            let (chain, key) = (read(&files.cert_file)?, read(&files.key_file)?);
            check(&files.cert_file, "certificate", CertificateDer::from_pem_slice(&chain))?;
            check(&files.key_file, "private key", PrivateKeyDer::from_pem_slice(&key))?;
            tls = tls.identity(Identity::from_pem(chain, key));
        }
        Ok(options.with_tls(tls))
    }
}

fn check<T>(
    path: &Path,
    wanted: &'static str,
    found: Result<T, pem::Error>,
) -> Result<(), EtcdError> {
    let missing = |_nothing| EtcdError::NoPem { path: path.to_owned(), wanted };
    found.map(drop).map_err(missing)
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(files::failed("read", path))
}
