//! Transactions, and the ground truth about them.

use nuncio_provider_sim::config::*;
use nuncio_provider_sim::ledger::Duplicate;

use crate::client::*;

#[tokio::test]
async fn an_accepted_mail_is_on_record() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;

    let reply = smtp.mail("1@nuncio", &["a@b.example", "c@d.example"]).await;

    assert_code(&reply, "250 2.0.0 OK <1@nuncio>");
    sim.wait_for_accepted(1, DEADLINE).await.unwrap();
    let mails = sim.accepted();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].mailbox, DEFAULT_MAILBOX);
    assert_eq!(mails[0].mail_from, DEFAULT_MAILBOX);
    assert_eq!(mails[0].recipients, ["a@b.example", "c@d.example"]);
    assert_eq!(mails[0].message_id.as_deref(), Some("1@nuncio"));
    assert_eq!(mails[0].data, message(DEFAULT_MAILBOX, "1@nuncio").as_bytes());
    assert_eq!(sim.stats().recipients_accepted, 2);
    assert_eq!(sim.stats().protocol_errors, 0);
}

#[tokio::test]
async fn dots_are_unstuffed() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;
    smtp.open(DEFAULT_MAILBOX, &["a@b.example"]).await;

    let head = message(DEFAULT_MAILBOX, "1");
    assert_code(&smtp.command(&format!("{head}..\r\n..two\r\nend.\r\n.")).await, "250");

    assert_eq!(sim.accepted()[0].data, format!("{head}.\r\n.two\r\nend.\r\n").as_bytes());
}

#[tokio::test]
async fn a_smuggled_end_of_data_ends_nothing() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;
    smtp.open(DEFAULT_MAILBOX, &["a@b.example"]).await;

    smtp.send(&format!("{}\n.\r\n", message(DEFAULT_MAILBOX, "1"))).await;
    assert!(smtp.is_silent().await);

    assert_code(&smtp.command(".").await, "550 5.6.11");
    assert_eq!((sim.accepted_count(), sim.stats().refused.content), (0, 1));
}

#[tokio::test]
async fn a_line_can_be_too_long() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;
    for (length, code) in [(998, "250"), (999, "500 5.5.2")] {
        smtp.open(DEFAULT_MAILBOX, &["a@b.example"]).await;
        let line = "x".repeat(length);
        assert_code(
            &smtp.command(&format!("{}{line}\r\n.", message(DEFAULT_MAILBOX, "1"))).await,
            code,
        );
    }
}

#[tokio::test]
async fn chunks_make_a_mail() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;
    assert_code(
        &smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}> BODY=8BITMIME")).await,
        "250",
    );
    assert_code(&smtp.command("RCPT TO:<a@b.example>").await, "250");
    let text = format!("{}.\r\n", message(DEFAULT_MAILBOX, "1"));

    smtp.send(&format!("BDAT {}\r\n{text}", text.len())).await;
    assert_code(&smtp.reply().await, "250");
    assert_code(&smtp.command("BDAT 0 LAST").await, "250 2.0.0 OK <1>");

    assert_eq!(sim.accepted()[0].data, text.as_bytes());
}

#[tokio::test]
async fn a_chunk_without_recipient_is_taken_and_refused() {
    let sim =
        simulator(|config| config.recipients = vec![RecipientRule::refused("refused@")]).await;
    let mut smtp = Smtp::ready(&sim).await;

    smtp.send(&format!("MAIL FROM:<{DEFAULT_MAILBOX}>\r\nRCPT TO:<refused@b.example>\r\nBDAT 6 LAST\r\nQUIT\r\nRSET\r\n"))
        .await;

    assert_code(&smtp.reply().await, "250");
    assert_code(&smtp.reply().await, "550 5.1.10");
    assert_code(&smtp.reply().await, "554 5.5.1");
    assert_code(&smtp.reply().await, "250 2.0.0 Resetting");
    assert_eq!(sim.stats().protocol_errors, 0);
}

