use nuncio_core::outcome::Verdict;
use nuncio_runtime::clock::TestClock;

use super::*;
use crate::testing::*;

mod at_once;
mod mailboxes;
mod proxy;
mod recipients;
mod silence;
mod stalls;

const OFFER: &str = "PIPELINING, AUTH LOGIN XOAUTH2, 8BITMIME, SMTPUTF8";
const LOGGED_IN: &str = "S: 235 2.7.0 ok\n";
const TAKEN: &str = "S: 250 2.0.0 queued\n";

struct Fixture {
    servers: Arc<Servers>,
    tokens: Arc<Tokens>,
    transport: SmtpTransport,
    saved: SavedSmtpSettings,
}

impl Fixture {
    /// With OAuth over STARTTLS.
    fn new(scripts: &[String], tokens: Arc<Tokens>) -> Self {
        let servers = Arc::new(Servers::new(scripts));
        let saved = settings(&servers);
        Self::with(servers, tokens, saved)
    }

    /// Without TLS and login.
    fn plain(scripts: &[String]) -> Self {
        let servers = Arc::new(Servers::new(scripts));
        let saved = plain_settings(&servers);
        Self::with(servers, Tokens::new(&[]), saved)
    }

    fn with(servers: Arc<Servers>, tokens: Arc<Tokens>, saved: SavedSmtpSettings) -> Self {
        let network = Arc::clone(&servers) as Arc<dyn Network>;
        let source = Arc::clone(&tokens) as Arc<dyn TokenSource>;
        let clock = TestClock::starting_at("2026-11-23T12:00:00Z".parse().unwrap());
        let transport = SmtpTransport::over(network, source, Arc::new(clock), "node.test");
        Self { servers, tokens, transport, saved }
    }

    fn mailbox(&self) -> &EmailAddress {
        &self.saved.settings.email_address
    }

    async fn send(&self, recipients: &[&str]) -> SendOutcome {
        self.transport.send(&self.saved, self.mailbox(), &outgoing(recipients), &Gate(true)).await
    }

    /// Ends the test; tells what was asked of the token source.
    async fn finish(self) -> String {
        self.transport.close_all_idle().await;
        assert_eq!(self.transport.connections(), 0, "every connection is closed");
        drop(self.transport);
        self.servers.finish().await;
        self.tokens.calls()
    }
}

/// The basic code of the reply.
fn code(reason: &Reason) -> u16 {
    reason.reply.as_ref().map_or(0, |reply| reply.code)
}

/// The outcome in short: its kind, then reason or verdicts.
fn show(outcome: &SendOutcome) -> String {
    let verdict = |one: &Verdict| match one {
        Verdict::Accepted(reply) => format!("accepted {}", reply.code),
        Verdict::Deferred { reason, .. } => format!("deferred {}", code(reason)),
        Verdict::InAnotherMail(reason) => format!("in another mail {}", code(reason)),
        Verdict::Refused(reason) => format!("refused {}", code(reason)),
    };
    match outcome {
        SendOutcome::Judged(verdicts) => {
            verdicts.iter().map(verdict).collect::<Vec<_>>().join(", ")
        }
        SendOutcome::SenderRefused { reason, .. } => format!("sender refused {}", reason.code),
        SendOutcome::Unknown { verdicts, reason } => {
            let one = |v: &Option<Verdict>| v.as_ref().map_or("unknown".to_owned(), verdict);
            let verdicts: Vec<_> = verdicts.iter().map(one).collect();
            format!("{}: {}", reason.code, verdicts.join(", "))
        }
        SendOutcome::Throttled { reason, .. } => format!("throttled {}", reason.code),
        SendOutcome::Unavailable { reason, .. } => format!("unavailable {}", reason.code),
        SendOutcome::Closed { reason } => format!("closed {}", reason.code),
        SendOutcome::Abandoned => "abandoned".to_owned(),
    }
}

