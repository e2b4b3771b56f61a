//! Faults of the submission server, phase by phase.

use std::time::Duration;

use nuncio_provider_sim::config::*;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::client::*;

const REPLY: &str = "451 4.7.0 Temporary server error. Please try again later";

async fn with(phase: Phase, action: Action) -> Simulator {
    let sim = exchange().await;
    sim.faults().push(Fault::next(1, phase, action));
    sim
}

/// Goes through the dialogue, and returns the reply in this phase; empty if the connection ended.
async fn reply_in(phase: Phase, smtp: &mut Smtp, token: &str) -> String {
    let greeting = smtp.reply().await;
    if matches!(phase, Phase::Connect | Phase::Greeting) {
        return greeting;
    }
    let steps = [
        (Phase::Ehlo, "EHLO test".to_owned()),
        (Phase::Auth, format!("AUTH XOAUTH2 {}", xoauth2(DEFAULT_MAILBOX, token))),
        (Phase::Mail, format!("MAIL FROM:<{DEFAULT_MAILBOX}>")),
        (Phase::Rcpt, "RCPT TO:<a@b.example>".to_owned()),
        (Phase::Data, "DATA".to_owned()),
    ];
    for (step, line) in steps {
        let reply = smtp.command(&line).await;
        if step == phase {
            return reply;
        }
    }
    let end = smtp.command(&format!("{}.", message(DEFAULT_MAILBOX, "1"))).await;
    if matches!(phase, Phase::Body | Phase::EndOfData) {
        return end;
    }
    smtp.command("QUIT").await
}

const PHASES: [Phase; 10] = [
    Phase::Connect,
    Phase::Greeting,
    Phase::Ehlo,
    Phase::Auth,
    Phase::Mail,
    Phase::Rcpt,
    Phase::Data,
    Phase::Body,
    Phase::EndOfData,
    Phase::Quit,
];

#[tokio::test]
async fn every_phase_can_answer_otherwise_once() {
    for phase in PHASES {
        let sim = with(phase, Action::Reply(REPLY.to_owned())).await;
        let token = token(&sim).await;

        let mut smtp = Smtp::tls(&sim).await;
        assert_eq!(reply_in(phase, &mut smtp, &token).await, REPLY, "in {phase:?}");
        assert_eq!(sim.accepted_count(), u64::from(phase == Phase::Quit), "in {phase:?}");

        let mut smtp = Smtp::tls(&sim).await;
        let code = if phase == Phase::Data { "354" } else { "2" };
        assert_code(&reply_in(phase, &mut smtp, &token).await, code);
    }
}

#[tokio::test]
async fn every_phase_can_cut_the_connection() {
    for phase in PHASES {
        let sim = with(phase, Action::Cut).await;
        let token = token(&sim).await;
        let tcp = TcpStream::connect(sim.implicit_tls_addr()).await.unwrap();
        match handshake(&sim, tcp).await {
            Err(_) => assert_eq!(phase, Phase::Connect),
            Ok(io) => {
                assert_eq!(reply_in(phase, &mut Smtp::over(io), &token).await, "", "in {phase:?}");
            }
        }
        assert_eq!(sim.accepted_count(), u64::from(phase == Phase::Quit), "in {phase:?}");
    }
}

#[tokio::test]
async fn a_mail_can_be_accepted_although_the_reply_is_lost() {
    let sim = with(Phase::EndOfData, Action::CutAfterAccept).await;
    let mut smtp = Smtp::ready(&sim).await;

    assert_eq!(smtp.mail("1", &["a@b.example"]).await, "");

    assert_eq!(sim.accepted_count(), 1);
}

