use std::os::unix::fs::PermissionsExt as _;

use nuncio_core::ports::trust::CertificateReader as _;
use nuncio_tls::identity::Identity;
use nuncio_tls::reader::X509Reader;

use super::files::Pair;
use super::*;

const NOW: &str = "2026-11-30T12:00:00Z";

fn authority() -> Authority {
    let domain = "nuncio.local".parse().unwrap();
    Authority::read(&Authority::make(&domain, NOW.parse().unwrap(), 365).unwrap().pair).unwrap()
}

fn leaf(kind: Kind) -> Leaf {
    let (dns, ip) = match kind {
        Kind::Node => (vec!["psn-1.example.com".to_owned()], vec!["10.0.0.5".parse().unwrap()]),
        Kind::Client => (vec![], vec![]),
    };
    Leaf { kind, name: "psn-1".to_owned(), roles: vec!["psn".to_owned()], dns, ip }
}

#[test]
fn a_certificate_has_one_name_that_is_a_uri_and_ends_when_it_says() {
    let made = authority().issue(&leaf(Kind::Node), NOW.parse().unwrap(), 30).unwrap();
    assert_eq!(made.name, "spiffe://nuncio.local/nuncio/node/psn-1");
    assert_eq!(made.until, "2026-12-30T00:00:00Z");

    let identity = Identity::from_pem(made.pair.certificate.as_bytes(), made.pair.key.as_bytes());
    let identity = identity.unwrap();
    assert_eq!(nuncio_tls::chain::uris(identity.certificate()), [made.name]);
    assert_eq!(
        nuncio_tls::chain::hosts(&[identity.certificate().clone()]),
        ["psn-1.example.com", "10.0.0.5"]
    );
    assert_eq!(identity.facts().not_after.to_string(), made.until);
    assert_eq!(identity.facts().subject, "OU=roles psn, CN=psn-1");
    assert!(!identity.facts().is_authority);
}

#[test]
fn an_authority_outlives_what_it_signs_and_is_one_of_ours() {
    let refused = authority().issue(&leaf(Kind::Client), NOW.parse().unwrap(), 366);
    assert!(matches!(refused, Err(AuthorityError::EndsBefore { .. })));
    assert!(authority().issue(&leaf(Kind::Client), NOW.parse().unwrap(), 365).is_ok());

    let of_client = authority().issue(&leaf(Kind::Client), NOW.parse().unwrap(), 30).unwrap();
    assert!(matches!(Authority::read(&of_client.pair), Err(AuthorityError::NotOurs)));
}

#[test]
fn files_are_for_their_owner_alone_and_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let pair = |text: &str| Pair { certificate: text.to_owned(), key: text.to_owned() };
    let (certificate, key) = files::write(folder.path(), "a", &pair("first")).unwrap();
    for path in [&certificate, &key] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }

    let refused = files::write(folder.path(), "a", &pair("second"));
    assert!(matches!(refused, Err(FileError::Exists { .. })));
    std::fs::remove_file(&certificate).unwrap();
    assert!(files::write(folder.path(), "a", &pair("second")).is_err());
    assert_eq!(std::fs::read_to_string(&key).unwrap(), "first");
    assert!(!certificate.exists());
}

#[test]
fn the_certificate_of_the_authority_can_be_trusted() {
    let domain = "nuncio.local".parse().unwrap();
    let made = Authority::make(&domain, NOW.parse().unwrap(), 3650).unwrap();
    let facts = X509Reader.read(&made.pair.certificate).unwrap();

    assert!(facts.is_authority && facts.is_self_signed);
    assert_eq!(facts.subject, "CN=nuncio authority of nuncio.local");
}
