//! What a submit promises.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::fixture::*;
use crate::address::Mailbox;
use crate::job::{Job, JobState, NewJob};
use crate::mail::{Attachment, Mail, Recipient, RecipientKind, Sender};
use crate::ports::job_store::*;

pub async fn a_submitted_job_waits_with_all_that_was_given(store: &impl JobStore) {
    let labels = [("portal", "Zürich \u{1f511}"), ("empty", "")];
    let new = NewJob {
        labels: BTreeMap::from(labels.map(|(key, value)| (key.to_owned(), value.to_owned()))),
        trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok(),
        mail: rich_mail(),
        due_at: at(5),
        ..job(1)
    };
    let expect = Job::submitted(&new);

    assert_eq!(submit(store, new).await, expect);

    assert_eq!(expect.state, JobState::Queued);
    assert_eq!(get(store, 1).await, expect);
}

pub async fn an_unknown_job_is_not_there(store: &impl JobStore) {
    submit(store, job(1)).await;

    assert_eq!(store.get(id(2)).await.unwrap(), None);
    assert_eq!(store.attempts(id(2), 10).await.unwrap(), []);
}

pub async fn a_repeated_submit_gives_the_first_job_as_it_stands_now(store: &impl JobStore) {
    submit(store, NewJob { request: Some(request("cli", "r-1", 1)), ..job(1) }).await;
    let standing = claim_one(store, at(1)).await.job;

    let again = NewJob { request: Some(request("cli", "r-1", 1)), ..job(2) };
    let again = store.submit(again).await.unwrap();

    assert_eq!(again, Submitted::Existing(standing));
    assert_eq!(store.get(id(2)).await.unwrap(), None);
    assert_eq!(claim(store, at(1), 10).await.len(), 0);
}

pub async fn a_request_id_with_other_content_is_refused(store: &impl JobStore) {
    submit(store, NewJob { request: Some(request("cli", "r-1", 1)), ..job(1) }).await;
    let before = store.last_change().await.unwrap();

    let other = NewJob { request: Some(request("cli", "r-1", 2)), ..job(2) };
    let refused = store.submit(other).await;

    let Err(SubmitError::RequestIdReused { existing }) = refused else {
        panic!("the request id was used for other content: {refused:?}");
    };
    assert_eq!(existing, id(1));
    assert_eq!(store.get(id(2)).await.unwrap(), None);
    assert_eq!(store.last_change().await.unwrap(), before);
}

pub async fn two_callers_may_use_the_same_request_id(store: &impl JobStore) {
    submit(store, NewJob { request: Some(request("cli", "r-1", 1)), ..job(1) }).await;
    submit(store, NewJob { request: Some(request("portal", "r-1", 2)), ..job(2) }).await;

    assert_eq!(claim(store, at(1), 10).await.len(), 2);
}

pub async fn jobs_without_request_id_are_never_the_same(store: &impl JobStore) {
    submit(store, job(1)).await;
    submit(store, job(2)).await;

    assert_eq!(claim(store, at(1), 10).await.len(), 2);
}

pub async fn of_concurrent_submits_with_one_request_id_one_is_stored(store: &impl JobStore) {
    let submits = (1..=20).map(|number| {
        store.submit(NewJob { request: Some(request("cli", "r-1", 1)), ..job(number) })
    });
    let submitted: Vec<_> = join_all(submits).await.into_iter().map(Result::unwrap).collect();

    let stored: Vec<_> = submitted
        .iter()
        .filter_map(|one| match one {
            Submitted::New(job) => Some(job),
            Submitted::Existing(_) => None,
        })
        .collect();
    assert_eq!(stored.len(), 1);
    for one in &submitted {
        let (Submitted::New(job) | Submitted::Existing(job)) = one;
        assert_eq!(job, stored[0]);
    }
    assert_eq!(claim(store, at(1), 50).await.len(), 1);
}

