use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType, date_time_ymd};

use super::*;
use crate::chain::uris;

/// A certificate that is signed by itself, valid from 2026 until the end of 2027, and its key.
fn certificate(names: Vec<SanType>) -> (String, String) {
    let mut params = CertificateParams::new(["psn-1.example.com".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    params.subject_alt_names.extend(names);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn read(certificate: &str, key: &str) -> Result<Identity, IdentityError> {
    Identity::from_pem(certificate.as_bytes(), key.as_bytes())
}

#[test]
fn a_certificate_with_its_key_is_an_identity_while_it_is_valid() {
    let (certificate, key) = certificate(Vec::new());
    let identity = read(&certificate, &key).unwrap();
    let check = |now: &str| identity.check_validity(now.parse().unwrap());

    assert_eq!(check("2026-01-01T00:00:00Z"), Ok(()));
    assert_eq!(check("2028-01-01T00:00:00Z"), Ok(()));
    let told = check("2028-01-01T00:00:01Z").unwrap_err().to_string();
    assert!(told.contains("expired at 2028-01-01T00:00:00Z; renew it"), "{told}");
    let told = check("2025-12-31T23:59:59Z").unwrap_err().to_string();
    assert!(told.contains("valid from 2026-01-01T00:00:00Z on; check the clock"), "{told}");
}

#[test]
fn what_is_no_identity_is_told_by_what_is_wrong() {
    let (one, key) = certificate(Vec::new());
    let (_, other_key) = certificate(Vec::new());
    let check = |certificate: &str, key: &str, expected| {
        assert_eq!(read(certificate, key).unwrap_err(), expected);
    };

    check("", &key, IdentityError::NoCertificate);
    check(&key, &key, IdentityError::NoCertificate);
    check(&one.replace("-----END", "§§§\n-----END"), &key, IdentityError::CertificateNotPem);
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    check(&format!("{begin}\nAAAA\n{end}\n"), &key, IdentityError::NotACertificate);
    check(&one.repeat(CHAIN_MAX + 1), &key, IdentityError::TooMany);
    check(&one, "", IdentityError::NoKey);
    check(&one, &one, IdentityError::NoKey);
    let told = read(&one, &other_key).unwrap_err();
    assert!(matches!(told, IdentityError::KeyMismatch { .. }), "{told}");
}

#[test]
fn a_certificate_for_clients_serves_nobody() {
    let check = |purposes: &[ExtendedKeyUsagePurpose]| {
        let mut params = CertificateParams::new(["psn-1.example.com".to_owned()]).unwrap();
        params.extended_key_usages = purposes.to_vec();
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        read(&certificate, &key.serialize_pem()).unwrap().check_for_servers()
    };
    let (client, server) =
        (ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth);

    for good in [
        &[][..],
        std::slice::from_ref(&server),
        &[client.clone(), server.clone()],
        &[ExtendedKeyUsagePurpose::Any],
    ] {
        assert_eq!(check(good), Ok(()), "{good:?}");
    }
    let told = check(&[client]).unwrap_err().to_string();
    assert!(told.contains("is for clients") && told.contains("certs issue"), "{told}");
}

#[test]
fn the_names_that_are_uris_are_read_and_no_others() {
    let name = "spiffe://nuncio.local/nuncio/node/psn-1";
    let (certificate, key) = certificate(vec![SanType::URI(name.try_into().unwrap())]);
    let identity = read(&certificate, &key).unwrap();

    assert_eq!(uris(identity.certificate()), [name]);
}
