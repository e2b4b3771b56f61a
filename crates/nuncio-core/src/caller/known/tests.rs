use super::*;

fn known(name: &str, credential: Credential) -> KnownCaller {
    let permissions = BTreeSet::from([Permission::Submit]);
    let created_at = "2026-11-30T12:00:00Z".parse().unwrap();
    KnownCaller { name: name.to_owned(), permissions, credential, created_at }
}

#[test]
fn a_token_is_known_by_its_digest() {
    // NIST's example of one block (FIPS 180-2, appendix B.1).
    let TokenHash(digest) = TokenHash::of("abc");
    assert_eq!(digest[..8], [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea]);

    let callers = Callers(vec![known("app", Credential::Token(TokenHash::of("nuncio_a")))]);
    let caller = callers.by_token("nuncio_a").unwrap();
    assert_eq!(caller.id, CallerId("app".to_owned()));
    assert_eq!(caller.permissions, BTreeSet::from([Permission::Submit]));
    assert_eq!(callers.by_token("nuncio_b"), None);
    assert_eq!(callers.by_token(""), None);
}

#[test]
fn a_certificate_does_not_stand_for_a_token_of_the_same_name() {
    let token = Credential::Token(TokenHash::of("nuncio_a"));
    let callers = Callers(vec![known("app", token), known("other", Credential::Certificate)]);

    assert!(callers.by_certificate("other").is_some());
    assert_eq!(callers.by_certificate("app"), None);
    assert_eq!(callers.by_certificate("others"), None);
}

#[test]
fn a_caller_has_a_name_of_its_own_and_may_do_something() {
    let some = BTreeSet::from([Permission::Read]);
    assert!(check("portal-app", &some).is_ok());
    for name in ["", "local", "mnt", "portal", "reminders", "node:psn-1", "a b", "..", "a/b"] {
        assert!(check(name, &some).is_err(), "{name}");
    }
    assert!(check("portal-app", &BTreeSet::new()).is_err());
}
