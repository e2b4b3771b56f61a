//! The limits of a mailbox.

use std::time::Duration;

use nuncio_provider_sim::config::*;
use tokio::time::Instant;

use crate::client::*;

#[tokio::test]
async fn the_fourth_connection_is_refused_at_the_end_of_data() {
    let sim = exchange().await;
    let mut busy = Vec::new();
    for _ in 0..3 {
        let mut smtp = Smtp::ready(&sim).await;
        smtp.open(DEFAULT_MAILBOX, &["a@b.example"]).await;
        busy.push(smtp);
    }
    let mut fourth = Smtp::ready(&sim).await;

    let reply = fourth.mail("4", &["a@b.example"]).await;

    assert_code(
        &reply,
        "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending",
    );
    assert_eq!(sim.stats().refused.connections, 1);
    for (number, smtp) in busy.iter_mut().enumerate() {
        assert_code(
            &smtp.command(&format!("{}.", message(DEFAULT_MAILBOX, &number.to_string()))).await,
            "250",
        );
    }
    assert_code(&fourth.mail("4", &["a@b.example"]).await, "250");
    let stats = sim.stats();
    let mailbox = &stats.mailboxes[DEFAULT_MAILBOX];
    assert_eq!((mailbox.submitting.now, mailbox.submitting.max), (0, 4));
    assert_eq!((mailbox.authenticated.now, mailbox.authenticated.max), (4, 4));
    assert_eq!((stats.connections.now, stats.connections.total), (4, 4));
}

#[tokio::test]
async fn each_mailbox_has_its_own_connections() {
    let sim = simulator(|config| {
        config.limits.connections = 1;
        config.mailboxes.push(Mailbox::new("other@contoso.example"));
    })
    .await;
    let mut first = Smtp::ready(&sim).await;
    first.open(DEFAULT_MAILBOX, &["a@b.example"]).await;

    let mut other = Smtp::ready_as(&sim, "other@contoso.example").await;
    other.open("other@contoso.example", &["a@b.example"]).await;
    assert_code(
        &other.command(&format!("{}.", message("other@contoso.example", "1"))).await,
        "250",
    );
}

/// A pool of mailboxes that send under one name has the limits of each.
#[tokio::test]
async fn each_mailbox_has_its_own_minute_and_day_whatever_the_sender() {
    for (set, refusal) in [
        ((|limits: &mut Limits| limits.messages_per_minute = 1) as fn(&mut Limits), "451 4.4.2"),
        (|limits| limits.recipients_per_day = 1, "554 5.2.0"),
    ] {
        let second = "second@contoso.example";
        let sim = simulator(|config| {
            set(&mut config.limits);
            let send_as = vec![DEFAULT_MAILBOX.to_owned()];
            config.mailboxes.push(Mailbox { send_as, ..Mailbox::new(second) });
        })
        .await;
        for mailbox in [DEFAULT_MAILBOX, second] {
            let mut smtp = Smtp::ready_as(&sim, mailbox).await;
            assert_code(&smtp.mail("1", &["a@b.example"]).await, "250");
            assert_code(&smtp.mail("2", &["a@b.example"]).await, refusal);
        }
        assert_eq!(sim.accepted_count(), 2);
    }
}

#[tokio::test]
async fn messages_beyond_the_rate_are_rejected() {
    let sim = simulator(|config| config.limits.messages_per_minute = 2).await;
    let mut smtp = Smtp::ready(&sim).await;
    for id in ["1", "2"] {
        assert_code(&smtp.mail(id, &["a@b.example"]).await, "250");
    }
    assert_code(&smtp.mail("3", &["a@b.example"]).await, "451 4.4.2 Message submission rate");
    assert_eq!((sim.stats().refused.rate, sim.accepted_count()), (1, 2));
}

#[tokio::test]
async fn messages_beyond_the_rate_can_be_delayed() {
    // A minute passes in 200 ms.
    let sim = simulator(|config| {
        config.limits.messages_per_minute = 1;
        config.limits.over_rate = OverRate::Delay;
        config.limits.time_scale = 300.0;
    })
    .await;
    let mut smtp = Smtp::ready(&sim).await;

    let before = Instant::now();
    assert_code(&smtp.mail("1", &["a@b.example"]).await, "250");
    assert_code(&smtp.mail("2", &["a@b.example"]).await, "250");

    assert!(Duration::from_millis(200) <= before.elapsed(), "took only {:?}", before.elapsed());
    assert_eq!(sim.stats().refused.rate, 0);
}

#[tokio::test]
async fn a_scaled_minute_passes_faster() {
    let sim = simulator(|config| {
        config.limits.messages_per_minute = 1;
        config.limits.time_scale = 600.0;
    })
    .await;
    let mut smtp = Smtp::ready(&sim).await;
    assert_code(&smtp.mail("1", &["a@b.example"]).await, "250");
    tokio::time::timeout(DEADLINE, async {
        while !smtp.mail("2", &["a@b.example"]).await.starts_with("250") {}
    })
    .await
    .unwrap();
    assert_eq!(sim.accepted_count(), 2);
}

#[tokio::test]
async fn recipients_beyond_the_day_are_refused() {
    let sim = simulator(|config| config.limits.recipients_per_day = 2).await;
    let mut smtp = Smtp::ready(&sim).await;
    assert_code(&smtp.mail("1", &["a@b.example"]).await, "250");

    let reply = smtp.mail("2", &["a@b.example", "c@b.example"]).await;

    assert_code(&reply, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException");
    assert_code(&smtp.mail("3", &["a@b.example"]).await, "250");
    assert_eq!(sim.stats().refused.recipients_per_day, 1);
}

#[tokio::test]
async fn recipients_beyond_the_message_are_refused() {
    let sim = simulator(|config| config.limits.recipients_per_message = 1).await;
    let mut smtp = Smtp::ready(&sim).await;
    smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}>")).await;
    assert_code(&smtp.command("RCPT TO:<a@b.example>").await, "250");
    assert_code(&smtp.command("RCPT TO:<c@b.example>").await, "452 4.5.3 Too many recipients");
    assert_eq!(sim.stats().refused.recipients_per_message, 1);
}

#[tokio::test]
async fn a_message_can_be_too_big_before_and_after_it_was_sent() {
    let sim = simulator(|config| config.limits.message_size = 200).await;
    let mut smtp = Smtp::ready(&sim).await;
    assert!(smtp.command("EHLO test").await.contains("SIZE 200"));
    assert_code(
        &smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}> SIZE=201")).await,
        "552 5.3.4",
    );

    let big = format!("{}{}", message(DEFAULT_MAILBOX, "1"), "0123456789\r\n".repeat(10_000));
    smtp.open(DEFAULT_MAILBOX, &["a@b.example"]).await;
    assert_code(&smtp.command(&format!("{big}.")).await, "552 5.3.4");

    smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}>")).await;
    smtp.command("RCPT TO:<a@b.example>").await;
    smtp.send(&format!("BDAT {}\r\n{big}BDAT 0 LAST\r\nRSET\r\n", big.len())).await;
    assert_code(&smtp.reply().await, "552 5.3.4");
    assert_code(&smtp.reply().await, "503 5.5.1");
    assert_code(&smtp.reply().await, "250");
    assert_code(&smtp.mail("2", &["a@b.example"]).await, "250");
    assert_eq!((sim.stats().refused.size, sim.accepted_count()), (3, 1));
}
