use super::*;

use crate::keyring::testing::keyring;

fn seal(keys: &Keyring, context: &[u8], clear: &[u8]) -> Vec<u8> {
    Sealer::seal(keys, context, clear)
}

fn open(keys: &Keyring, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, UnsealError> {
    Sealer::open(keys, context, sealed)
}

#[test]
fn what_was_sealed_opens_in_its_context_only() {
    let keys = keyring(&[("a", 1)]);
    for clear in [&b""[..], b"hunter2", &[0; 10_000]] {
        let sealed = seal(&keys, b"job 1", clear);

        assert_eq!(open(&keys, b"job 1", &sealed).unwrap(), clear);
        let forged = Err(UnsealError::Forged { key_id: "a".to_owned() });
        assert_eq!(open(&keys, b"job 2", &sealed), forged);
        assert_eq!(open(&keys, b"", &sealed), forged);
    }
}

#[test]
fn nothing_of_the_clear_text_is_in_what_was_sealed_and_no_two_are_alike() {
    let keys = keyring(&[("a", 1)]);
    let (one, two) = (seal(&keys, b"c", b"hunter2"), seal(&keys, b"c", b"hunter2"));

    assert!(!one.windows(7).any(|part| part == b"hunter2"));
    assert_ne!(one, two);
}

#[test]
fn what_an_older_key_sealed_still_opens() {
    let sealed = seal(&keyring(&[("a", 1)]), b"c", b"hunter2");
    let both = keyring(&[("b", 2), ("a", 1)]);

    assert_eq!(open(&both, b"c", &sealed).unwrap(), b"hunter2");
    assert_eq!(Sealer::key_id(&both), "b");
    assert!(seal(&both, b"", b"").starts_with(&both.mark("b")));
    assert_ne!(both.mark("a"), both.mark("b"));
}

#[test]
fn an_unknown_key_and_another_key_of_the_same_name_are_told_apart() {
    let sealed = seal(&keyring(&[("a", 1)]), b"c", b"hunter2");
    let key_id = "a".to_owned();

    let unknown = open(&keyring(&[("b", 1)]), b"c", &sealed);
    assert_eq!(unknown, Err(UnsealError::UnknownKey { key_id: key_id.clone() }));
    let other = open(&keyring(&[("a", 2)]), b"c", &sealed);
    assert_eq!(other, Err(UnsealError::Forged { key_id }));
}

#[test]
fn what_was_changed_or_cut_does_not_open() {
    let keys = keyring(&[("a", 1)]);
    let sealed = seal(&keys, b"c", b"hunter2");
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert!(open(&keys, b"c", &changed).is_err(), "byte {place}");
        assert!(open(&keys, b"c", &sealed[..place]).is_err(), "cut at {place}");
    }
}
