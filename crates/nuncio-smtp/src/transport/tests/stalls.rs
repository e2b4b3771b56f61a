//! Servers that fall silent after the login, over real sockets and with short dead lines.

use nuncio_core::secret::{Password, Sensitive};
use nuncio_provider_sim::config::{DEFAULT_MAILBOX, Mechanisms, SimConfig, SimSecret};
use nuncio_provider_sim::fault::{Action, Fault, Phase as SimPhase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_runtime::clock::SystemClock;

use super::*;

const PASSWORD: &str = "correct horse";
/// How long the server may be silent here. A busy machine answers earlier.
const SHORT: Duration = Duration::from_secs(2);
/// Within which an attempt must be over that meets one dead line, on a busy machine.
const AT_MOST: Duration = Duration::from_secs(30);

/// Sends one mail of so many octets of text to a server that falls silent in a phase.
async fn check(phase: SimPhase, text_octets: usize, expect: &str) {
    let mut config = SimConfig::sink();
    config.mailboxes[0].password = Some(SimSecret::new(PASSWORD));
    config.smtp.mechanisms = Mechanisms { plain: true, ..Mechanisms::default() };
    let simulator = Simulator::start(config).await.unwrap();
    simulator.faults().push(Fault::next(1, phase, Action::Stall));
    let mut saved = settings(&Servers::new(&[]));
    saved.settings.host = "localhost".to_owned();
    saved.settings.port = simulator.starttls_addr().port();
    saved.settings.email_address = DEFAULT_MAILBOX.parse().unwrap();
    saved.settings.ca_certificates_pem = simulator.ca_pem();
    saved.settings.authentication = Authentication::Password {
        username: DEFAULT_MAILBOX.to_owned(),
        password: Password::from(PASSWORD.to_owned()),
    };
    let mut transport = SmtpTransport::new(Tokens::new(&[]), Arc::new(SystemClock), "node.test");
    // Getting ready takes what it takes.
    transport.limits = |phase| if phase.is_connecting() { phase.limit() } else { SHORT };
    let mut mail = outgoing(&["guest@example.com"]);
    mail.mail.text = Some(Sensitive::from("0123456\n".repeat(text_octets / 8)));
    let mailbox = saved.settings.email_address.clone();
    let started = Instant::now();

    let stalled = transport.send(&saved, &mailbox, &mail, &Gate(true)).await;
    let took = started.elapsed();
    transport.limits = Phase::limit;
    let next = transport.send(&saved, &mailbox, &mail, &Gate(true)).await;

    assert_eq!(show(&stalled), expect, "{phase:?}: {stalled:?}");
    assert!(SHORT <= took && took < AT_MOST, "{phase:?} took {took:?}");
    assert_eq!(show(&next), "accepted 250", "{phase:?}: another connection serves");
    transport.close_all_idle().await;
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_server_that_falls_silent_after_the_login_is_given_up_in_every_phase() {
    let timed_out = "unavailable CONNECTION_TIMED_OUT";
    for phase in [SimPhase::Mail, SimPhase::Rcpt, SimPhase::Data] {
        check(phase, 8, timed_out).await;
    }
    // More than the buffers of both sides hold, so that the end has certainly not gone out.
    check(SimPhase::Body, 16_000_000, timed_out).await;
    check(SimPhase::EndOfData, 8, "OUTCOME_UNKNOWN: unknown").await;
}
