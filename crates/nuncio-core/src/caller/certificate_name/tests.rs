use super::*;

#[test]
fn a_name_is_read_as_it_was_written() {
    for uri in [
        "spiffe://nuncio.local/nuncio/node/psn-1",
        "spiffe://mail.example.com/nuncio/client/Portal_App.2",
    ] {
        assert_eq!(uri.parse::<CertificateName>().unwrap().to_string(), uri);
    }
    let name: CertificateName = "spiffe://nuncio.local/nuncio/node/psn-1".parse().unwrap();
    assert_eq!((name.kind, name.name.as_str()), (Kind::Node, "psn-1"));
    assert_eq!(name.trust_domain.as_str(), "nuncio.local");
}

#[test]
fn what_only_looks_like_a_name_is_none() {
    for uri in [
        "",
        "https://nuncio.local/nuncio/node/psn-1",
        "spiffe://nuncio.local/nuncio/node/",
        "spiffe://nuncio.local/nuncio/node/..",
        "spiffe://nuncio.local/nuncio/node/a/b",
        "spiffe://nuncio.local/nuncio/client/a%2Fb",
        "spiffe://nuncio.local/nuncio/client/a?b",
        "spiffe://nuncio.local/nuncio/admin/root",
        "spiffe://nuncio.local/other/client/a",
        "spiffe:///nuncio/client/a",
        "spiffe://Nuncio.Local/nuncio/client/a",
        "spiffe://user@nuncio.local/nuncio/client/a",
        "spiffe://nuncio.local:443/nuncio/client/a",
        "SPIFFE://nuncio.local/nuncio/client/a",
    ] {
        assert_eq!(uri.parse::<CertificateName>(), Err(NoCertificateName::OtherForm), "{uri}");
    }
    let long = format!("spiffe://nuncio.local/nuncio/client/{}", "a".repeat(65));
    assert!(long.parse::<CertificateName>().is_err());
}

#[test]
fn a_certificate_has_one_name_and_no_more() {
    let client = "spiffe://nuncio.local/nuncio/client/a";
    let node = "spiffe://nuncio.local/nuncio/node/b";

    assert!(CertificateName::of(&[client], None).is_ok());
    assert_eq!(CertificateName::of(&[client, node], None), Err(NoCertificateName::Several));
    assert_eq!(CertificateName::of::<&str>(&[], None), Err(NoCertificateName::None));
}

#[test]
fn a_name_of_another_trust_domain_counts_only_where_there_is_no_own() {
    let client = "spiffe://nuncio.local/nuncio/client/a";
    let (home, other) = ("nuncio.local".parse().unwrap(), "example.com".parse().unwrap());

    assert!(CertificateName::of(&[client], Some(&home)).is_ok());
    let refused = CertificateName::of(&[client], Some(&other));
    assert_eq!(refused, Err(NoCertificateName::OtherTrustDomain));
}
