use super::*;

fn mail(message_id: Option<&str>, recipients: &[&str]) -> AcceptedMail {
    AcceptedMail {
        at: Timestamp::UNIX_EPOCH,
        mailbox: "no-reply@contoso.example".to_owned(),
        mail_from: "no-reply@contoso.example".to_owned(),
        recipients: recipients.iter().map(|it| (*it).to_owned()).collect(),
        message_id: message_id.map(str::to_owned),
        data: Vec::new(),
        connection: 1,
        round_trips: 2,
    }
}

#[test]
fn mails_without_id_are_no_duplicates() {
    let ledger = Ledger::new(10);
    ledger.accept(mail(None, &["a@b.example"]), b"hello");
    ledger.accept(mail(None, &["a@b.example"]), b"hello");
    assert_eq!(ledger.duplicates(), []);
    assert_eq!(ledger.stats().mails_accepted, 2);
}

#[test]
fn a_mail_repeated_for_another_recipient_is_no_repeated_delivery() {
    let ledger = Ledger::new(10);
    ledger.accept(mail(Some("1"), &["a@b.example"]), b"hello");
    ledger.accept(mail(Some("1"), &["c@b.example", "a@B.example"]), b"hello");
    let stats = ledger.stats();
    assert_eq!((stats.mails_repeated, stats.deliveries_repeated), (1, 1));
    assert_eq!((stats.recipients_accepted, stats.round_trips), (3, 4));
    let times = ["a@b.example", "c@b.example", "d@b.example"].map(|one| ledger.delivered("1", one));
    assert_eq!(times, [2, 1, 0]);
    assert_eq!(ledger.delivered("2", "a@b.example"), 0);
}

#[test]
fn nothing_is_kept_where_nothing_may_be() {
    let ledger = Ledger::new(0);
    ledger.accept(mail(Some("1"), &["a@b.example"]), b"hello");
    assert!(ledger.accepted().is_empty());
    assert_eq!(ledger.message_ids()["1"], 1);
}

#[test]
fn a_gauge_remembers_its_highest_value() {
    let ledger = Ledger::new(0);
    for _ in 0..2 {
        ledger.entered("a", Presence::Submitting);
    }
    ledger.left("a", Presence::Submitting);
    ledger.entered("a", Presence::Submitting);
    ledger.left("a", Presence::Submitting);
    assert_eq!(ledger.stats().mailboxes["a"].submitting, Gauge { now: 1, max: 2, total: 3 });
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_last_mail() {
    let ledger = Ledger::new(0);
    let deadline = Duration::from_secs(1);
    ledger.accept(mail(None, &[]), b"hello");
    let (waited, ()) = tokio::join!(ledger.wait_for_accepted(2, deadline), async {
        ledger.accept(mail(None, &[]), b"hello");
    });
    waited.unwrap();
    assert_eq!(ledger.wait_for_accepted(3, deadline).await.unwrap_err().accepted, 2);
}
