//! Greeting, EHLO, STARTTLS and AUTH.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nuncio_provider_sim::config::*;
use nuncio_provider_sim::simulator::Simulator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::*;

async fn auth(sim: &Simulator, response: &str) -> String {
    let mut smtp = Smtp::hello(sim).await;
    smtp.command(&format!("AUTH XOAUTH2 {response}")).await
}

#[tokio::test]
async fn ehlo_offers_what_exchange_offers() {
    let sim = exchange().await;
    let mut smtp = Smtp::plain(&sim).await;
    assert_code(&smtp.reply().await, "220 sim.prod.outlook.com Microsoft ESMTP");

    let extensions: Vec<_> =
        smtp.command("EHLO test").await.lines().skip(1).map(|line| line[4..].to_owned()).collect();

    assert_eq!(
        extensions,
        [
            "SIZE 157286400",
            "PIPELINING",
            "DSN",
            "ENHANCEDSTATUSCODES",
            "STARTTLS",
            "8BITMIME",
            "BINARYMIME",
            "CHUNKING",
            "SMTPUTF8"
        ]
    );
}

#[tokio::test]
async fn auth_is_offered_only_after_starttls() {
    let sim = exchange().await;
    let mut tcp = TcpStream::connect(sim.starttls_addr()).await.unwrap();
    let mut seen = String::new();
    tcp.write_all(b"EHLO test\r\nSTARTTLS\r\n").await.unwrap();
    while !seen.ends_with("220 2.0.0 SMTP server ready\r\n") {
        let mut buffer = [0; 512];
        let size = tcp.read(&mut buffer).await.unwrap();
        seen.push_str(std::str::from_utf8(&buffer[..size]).unwrap());
    }
    assert!(!seen.contains("AUTH"), "{seen}");

    let mut smtp = Smtp::over(handshake(&sim, tcp).await.unwrap());
    let after = smtp.command("EHLO test").await;
    assert!(after.contains("AUTH LOGIN XOAUTH2"), "{after}");
    assert!(!after.contains("STARTTLS"), "{after}");
    assert_code(
        &smtp
            .command(&format!("AUTH XOAUTH2 {}", xoauth2(DEFAULT_MAILBOX, &token(&sim).await)))
            .await,
        "235",
    );
}

#[tokio::test]
async fn extensions_can_be_switched_off() {
    let sim = simulator(|config| {
        config.smtp.extensions.chunking = false;
        config.smtp.extensions.size = false;
        config.smtp.extensions.enhanced_status_codes = false;
    })
    .await;
    let mut smtp = Smtp::ready(&sim).await;

    let offered = smtp.command("EHLO again").await;

    assert!(!offered.contains("CHUNKING") && !offered.contains("SIZE"), "{offered}");
    assert_eq!(smtp.command("NOOP").await, "250 OK");
    assert_code(&smtp.command("BDAT 1").await, "502");
}

#[tokio::test]
async fn auth_in_clear_text_is_refused() {
    let sim = exchange().await;
    let mut smtp = Smtp::plain(&sim).await;
    smtp.reply().await;
    smtp.command("EHLO test").await;
    assert_code(&smtp.command("AUTH XOAUTH2").await, "530 5.7.0");
    assert_eq!(sim.stats().protocol_errors, 1);
}

#[tokio::test]
async fn xoauth2_works_in_one_line_and_in_two() {
    let sim = exchange().await;
    assert_code(&auth(&sim, &xoauth2(DEFAULT_MAILBOX, &token(&sim).await)).await, "235 2.7.0");
    Smtp::ready(&sim).await;
    assert_eq!(sim.stats().auths_accepted, 2);
}

#[tokio::test]
async fn an_invented_token_is_refused_at_once() {
    let sim = exchange().await;
    let mut smtp = Smtp::hello(&sim).await;

    let reply =
        smtp.command(&format!("AUTH XOAUTH2 {}", xoauth2(DEFAULT_MAILBOX, "invented"))).await;

    assert_code(&reply, "535 5.7.3 Authentication unsuccessful [sim.prod.outlook.com ");
    assert_code(
        &smtp
            .command(&format!("AUTH XOAUTH2 {}", xoauth2(DEFAULT_MAILBOX, &token(&sim).await)))
            .await,
        "235",
    );
    assert_eq!((sim.stats().auths_refused, sim.stats().auths_accepted), (1, 1));
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let sim = exchange().await;
    let response = xoauth2(DEFAULT_MAILBOX, &token(&sim).await);
    sim.expire_tokens();
    assert_code(&auth(&sim, &response).await, "535 5.7.3");
}

