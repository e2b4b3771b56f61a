use std::sync::Arc;

use rustls::{HandshakeKind, ServerConfig};

use super::*;
use crate::diagnosis::tests::{Authority, connect, server};

fn check_refused(pem: &str, message: &str) {
    assert_eq!(Trust::from_pem(pem).unwrap_err().to_string(), message);
}

#[test]
fn an_added_authority_is_trusted() {
    let authority = Authority::new("Corp Root");
    let trust = Trust::from_pem(&authority.pem()).unwrap();

    connect(&trust, server(authority.issue("mail.corp.test")), "mail.corp.test").unwrap();
}

#[test]
fn several_authorities_with_comments_between_are_trusted() {
    let (first, second) = (Authority::new("First"), Authority::new("Second"));
    let pem = format!("our first\n{}\n# our second\n{}", first.pem(), second.pem());
    let trust = Trust::from_pem(&pem).unwrap();

    connect(&trust, server(first.issue("a.test")), "a.test").unwrap();
    connect(&trust, server(second.issue("b.test")), "b.test").unwrap();
}

#[test]
fn connections_of_one_trust_share_their_sessions() {
    let authority = Authority::new("Corp Root");
    let trust = Trust::from_pem(&authority.pem()).unwrap();
    let server: Arc<ServerConfig> = server(authority.issue("mail.corp.test"));

    let first = connect(&trust, Arc::clone(&server), "mail.corp.test").unwrap();
    let second = connect(&trust, server, "mail.corp.test").unwrap();

    assert_eq!(first, HandshakeKind::Full);
    assert_eq!(second, HandshakeKind::Resumed);
}

#[test]
fn text_without_a_certificate_is_refused() {
    let message = "no PEM certificate in the text; it begins with `-----BEGIN CERTIFICATE-----`";
    check_refused("hello", message);
}

#[test]
fn a_broken_certificate_is_named_by_its_number() {
    let good = Authority::new("Good").pem();
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");

    check_refused(&format!("{good}{begin}\n§§§\n{end}\n"), "certificate 2 is not readable PEM");
    check_refused(&format!("{good}{begin}\nAAAA\n"), "certificate 2 is not readable PEM");
    check_refused(
        &format!("{good}{begin}\nAAAA\n{end}\n"),
        "certificate 2 is not an X.509 certificate",
    );
}

#[test]
fn a_private_key_is_refused() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();

    check_refused(&key, "the text holds a private key; only certificates belong here");
}

#[test]
fn there_is_a_limit_to_authorities() {
    let one = Authority::new("Corp Root").pem();

    Trust::from_pem(&one.repeat(OWN_AUTHORITIES_MAX)).unwrap();
    check_refused(&one.repeat(OWN_AUTHORITIES_MAX + 1), "more than 200 certificates");
}
