//! Mails that go out together with their commands, over a connection that is warm.

use super::*;

/// With CHUNKING.
const CHUNKS: &str = "PIPELINING, CHUNKING";
const ADDRESSES_TAKEN: &str = "S: 250 2.1.0 ok\nS: 250 2.1.5 ok\n";

/// Two mails to `a@x.test`, the second over a connection that is warm from the first and goes on with
/// `script`. `more` are the scripts of further connections.
async fn check_warm(script: &str, more: &[String], expect: &str) {
    let warm = plain(CHUNKS) + &mail() + TAKEN + script;
    let scripts: Vec<String> = [warm].into_iter().chain(more.iter().cloned()).collect();
    let fixture = Fixture::plain(&scripts);
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");

    let outcome = fixture.send(&["a@x.test"]).await;

    assert_eq!(show(&outcome), expect, "{outcome:?} after\n{script}");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_warm_connection_takes_a_mail_together_with_its_commands() {
    let next = at_once() + ADDRESSES_TAKEN + TAKEN;
    let script = plain(CHUNKS) + &mail() + TAKEN + &next.repeat(3) + &mail() + TAKEN;
    let fixture = Fixture::plain(&[script]);

    for _ in 0..4 {
        assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    }
    // Then it is warm no more.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");

    let heard = fixture.servers.heard();
    let ends: Vec<&str> = heard
        .iter()
        .filter(|one| one.contains("Subject: hello"))
        .map(|one| one.split("\r\n\r\n").nth(1).unwrap())
        .collect();
    let (data, chunk) = ("a text\r\n..\r\nmore", "a text\r\n.\r\nmore\r\n");
    assert_eq!(ends, [data, chunk, chunk, chunk, data], "a chunk has its dots as they are");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn replies_to_a_chunk_become_outcomes() {
    let check = async |replies: &str, expect: &str| {
        let next = mail().replacen("C: MAIL", "C: RSET\nC: MAIL", 1).replacen(
            "S: 250",
            "S: 250 reset\nS: 250",
            1,
        );
        let script = plain(CHUNKS) + &mail() + TAKEN + &at_once() + replies + &next + TAKEN;
        let fixture = Fixture::plain(&[script]);
        assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
        assert_eq!(show(&fixture.send(&["a@x.test"]).await), expect, "after\n{replies}");
        assert_eq!(
            show(&fixture.send(&["a@x.test"]).await),
            "accepted 250",
            "the connection lives"
        );
        fixture.finish().await;
    };
    check("S: 550 5.7.1 no\nS: 503 5.5.1 no\nS: 503 5.5.1 no\n", "refused 550").await;
    check("S: 451 4.3.0 later\nS: 503 5.5.1 no\nS: 554 5.5.1 no\n", "deferred 451").await;
    check("S: 250 ok\nS: 550 5.1.1 nobody\nS: 554 5.5.1 none\n", "refused 550").await;
    check("S: 250 ok\nS: 450 4.2.1 busy\nS: 503 5.5.1 none\n", "deferred 450").await;
    check("S: 250 ok\nS: 550 5.1.1 nobody\nS: 250 octets received\n", "refused 550").await;
    check("S: 250 ok\nS: 250 ok\nS: 554 5.6.0 bad\n", "refused 554").await;
    let throttled = "S: 250 ok\nS: 250 ok\nS: 432 4.3.2 Concurrent connections limit exceeded.\n";
    check(throttled, "throttled MAILBOX_THROTTLED").await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_behind_a_mail_that_went_at_once_leaves_its_outcome_unknown() {
    let unknown = "OUTCOME_UNKNOWN: unknown";
    check_warm(&(at_once() + "CUT\n"), &[], unknown).await;
    check_warm(&(at_once() + "S: 250 ok\nCUT\n"), &[], unknown).await;
    check_warm(&(at_once() + ADDRESSES_TAKEN + "CUT\n"), &[], unknown).await;
    check_warm(&(at_once() + ADDRESSES_TAKEN + "RAW: garbage\\n\nCUT\n"), &[], unknown).await;
    // Even if the server has not read a thing, as nobody on this side can know that.
    check_warm(&format!("C: MAIL FROM:<{MAILBOX}>\nCUT\n"), &[], unknown).await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_behind_a_refusal_leaves_no_doubt() {
    check_warm(&(at_once() + "S: 250 ok\nS: 550 5.1.1 no\nCUT\n"), &[], "refused 550").await;
    check_warm(&(at_once() + "S: 451 4.3.0 later\nCUT\n"), &[], "deferred 451").await;
    let goes_down = at_once() + ADDRESSES_TAKEN + "S: 421 4.3.2 going down\nCUT\n";
    check_warm(&goes_down, &[], "unavailable SERVER_UNAVAILABLE").await;
    let again = plain(CHUNKS) + &mail() + TAKEN;
    check_warm(&(at_once() + "S: 421 4.4.2 idle\nCUT\n"), &[again], "accepted 250").await;
}

/// Lets the server cut the connection while the gate is asked.
struct Cutting<'a>(&'a Servers);

#[async_trait]
impl BodyGate for Cutting<'_> {
    async fn open(&self) -> bool {
        self.0.go_on();
        sleep(Duration::from_millis(1)).await; // Lets the server close.
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_before_a_mail_goes_at_once_is_no_outage() {
    for words in ["", "S: 421 4.4.2 idle\n"] {
        let once = plain(CHUNKS) + &mail() + TAKEN;
        let fixture = Fixture::plain(&[format!("{once}WAIT\n{words}CUT\n"), once]);
        assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");

        let gate = Cutting(&fixture.servers);
        let outcome = fixture
            .transport
            .send(&fixture.saved, fixture.mailbox(), &outgoing(&["a@x.test"]), &gate)
            .await;

        assert_eq!(show(&outcome), "accepted 250", "{words}");
        fixture.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_before_the_last_portion_of_a_chunk_is_certainly_not_sent() {
    let reads_two_lines = format!("C: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nCUT\n");
    let fixture = Fixture::plain(&[plain(CHUNKS) + &mail() + TAKEN + &reads_two_lines]);
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    let mut large = outgoing(&["a@x.test"]);
    let text = "a line of a mail that is larger than what a stream holds\n".repeat(10_000);
    large.mail.text = Some(nuncio_core::secret::Sensitive::from(text));

    let outcome =
        fixture.transport.send(&fixture.saved, fixture.mailbox(), &large, &Gate(true)).await;

    assert_eq!(show(&outcome), "unavailable CONNECTION_CLOSED");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_shut_gate_keeps_back_a_mail_that_would_go_at_once() {
    let fixture = Fixture::plain(&[plain(CHUNKS) + &mail() + TAKEN]);
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    let before = fixture.servers.heard().len();

    let outcome = fixture
        .transport
        .send(&fixture.saved, fixture.mailbox(), &outgoing(&["a@x.test"]), &Gate(false))
        .await;

    assert_eq!(outcome, SendOutcome::Abandoned);
    assert_eq!(fixture.servers.heard().len(), before, "nothing at all was said");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn silence_behind_a_mail_that_went_at_once_is_borne_as_long_as_behind_any_other() {
    for heard in ["", "S: 250 ok\n", ADDRESSES_TAKEN] {
        let started = Instant::now();
        check_warm(&format!("{}{heard}HANG\n", at_once()), &[], "OUTCOME_UNKNOWN: unknown").await;
        assert_eq!(started.elapsed(), Phase::EndOfData.limit(), "{heard}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_lost_before_a_mail_went_at_once_is_renewed() {
    let lost = "S: 530 5.7.57 Client not authenticated to send mail\nS: 503 no\nS: 503 no\n";
    let again = plain(CHUNKS) + &mail() + TAKEN;
    check_warm(&(at_once() + lost), &[again], "accepted 250").await;
}

#[tokio::test(start_paused = true)]
async fn several_recipients_are_asked_for_before_the_mail_goes() {
    let two = format!(
        "C: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nC: RCPT TO:<b@x.test>\nC: DATA\n\
         S: 250 ok\nS: 250 ok\nS: 550 5.1.1 nobody\nS: 354 go\nBODY\n{TAKEN}"
    );
    let fixture = Fixture::plain(&[plain(CHUNKS) + &mail() + TAKEN + &two]);
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");

    let outcome = fixture.send(&["a@x.test", "b@x.test"]).await;

    assert_eq!(show(&outcome), "accepted 250, refused 550");
    fixture.finish().await;
}
