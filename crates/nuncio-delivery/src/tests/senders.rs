//! What happens to a mail whose sender the provider refuses.

use nuncio_core::job::{JobState, RecipientState};
use nuncio_core::portal::sender::SENDER_RETRY;

use super::sandbox::*;

#[tokio::test(start_paused = true)]
async fn a_mail_whose_sender_is_refused_goes_out_from_the_next_one_at_once() {
    let sandbox = Sandbox::new().replying([sender_refused(), sender_refused()]).start();
    let others = [Some("portal@example.com"), None];

    let job = sandbox.submit(mail_from("sponsor@example.com", &others)).await;

    let ended = sandbox.ended(job).await;
    assert_eq!((ended.state, ended.attempts, ended.reason), (JobState::Sent, 1, None));
    let sent = sandbox.sent();
    let senders: Vec<_> =
        sent.iter().map(|one| (one.from.as_str(), one.reply_to.as_str())).collect();
    let sponsor = "sponsor@example.com";
    assert_eq!(senders, [(sponsor, ""), ("portal@example.com", sponsor), ("", sponsor)]);
    assert!(sent.iter().all(|one| one.message_id == sent[0].message_id));
    let attempts = sandbox.attempts(job).await;
    let detail = &attempts[0].detail;
    assert!(detail.contains("from `portal@example.com`") && detail.contains(sponsor), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn a_mail_without_other_senders_fails_and_says_that_its_sender_was_refused() {
    let sandbox = Sandbox::new().replying([sender_refused()]).start();

    let job = sandbox.submit(mail_from("sponsor@example.com", &[])).await;

    let ended = sandbox.ended(job).await;
    assert_eq!(ended.state, JobState::Failed);
    assert_eq!(ended.reason.expect("a failed job has one").code, "SENDER_REFUSED");
    assert_eq!(ended.recipients[0].state, RecipientState::Refused);
    assert_eq!(sandbox.sender_news(), [("sponsor@example.com".to_owned(), true)]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_sender_stops_nobody_else() {
    let sandbox = Sandbox::new().replying([sender_refused()]).start();
    let refused = sandbox.submit(mail_from("sponsor@example.com", &[])).await;
    sandbox.ended(refused).await;

    let other = sandbox.submit(mail()).await;

    assert_eq!(sandbox.ended(other).await.state, JobState::Sent);
    assert!(sandbox.alarms().iter().all(|(_, raised)| raised.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_refused_sender_is_remembered_and_tried_again_a_day_later() {
    let sandbox = Sandbox::new().replying([sender_refused()]).start();
    let sponsored = || mail_from("sponsor@example.com", &[None]);
    let first = sandbox.submit(sponsored()).await;
    sandbox.ended(first).await;

    let second = sandbox.submit(sponsored()).await;
    sandbox.ended(second).await;
    let remembered = sandbox.senders().list(None, 10).await.unwrap();
    tokio::time::sleep(SENDER_RETRY).await;
    let third = sandbox.submit(sponsored()).await;
    sandbox.ended(third).await;

    let from: Vec<_> = sandbox.sent().iter().map(|one| one.from.clone()).collect();
    assert_eq!(from, ["sponsor@example.com", "", "", "sponsor@example.com"]);
    let told: Vec<_> = remembered.iter().map(|one| (one.address.as_str(), one.refusals)).collect();
    assert_eq!(told, [("sponsor@example.com", 1)]);
    assert_eq!(remembered[0].reason, "554 5.2.252 SendAsDenied");
    assert!(sandbox.senders().list(None, 10).await.unwrap().is_empty(), "it was taken");
    let sponsor = || "sponsor@example.com".to_owned();
    assert_eq!(sandbox.sender_news(), [(sponsor(), true), (sponsor(), false)], "each is told once");
}

#[tokio::test(start_paused = true)]
async fn a_refused_sender_is_tried_at_once_on_request() {
    let sandbox = Sandbox::new().replying([sender_refused()]).start();
    let first = sandbox.submit(mail_from("Sponsor@example.com", &[None])).await;
    sandbox.ended(first).await;

    let sponsor = "sponsor@example.com".parse().unwrap();
    assert!(sandbox.senders().forget(&sponsor, jiff::Timestamp::UNIX_EPOCH).await.unwrap());
    assert!(!sandbox.senders().forget(&sponsor, jiff::Timestamp::UNIX_EPOCH).await.unwrap());
    let second = sandbox.submit(mail_from("sponsor@example.com", &[None])).await;
    sandbox.ended(second).await;

    assert_eq!(sandbox.sent().last().unwrap().from, "sponsor@example.com");
}