#[tokio::test]
async fn a_stalled_server_says_nothing_and_notices_that_the_client_goes() {
    for phase in [Phase::Greeting, Phase::Mail, Phase::Body, Phase::EndOfData] {
        let sim = with(phase, Action::Stall).await;
        let token = token(&sim).await;
        let mut smtp = Smtp::tls(&sim).await;
        let stalled =
            tokio::time::timeout(Duration::from_millis(300), reply_in(phase, &mut smtp, &token))
                .await;
        assert!(stalled.is_err(), "in {phase:?}");
        assert_eq!(sim.stats().connections.now, 1);

        drop(smtp);
        tokio::time::timeout(DEADLINE, async {
            while sim.stats().connections.now != 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the connection ends");
    }
}

#[tokio::test]
async fn a_delay_delays_only() {
    let sim = with(Phase::EndOfData, Action::Delay(120)).await;
    let mut smtp = Smtp::ready(&sim).await;
    let before = Instant::now();
    assert_code(&smtp.mail("1", &["a@b.example"]).await, "250");
    assert!(Duration::from_millis(120) <= before.elapsed());
}

#[tokio::test]
async fn a_421_ends_the_connection() {
    let sim = with(Phase::Mail, Action::Reply("421 4.3.2 Service not active".to_owned())).await;
    let mut smtp = Smtp::ready(&sim).await;
    assert_code(&smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}>")).await, "421 4.3.2");
    assert!(smtp.is_cut().await);
}

#[tokio::test]
async fn starttls_and_the_handshake_can_fail() {
    for (phase, action, expected) in [
        (Phase::Starttls, Action::Reply("454 4.7.0 TLS not available".to_owned()), "454 4.7.0"),
        (Phase::Starttls, Action::Cut, ""),
        (Phase::Tls, Action::Reply("not TLS".to_owned()), "220"),
    ] {
        let sim = with(phase, action).await;
        let mut smtp = Smtp::plain(&sim).await;
        smtp.reply().await;
        smtp.command("EHLO test").await;
        assert_code(&smtp.command("STARTTLS").await, expected);
        if phase == Phase::Tls {
            assert_eq!(smtp.reply().await, "not TLS");
            assert!(smtp.is_cut().await);
        }
    }
}

#[tokio::test]
async fn a_fault_can_concern_one_mailbox() {
    let sim =
        simulator(|config| config.mailboxes.push(Mailbox::new("other@contoso.example"))).await;
    sim.faults().push(Fault {
        mailbox: Some("other@contoso.example".to_owned()),
        ..Fault::always(Phase::Rcpt, Action::Reply(REPLY.to_owned()))
    });

    let mut smtp = Smtp::ready(&sim).await;
    assert_code(&smtp.mail("1", &["a@b.example"]).await, "250");
    let mut smtp = Smtp::ready_as(&sim, "other@contoso.example").await;
    smtp.command("MAIL FROM:<other@contoso.example>").await;
    assert_eq!(smtp.command("RCPT TO:<a@b.example>").await, REPLY);

    sim.faults().clear();
    assert_code(&smtp.command("RCPT TO:<a@b.example>").await, "250");
}

#[tokio::test]
async fn behind_a_refused_mail_pipelined_commands_are_no_mistake() {
    let sim = with(Phase::Mail, Action::Reply(REPLY.to_owned())).await;
    let mut smtp = Smtp::ready(&sim).await;
    smtp.send(&format!("MAIL FROM:<{DEFAULT_MAILBOX}>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n")).await;
    for code in ["451", "503", "503"] {
        assert_code(&smtp.reply().await, code);
    }
    assert_eq!(sim.stats().protocol_errors, 0);
}

#[tokio::test]
async fn replies_can_be_slow_and_come_byte_by_byte() {
    let sim = simulator(|config| {
        config.smtp.reply_delay_ms = 20;
        config.smtp.byte_by_byte = true;
    })
    .await;
    let before = Instant::now();
    let mut smtp = Smtp::ready(&sim).await;
    assert_code(&smtp.mail("1", &["a@b.example"]).await, "250");
    // Greeting, EHLO, AUTH in two steps, MAIL, RCPT, DATA, end of data
    assert!(Duration::from_millis(8 * 20) <= before.elapsed());
}