/// Stores may write several submits together: what is wrong with one must not hurt the others.
pub async fn a_refused_submit_spares_those_beside_it(store: &impl JobStore) {
    submit(store, NewJob { request: Some(request("cli", "r-1", 1)), ..job(1) }).await;
    submit(store, job(2)).await;

    let refused = [
        NewJob { request: Some(request("cli", "r-1", 2)), ..job(3) },
        NewJob { message_id: "<other@nuncio.example>".to_owned(), ..job(2) },
    ];
    let (before, after) = ((10..=20).map(job), (21..=30).map(job));
    let submits = before.chain(refused).chain(after).map(|new| store.submit(new));
    let results = join_all(submits).await;

    let stored = results.iter().filter(|one| matches!(one, Ok(Submitted::New(_)))).count();
    assert_eq!((stored, results.len()), (21, 23));
    for number in (10..=30).chain([1, 2]) {
        assert_eq!(get(store, number).await.state, JobState::Queued);
    }
    assert_eq!(store.get(id(3)).await.unwrap(), None);
}

pub async fn a_job_id_is_not_given_twice(store: &impl JobStore) {
    let first = submit(store, job(1)).await;

    let second = NewJob { request: Some(request("cli", "r-1", 1)), due_at: at(9), ..job(1) };
    let refused = store.submit(second).await;

    assert!(matches!(refused, Err(SubmitError::Store(StoreError::Unusable(_)))), "{refused:?}");
    assert_eq!(get(store, 1).await, first);
    // Nor does the refused submit keep its request id.
    submit(store, NewJob { request: Some(request("cli", "r-1", 2)), ..job(2) }).await;
}

pub async fn a_mail_comes_back_as_it_was_given(store: &impl JobStore) {
    submit(store, NewJob { mail: rich_mail(), ..job(1) }).await;

    let claimed = claim_one(store, at(1)).await;

    assert!(claimed.mail == rich_mail(), "another mail came back: {:?}", claimed.mail);
    assert_eq!(claimed.job.template.as_deref(), Some("templates/guest-credentials"));
}

pub async fn a_mail_with_a_thousand_recipients_comes_back_whole(store: &impl JobStore) {
    let addresses: Vec<_> = (0..1000).map(|number| format!("guest-{number}@example.com")).collect();
    let recipients: Vec<_> = addresses.iter().map(String::as_str).collect();
    submit(store, NewJob { mail: mail(&recipients), ..job(1) }).await;

    let claimed = claim_one(store, at(1)).await;

    assert!(claimed.mail == mail(&recipients), "another mail came back: {:?}", claimed.mail);
    let results = claimed.job.recipients.iter().map(|one| one.address.as_str());
    assert!(results.eq(recipients));
}

fn rich_mail() -> Mail {
    let mailbox = |address: &str, name: &str| Mailbox {
        address: address.parse().unwrap(),
        display_name: Some(name.to_owned()),
    };
    let recipient = |address, name, kind| Recipient { mailbox: mailbox(address, name), kind };
    Mail {
        from: Some(mailbox("portal@example.com", "Gäste \"Portal\"")),
        reply_to: Some(mailbox("sponsor@example.com", "Sponsor, The")),
        references: vec!["<first@x.test>".to_owned(), "<last@x.test>".to_owned()],
        other_senders: vec![
            Sender { from: Some(mailbox("portal@example.com", "Portal")), reply_to: None },
            Sender { from: None, reply_to: Some(mailbox("sponsor@example.com", "")) },
        ],
        recipients: vec![
            recipient("grüße@bücher.example", "Jürgen 李", RecipientKind::To),
            recipient("cc@example.com", "Copy", RecipientKind::Cc),
            recipient("bcc@example.com", "Blind", RecipientKind::Bcc),
        ],
        subject: "Ihr Zugang \u{1f511}".to_owned(),
        text: Some("Kennwort: p\u{e4}ss\r\n.\r\nEnde\0".to_owned().into()),
        html: Some("<p>Kennwort</p>".to_owned().into()),
        attachments: vec![
            Attachment {
                file_name: "Übersicht.bin".to_owned(),
                content_type: "application/octet-stream".to_owned(),
                content: (0..=255).cycle().take(10_000).collect(),
            },
            Attachment {
                file_name: "empty.txt".to_owned(),
                content_type: "text/plain; charset=utf-8".to_owned(),
                content: Vec::new(),
            },
        ],
        template: Some("templates/guest-credentials".to_owned()),
    }
}
