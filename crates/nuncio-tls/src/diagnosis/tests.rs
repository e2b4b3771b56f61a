use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConnection, HandshakeKind, ServerConfig, ServerConnection};

use super::*;
use crate::trust::Trust;

/// A certificate authority made for one test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A server's certificates, its own first, and its key.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(authority_params(name), key).unwrap())
    }

    fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(authority_params(name), key, &self.0).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn issue(&self, host: &str) -> Identity {
        self.issue_with(CertificateParams::new([host.to_owned()]).unwrap())
    }

    fn issue_with(&self, mut params: CertificateParams) -> Identity {
        params.distinguished_name.push(DnType::CommonName, "the server");
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &self.0).unwrap();
        Identity { chain: vec![own.der().clone()], key }
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

pub(crate) fn server(identity: Identity) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain, key)
        .unwrap();
    Arc::new(config)
}

/// Shakes hands in memory.
pub(crate) fn connect(
    trust: &Trust,
    server: Arc<ServerConfig>,
    host: &'static str,
) -> Result<HandshakeKind, rustls::Error> {
    let mut client = ClientConnection::new(trust.client(), host.try_into().unwrap()).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    server.writer().write_all(b"220 ready").unwrap();
    let mut wire = Vec::new();
    loop {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut sent = wire.as_slice();
        while !sent.is_empty() {
            server.read_tls(&mut sent).unwrap();
            server.process_new_packets()?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut sent = wire.as_slice();
        while !sent.is_empty() {
            client.read_tls(&mut sent).unwrap();
            client.process_new_packets()?;
        }
        let mut greeting = [0; 9];
        if client.reader().read(&mut greeting).is_ok_and(|read| read == greeting.len()) {
            return Ok(client.handshake_kind().unwrap());
        }
    }
}

const HOST: &str = "mail.corp.test";
const SERVER: Server<'static> = Server { role: "the SMTP server", host: HOST, port: 587 };

/// Connects to `HOST`, which must fail, as an I/O error like that of a real connection.
fn refusal(trust: &Trust, identity: Identity) -> StageError {
    let error = connect(trust, server(identity), HOST).unwrap_err();
    diagnose(SERVER, &io::Error::new(io::ErrorKind::InvalidData, error))
}

fn check(error: &StageError, code: &str, cause: &str) {
    assert_eq!((error.code.as_str(), error.cause.as_str()), (code, cause));
}

#[test]
fn an_unknown_authority_is_named_with_the_remedy_and_the_chain() {
    let authority = Authority::new("Corp Root");
    let trust = Trust::from_pem(&Authority::new("Other").pem()).unwrap();

    let error = refusal(&trust, authority.issue(HOST));

    check(
        &error,
        NO_VALID_CERTIFICATION_PATH,
        "the certificates of the SMTP server `mail.corp.test:587` lead to `CN=Corp Root`, which is \
         not a trusted certificate authority",
    );
    let command = "by `nuncio settings trust add corp-root --file corp-root.pem`";
    assert!(error.remedy.contains(command), "{}", error.remedy);
    let [own] = error.presented_chain.as_slice() else { panic!("one certificate was presented") };
    assert_eq!((own.subject.as_str(), own.issuer.as_str()), ("CN=the server", "CN=Corp Root"));
    assert_eq!(own.not_before, "1975-01-01T00:00:00Z");
    assert_eq!(own.sha256_fingerprint.len(), 64);
}

#[test]
fn the_missing_issuer_is_that_of_the_last_certificate_on_the_path() {
    let root = Authority::new("Corp Root");
    let issuing = root.intermediate("Corp Issuing");
    let mut identity = issuing.issue(HOST);
    let stray = Authority::new("Stray").0.der().clone();
    identity.chain.extend([issuing.0.der().clone(), stray]);
    let trust = Trust::from_pem(&Authority::new("Other").pem()).unwrap();

    let error = refusal(&trust, identity);

    assert!(error.cause.contains("lead to `CN=Corp Root`"), "{}", error.cause);
    assert_eq!(error.presented_chain.len(), 3);
}

#[test]
fn an_intermediate_that_the_server_left_out_is_named() {
    let root = Authority::new("Corp Root");
    let identity = root.intermediate("Corp Issuing").issue(HOST);
    let trust = Trust::from_pem(&root.pem()).unwrap();

    let error = refusal(&trust, identity);

    assert!(error.cause.contains("lead to `CN=Corp Issuing`"), "{}", error.cause);
}

#[test]
fn another_key_of_a_trusted_authority_is_told() {
    let trust = Trust::from_pem(&Authority::new("Corp Root").pem()).unwrap();

    let error = refusal(&trust, Authority::new("Corp Root").issue(HOST));

    assert_eq!(error.code, NO_VALID_CERTIFICATION_PATH);
    assert!(error.cause.contains("its key did not sign"), "{}", error.cause);
}

#[test]
fn an_expired_certificate_is_told_with_its_end() {
    let authority = Authority::new("Corp Root");
    let trust = Trust::from_pem(&authority.pem()).unwrap();
    let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 2, 3);

    let error = refusal(&trust, authority.issue_with(params));

    assert_eq!(error.code, CERTIFICATE_EXPIRED);
    let cause =
        "the certificate of the SMTP server `mail.corp.test:587` expired at 2020-02-03T00:00:00Z;";
    assert!(error.cause.starts_with(cause), "{}", error.cause);
    assert_eq!(error.presented_chain[0].not_after, "2020-02-03T00:00:00Z");
}

