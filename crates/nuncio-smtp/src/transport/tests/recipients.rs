//! Many recipients, and single ones that a server does not take.

use nuncio_core::mail::RecipientKind;

use super::*;

fn rcpt(recipient: &str) -> String {
    format!("C: RCPT TO:<{recipient}>\n")
}

fn from() -> String {
    format!("C: MAIL FROM:<{MAILBOX}>\n")
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_was_taken_for_some_is_not_sent_to_them_again_when_others_want_a_login() {
    let commands = from() + &rcpt("a@x.test") + &rcpt("b@x.test") + "C: DATA\n";
    let some = commands
        + "S: 250 ok\nS: 250 ok\nS: 530 5.7.0 Authentication required\nS: 354 go\nBODY\n"
        + TAKEN;
    // One script: another connection would be a second copy for the first recipient.
    let fixture = Fixture::plain(&[plain(OFFER) + &mail() + TAKEN + &some]);
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");

    let outcome = fixture.send(&["a@x.test", "b@x.test"]).await;

    assert_eq!(show(&outcome), "accepted 250, deferred 530");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_recipients_that_a_server_does_not_take_together_are_left_for_another_mail() {
    let all = ["a@x.test", "b@x.test", "c@x.test"];
    let first = from()
        + &all.map(rcpt).concat()
        + "C: DATA\n"
        + "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 452 4.5.3 Too many recipients\nS: 354 go\nBODY\n"
        + TAKEN;
    // The next mail does not ask for what is known by now.
    let next = from()
        + &["d@x.test", "e@x.test"].map(rcpt).concat()
        + "C: DATA\n"
        + "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\nBODY\n"
        + TAKEN;
    let fixture = Fixture::plain(&[plain(OFFER) + &first + &next]);

    let outcome = fixture.send(&all).await;
    assert_eq!(show(&outcome), "accepted 250, accepted 250, in another mail 452");
    let outcome = fixture.send(&["d@x.test", "e@x.test", "f@x.test"]).await;
    assert_eq!(show(&outcome), "accepted 250, accepted 250, in another mail 452");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_is_refused_for_its_many_recipients_goes_to_half_of_them_at_once() {
    let all = ["a@x.test", "b@x.test", "c@x.test"];
    let refused = "BODY\nS: 550 4.5.3 Too many recipients\nC: RSET\n";
    let script = from()
        + &all.map(rcpt).concat()
        + "C: DATA\n"
        + "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\n"
        + refused
        + &from()
        + &rcpt("a@x.test")
        + &rcpt("b@x.test")
        + "C: DATA\n"
        + "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\nBODY\n"
        + TAKEN;
    let fixture = Fixture::plain(&[plain(OFFER) + &script]);

    let outcome = fixture.send(&all).await;

    assert_eq!(show(&outcome), "accepted 250, accepted 250, in another mail 452");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_blind_copy_beyond_ascii_is_refused_alone() {
    let fixture = Fixture::plain(&[plain("PIPELINING, 8BITMIME") + &mail() + TAKEN]);
    let mut mail = outgoing(&["a@x.test", "é@x.test"]);
    mail.mail.recipients[1].kind = RecipientKind::Bcc;

    let (saved, mailbox) = (&fixture.saved, fixture.mailbox());
    let outcome = fixture.transport.send(saved, mailbox, &mail, &Gate(true)).await;

    assert_eq!(show(&outcome), "accepted 250, refused 553");
    let SendOutcome::Judged(verdicts) = outcome else { unreachable!("it was judged") };
    let Verdict::Refused(reason) = &verdicts[1] else { unreachable!("it was refused") };
    assert_eq!(reason.code, "SMTPUTF8_NOT_OFFERED");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_domain_beyond_ascii_needs_nothing_of_the_server() {
    let script = from()
        + &rcpt("a@xn--bcher-kva.example")
        + "C: DATA\n"
        + "S: 250 ok\nS: 250 ok\nS: 354 go\nBODY\n"
        + TAKEN;
    let fixture = Fixture::plain(&[plain("PIPELINING") + &script]);

    assert_eq!(show(&fixture.send(&["a@bücher.example"]).await), "accepted 250");

    let heard = fixture.servers.heard();
    assert!(heard.iter().any(|one| one.contains("To: a@xn--bcher-kva.example")), "{heard:?}");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_the_tenant_keeps_the_mail_of_all_its_mailboxes_here() {
    let over = mail() + "S: 550 5.7.233 Your message can't be sent\n";
    let fixture = Fixture::plain(&[plain(OFFER) + &over]);
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "throttled TENANT_LIMIT_REACHED");

    let other: EmailAddress = "other@mx.test".parse().unwrap();
    let mail = outgoing(&["a@x.test"]);
    let outcome = fixture.transport.send(&fixture.saved, &other, &mail, &Gate(true)).await;

    // Without a connection: there is no second script.
    assert_eq!(show(&outcome), "unavailable TENANT_LIMIT_REACHED");
    fixture.finish().await;
}
