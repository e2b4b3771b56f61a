use std::fs::{self, Permissions};

use tempfile::TempDir;

use super::*;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A folder with a key file of this content and mode.
fn key_file(content: impl AsRef<[u8]>, mode: u32) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("settings.key");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (dir, path)
}

fn load(content: &str) -> Result<Keyring, KeyringError> {
    let (_dir, path) = key_file(content, 0o600);
    Keyring::load(&path).map(Option::unwrap)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn check_malformed(content: impl AsRef<[u8]>, expect: &str) {
    let (_dir, path) = key_file(content, 0o600);

    let error = Keyring::load(&path).unwrap_err();

    let path = path.display();
    assert_eq!(
        error.to_string(),
        format!("the key file `{path}` is malformed: {expect}; restore it from a backup")
    );
}

#[test]
fn a_new_key_file_is_for_its_owner_only_and_can_be_read() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keys/settings.key");

    let made = Keyring::create(&path).unwrap();
    let loaded = Keyring::load(&path).unwrap().unwrap();

    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(made.writer(), loaded.writer());
    let files: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(files.len(), 1, "nothing is left beside it");
}

#[test]
fn no_two_new_keys_are_alike() {
    let (a, b) = (new_line().unwrap(), new_line().unwrap());
    let key = |line: &str| line.split_once(' ').unwrap().1.to_owned();

    assert_ne!(a.0, b.0);
    assert_ne!(key(&a.1), key(&b.1));
}

#[test]
fn of_many_who_make_the_key_file_at_once_all_get_the_same_key() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("settings.key");

    let made: Vec<KeyId> = std::thread::scope(|scope| {
        let create = || Keyring::create(&path).unwrap().writer().clone();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let kept = Keyring::load(&path).unwrap().unwrap();
    for id in made {
        assert_eq!(id, *kept.writer());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn no_file_is_no_keyring() {
    let dir = TempDir::new().unwrap();

    assert!(Keyring::load(&dir.path().join("settings.key")).unwrap().is_none());
}

#[test]
fn the_first_key_writes_and_all_are_known() {
    let keys = load(&format!("# old ones stay\n\nnew-1 {KEY}\n  old_2\t{KEY}  \n")).unwrap();

    assert_eq!(keys.writer().as_str(), "new-1");
    for id in ["new-1", "old_2"] {
        assert!(keys.knows(&KeyId::parse(id).unwrap()), "{id}");
    }
    assert!(!keys.knows(&KeyId::parse("other").unwrap()));
}

#[test]
fn a_key_file_that_others_can_read_is_refused_with_the_command_that_helps() {
    for mode in [0o640, 0o604, 0o660, 0o620, 0o666] {
        let (_dir, path) = key_file(format!("a {KEY}\n"), mode);

        let error = Keyring::load(&path).unwrap_err();

        let path = path.display();
        let expect = format!(
            "the key file `{path}` can be read by others (mode {mode:04o}); run `chmod 600 {path}`"
        );
        assert_eq!(error.to_string(), expect);
    }
    let (_dir, path) = key_file(format!("a {KEY}\n"), 0o400);
    assert!(Keyring::load(&path).unwrap().is_some(), "the owner need not be able to write");
}

#[test]
fn a_malformed_key_file_is_told_without_its_content() {
    check_malformed("", "it holds no key");
    check_malformed("# nothing\n\n", "it holds no key");
    check_malformed([0xff, 0xfe], "it is not text");
    check_malformed(KEY, "line 1: is not `key-id base64-key`");
    check_malformed("# a\na !!!!", "line 2: the key is not base64");
    check_malformed("a AAECAw==", "line 1: the key is not 32 bytes long");
    check_malformed(format!("a {KEY} {KEY}"), "line 1: the key is not base64");
    check_malformed(format!("a {KEY}\na {KEY}"), "line 2: key `a` is there twice");
    let id = "line 1: the key id must be 1 to 64 letters, digits, `-` or `_`";
    check_malformed(format!("ä {KEY}"), id);
    check_malformed(format!("{} {KEY}", "a".repeat(65)), id);
    let many: Vec<_> = (0..=KEYS_MAX).map(|number| format!("k{number} {KEY}")).collect();
    check_malformed(many.join("\n"), "it holds 101 keys; at most 100");
}

#[test]
fn debug_output_shows_no_key() {
    let keys = load(&format!("a {KEY}")).unwrap();

    assert_eq!(format!("{keys:?}"), r#"[KeyId("a")]"#);
}