#[tokio::test]
async fn each_way_of_sending_has_its_round_trips() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;
    let text = message(DEFAULT_MAILBOX, "1");
    let envelope = format!("MAIL FROM:<{DEFAULT_MAILBOX}>\r\nRCPT TO:<a@b.example>\r\n");

    smtp.mail("in step", &["a@b.example"]).await;

    smtp.send(&format!("{envelope}DATA\r\n")).await;
    for code in ["250", "250", "354"] {
        assert_code(&smtp.reply().await, code);
    }
    assert_code(&smtp.command(&format!("{text}.")).await, "250");

    smtp.send(&format!("{envelope}BDAT {} LAST\r\n{text}", text.len())).await;
    for code in ["250", "250", "250"] {
        assert_code(&smtp.reply().await, code);
    }

    let trips: Vec<_> = sim.accepted().iter().map(|mail| mail.round_trips).collect();
    assert_eq!(trips, [4, 2, 1]);
    assert_eq!(sim.stats().round_trips, 7);
}

#[tokio::test]
async fn a_body_sent_before_354_is_counted_as_a_mistake() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;
    smtp.send(&format!(
        "MAIL FROM:<{DEFAULT_MAILBOX}>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nearly\r\n"
    ))
    .await;
    for code in ["250", "250", "354"] {
        assert_code(&smtp.reply().await, code);
    }
    assert_eq!(sim.stats().protocol_errors, 1);
}

#[tokio::test]
async fn commands_out_of_order_are_refused() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;
    assert_code(&smtp.command("RCPT TO:<a@b.example>").await, "503");
    assert_code(&smtp.command("DATA").await, "503");
    assert_code(&smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}>")).await, "250");
    assert_code(&smtp.command("DATA").await, "503");
    assert_code(&smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}>")).await, "503");
    assert_code(&smtp.command("NONSENSE").await, "500");
    assert_eq!(sim.stats().protocol_errors, 5);
    assert_code(&smtp.command("RSET").await, "250");
    assert_code(&smtp.mail("1", &["a@b.example"]).await, "250");
    assert_code(&smtp.command("QUIT").await, "221");
    assert!(smtp.is_cut().await);
}

#[tokio::test]
async fn an_address_beyond_ascii_needs_smtputf8() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;
    assert_code(&smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}>")).await, "250");
    assert_code(&smtp.command("RCPT TO:<jürgen@b.example>").await, "553 5.6.7");
    smtp.command("RSET").await;
    assert_code(&smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}> SMTPUTF8")).await, "250");
    assert_code(&smtp.command("RCPT TO:<jürgen@b.example>").await, "250");
}

#[tokio::test]
async fn one_refused_recipient_stops_no_other() {
    let sim =
        simulator(|config| config.recipients = vec![RecipientRule::refused("refused@")]).await;
    let mut smtp = Smtp::ready(&sim).await;
    smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}>")).await;
    assert_code(&smtp.command("RCPT TO:<a@b.example>").await, "250");
    assert_code(&smtp.command("RCPT TO:<Refused@b.example>").await, "550 5.1.10");
    assert_code(&smtp.command("DATA").await, "354");
    assert_code(&smtp.command(&format!("{}.", message(DEFAULT_MAILBOX, "1"))).await, "250");
    assert_eq!(sim.accepted()[0].recipients, ["a@b.example"]);
    assert_eq!(sim.stats().refused.recipient, 1);
}

#[tokio::test]
async fn a_greylisted_recipient_is_accepted_later() {
    let sim =
        simulator(|config| config.recipients = vec![RecipientRule::greylisted("greylisted@", 1)])
            .await;
    let mut smtp = Smtp::ready(&sim).await;
    smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}>")).await;
    assert_code(&smtp.command("RCPT TO:<greylisted@b.example>").await, "451 4.7.500");
    assert_code(&smtp.command("RCPT TO:<greylisted@b.example>").await, "250");
}

#[tokio::test]
async fn a_recipient_can_refuse_the_whole_mail_at_the_end() {
    let reply = "550 5.7.703 Your message can't be delivered";
    let rule = RecipientRule {
        pattern: "@b.example".to_owned(),
        rcpt: None,
        end_of_data: Some(reply.to_owned()),
        times: None,
    };
    let sim = simulator(|config| config.recipients = vec![rule]).await;
    let mut smtp = Smtp::ready(&sim).await;
    assert_eq!(smtp.mail("1", &["a@b.example"]).await, reply);
    assert_eq!(sim.accepted_count(), 0);
}

