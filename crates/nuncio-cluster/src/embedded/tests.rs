use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use jiff::Timestamp;
use nuncio_core::conformance::settings::all_shapes;
use nuncio_runtime::chain::Chain;
use tempfile::TempDir;

use super::*;
use crate::envelope::EnvelopeError;
use crate::keyring::testing::keyring;
use crate::present::UnopenedError;

nuncio_core::settings_share_conformance!(async {
    let dir = TempDir::new().unwrap();
    (open(&dir).unwrap(), dir)
});

nuncio_core::sealed_settings_conformance!(async {
    let dir = TempDir::new().unwrap();
    let keys = Arc::new(Keys::new(dir.path(), keyring(&[("old", 1)])));
    let share = EmbeddedCluster::open(dir.path(), Arc::clone(&keys)).unwrap();
    (share, move || keys.replace(keyring(&[("new", 2), ("old", 1)])), dir)
});

fn open(dir: &TempDir) -> Result<EmbeddedCluster, OpenError> {
    EmbeddedCluster::open(dir.path(), load_keys(dir.path(), None)?)
}

/// A data folder in which settings were saved twice, and what was saved last.
async fn saved() -> (TempDir, Arc<SavedSmtpSettings>) {
    let dir = TempDir::new().unwrap();
    let cluster = open(&dir).unwrap();
    let settings = all_shapes().remove(0);
    cluster.save_smtp(settings.clone(), change(), None).await.unwrap();
    let saved = cluster.save_smtp(settings, change(), Some("g1")).await.unwrap();
    (dir, saved)
}

fn change() -> DocumentChange {
    let (caller, summary) = ("local".to_owned(), "host".to_owned());
    DocumentChange { caller, at: Timestamp::UNIX_EPOCH, summary }
}

fn settings_file(dir: &TempDir) -> PathBuf {
    dir.path().join("settings/smtp.json")
}

fn key_file(dir: &TempDir) -> PathBuf {
    dir.path().join("keys/settings.key")
}

/// Checks that a data folder is refused with this error, in which `DIR` stands for it.
fn check_refused(dir: &TempDir, expect: &str) {
    let error = open(dir).unwrap_err();

    let shown = Chain(&error).to_string().replace(&dir.path().display().to_string(), "DIR");
    assert_eq!(shown, expect);
}

