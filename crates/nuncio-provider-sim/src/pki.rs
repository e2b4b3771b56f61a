//! Certificates made on the spot: an authority, certificates of the servers (good ones and bad ones), and of clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, date_time_ymd,
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};

/// Which certificate a server shows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateKind {
    /// For the right names, issued by the authority.
    #[default]
    Good,
    /// Issued by an intermediate, which is sent along.
    Intermediate,
    /// Issued by an intermediate, which is not sent along.
    MissingIntermediate,
    /// Its time is over.
    Expired,
    /// For another host.
    WrongName,
    /// Signed by itself.
    SelfSigned,
}

/// Why certificates could not be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("a certificate could not be made")]
    Make(#[from] rcgen::Error),
    #[error("a TLS server could not be configured")]
    Tls(#[from] rustls::Error),
    #[error("`{path}` could not be written")]
    Write { path: PathBuf, source: std::io::Error },
}

/// The certificate authority of a simulated world. Clones share it, so that a restarted simulator can be trusted still.
#[derive(Clone)]
pub struct SimPki {
    root: Arc<Authority>,
    intermediate: Arc<Authority>,
}

struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl SimPki {
    /// A new authority with an intermediate below it.
    pub fn generate() -> Result<Self, PkiError> {
        let root = {
            let (params, key) = (authority_params("nuncio simulator root"), KeyPair::generate()?);
            Authority { certificate: params.self_signed(&key)?, issuer: Issuer::new(params, key) }
        };
        let intermediate = {
            let (params, key) =
                (authority_params("nuncio simulator intermediate"), KeyPair::generate()?);
            Authority {
                certificate: params.signed_by(&key, &root.issuer)?,
                issuer: Issuer::new(params, key),
            }
        };
        Ok(Self { root: Arc::new(root), intermediate: Arc::new(intermediate) })
    }

    /// The certificate to trust, as PEM.
    pub fn ca_pem(&self) -> String {
        self.root.certificate.pem()
    }

    /// The certificate to trust, as DER.
    pub fn ca_der(&self) -> CertificateDer<'static> {
        self.root.certificate.der().clone()
    }

    /// The certificate of the intermediate, as PEM: what is missing with `MissingIntermediate`.
    pub fn intermediate_pem(&self) -> String {
        self.intermediate.certificate.pem()
    }

    /// Writes `ca.pem` and `intermediate.pem` into a folder, and returns the path of `ca.pem`.
    pub fn write_to(&self, folder: &Path) -> Result<PathBuf, PkiError> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            match std::fs::write(&path, text) {
                Ok(()) => Ok(path),
                Err(source) => Err(PkiError::Write { path, source }),
            }
        };
        std::fs::create_dir_all(folder)
            .map_err(|source| PkiError::Write { path: folder.to_owned(), source })?;
        write("intermediate.pem", self.intermediate_pem())?;
        write("ca.pem", self.ca_pem())
    }

    /// TLS settings of a server that shows a certificate of this kind.
    pub(crate) fn server(
        &self,
        kind: CertificateKind,
        names: &[String],
    ) -> Result<Arc<ServerConfig>, PkiError> {
        let key = KeyPair::generate()?;
        let chain = self.chain(kind, names, &key)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Arc::new(config))
    }

    fn chain(
        &self,
        kind: CertificateKind,
        names: &[String],
        key: &KeyPair,
    ) -> Result<Vec<CertificateDer<'static>>, PkiError> {
        let params = server_params(kind, names)?;
        let by = |authority: &Authority| {
            params.signed_by(key, &authority.issuer).map(|it| it.der().clone())
        };
        Ok(match kind {
            CertificateKind::Good | CertificateKind::Expired | CertificateKind::WrongName => {
                vec![by(&self.root)?]
            }
            CertificateKind::Intermediate => {
                vec![by(&self.intermediate)?, self.intermediate.certificate.der().clone()]
            }
            CertificateKind::MissingIntermediate => vec![by(&self.intermediate)?],
            CertificateKind::SelfSigned => vec![params.self_signed(key)?.der().clone()],
        })
    }
}

impl std::fmt::Debug for SimPki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimPki(..)")
    }
}

/// A certificate with which a client can sign assertions (`private_key_jwt`): RSA with 2,048 bits, signed by itself.
pub struct ClientCertificate {
    pub certificate_pem: String,
    /// PKCS #8.
    key_pem: String,
    /// base64url of the SHA-256 of the DER form: `x5t#S256`.
    pub thumbprint: String,
}

impl ClientCertificate {
    pub fn generate(common_name: &str) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            thumbprint: thumbprint(certificate.der()),
        })
    }

    /// The private key, which is a secret.
    pub fn expose_key_pem(&self) -> &str {
        &self.key_pem
    }
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

pub(crate) fn thumbprint(der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, der))
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_params(kind: CertificateKind, names: &[String]) -> Result<CertificateParams, PkiError> {
    let names = match kind {
        CertificateKind::WrongName => vec!["elsewhere.example".to_owned()],
        CertificateKind::Good
        | CertificateKind::Intermediate
        | CertificateKind::MissingIntermediate
        | CertificateKind::Expired
        | CertificateKind::SelfSigned => names.to_vec(),
    };
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "nuncio simulator");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = kind != CertificateKind::SelfSigned;
    if kind == CertificateKind::Expired {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    }
    Ok(params)
}
