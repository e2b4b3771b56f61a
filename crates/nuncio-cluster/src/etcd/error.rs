//! Why etcd did not do it, and what to do about it.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, Error as TlsError};
use tonic::{Code, Status};

use super::store::ANSWER_TIMEOUT;
use crate::files::FileError;

const NO_IDENTITY: &str =
    "; it may want a client certificate, and `etcd.cert_file` and `etcd.key_file` name none";

/// Why etcd did not do it.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    #[error("a file for etcd could not be used")]
    File(#[from] FileError),
    #[error("`{}` holds no {wanted} in PEM", path.display())]
    NoPem { path: PathBuf, wanted: &'static str },
    #[error("etcd cannot be connected to with this configuration")]
    Configuration(#[source] etcd_client::Error),
    #[error("etcd has not answered within {} s", ANSWER_TIMEOUT.as_secs())]
    Late,
    #[error(
        "the certificate of etcd is not trusted: {0}; name its authority in `etcd.ca_file`, and etcd by a name in the \
         certificate"
    )]
    Untrusted(String),
    #[error(
        "etcd refuses the client certificate, or wants one: {0}; give one of its authority as `etcd.cert_file` and \
         `etcd.key_file`"
    )]
    ClientCertificate(String),
    #[error(
        "etcd refuses this node: the user in its client certificate needs the right to {needed} `{prefix}`: {message}"
    )]
    Denied { needed: &'static str, prefix: String, message: String },
    #[error("etcd cannot be reached: {cause}{hint}")]
    Unreachable { cause: String, hint: &'static str },
    #[error("etcd cannot do it")]
    Failed(#[source] etcd_client::Error),
    #[error("the watch of etcd has ended: {0}")]
    WatchEnded(String),
}

impl EtcdError {
    /// What a failed call says; the call needs the right to do `needed` below `prefix`. `has_identity` tells whether there is
    /// a client certificate: a server that misses one mostly just closes the connection.
    pub(super) fn of(
        error: etcd_client::Error,
        (needed, prefix): (&'static str, &str),
        has_identity: bool,
    ) -> Self {
        let etcd_client::Error::GRpcStatus(status) = &error else { return Self::Failed(error) };
        if matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated) {
            let (prefix, message) = (prefix.to_owned(), status.message().to_owned());
            return Self::Denied { needed, prefix, message };
        }
        match tls_error(status) {
            Some(TlsError::InvalidCertificate(problem)) => Self::Untrusted(problem.to_string()),
            Some(TlsError::AlertReceived(alert)) if is_about_client(*alert) => {
                Self::ClientCertificate(format!("{alert:?}"))
            }
            Some(_) | None => match root_cause(status) {
                // The library of HTTP/2 hands on the alert as a text.
                Some(cause) if cause.contains("received fatal alert") => {
                    Self::ClientCertificate(cause)
                }
                Some(cause) => {
                    let hint = if has_identity { "" } else { NO_IDENTITY };
                    Self::Unreachable { cause, hint }
                }
                None => Self::Failed(error),
            },
        }
    }
}

/// Alerts by which a server refuses a client for its certificate (RFC 8446, section 6.2).
fn is_about_client(alert: AlertDescription) -> bool {
    [
        AlertDescription::BadCertificate,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateUnknown,
        AlertDescription::UnknownCA,
        AlertDescription::CertificateRequired,
    ]
    .contains(&alert)
}

fn tls_error(status: &Status) -> Option<&TlsError> {
    causes(status).find_map(|cause| {
        let io = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = io.and_then(|inner| inner.downcast_ref::<TlsError>());
        inner.or_else(|| cause.downcast_ref::<TlsError>())
    })
}

/// The last of the causes of a status that this side has made; none where it comes from etcd.
fn root_cause(status: &Status) -> Option<String> {
    causes(status).last().map(ToString::to_string)
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(status.source(), |cause: &&(dyn StdError + 'static)| (*cause).source())
}
