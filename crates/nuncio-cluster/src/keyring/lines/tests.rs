use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;
use crate::keyring::testing::write_keys;

fn file() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys/settings.key");
    (folder, path)
}

fn ids(path: &Path) -> Vec<String> {
    key_ids(path).unwrap().iter().map(ToString::to_string).collect()
}

fn id(text: &str) -> KeyId {
    KeyId::parse(text).unwrap()
}

#[test]
fn a_key_is_added_to_a_file_that_is_made_where_it_is_missing() {
    let (_folder, path) = file();

    let first = add_key(&path, Place::Last).unwrap();
    let second = add_key(&path, Place::Last).unwrap();
    let third = add_key(&path, Place::First).unwrap();

    assert_eq!(ids(&path), [third.as_str(), first.as_str(), second.as_str()]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&path).unwrap().starts_with("# Encrypts the settings"));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside");
}

#[test]
fn any_key_can_be_put_first_and_removed_where_it_does_not_write() {
    let (_folder, path) = file();
    let old = add_key(&path, Place::Last).unwrap();
    let new = add_key(&path, Place::Last).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}# a comment\n\n")).unwrap();

    put_first(&path, &new).unwrap();
    assert_eq!(ids(&path), [new.as_str(), old.as_str()]);
    let refused = remove_key(&path, &new).unwrap_err();
    assert!(matches!(refused, KeyringError::Writes { key_id, .. } if key_id == new));
    remove_key(&path, &old).unwrap();

    assert_eq!(ids(&path), [new.as_str()]);
    assert!(fs::read_to_string(&path).unwrap().ends_with("# a comment\n\n"));
}

#[test]
fn a_key_that_is_not_there_is_told_with_those_that_are() {
    let (_folder, path) = file();
    let missing = put_first(&path, &id("a")).unwrap_err();
    assert!(matches!(missing, KeyringError::Missing { .. }), "{missing}");
    fs::create_dir(path.parent().unwrap()).unwrap();
    write_keys(&path, &[("a", 1), ("b", 2)]);

    let refused = remove_key(&path, &id("c")).unwrap_err().to_string();

    assert!(refused.ends_with("holds no key `c`; it holds `a`, `b`"), "{refused}");
}

#[test]
fn of_many_who_add_at_once_each_key_is_there() {
    let (_folder, path) = file();
    add_key(&path, Place::Last).unwrap();

    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| add_key(&path, Place::Last).unwrap());
        }
    });

    assert_eq!(ids(&path).len(), 9);
}

#[test]
fn a_file_has_no_more_keys_than_can_be_read() {
    let (_folder, path) = file();
    fs::create_dir(path.parent().unwrap()).unwrap();
    let names: Vec<_> = (0..KEYS_MAX).map(|number| format!("k{number}")).collect();
    let keys: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    write_keys(&path, &keys);

    let refused = add_key(&path, Place::Last).unwrap_err();

    assert!(matches!(refused, KeyringError::Full { .. }), "{refused}");
    assert_eq!(ids(&path).len(), KEYS_MAX);
}

#[test]
fn a_link_to_a_key_file_stays_one() {
    let (folder, path) = file();
    add_key(&path, Place::Last).unwrap();
    let link = folder.path().join("link.key");
    std::os::unix::fs::symlink(&path, &link).unwrap();

    add_key(&link, Place::Last).unwrap();

    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(ids(&path).len(), 2);
}
