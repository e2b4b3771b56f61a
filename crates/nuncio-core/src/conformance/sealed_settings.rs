//! The contract of [`SealedSettings`](crate::ports::sealed::SealedSettings).

use jiff::Timestamp;

use crate::conformance::settings::all_shapes;
use crate::ports::sealed::{SealedDocument, SealedSettings};
use crate::ports::settings::SettingsShare;
use crate::settings::document::{DocumentChange, SettingsDocument};

/// Runs each promise as a test, on an empty share of its own.
///
/// `$new` is a future of the share, of a function that puts a new key `new` before the key `old`, which is the only one, and of
/// something that lives as long as the test does.
#[macro_export]
macro_rules! sealed_settings_conformance {
    ($new:expr) => {
        $crate::sealed_settings_conformance!(@tests $new,
            documents_tell_their_key,
            resealed_documents_are_what_they_were,
            to_reseal_again_changes_nothing,
            a_save_with_the_etag_from_before_a_reseal_is_done,
        );
    };
    (@tests $new:expr, $($promise:ident,)*) => {$(
        #[tokio::test]
        async fn $promise() {
            let (share, change_key, _alive) = $new.await;
            $crate::conformance::sealed_settings::$promise(&share, change_key).await;
        }
    )*};
}

pub async fn documents_tell_their_key(
    share: &(impl SealedSettings + SettingsShare),
    change_key: impl FnOnce(),
) {
    assert_eq!(share.sealed_documents(), []);
    save_smtp(share, None).await;
    change_key();
    save_alarms(share).await;

    assert_eq!(keys(share), [("alarms", "new".to_owned()), ("smtp", "old".to_owned())]);
}

pub async fn resealed_documents_are_what_they_were(
    share: &(impl SealedSettings + SettingsShare),
    change_key: impl FnOnce(),
) {
    save_smtp(share, None).await;
    save_alarms(share).await;
    let (mut smtp, mut alarms) = (share.smtp(), share.document(SettingsDocument::Alarms));
    let before = (smtp.borrow_and_update().clone(), alarms.borrow_and_update().clone());
    change_key();

    let mut resealed = share.reseal_documents().await.unwrap();

    resealed.sort_unstable();
    assert_eq!(resealed, ["alarms", "smtp"]);
    assert_eq!(keys(share), [("alarms", "new".to_owned()), ("smtp", "new".to_owned())]);
    assert_eq!((smtp.borrow().clone(), alarms.borrow().clone()), before);
    assert!(!smtp.has_changed().unwrap() && !alarms.has_changed().unwrap(), "nobody is woken");
}

pub async fn to_reseal_again_changes_nothing(
    share: &(impl SealedSettings + SettingsShare),
    change_key: impl FnOnce(),
) {
    assert_eq!(share.reseal_documents().await.unwrap(), [] as [&str; 0], "there is nothing");
    save_smtp(share, None).await;
    change_key();

    assert_eq!(share.reseal_documents().await.unwrap(), ["smtp"]);
    assert_eq!(share.reseal_documents().await.unwrap(), [] as [&str; 0]);
}

pub async fn a_save_with_the_etag_from_before_a_reseal_is_done(
    share: &(impl SealedSettings + SettingsShare),
    change_key: impl FnOnce(),
) {
    save_smtp(share, None).await;
    let etag = share.smtp().borrow().as_ref().unwrap().etag();
    change_key();
    share.reseal_documents().await.unwrap();

    save_smtp(share, Some(&etag)).await;

    let saved = share.smtp().borrow().clone().unwrap();
    assert_eq!((saved.generation, saved.history.len()), (2, 2));
}

async fn save_smtp(share: &impl SettingsShare, expected: Option<&str>) {
    share.save_smtp(all_shapes().remove(0), change(), expected).await.unwrap();
}

async fn save_alarms(share: &impl SettingsShare) {
    let content = "what it says".to_owned().into();
    share.save_document(SettingsDocument::Alarms, content, change(), None).await.unwrap();
}

fn change() -> DocumentChange {
    let (caller, summary) = ("somebody".to_owned(), "saved".to_owned());
    DocumentChange { caller, at: Timestamp::UNIX_EPOCH, summary }
}

fn keys(share: &impl SealedSettings) -> Vec<(&'static str, String)> {
    let told = share.sealed_documents().into_iter();
    let mut keys: Vec<_> =
        told.map(|SealedDocument { document, key_id }| (document, key_id)).collect();
    keys.sort();
    keys
}