#[tokio::test]
async fn a_token_for_another_resource_is_refused() {
    let sim = exchange().await;
    let token = token_for(&sim, "https://graph.microsoft.com/.default").await;
    assert_code(&auth(&sim, &xoauth2(DEFAULT_MAILBOX, &token)).await, "535 5.7.3");
}

#[tokio::test]
async fn an_unknown_mailbox_is_refused() {
    let sim = exchange().await;
    assert_code(
        &auth(&sim, &xoauth2("nobody@contoso.example", &token(&sim).await)).await,
        "535 5.7.3",
    );
}

#[tokio::test]
async fn a_mailbox_of_other_clients_is_refused() {
    let sim = simulator(|config| config.mailboxes[0].clients = vec!["another".to_owned()]).await;
    assert_code(&auth(&sim, &xoauth2(DEFAULT_MAILBOX, &token(&sim).await)).await, "535 5.7.3");
}

#[tokio::test]
async fn a_client_without_the_role_is_refused() {
    let sim = simulator(|config| config.clients[0].roles.clear()).await;
    assert_code(&auth(&sim, &xoauth2(DEFAULT_MAILBOX, &token(&sim).await)).await, "535 5.7.3");
}

#[tokio::test]
async fn a_mailbox_with_smtp_auth_disabled_says_so() {
    let sim = simulator(|config| config.mailboxes[0].smtp_auth_disabled = true).await;
    let reply = auth(&sim, &xoauth2(DEFAULT_MAILBOX, &token(&sim).await)).await;
    assert_code(
        &reply,
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox",
    );
}

#[tokio::test]
async fn google_explains_itself_before_it_refuses() {
    let sim = simulator(|config| config.smtp.auth_failure = AuthFailure::Google).await;
    let mut smtp = Smtp::hello(&sim).await;

    let challenge =
        smtp.command(&format!("AUTH XOAUTH2 {}", xoauth2(DEFAULT_MAILBOX, "invented"))).await;

    let json = STANDARD.decode(challenge.strip_prefix("334 ").unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).unwrap()["status"], "401");
    assert!(smtp.is_silent().await);
    assert_code(&smtp.command("").await, "535 5.7.8");
}

#[tokio::test]
async fn oauthbearer_works_where_it_is_offered() {
    let sim = simulator(|config| config.smtp.mechanisms.oauthbearer = true).await;
    let mut smtp = Smtp::hello(&sim).await;
    let response = |token: &str| {
        STANDARD.encode(format!(
            "n,a={DEFAULT_MAILBOX},\u{1}host=localhost\u{1}port=587\u{1}auth=Bearer {token}\u{1}\u{1}"
        ))
    };

    let challenge = smtp.command(&format!("AUTH OAUTHBEARER {}", response("invented"))).await;
    let json = STANDARD.decode(challenge.strip_prefix("334 ").unwrap()).unwrap();
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&json).unwrap()["status"],
        "invalid_token"
    );
    assert_code(&smtp.command("AQ==").await, "535");

    assert_code(
        &smtp.command(&format!("AUTH OAUTHBEARER {}", response(&token(&sim).await))).await,
        "235",
    );
}

#[tokio::test]
async fn a_mechanism_that_is_not_offered_is_unknown() {
    let sim = exchange().await;
    let mut smtp = Smtp::hello(&sim).await;
    assert_code(&smtp.command("AUTH OAUTHBEARER").await, "504 5.7.4");
    assert_code(&smtp.command("AUTH PLAIN").await, "504 5.7.4");
}

