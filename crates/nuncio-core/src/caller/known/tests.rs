use super::*;

const NONE: CallerLimits = CallerLimits { calls_per_second: None, calls_at_once: None };

fn known(name: &str, credential: Credential) -> KnownCaller {
    let permissions = BTreeSet::from([Permission::Submit]);
    let created_at = "2026-11-30T12:00:00Z".parse().unwrap();
    let limits = CallerLimits::default();
    KnownCaller { name: name.to_owned(), permissions, limits, credential, created_at }
}

#[test]
fn a_token_is_known_by_its_digest() {
    // NIST's example of one block (FIPS 180-2, appendix B.1).
    let TokenHash(digest) = TokenHash::of("abc");
    assert_eq!(digest[..8], [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea]);

    let callers = Callers(vec![known("app", Credential::Token(TokenHash::of("nuncio_a")))]);
    let caller = callers.by_token("nuncio_a").unwrap().caller();
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
    assert!(check("portal-app", &some, NONE).is_ok());
    for name in ["", "local", "mnt", "portal", "reminders", "node:psn-1", "a b", "..", "a/b"] {
        assert!(check(name, &some, NONE).is_err(), "{name}");
    }
    assert!(check("portal-app", &BTreeSet::new(), NONE).is_err());
}

#[test]
fn limits_are_at_least_one_call() {
    let some = BTreeSet::from([Permission::Read]);
    let calls_per_second = |value| CallerLimits { calls_per_second: Some(value), ..NONE };
    let calls_at_once = |value| CallerLimits { calls_at_once: Some(value), ..NONE };
    for (limits, is_good) in [
        (calls_per_second(1), true),
        (calls_per_second(CALLS_PER_SECOND_MAX), true),
        (calls_per_second(0), false),
        (calls_per_second(CALLS_PER_SECOND_MAX + 1), false),
        (calls_at_once(CALLS_AT_ONCE_MAX), true),
        (calls_at_once(0), false),
        (calls_at_once(CALLS_AT_ONCE_MAX + 1), false),
    ] {
        assert_eq!(check("app", &some, limits).is_ok(), is_good, "{limits:?}");
    }
}
