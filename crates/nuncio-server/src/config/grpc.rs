//! The settings about gRPC: where, and behind which certificate.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use nuncio_core::caller::{NAME_CHARS_MAX, is_free};

use super::check::{listen, optional_file};
use super::problem::Problems;
use super::sources::{Found, Key, Sources};
use super::{GRPC_LISTEN, GrpcTls};

/// The settings, valid.
pub(super) struct Grpc {
    pub(super) listen: Found<SocketAddr>,
    pub(super) is_insecure: bool,
    pub(super) tls: Option<GrpcTls>,
    pub(super) administrators: BTreeSet<String>,
}

/// Nothing where something is wrong.
pub(super) fn check(sources: &Sources, problems: &mut Problems) -> Option<Grpc> {
    let address = sources.get_text(Key::GrpcListen, problems, listen, GRPC_LISTEN);
    let insecure = sources.get(Key::GrpcInsecure, problems, Ok, false);
    let tls = tls(sources, problems);
    let names = sources.get(Key::GrpcAdministrators, problems, administrators, BTreeSet::new());
    let (listen, insecure, tls, names) = (address?, insecure?, tls?, names?);
    check_exposure(&listen, insecure.value, tls.is_some(), problems);
    let has_certificates = tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    if !names.value.is_empty() && !has_certificates {
        let ca = Key::GrpcTlsClientCaFile.name();
        let problem =
            format!("names clients by their certificates, and `{ca}` is not given; give it");
        problems.add(Key::GrpcAdministrators.name(), &names.source, problem);
    }
    Some(Grpc { listen, is_insecure: insecure.value, tls, administrators: names.value })
}

fn administrators(names: Vec<String>) -> Result<BTreeSet<String>, String> {
    match names.iter().find(|name| !is_free(name)) {
        None => Ok(names.into_iter().collect()),
        Some(wrong) => Err(format!(
            "`{wrong}` is no name of a client; use 1 to {NAME_CHARS_MAX} letters, digits, `-`, `_` and `.`"
        )),
    }
}

#[expect(clippy::option_option, reason = "the outer one tells of problems, as in all checks")]
fn tls(sources: &Sources, problems: &mut Problems) -> Option<Option<GrpcTls>> {
    let mut file = |key| sources.get_text(key, problems, optional_file, None);
    let cert_file = file(Key::GrpcTlsCertFile);
    let key_file = file(Key::GrpcTlsKeyFile);
    let client_ca_file = file(Key::GrpcTlsClientCaFile);
    let (cert_file, key_file, client_ca_file) = (cert_file?, key_file?, client_ca_file?);
    match (cert_file.value, key_file.value, client_ca_file.value) {
        (Some(cert), Some(key), client_ca) => {
            return Some(Some(GrpcTls { cert, key, client_ca }));
        }
        (None, None, None) => {}
        (None, None, Some(_)) => {
            let (cert, key) = (Key::GrpcTlsCertFile.name(), Key::GrpcTlsKeyFile.name());
            let problem = format!(
                "is for TLS, and this node has no certificate; give it by `{cert}` and `{key}`, or leave this out"
            );
            problems.add(Key::GrpcTlsClientCaFile.name(), &client_ca_file.source, problem);
        }
        (Some(_), None, _) => {
            let problem = format!("needs `{}`, its private key", Key::GrpcTlsKeyFile.name());
            problems.add(Key::GrpcTlsCertFile.name(), &cert_file.source, problem);
        }
        (None, Some(_), _) => {
            let problem = format!("needs `{}`, its certificate", Key::GrpcTlsCertFile.name());
            problems.add(Key::GrpcTlsKeyFile.name(), &key_file.source, problem);
        }
    }
    Some(None)
}

fn check_exposure(
    grpc: &Found<SocketAddr>,
    insecure: bool,
    has_tls: bool,
    problems: &mut Problems,
) {
    let address = grpc.value;
    if !address.ip().is_loopback() && !insecure && !has_tls {
        let cert = Key::GrpcTlsCertFile.name();
        let problem = format!(
            "`{address}` can be reached by others, and gRPC has no TLS here; give a certificate by `{cert}`, use a \
             loopback address such as `{GRPC_LISTEN}`, or set `grpc.insecure = true` where something else protects it"
        );
        problems.add(Key::GrpcListen.name(), &grpc.source, problem);
    }
}