#[tokio::test]
async fn passwords_work_where_a_mailbox_has_one() {
    let sim = simulator(|config| {
        config.smtp.mechanisms.plain = true;
        config.mailboxes[0].password = Some(SimSecret::new("relay"));
    })
    .await;
    let plain = |password: &str| STANDARD.encode(format!("\0{DEFAULT_MAILBOX}\0{password}"));
    let mut smtp = Smtp::hello(&sim).await;
    assert_code(&smtp.command(&format!("AUTH PLAIN {}", plain("wrong"))).await, "535 5.7.3");
    assert_code(&smtp.command(&format!("AUTH PLAIN {}", plain("relay"))).await, "235");

    let mut smtp = Smtp::hello(&sim).await;
    assert_eq!(smtp.command("AUTH LOGIN").await, "334 VXNlcm5hbWU6");
    assert_eq!(smtp.command(&STANDARD.encode(DEFAULT_MAILBOX)).await, "334 UGFzc3dvcmQ6");
    assert_code(&smtp.command(&STANDARD.encode("relay")).await, "235");
}

#[tokio::test]
async fn a_cancelled_exchange_is_refused_as_office_does_it() {
    let sim = exchange().await;
    let mut smtp = Smtp::hello(&sim).await;
    assert_code(&smtp.command("AUTH XOAUTH2").await, "334");
    assert_code(&smtp.command("*").await, "535");
}

#[tokio::test]
async fn a_second_login_is_out_of_order() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;
    assert_code(&smtp.command("AUTH XOAUTH2").await, "503");
}

#[tokio::test]
async fn an_inline_response_can_be_too_long() {
    let sim = simulator(|config| config.smtp.inline_auth_max = Some(512)).await;
    let response = xoauth2(DEFAULT_MAILBOX, &token(&sim).await);
    assert_code(&auth(&sim, &response).await, "555 5.5.2");
    Smtp::ready(&sim).await;
}

#[tokio::test]
async fn mail_needs_a_login() {
    let sim = exchange().await;
    let mut smtp = Smtp::hello(&sim).await;
    assert_code(
        &smtp.command("MAIL FROM:<a@b.example>").await,
        "530 5.7.57 Client not authenticated to send mail.",
    );
}

#[tokio::test]
async fn a_session_can_end_with_its_token() {
    let sim = simulator(|config| config.smtp.session_ends_with_token = true).await;
    let mut smtp = Smtp::ready(&sim).await;
    assert_code(&smtp.mail("1", &["a@b.example"]).await, "250");
    sim.expire_tokens();
    assert_code(&smtp.command(&format!("MAIL FROM:<{DEFAULT_MAILBOX}>")).await, "530 5.7.57");
}

#[tokio::test]
async fn a_session_outlives_its_token_otherwise() {
    let sim = exchange().await;
    let mut smtp = Smtp::ready(&sim).await;
    sim.expire_tokens();
    assert_code(&smtp.mail("1", &["a@b.example"]).await, "250");
}

#[tokio::test]
async fn an_attacker_can_inject_behind_starttls() {
    let sim =
        simulator(|config| config.smtp.starttls_injection = "250 injected\r\n".to_owned()).await;
    let mut smtp = Smtp::plain(&sim).await;
    smtp.reply().await;
    smtp.command("EHLO test").await;
    assert_code(&smtp.command("STARTTLS").await, "220");
    assert_eq!(smtp.reply().await, "250 injected");
}

#[tokio::test]
async fn an_attacker_can_strip_starttls() {
    let sim = simulator(|config| config.smtp.starttls_stripped = true).await;
    let mut smtp = Smtp::plain(&sim).await;
    smtp.reply().await;
    assert!(!smtp.command("EHLO test").await.contains("STARTTLS"));
    assert_code(&smtp.command("STARTTLS").await, "502");
}

#[tokio::test]
async fn commands_behind_starttls_are_thrown_away_and_counted() {
    let sim = exchange().await;
    let mut tcp = TcpStream::connect(sim.starttls_addr()).await.unwrap();
    let mut seen = Vec::new();
    tcp.write_all(b"EHLO test\r\nSTARTTLS\r\nRSET\r\n").await.unwrap();
    while !seen.ends_with(b"220 2.0.0 SMTP server ready\r\n") {
        let size = tcp.read_buf(&mut seen).await.unwrap();
        assert_ne!(size, 0);
    }
    let mut smtp = Smtp::over(handshake(&sim, tcp).await.unwrap());
    assert_code(&smtp.command("NOOP").await, "250 2.0.0 OK");
    assert_eq!(sim.stats().protocol_errors, 1);
}