/// One mail to `a@x.test` over a plain connection that goes on with `script` behind EHLO.
async fn check(script: &str, expect: &str) {
    let fixture = Fixture::plain(&[plain(OFFER) + script]);
    let outcome = fixture.send(&["a@x.test"]).await;
    assert_eq!(show(&outcome), expect, "{outcome:?} after\n{script}");
    fixture.finish().await;
}

/// One mail by OAuth, the connections going on with `scripts` behind EHLO.
async fn check_login(scripts: &[String], tokens: &[&str], expect: &str, calls: &str) {
    let scripts: Vec<String> = scripts.iter().map(|script| starttls(OFFER) + script).collect();
    let fixture = Fixture::new(&scripts, Tokens::new(tokens));
    let outcome = fixture.send(&["a@x.test"]).await;
    assert_eq!(show(&outcome), expect, "{outcome:?}");
    assert_eq!(fixture.finish().await, calls);
}

#[tokio::test(start_paused = true)]
async fn a_mail_goes_out_over_starttls_with_a_token() {
    let script = starttls(OFFER) + &auth("t1") + LOGGED_IN + &mail() + TAKEN;
    let fixture = Fixture::new(&[script], Tokens::new(&["t1"]));

    let outcome = fixture.send(&["a@x.test"]).await;

    assert_eq!(show(&outcome), "accepted 250");
    let body = fixture.servers.heard().into_iter().find(|one| one.contains("Subject: hello"));
    assert!(body.unwrap().ends_with("\r\n\r\na text\r\n..\r\nmore"), "dots are doubled");
    assert_eq!(fixture.finish().await, "token");
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_carries_the_next_mails() {
    let transaction = mail() + TAKEN;
    let fixture = Fixture::plain(&[plain(OFFER) + &transaction.repeat(3)]);

    for _ in 0..3 {
        assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
        assert_eq!(fixture.transport.connections(), 1);
    }
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_mail_leaves_its_connection_usable() {
    let refused = format!(
        "C: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nC: DATA\nS: 250 ok\nS: 550 5.1.1 no\n\
         S: 503 5.5.1 no recipient\n"
    );
    let next = format!(
        "C: RSET\nC: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nC: DATA\nS: 250 reset\n\
         S: 250 ok\nS: 250 ok\nS: 354 go\nBODY\n{TAKEN}"
    );
    let fixture = Fixture::plain(&[plain(OFFER) + &refused + &next]);

    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "refused 550");
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_throttled_mail_leaves_its_connection_usable() {
    let throttled = mail() + "S: 432 4.3.2 Concurrent connections limit exceeded.\n";
    let next = mail().replacen("C: MAIL", "C: RSET\nC: MAIL", 1).replacen(
        "S: 250",
        "S: 250 reset\nS: 250",
        1,
    );
    let fixture = Fixture::plain(&[plain(OFFER) + &throttled + &next + TAKEN]);

    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "throttled MAILBOX_THROTTLED");
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn one_bad_recipient_does_not_stop_the_others() {
    let script = format!(
        "{}C: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nC: RCPT TO:<b@x.test>\n\
         C: RCPT TO:<c@x.test>\nC: RCPT TO:<d@x.test>\nC: DATA\nS: 250 ok\nS: 250 ok\n\
         S: 550 5.1.1 nobody\nS: 452 4.5.3 too many\nS: 250 ok\nS: 354 go\nBODY\n{TAKEN}",
        plain(OFFER)
    );
    let fixture = Fixture::plain(&[script]);

    let outcome = fixture.send(&["a@x.test", "b@x.test", "c@x.test", "d@x.test"]).await;

    assert_eq!(show(&outcome), "accepted 250, refused 550, in another mail 452, accepted 250");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_mail_without_recipients_ends_with_a_lone_dot() {
    let script = format!(
        "C: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nC: DATA\nS: 250 ok\nS: 550 5.1.1 no\n\
         S: 354 go\nC: .\nS: 554 5.5.1 no recipients\n"
    );
    check(&script, "refused 550").await;
}

#[tokio::test(start_paused = true)]
async fn replies_to_the_mail_become_outcomes() {
    check(&(mail() + "S: 451 4.3.0 later\n"), "deferred 451").await;
    check(&(mail() + "S: 554 5.6.0 bad\n"), "refused 554").await;
    check(&(mail() + "S: 421 4.3.2 going down\nCUT"), "unavailable SERVER_UNAVAILABLE").await;
    check(
        &(mail() + "S: 430 4.2.0 STOREDRV; mailbox logon failure; MapiExceptionLogonFailed\n"),
        "unavailable MAILBOX_PERMISSION_MISSING",
    )
    .await;
    check(
        &(mail() + "S: 554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException\n"),
        "throttled DAY_LIMIT_REACHED",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_after_the_mail_leaves_its_outcome_unknown() {
    check(&(mail() + "CUT"), "OUTCOME_UNKNOWN: unknown").await;
    check(&(mail() + "RAW: garbage\\n\nCUT"), "OUTCOME_UNKNOWN: unknown").await;
    // Cut before anything was read: the last portion may have left all the same.
    let before = mail().replace("BODY\n", "CUT\n");
    check(&before, "OUTCOME_UNKNOWN: unknown").await;

    let scripts = format!("{}{before}", plain(OFFER));
    let fixture = Fixture::plain(&[scripts]);
    let mut large = outgoing(&["a@x.test"]);
    let text = "a line of a mail that is larger than what a stream holds\n".repeat(20_000);
    large.mail.text = Some(nuncio_core::secret::Sensitive::from(text));
    let outcome =
        fixture.transport.send(&fixture.saved, fixture.mailbox(), &large, &Gate(true)).await;
    assert_eq!(show(&outcome), "unavailable CONNECTION_CLOSED", "cut before its last portion");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn refused_recipients_stay_refused_when_the_answer_is_lost() {
    let script = format!(
        "{}C: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nC: RCPT TO:<b@x.test>\nC: DATA\n\
         S: 250 ok\nS: 550 5.1.1 nobody\nS: 250 ok\nS: 354 go\nBODY\nCUT",
        plain(OFFER)
    );
    let fixture = Fixture::plain(&[script]);

    let outcome = fixture.send(&["a@x.test", "b@x.test"]).await;

    assert_eq!(show(&outcome), "OUTCOME_UNKNOWN: refused 550, unknown");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_shut_gate_keeps_the_mail_back() {
    let script = mail().replace("BODY\n", "HANG\n");
    let fixture = Fixture::plain(&[plain(OFFER) + &script]);

    let outcome = fixture
        .transport
        .send(&fixture.saved, fixture.mailbox(), &outgoing(&["a@x.test"]), &Gate(false))
        .await;

    assert_eq!(outcome, SendOutcome::Abandoned);
    assert!(!fixture.servers.heard().concat().contains("Subject"));
    assert_eq!(fixture.transport.connections(), 0, "such a connection cannot be used again");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn silence_is_bounded_in_every_phase() {
    let hang = |script: &str| format!("{script}HANG\n");
    let commands = format!("C: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nC: DATA\n");
    let cases = [
        ("greeting", hang(""), 60),
        ("ehlo", hang("S: 220 mx\n"), 60),
        ("mail", hang(&(plain(OFFER) + &commands)), 60),
        ("rcpt", hang(&(plain(OFFER) + &commands + "S: 250 ok\n")), 60),
        ("data", hang(&(plain(OFFER) + &commands + "S: 250 ok\nS: 250 ok\n")), 120),
    ];
    for (name, script, seconds) in cases {
        let fixture = Fixture::plain(&[script]);
        let started = Instant::now();

        let outcome = fixture.send(&["a@x.test"]).await;

        assert_eq!(show(&outcome), "unavailable CONNECTION_TIMED_OUT", "{name}");
        assert_eq!(started.elapsed().as_secs(), seconds, "{name}");
        fixture.finish().await;
    }
    let fixture = Fixture::plain(&[hang(&(plain(OFFER) + &mail()))]);
    let started = Instant::now();
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "OUTCOME_UNKNOWN: unknown");
    assert_eq!(started.elapsed(), Phase::EndOfData.limit());
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn silence_while_connecting_ends_with_the_connection_time_out() {
    let until_starttls = "S: 220 mx\nC: EHLO node.test\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\n";
    let cases = [
        ("starttls", format!("{until_starttls}HANG\n")),
        ("tls", format!("{until_starttls}S: 220 go\nHANG\n")),
        ("auth", starttls(OFFER) + "C: AUTH XOAUTH2\nHANG\n"),
        ("token", starttls(OFFER) + &auth("t1") + "HANG\n"),
    ];
    for (name, script) in cases {
        let fixture = Fixture::new(&[script], Tokens::new(&["t1"]));
        let started = Instant::now();

        let outcome = fixture.send(&["a@x.test"]).await;

        assert_eq!(show(&outcome), "unavailable CONNECTION_TIMED_OUT", "{name}");
        assert_eq!(started.elapsed().as_secs(), 60, "{name}");
        fixture.finish().await;
    }
    // Nothing answers the connect.
    let fixture = Fixture::plain(&[]);
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "unavailable CONNECTION_TIMED_OUT");
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_costs_a_moment_and_no_mail() {
    let mut servers = Servers::new(&[plain(OFFER) + &mail() + TAKEN]);
    let dead = ([192, 0, 2, 9], DEAD_PORT).into();
    servers.addresses.insert(0, dead);
    let saved = plain_settings(&servers);
    let fixture = Fixture::with(Arc::new(servers), Tokens::new(&[]), saved);
    let started = Instant::now();

    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");

    assert_eq!(started.elapsed(), Duration::from_millis(250));
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once() {
    let refused = auth("t1") + "S: 535 5.7.3 Authentication unsuccessful [host]\n";
    let good = auth("t2") + LOGGED_IN + &mail() + TAKEN;
    let scripts = [refused.clone(), good];
    check_login(&scripts, &["t1", "t2"], "accepted 250", "token invalidate token").await;

    let again = auth("t2") + "S: 535 5.7.3 Authentication unsuccessful [host]\n";
    let scripts = [refused.clone(), again];
    let expect = "closed INVALID_EMAIL_ADDRESS";
    check_login(&scripts, &["t1", "t2", "t3"], expect, "token invalidate token").await;

    // The source has no other token.
    check_login(&[refused], &["t1"], expect, "token invalidate token").await;
}

#[tokio::test(start_paused = true)]
async fn an_error_challenge_is_answered_with_an_empty_line() {
    let challenge = "S: 334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0=\nC: \n";
    let refused = auth("t1") + challenge + "S: 535 5.7.8 refused\n";
    let good = auth("t2") + LOGGED_IN + &mail() + TAKEN;
    check_login(&[refused, good], &["t1", "t2"], "accepted 250", "token invalidate token").await;
}

#[tokio::test(start_paused = true)]
async fn a_challenge_that_blames_the_server_closes_nothing() {
    // {"status":"503"}
    let challenge = "S: 334 eyJzdGF0dXMiOiI1MDMifQ==\nC: \nS: 535 5.7.8 refused\n";
    let script = auth("t1") + challenge;
    check_login(&[script], &["t1"], "unavailable LOGIN_UNAVAILABLE", "token").await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_not_fought_with_fresh_tokens() {
    let disabled = "S: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is \
                    disabled for the Tenant.\n";
    check_login(&[auth("t1") + disabled], &["t1", "t2"], "closed SMTP_AUTH_DISABLED", "token")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_check_logins_is_unavailable() {
    let script = auth("t1") + "S: 454 4.7.0 Temporary authentication failure\n";
    check_login(&[script], &["t1"], "unavailable LOGIN_UNAVAILABLE", "token").await;
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_connected() {
    let wait = Some(Duration::from_secs(7));
    let kind = TokenErrorKind::Temporary { retry_after: wait };
    let fixture = Fixture::new(&[], Tokens::failing("ENDPOINT_DOWN", kind));
    let outcome = fixture.send(&["a@x.test"]).await;
    assert!(
        matches!(&outcome, SendOutcome::Unavailable { retry_after, .. } if *retry_after == wait),
        "{outcome:?}"
    );

    let fixture =
        Fixture::new(&[], Tokens::failing("INVALID_CLIENT_SECRET", TokenErrorKind::Fatal));
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "closed INVALID_CLIENT_SECRET");
}

#[tokio::test(start_paused = true)]
async fn a_long_token_goes_over_in_one_line_of_its_own() {
    let token = "x".repeat(4000);
    let script = starttls(OFFER) + &auth(&token) + LOGGED_IN + &mail() + TAKEN;
    let fixture = Fixture::new(&[script], Tokens::new(&[&token]));

    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_starttls_are_refused() {
    let script = "S: 220 mx\nC: EHLO node.test\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\n\
                  RAW: 220 go\\n250 smuggled\\n";
    let fixture = Fixture::new(&[script.to_owned()], Tokens::new(&["t1"]));

    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "closed STARTTLS_INJECTED");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn without_starttls_no_token_goes_out() {
    let script = "S: 220 mx\nC: EHLO node.test\nS: 250-mx\nS: 250 AUTH XOAUTH2\n";
    let fixture = Fixture::new(&[script.to_owned()], Tokens::new(&["t1"]));

    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "closed STARTTLS_NOT_OFFERED");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_not_trusted_closes_the_channel() {
    let script = starttls(OFFER);
    let mut fixture = Fixture::new(&[script], Tokens::new(&["t1"]));
    fixture.saved.settings.ca_certificates_pem = Servers::new(&[]).ca_pem;

    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "closed NO_VALID_CERTIFICATION_PATH");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_server_has_closed_is_no_outage() {
    // The first closes in silence, the second with a word, the third when it is spoken to.
    let transaction = mail() + TAKEN;
    let begun = format!("C: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nC: DATA\n");
    let scripts = [
        plain(OFFER) + &transaction + "CUT\n",
        plain(OFFER) + &transaction + "S: 421 4.4.2 idle\nCUT\n",
        plain(OFFER) + &transaction + &begun + "S: 421 4.4.2 idle\nCUT\n",
        plain(OFFER) + &transaction + &begun + "CUT\n",
        plain(OFFER) + &transaction,
    ];
    let fixture = Fixture::plain(&scripts);

    for number in 0..5 {
        assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250", "mail {number}");
        tokio::time::sleep(Duration::from_millis(1)).await; // Lets the server close.
    }
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_may_have_been_taken_is_not_sent_again() {
    let script = plain(OFFER) + &mail() + TAKEN + &mail() + "CUT\n";
    let fixture = Fixture::plain(&[script]);

    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "OUTCOME_UNKNOWN: unknown");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_login_is_renewed_once() {
    let lost = format!(
        "C: MAIL FROM:<{MAILBOX}>\nC: RCPT TO:<a@x.test>\nC: DATA\nS: 530 5.7.57 Client not \
         authenticated to send mail\nS: 503 no\nS: 503 no\n"
    );
    let hello = starttls(OFFER) + &auth("t1") + LOGGED_IN;
    let scripts = [hello.clone() + &mail() + TAKEN + &lost, hello + &lost];
    let fixture = Fixture::new(&scripts, Tokens::new(&["t1"]));

    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "closed LOGIN_REQUIRED");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn connections_end_by_idleness_age_and_number_of_mails() {
    let once = plain(OFFER) + &mail() + TAKEN;
    let fixture = Fixture::plain(&[once.clone(), once.clone(), once]);
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");

    // Without another mail, the sweep closes it.
    let stop = CancellationToken::new();
    let sweep = fixture.transport.run(stop.clone());
    tokio::select! {
        _ended = sweep => unreachable!("nobody stopped it"),
        () = sleep(Duration::from_secs(70)) => {}
    }
    assert_eq!(fixture.transport.connections(), 0);
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    fixture.finish().await;

    let many = plain(OFFER) + &(mail() + TAKEN).repeat(100);
    let fixture = Fixture::plain(&[many, plain(OFFER) + &mail() + TAKEN]);
    for _ in 0..101 {
        assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    }
    fixture.finish().await;

    let old = plain(OFFER) + &(mail() + TAKEN).repeat(20);
    let fixture = Fixture::plain(&[old, plain(OFFER) + &mail() + TAKEN]);
    for _ in 0..21 {
        assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
        sleep(Duration::from_secs(30)).await;
    }
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_before_its_token() {
    let hello = |token: &str| starttls(OFFER) + &auth(token) + LOGGED_IN + &mail() + TAKEN;
    let tokens = Tokens::until("2026-11-23T12:01:30Z", &["t1"]);
    let fixture = Fixture::new(&[hello("t1") + &mail() + TAKEN, hello("t1")], tokens);

    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    sleep(Duration::from_secs(29)).await;
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    assert_eq!(fixture.finish().await, "token token");
}

#[tokio::test(start_paused = true)]
async fn new_settings_close_the_connections_of_the_old_ones() {
    let once = plain(OFFER) + &mail() + TAKEN;
    let mut fixture = Fixture::plain(&[once.clone(), once]);
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");

    fixture.saved.generation = 2;
    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");

    assert_eq!(fixture.transport.connections(), 1);
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_senders_share_three_connections() {
    let many = plain(OFFER) + &(mail() + TAKEN).repeat(34);
    let mut fixture = Fixture::plain(&[many.clone(), many.clone(), many]);
    fixture.saved.settings.limits.connections_max = 3;

    let outcomes = join_all((0..100).map(|_| async {
        let outcome = fixture.send(&["a@x.test"]).await;
        assert!(fixture.transport.connections() <= 3);
        outcome
    }));
    for outcome in outcomes.await {
        assert_eq!(show(&outcome), "accepted 250");
    }
    assert!(fixture.servers.is_every_script_used(), "all three were used");
}

#[tokio::test(start_paused = true)]
async fn what_the_server_cannot_take_is_refused_before_it_is_asked() {
    let fixture = Fixture::plain(&[plain("PIPELINING, SIZE 100")]);
    let outcome = fixture.send(&["a@x.test"]).await;
    assert_eq!(show(&outcome), "refused 552");
    let SendOutcome::Judged(verdicts) = outcome else { unreachable!("it was judged") };
    let Verdict::Refused(reason) = &verdicts[0] else { unreachable!("it was refused") };
    let reply = reason.reply.as_ref().expect("nuncio speaks in the server's place");
    assert!(reply.text.contains("refused by nuncio"), "{reply}");
    assert_eq!(reason.code, "MAIL_TOO_LARGE");
    // The connection is as good as before.
    assert_eq!(show(&fixture.send(&["é@x.test"]).await), "refused 552");
    fixture.finish().await;

    let fixture = Fixture::plain(&[plain("PIPELINING, 8BITMIME")]);
    assert_eq!(show(&fixture.send(&["é@x.test"]).await), "refused 553");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_of_one_mail_only_does_not_close_the_channel() {
    let refused = "S: 250 ok\nS: 250 ok\nS: 354 go\nBODY\nS: 554 5.2.252 SendAsDenied; no\n";
    let commands = "C: MAIL FROM:<boss@mx.test>\nC: RCPT TO:<a@x.test>\nC: DATA\n";
    let fixture = Fixture::plain(&[format!("{}{commands}{refused}", plain(OFFER))]);
    let mut mail = outgoing(&["a@x.test"]);
    mail.mail.from =
        Some("boss@mx.test".parse::<nuncio_core::address::EmailAddress>().unwrap().into());

    let outcome =
        fixture.transport.send(&fixture.saved, fixture.mailbox(), &mail, &Gate(true)).await;

    assert_eq!(show(&outcome), "sender refused SENDER_REFUSED");
    fixture.finish().await;
    check(&(crate::testing::mail() + "S: 554 5.2.252 SendAsDenied; no\n"), "closed SENDER_REFUSED")
        .await;
}
