use super::*;
use crate::diagnosis::tests::Authority;

#[test]
fn an_authority_is_told_by_its_names_its_dates_and_its_fingerprint() {
    let authority = Authority::new("Corp Root");

    let facts = X509Reader.read(&authority.pem()).unwrap();

    assert_eq!((facts.subject.as_str(), facts.issuer.as_str()), ("CN=Corp Root", "CN=Corp Root"));
    assert!(facts.is_authority && facts.is_self_signed);
    assert!(facts.not_before < facts.not_after);
    assert_eq!(facts.sha256_fingerprint.len(), 64);
}

#[test]
fn a_certificate_of_a_server_is_told_apart_from_one_that_signs_for_itself() {
    let issued = Authority::new("Corp Root").issue("mail.corp.test");
    let of_server = X509Reader.read(&pem(&issued.chain[0])).unwrap();
    assert!(!of_server.is_authority && !of_server.is_self_signed);
    assert_eq!(of_server.issuer, "CN=Corp Root");

    let own = rcgen::generate_simple_self_signed(["relay.corp.test".to_owned()]).unwrap();
    let own = X509Reader.read(&own.cert.pem()).unwrap();
    assert!(!own.is_authority && own.is_self_signed);
}

#[test]
fn a_text_that_is_not_one_certificate_is_refused_with_what_it_is() {
    let one = Authority::new("Corp Root").pem();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let check = |text: &str, expected| assert_eq!(X509Reader.read(text).unwrap_err(), expected);

    check("", CertificateProblem::Missing);
    check("hello", CertificateProblem::Missing);
    check(&one.repeat(3), CertificateProblem::Several { count: 3 });
    check(&format!("{one}{key}"), CertificateProblem::PrivateKey);
    check(&one.replace("-----END", "§§§\n-----END"), CertificateProblem::NotPem);
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    check(&format!("{begin}\nAAAA\n{end}\n"), CertificateProblem::NotACertificate);
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}
