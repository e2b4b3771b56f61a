use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

const TEXT: &[u8] = b"the secret text";
const OLD: &str = "old AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
const NEW: &str = "new ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n";

fn keyring(lines: &[&str]) -> Keyring {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("settings.key");
    fs::write(&path, lines.concat()).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    Keyring::load(&path).unwrap().unwrap()
}

fn sealed() -> Envelope {
    Envelope::seal(Document::Smtp, 7, &keyring(&[OLD]), TEXT)
}

/// Checks how an envelope that was changed is refused.
fn check_refused(change: impl FnOnce(&mut Envelope), keys: &[&str], expect: &str) {
    let mut envelope = sealed();
    change(&mut envelope);

    let error = envelope.open(Document::Smtp, &keyring(keys)).unwrap_err();

    assert_eq!(error.to_string(), expect);
}

/// Flips one bit of the bytes behind a base64 text.
fn flip(text: &mut String, at: usize) {
    let mut bytes = BASE64.decode(&*text).unwrap();
    bytes[at] ^= 1;
    *text = BASE64.encode(bytes);
}

#[test]
fn what_was_sealed_comes_back_also_through_json() {
    let json = sealed().to_json();

    let opened = Envelope::from_json(&json).unwrap().open(Document::Smtp, &keyring(&[OLD]));

    assert_eq!(&*opened.unwrap(), TEXT);
}

#[test]
fn a_second_key_still_opens_what_it_wrote_once() {
    let keys = keyring(&[NEW, OLD]);

    assert_eq!(&*sealed().open(Document::Smtp, &keys).unwrap(), TEXT);
    let fresh = Envelope::seal(Document::Smtp, 8, &keys, TEXT);
    assert_eq!(fresh.key_id, "new");
}

#[test]
fn the_same_text_is_never_sealed_the_same_way() {
    let (a, b) = (sealed(), sealed());

    assert_ne!(a.nonce, b.nonce);
    assert_ne!(a.ciphertext, b.ciphertext);
}

#[test]
fn json_shows_nothing_of_the_text() {
    let json = String::from_utf8(sealed().to_json()).unwrap();

    assert!(!json.contains("secret"), "{json}");
    assert!(!json.contains(&BASE64.encode(TEXT)), "{json}");
}

#[test]
fn whatever_is_changed_is_found_out() {
    let forged = "it cannot be decrypted with key `old`: it was changed since it was written, or the key \
                  is not the one that wrote it";
    for at in 0..TEXT.len() + MAX_TAG_LEN {
        check_refused(|envelope| flip(&mut envelope.ciphertext, at), &[OLD], forged);
    }
    for at in 0..NONCE_LEN {
        check_refused(|envelope| flip(&mut envelope.nonce, at), &[OLD], forged);
    }
    check_refused(|envelope| envelope.generation = 8, &[OLD], forged);
    check_refused(|envelope| envelope.ciphertext.clear(), &[OLD], forged);
    let forged = forged.replace("`old`", "`new`");
    check_refused(|envelope| envelope.key_id = "new".to_owned(), &[OLD, NEW], &forged);
}

#[test]
fn another_key_with_the_same_id_is_found_out() {
    let other = NEW.replace("new", "old");

    let error = sealed().open(Document::Smtp, &keyring(&[&other])).unwrap_err();

    assert!(matches!(error, EnvelopeError::Forged { .. }), "{error}");
}

#[test]
fn the_key_id_is_bound_even_where_two_ids_have_one_key() {
    let same = OLD.replace("old", "twin");

    check_refused(
        |envelope| envelope.key_id = "twin".to_owned(),
        &[OLD, &same],
        "it cannot be decrypted with key `twin`: it was changed since it was written, or the key is not the \
         one that wrote it",
    );
}

#[test]
fn a_missing_key_is_named() {
    check_refused(
        |_| (),
        &[NEW],
        "it was encrypted with key `old`, which the key file does not hold; add that key to the file",
    );
}

#[test]
fn what_is_no_envelope_is_refused() {
    let malformed = "it is not an envelope of nuncio";
    check_refused(|envelope| envelope.nonce = "AAAA".to_owned(), &[OLD], malformed);
    check_refused(|envelope| envelope.nonce = "?".to_owned(), &[OLD], malformed);
    check_refused(|envelope| envelope.ciphertext = "?".to_owned(), &[OLD], malformed);
    check_refused(|envelope| envelope.key_id = "a\0b".to_owned(), &[OLD], malformed);
    for json in
        ["", "{}", "[]", r#"{"generation":1,"key_id":"a","nonce":"","ciphertext":"","x":1}"#]
    {
        assert_eq!(Envelope::from_json(json.as_bytes()).unwrap_err().to_string(), malformed);
    }
}
