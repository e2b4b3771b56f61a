//! The contract of [`SealedMails`](crate::ports::sealed::SealedMails).

use crate::conformance::job_store::fixture::{at, claim, claim_one, id, job, sent, submit};
use crate::conformance::sealer::{TestKeys, TestSealer};
use crate::job::JobState;
use crate::mail::Attachment;
use crate::ports::job_store::{Claimed, JobStore};
use crate::ports::sealed::{Resealed, SealedMails};

/// More mails than any test has.
const MANY: u32 = 100;

/// Expands to one test per promise of the port, each on a fresh store, which keeps jobs too.
///
/// The argument is a future of a store, of its [`TestKeys`], which begin with `old` alone, and of something to keep until
/// the test ends.
#[macro_export]
macro_rules! sealed_mails_conformance {
    ($open:expr) => {
        $crate::sealed_mails_conformance! {
            $open;
            a_store_notes_the_key_that_seals
            mails_are_counted_by_their_key
            resealed_mails_are_under_the_new_key_and_read_as_before
            mails_are_resealed_in_bounded_batches
            who_sends_a_mail_is_not_disturbed_by_a_reseal
            a_mail_that_cannot_be_opened_is_left_as_it_is
            a_key_is_forgotten_when_nothing_is_sealed_by_it
            to_reseal_twice_changes_nothing
        }
    };
    ($open:expr; $($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let (store, keys, _kept) = $open.await;
                $crate::conformance::sealed_mails::$promise(&store, &keys).await;
            }
        )*
    };
}

pub async fn a_store_notes_the_key_that_seals(store: &impl SealedMails, _keys: &TestKeys) {
    assert_eq!(noted(store).await, ["old"]);

    store.note_key(&TestSealer("new")).await.unwrap();
    store.note_key(&TestSealer("new")).await.unwrap();

    assert_eq!(noted(store).await, ["new", "old"]);
}

pub async fn mails_are_counted_by_their_key(
    store: &(impl SealedMails + JobStore),
    keys: &TestKeys,
) {
    submit_three(store).await;
    change_key(store, keys).await;
    submit(store, job(4)).await;

    assert_eq!(counts(store).await, [3, 1]);
    assert_eq!(store.sealed_mails("other").await.unwrap(), 0);
}

pub async fn resealed_mails_are_under_the_new_key_and_read_as_before(
    store: &(impl SealedMails + JobStore),
    keys: &TestKeys,
) {
    submit_three(store).await;
    change_key(store, keys).await;

    let resealed = store.reseal_mails(None, MANY).await.unwrap();

    assert_eq!(resealed, Resealed { count: 3, last: Some(id(3)) });
    assert_eq!(counts(store).await, [0, 3]);
    keys.set(&["new"]);
    let claimed = claim(store, at(0), 10).await;
    assert_eq!(claimed.len(), 3, "the old key is not needed any more");
    assert!(claimed.iter().all(|one| one.mail == with_file(1).mail));
}

pub async fn mails_are_resealed_in_bounded_batches(
    store: &(impl SealedMails + JobStore),
    keys: &TestKeys,
) {
    submit_three(store).await;
    change_key(store, keys).await;

    let first = store.reseal_mails(None, 2).await.unwrap();
    assert_eq!(first, Resealed { count: 2, last: Some(id(2)) });
    assert_eq!(counts(store).await, [1, 2]);
    let second = store.reseal_mails(first.last, 2).await.unwrap();
    assert_eq!(second, Resealed { count: 1, last: Some(id(3)) });
    let third = store.reseal_mails(second.last, 2).await.unwrap();
    assert_eq!(third, Resealed { count: 0, last: None });
}

pub async fn who_sends_a_mail_is_not_disturbed_by_a_reseal(
    store: &(impl SealedMails + JobStore),
    keys: &TestKeys,
) {
    submit(store, with_file(1)).await;
    let Claimed { lease, job, .. } = claim_one(store, at(0)).await;
    change_key(store, keys).await;

    assert_eq!(store.reseal_mails(None, MANY).await.unwrap().count, 1);

    store.enter_body(&lease).await.unwrap();
    let settlement = sent(&job, at(1));
    assert_eq!(store.settle(lease, settlement).await.unwrap().state, JobState::Sent);
    assert_eq!(counts(store).await, [0, 0], "the mail of an ended job is gone");
}

pub async fn a_mail_that_cannot_be_opened_is_left_as_it_is(
    store: &(impl SealedMails + JobStore),
    keys: &TestKeys,
) {
    submit_three(store).await;
    keys.set(&["new"]);
    store.note_key(&TestSealer("new")).await.unwrap();

    let resealed = store.reseal_mails(None, MANY).await.unwrap();

    assert_eq!(resealed, Resealed { count: 0, last: Some(id(3)) });
    keys.set(&["old"]);
    assert_eq!(claim(store, at(0), 10).await.len(), 3, "with its key it still opens");
}

pub async fn a_key_is_forgotten_when_nothing_is_sealed_by_it(
    store: &(impl SealedMails + JobStore),
    keys: &TestKeys,
) {
    submit_three(store).await;
    change_key(store, keys).await;

    assert!(!store.forget_key("old").await.unwrap(), "three mails need it");
    assert_eq!(noted(store).await, ["new", "old"]);
    store.reseal_mails(None, MANY).await.unwrap();
    assert!(store.forget_key("old").await.unwrap());
    assert_eq!(noted(store).await, ["new"]);
    assert!(store.forget_key("old").await.unwrap(), "it is forgotten already");
}

pub async fn to_reseal_twice_changes_nothing(
    store: &(impl SealedMails + JobStore),
    keys: &TestKeys,
) {
    submit_three(store).await;
    change_key(store, keys).await;

    let both = futures::join!(store.reseal_mails(None, MANY), store.reseal_mails(None, MANY));
    both.0.unwrap();
    both.1.unwrap();
    // One of both may have found a mail that the other was writing.
    store.reseal_mails(None, MANY).await.unwrap();

    let again = store.reseal_mails(None, MANY).await.unwrap();
    assert_eq!(again, Resealed { count: 0, last: None });
    assert_eq!(claim(store, at(0), 10).await.len(), 3);
}

/// A job with an attachment.
fn with_file(number: u8) -> crate::job::NewJob {
    let mut job = job(number);
    let (file_name, content_type) = ("a.txt".to_owned(), "text/plain".to_owned());
    let content = b"what is attached".to_vec();
    job.mail.attachments = vec![Attachment { file_name, content_type, content }];
    job
}

async fn submit_three(store: &impl JobStore) {
    for number in 1..=3 {
        submit(store, with_file(number)).await;
    }
}

/// As a node does it: noted first.
async fn change_key(store: &impl SealedMails, keys: &TestKeys) {
    store.note_key(&TestSealer("new")).await.unwrap();
    keys.set(&["new", "old"]);
}

async fn noted(store: &impl SealedMails) -> Vec<String> {
    let mut noted = store.noted_keys().await.unwrap();
    noted.sort();
    noted
}

/// Under the old key and the new one.
async fn counts(store: &impl SealedMails) -> [u64; 2] {
    [store.sealed_mails("old").await.unwrap(), store.sealed_mails("new").await.unwrap()]
}
