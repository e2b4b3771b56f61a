//! Servers that fall silent where it takes a minute and more to be sure (RFC 5321, section 4.5.3.2), in virtual time.
//!
//! The phases up to the first answer to a mail are in the file above.

use super::*;

/// More than the streams of these tests hold, so that its end cannot have left.
fn large() -> OutgoingMail {
    let mut large = outgoing(&["a@x.test"]);
    let text = "a line of a mail that is larger than what a stream holds\n".repeat(10_000);
    large.mail.text = Some(nuncio_core::secret::Sensitive::from(text));
    large
}

/// Sends a mail over a new connection, then `next` over the same one; tells its outcome and how long that took.
async fn after_a_mail(offer: &str, script: &str, next: &OutgoingMail) -> (String, Duration) {
    let fixture = Fixture::plain(&[plain(offer) + &mail() + TAKEN + script]);
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    let started = Instant::now();
    let (saved, mailbox) = (&fixture.saved, fixture.mailbox());
    let outcome = fixture.transport.send(saved, mailbox, next, &Gate(true)).await;
    let took = started.elapsed();
    fixture.finish().await;
    (show(&outcome), took)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_reading_a_mail_is_given_up_and_the_mail_is_certainly_not_sent() {
    let deaf = format!(
        "C: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nDEAF\n"
    );
    let (outcome, took) = after_a_mail(OFFER, &deaf, &large()).await;
    assert_eq!((outcome.as_str(), took), ("unavailable CONNECTION_TIMED_OUT", Phase::Body.limit()));

    // The mail has left together with its commands, but for its end.
    let (outcome, took) = after_a_mail("PIPELINING, CHUNKING", "DEAF\n", &large()).await;
    assert_eq!((outcome.as_str(), took), ("unavailable CONNECTION_TIMED_OUT", Phase::Body.limit()));
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_on_which_the_server_is_silent_costs_a_minute_and_is_replaced() {
    let silent = format!("C: MAIL FROM:<{MAILBOX}>\nHANG\n");
    let first = plain(OFFER) + &mail() + TAKEN + &silent;
    let fixture = Fixture::plain(&[first, plain(OFFER) + &mail() + TAKEN]);
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    let started = Instant::now();

    let outcome = fixture.send(&["a@x.test"]).await;

    assert_eq!(show(&outcome), "accepted 250");
    assert_eq!(started.elapsed(), Phase::Mail.limit());
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn to_part_takes_three_seconds_at_most() {
    for (end, limit) in
        [("HANG", Phase::Quit.limit()), ("DEAF", Phase::Quit.limit()), ("CUT", Duration::ZERO)]
    {
        let script = plain(OFFER) + &mail() + TAKEN + "C: QUIT\n" + end + "\n";
        let fixture = Fixture::plain(&[script]);
        assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
        let started = Instant::now();

        fixture.transport.close_all_idle().await;

        assert_eq!(started.elapsed(), limit, "{end}");
        fixture.finish().await;
    }
    assert_eq!(Phase::Quit.limit(), Duration::from_secs(3));
}