#[tokio::test]
async fn data_without_recipients_is_refused_or_let_through() {
    for (lenient, codes) in [(false, ["554 5.5.1", "500"]), (true, ["354", "554 5.5.1"])] {
        let sim = simulator(|config| {
            config.recipients = vec![RecipientRule::refused("refused@")];
            config.smtp.data_without_recipients = lenient;
        })
        .await;
        let mut smtp = Smtp::ready(&sim).await;
        smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}>")).await;
        smtp.command("RCPT TO:<refused@b.example>").await;
        assert_code(&smtp.command("DATA").await, codes[0]);
        assert_code(&smtp.command(".").await, codes[1]);
    }
}

#[tokio::test]
async fn sending_as_somebody_else_is_denied() {
    let sim = simulator(|config| {
        config.mailboxes[0].send_as = vec!["sponsor@contoso.example".to_owned()];
    })
    .await;
    let mut smtp = Smtp::ready(&sim).await;
    for (from, code) in [
        ("sponsor@contoso.example", "250"),
        ("Sponsor@Contoso.example", "250"),
        (
            "boss@contoso.example",
            "554 5.2.252 SendAsDenied; no-reply@contoso.example not allowed to send as boss@",
        ),
    ] {
        smtp.open(DEFAULT_MAILBOX, &["a@b.example"]).await;
        assert_code(&smtp.command(&format!("{}.", message(from, "1"))).await, code);
        smtp.open(from, &["a@b.example"]).await;
        assert_code(&smtp.command(&format!("{}.", message(DEFAULT_MAILBOX, "2"))).await, code);
    }
    assert_eq!(sim.stats().refused.send_as, 2);
}

#[tokio::test]
async fn a_mail_without_from_is_refused() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;
    smtp.open(DEFAULT_MAILBOX, &["a@b.example"]).await;
    assert_code(&smtp.command("Subject: x\r\n\r\nhello\r\n.").await, "550 5.7.512");
}

#[tokio::test]
async fn a_missing_permission_looks_transient() {
    let sim = simulator(|config| config.mailboxes[0].permission_missing = true).await;
    let mut smtp = Smtp::ready(&sim).await;
    let reply = smtp.mail("1", &["a@b.example"]).await;
    assert_code(&reply, "430 4.2.0 STOREDRV; mailbox logon failure;");
    assert!(reply.contains("LogonFailed"), "{reply}");
    assert_eq!(sim.stats().refused.permission, 1);
}

#[tokio::test]
async fn a_relay_without_login_books_on_the_sender() {
    let sim = simulator(|config| config.smtp.auth_not_required = true).await;
    let mut smtp = Smtp::plain(&sim).await;
    smtp.reply().await;
    smtp.command("EHLO test").await;
    assert_code(&smtp.mail("1", &["a@b.example"]).await, "250");
    assert_eq!(sim.accepted()[0].mailbox, DEFAULT_MAILBOX);
}

#[tokio::test]
async fn duplicates_are_known_by_message_id_and_by_recipient() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;
    smtp.mail("twice", &["a@b.example"]).await;
    smtp.mail("once", &["a@b.example"]).await;
    smtp.mail("twice", &["c@b.example"]).await;

    assert_eq!(sim.duplicates(), [Duplicate { message_id: "twice".to_owned(), times: 2 }]);
    let stats = sim.stats();
    assert_eq!((stats.mails_repeated, stats.deliveries_repeated), (1, 0));

    smtp.mail("once", &["A@b.example"]).await;
    assert_eq!(sim.stats().deliveries_repeated, 1);
}

#[tokio::test]
async fn only_so_many_mails_are_kept_but_all_are_counted() {
    let sim = simulator(|config| config.mails_kept_max = 2).await;
    let mut smtp = Smtp::ready(&sim).await;
    for id in ["1", "2", "3"] {
        smtp.mail(id, &["a@b.example"]).await;
    }
    let kept: Vec<_> = sim.accepted().iter().filter_map(|mail| mail.message_id.clone()).collect();
    assert_eq!(kept, ["2", "3"]);
    assert_eq!(sim.accepted_count(), 3);
    assert_eq!(sim.message_ids().into_keys().collect::<Vec<_>>(), ["1", "2", "3"]);
}

#[tokio::test]
async fn waiting_for_mails_that_do_not_come_ends() {
    let sim = exchange().await;
    let error = sim.wait_for_accepted(1, std::time::Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(error.to_string(), "only 0 of 1 mails were accepted within 20ms");
}
