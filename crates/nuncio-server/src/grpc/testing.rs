//! Certificates for the tests of the listener.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use nuncio_core::ports::clock::Clock;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};

use crate::config::GrpcTls;

/// A moment at which all of these certificates are valid.
pub(crate) const NOW: &str = "2026-11-30T12:00:00Z";

/// A certificate authority made for one test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Test CA");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `localhost` until the first day of `end_year`, and its key.
    pub(crate) fn issue(&self, end_year: i32) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(end_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// Writes certificate, key and authority to `folder`.
pub(crate) fn write(folder: &Path, (certificate, key): &(String, String), ca: &str) -> GrpcTls {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    GrpcTls {
        cert: file("node.pem", certificate),
        key: file("node.key", key),
        client_ca: Some(file("ca.pem", ca)),
    }
}

/// A clock that stands still.
pub(crate) struct At(pub(crate) &'static str);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0.parse().unwrap()
    }
}