#[test]
fn an_expired_authority_is_not_taken_for_the_servers_certificate() {
    let root = Authority::new("Corp Root");
    let mut params = authority_params("Old Issuing");
    params.not_after = rcgen::date_time_ymd(2020, 2, 3);
    let issuing = Authority(
        CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &root.0).unwrap(),
    );
    let mut identity = issuing.issue(HOST);
    identity.chain.push(issuing.0.der().clone());

    let error = refusal(&Trust::from_pem(&root.pem()).unwrap(), identity);

    assert_eq!(error.code, CERTIFICATE_EXPIRED);
    assert!(
        error.cause.starts_with("the authority's certificate `CN=Old Issuing`"),
        "{}",
        error.cause
    );
}

#[test]
fn a_certificate_of_the_future_is_told_with_its_start() {
    let authority = Authority::new("Corp Root");
    let trust = Trust::from_pem(&authority.pem()).unwrap();
    let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2090, 2, 3);

    let error = refusal(&trust, authority.issue_with(params));

    assert_eq!(error.code, CERTIFICATE_NOT_YET_VALID);
    assert!(error.cause.contains("is valid from 2090-02-03T00:00:00Z on"), "{}", error.cause);
    assert!(error.remedy.contains("clock"));
}

#[test]
fn a_certificate_for_other_names_is_told_with_these_names() {
    let authority = Authority::new("Corp Root");
    let trust = Trust::from_pem(&authority.pem()).unwrap();
    let names = ["smtp.corp.test".to_owned(), "*.mx.corp.test".to_owned(), "192.0.2.7".to_owned()];

    let error = refusal(&trust, authority.issue_with(CertificateParams::new(names).unwrap()));

    check(
        &error,
        CERTIFICATE_NAME_MISMATCH,
        "the certificate of the SMTP server `mail.corp.test:587` is valid for smtp.corp.test, \
         *.mx.corp.test, 192.0.2.7, not for `mail.corp.test`",
    );
}

/// A certificate that is its own issuer, but no authority.
fn self_signed() -> (Identity, String) {
    let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "lonely");
    let key = KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap();
    (Identity { chain: vec![own.der().clone()], key }, own.pem())
}

#[test]
fn a_self_signed_certificate_is_told() {
    let trust = Trust::from_pem(&Authority::new("Corp Root").pem()).unwrap();

    let error = refusal(&trust, self_signed().0);

    check(
        &error,
        NO_VALID_CERTIFICATION_PATH,
        "the certificate `CN=lonely` of the SMTP server `mail.corp.test:587` is signed by itself and \
         not trusted",
    );
}

/// Debian's `ssl-cert` puts a certificate for `localhost` among those that are trusted.
#[test]
fn a_self_signed_certificate_is_told_even_if_another_of_its_name_is_trusted() {
    let trust = Trust::from_pem(&self_signed().1).unwrap();

    let error = refusal(&trust, self_signed().0);

    assert!(error.cause.contains("is signed by itself and not trusted"), "{error:?}");
}

#[test]
fn an_added_self_signed_certificate_is_trusted() {
    let (identity, pem) = self_signed();

    connect(&Trust::from_pem(&pem).unwrap(), server(identity), HOST).unwrap();
}

#[test]
fn an_authority_that_serves_itself_is_told() {
    let mut params = authority_params("Self");
    params.subject_alt_names = CertificateParams::new([HOST.to_owned()]).unwrap().subject_alt_names;
    let key = KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap();
    let trust = Trust::from_pem(&own.pem()).unwrap();

    let error = refusal(&trust, Identity { chain: vec![own.der().clone()], key });

    check(
        &error,
        CERTIFICATE_REFUSED,
        "the SMTP server `mail.corp.test:587` presents the certificate of a certificate authority as \
         its own",
    );
}

#[test]
fn a_server_with_old_versions_only_is_told() {
    check(
        &diagnose(SERVER, &rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)),
        TLS_VERSION_NOT_SUPPORTED,
        "the SMTP server `mail.corp.test:587` speaks neither TLS 1.2 nor TLS 1.3",
    );
}

#[test]
fn an_answer_in_plain_text_is_told() {
    let trust = Trust::from_pem(&Authority::new("Corp Root").pem()).unwrap();
    let mut client = ClientConnection::new(trust.client(), HOST.try_into().unwrap()).unwrap();
    client.read_tls(&mut b"220 mail.corp.test ESMTP\r\n".as_slice()).unwrap();
    let error = client.process_new_packets().unwrap_err();

    check(
        &diagnose(SERVER, &error),
        TLS_FAILED,
        "the SMTP server `mail.corp.test:587` did not answer in TLS",
    );
}

#[test]
fn a_cut_connection_is_told() {
    check(
        &diagnose(SERVER, &io::Error::from(io::ErrorKind::UnexpectedEof)),
        TLS_FAILED,
        "the SMTP server `mail.corp.test:587` closed the connection during the TLS handshake",
    );
}

#[test]
fn a_tls_error_is_found_inside_other_errors() {
    let inner = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
    let outer = io::Error::other(inner);

    assert_eq!(tls_error(&outer), Some(&rustls::Error::DecryptError));
    assert_eq!(tls_error(&io::Error::other("disk full")), None);
}

#[test]
fn the_command_in_a_remedy_has_a_name_that_the_trust_store_takes() {
    assert_eq!(store_name("C=DE, O=Corp, CN=Corp Root CA 2"), "corp-root-ca-2");
    assert_eq!(store_name("O=Corp `rm -rf`"), "o-corp-rm-rf");
    assert_eq!(store_name("CN=日本"), "own-root");
    assert_eq!(store_name(&"x".repeat(100)).len(), NAME_CHARS_MAX);
}
