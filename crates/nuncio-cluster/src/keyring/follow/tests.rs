use super::*;
use crate::keyring::testing::keyring;

const A: (&str, u8) = ("a", 1);
const B: (&str, u8) = ("b", 2);
const C: (&str, u8) = ("c", 3);

/// What becomes of `present` with this file: the keys, the writer first, then those that are kept and dropped.
fn check(
    file: &[(&str, u8)],
    present: &[(&str, u8)],
    (in_use, is_read_everywhere): (Option<&[&str]>, bool),
    expect: (&str, &str, &str),
) {
    let in_use: Option<BTreeSet<String>> =
        in_use.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
    let seen = Seen { in_use: in_use.as_ref(), is_read_everywhere };
    let next = next(&keyring(file), &keyring(present), seen).unwrap();
    let told = |ids: Vec<KeyId>| ids.iter().map(KeyId::as_str).collect::<Vec<_>>().join(" ");
    let keys = told(next.keyring.ids().cloned().collect());
    assert_eq!((keys.as_str(), &*told(next.kept), &*told(next.dropped)), expect);
}

#[test]
fn the_same_file_changes_nothing() {
    check(&[A, B], &[A, B], (Some(&["a"]), true), ("a b", "", ""));
}

#[test]
fn a_new_key_is_read_at_once() {
    check(&[A, B], &[A], (Some(&["a"]), true), ("a b", "", ""));
    check(&[A, B], &[A], (None, false), ("a b", "", ""));
}

#[test]
fn the_first_key_writes_when_all_nodes_read_it_and_not_before() {
    check(&[B, A], &[A, B], (Some(&["a"]), false), ("a b", "", ""));
    check(&[B, A], &[A, B], (Some(&["a"]), true), ("b a", "", ""));
}

#[test]
fn a_key_that_is_needed_is_never_dropped() {
    check(&[B], &[B, A], (Some(&["a", "b"]), true), ("b a", "a", ""));
    check(&[B], &[B, A], (None, true), ("b a", "a", ""));
    check(&[B, C], &[B, A], (Some(&["a", "b"]), true), ("b c a", "a", ""));
}

#[test]
fn a_key_that_nothing_needs_goes_with_its_line() {
    check(&[B], &[B, A], (Some(&["b"]), true), ("b", "", "a"));
}

#[test]
fn the_key_that_writes_stays_as_long_as_it_writes() {
    check(&[B], &[A], (Some(&[]), false), ("a b", "a", ""));
    check(&[B], &[A], (Some(&[]), true), ("b", "", "a"));
}

#[test]
fn a_key_with_the_id_of_another_one_is_refused() {
    let seen = Seen { in_use: None, is_read_everywhere: true };

    let refused = next(&keyring(&[B, ("a", 9)]), &keyring(&[A]), seen).unwrap_err();

    assert_eq!(refused.key_id.as_str(), "a");
}

#[test]
fn what_has_changed_is_told() {
    let seen = Seen { in_use: None, is_read_everywhere: true };

    let told = next(&keyring(&[C, A]), &keyring(&[A, B]), seen).unwrap();

    assert_eq!(told.added, [KeyId::parse("c").unwrap()]);
    assert!(told.is_new_writer);
}