fn edit(path: &Path, edit: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(path).unwrap();
    let edited = edit(text.clone());
    assert_ne!(edited, text, "the edit must change something");
    fs::write(path, edited).unwrap();
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn settings_survive_a_restart() {
    let (dir, saved) = saved().await;

    let restarted = open(&dir).unwrap();

    assert_eq!(restarted.smtp().borrow().as_ref(), Some(&saved));
    let settings = saved.settings.clone();
    let next = restarted.save_smtp(settings, change(), Some("g2")).await.unwrap();
    assert_eq!(next.generation, 3);
}

#[tokio::test]
async fn no_file_holds_a_secret_in_clear_text() {
    for settings in all_shapes() {
        let dir = TempDir::new().unwrap();
        let cluster = open(&dir).unwrap();
        cluster.save_smtp(settings.clone(), change(), None).await.unwrap();

        let files = all_files(dir.path());

        assert_eq!(files.len(), 2, "the key and the settings, and nothing left behind: {files:?}");
        for path in files {
            let content = fs::read_to_string(&path).unwrap();
            for hidden in ["shape-secret", "relay-user", "PRIVATE KEY", settings.host.as_str()] {
                assert!(!content.contains(hidden), "`{hidden}` is in {}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn all_files_are_for_their_owner_only() {
    let (dir, _) = saved().await;

    for path in all_files(dir.path()) {
        for (path, expect) in [(path.as_path(), 0o600), (path.parent().unwrap(), 0o700)] {
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, expect, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_is_found_out() {
    let (dir, _) = saved().await;
    edit(&settings_file(&dir), |text| {
        let at = text.find(r#""ciphertext": ""#).unwrap() + 20;
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        [&text[..at], other, &text[at + 1..]].concat()
    });

    let error = open(&dir).unwrap_err();

    let chain = Chain(&error).to_string();
    assert!(
        chain.contains("smtp.json` cannot be opened: it cannot be decrypted with key `k"),
        "{chain}"
    );
    assert!(chain.contains("it was changed since it was written"), "{chain}");
}

#[tokio::test]
async fn a_swapped_generation_is_found_out() {
    let (dir, _) = saved().await;
    edit(&settings_file(&dir), |text| text.replace(r#""generation": 2"#, r#""generation": 9"#));

    let error = open(&dir).unwrap_err();

    let OpenError::Load(LoadError::Unopened {
        source: UnopenedError::Envelope(EnvelopeError::Forged { .. }),
        ..
    }) = error
    else {
        panic!("{}", Chain(&error));
    };
}

#[tokio::test]
async fn the_key_of_another_folder_is_found_out() {
    let (dir, _) = saved().await;
    let (other, _) = saved().await;
    let id = open(&dir).unwrap().shared.keys.current().writer().to_string();

    fs::copy(key_file(&other), key_file(&dir)).unwrap();

    check_refused(
        &dir,
        &format!(
            "the settings in `DIR/settings/smtp.json` cannot be opened: it was encrypted with key `{id}`, \
             which the key file does not hold; add that key to the file"
        ),
    );
}

#[tokio::test]
async fn a_new_key_before_the_old_one_writes_from_then_on() {
    let (dir, saved) = saved().await;
    let (other, _) = self::saved().await;
    let new = fs::read_to_string(key_file(&other)).unwrap();
    let new_id = open(&other).unwrap().shared.keys.current().writer().to_string();
    edit(&key_file(&dir), |old| new + &old);

    let cluster = open(&dir).unwrap();
    assert_eq!(cluster.smtp().borrow().as_ref(), Some(&saved));
    cluster.save_smtp(saved.settings.clone(), change(), None).await.unwrap();

    assert!(fs::read_to_string(settings_file(&dir)).unwrap().contains(&new_id));
    open(&dir).unwrap();
}

#[tokio::test]
async fn a_lost_key_file_is_told_and_not_replaced() {
    let (dir, _) = saved().await;
    fs::remove_file(key_file(&dir)).unwrap();

    check_refused(
        &dir,
        "the key file `DIR/keys/settings.key` is missing, and the settings in `DIR/settings/smtp.json` cannot \
         be read without it; restore it from a backup, or delete that file and enter the settings again",
    );
    assert!(!key_file(&dir).exists());

    fs::remove_file(settings_file(&dir)).unwrap();
    assert_eq!(*open(&dir).unwrap().smtp().borrow(), None, "what was advised helps");
}

#[tokio::test]
async fn a_key_file_that_others_can_read_is_refused() {
    let (dir, _) = saved().await;
    fs::set_permissions(key_file(&dir), Permissions::from_mode(0o644)).unwrap();

    check_refused(
        &dir,
        "the keys of settings and mails could not be loaded: the key file `DIR/keys/settings.key` can be read by \
         others (mode 0644); run `chmod 600 DIR/keys/settings.key`",
    );
}

#[tokio::test]
async fn a_cut_off_file_is_told() {
    let (dir, _) = saved().await;
    edit(&settings_file(&dir), |text| text[..text.len() / 2].to_owned());

    let error = open(&dir).unwrap_err();

    let chain = Chain(&error).to_string();
    assert!(chain.contains("cannot be opened: it is not an envelope of nuncio: EOF"), "{chain}");
}

#[tokio::test]
async fn what_a_crash_left_behind_is_no_hindrance() {
    let (dir, saved) = saved().await;
    let left = dir.path().join("settings/smtp.json.new");
    fs::write(&left, "half a").unwrap();
    fs::set_permissions(&left, Permissions::from_mode(0o644)).unwrap();

    let cluster = open(&dir).unwrap();
    assert_eq!(cluster.smtp().borrow().as_ref(), Some(&saved));
    cluster.save_smtp(saved.settings.clone(), change(), None).await.unwrap();

    assert!(!left.exists());
    let mode = fs::metadata(settings_file(&dir)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[tokio::test]
async fn a_save_that_fails_changes_nothing() {
    let (dir, saved) = saved().await;
    let cluster = open(&dir).unwrap();
    // A folder in the place of the new file fails for everybody, root included.
    fs::create_dir(dir.path().join("settings/smtp.json.new")).unwrap();

    let failed = cluster.save_smtp(saved.settings.clone(), change(), None).await;

    let error = failed.unwrap_err();
    let chain = Chain(&error).to_string();
    assert!(chain.starts_with("the settings could not be stored: cannot write `"), "{chain}");
    assert_eq!(cluster.smtp().borrow().as_ref(), Some(&saved));
    assert_eq!(open(&dir).unwrap().smtp().borrow().as_ref(), Some(&saved));
}

#[tokio::test]
async fn a_save_whose_caller_goes_away_is_whole() {
    let (dir, saved) = saved().await;
    let cluster = open(&dir).unwrap();
    let mut seen = cluster.smtp();
    seen.mark_unchanged();

    let mut save = cluster.save_smtp(saved.settings.clone(), change(), None);
    // Hands it to another thread; nobody waits for the end.
    drop(futures::poll!(&mut save));
    drop(save);

    seen.changed().await.unwrap();
    assert_eq!(seen.borrow().as_ref().unwrap().generation, 3);
    assert_eq!(open(&dir).unwrap().smtp().borrow().as_ref().unwrap().generation, 3);
}

/// A folder as the version wrote it that kept no history of the SMTP settings.
#[tokio::test]
async fn settings_of_version_3_are_read_and_saved_in_the_present_one() {
    let dir = TempDir::new().unwrap();
    for (path, content) in [
        (key_file(&dir), include_str!("version_3/settings.key")),
        (settings_file(&dir), include_str!("version_3/smtp.json")),
    ] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    let cluster = open(&dir).unwrap();

    let saved = cluster.smtp().borrow().clone().unwrap();
    assert_eq!(saved.settings, all_shapes().remove(0));
    assert_eq!((saved.generation, saved.history.len()), (2, 0));
    assert_eq!(saved.saved_at, "2026-11-23T12:34:56Z".parse().unwrap());
    cluster.save_smtp(saved.settings.clone(), change(), Some("g2")).await.unwrap();
    let again = open(&dir).unwrap().smtp().borrow().clone().unwrap();
    assert_eq!((again.generation, &again.history), (3, &vec![change()]));
    assert_eq!(again.settings, saved.settings);
}

#[tokio::test]
async fn resealed_settings_need_the_old_key_no_more() {
    let dir = TempDir::new().unwrap();
    let keys = Arc::new(Keys::new(dir.path(), keyring(&[("old", 1)])));
    let cluster = EmbeddedCluster::open(dir.path(), Arc::clone(&keys)).unwrap();
    let saved = cluster.save_smtp(all_shapes().remove(0), change(), None).await.unwrap();
    keys.replace(keyring(&[("new", 2), ("old", 1)]));
    cluster.reseal_documents().await.unwrap();

    let keys = Arc::new(Keys::new(dir.path(), keyring(&[("new", 2)])));
    let restarted = EmbeddedCluster::open(dir.path(), keys).unwrap();

    assert_eq!(restarted.smtp().borrow().as_ref(), Some(&saved));
}
