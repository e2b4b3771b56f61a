use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const DEADLINE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_mail_that_postfix_accepts_is_found() {
    let servers = RealServers::from_env();
    let recipient = format!("found-{}@example.test", std::process::id());
    assert_eq!(servers.maildir(&recipient).len(), 0);

    send(&servers, &recipient).await;
    let mails = servers.wait_for_mail(&recipient, 1, DEADLINE).await;

    assert!(String::from_utf8_lossy(&mails[0]).contains("Subject: found"));
}

#[tokio::test]
#[should_panic(expected = "0 of 1 mails")]
async fn waiting_for_a_mail_that_nobody_sent_ends() {
    RealServers::from_env()
        .wait_for_mail("nobody-writes-to-me@example.test", 1, Duration::ZERO)
        .await;
}

#[test]
fn every_client_has_a_secret_and_every_secret_is_listed() {
    let servers = RealServers::from_env();
    for client in
        ["svc-post", "svc-basic", "svc-secret-expired", "svc-short", "svc-nomail", "svc-otheruser"]
    {
        let secret = servers.client_secret(client);
        assert!(servers.secrets().any(|listed| listed == secret), "{client}");
    }
}

/// By the port that asks for neither TLS nor AUTH.
async fn send(servers: &RealServers, recipient: &str) {
    let address = (servers.host(), servers.port("SMTP_RELAY_PORT"));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mailbox = servers.get("MAILBOX");
    let mail = format!("From: {mailbox}\r\nTo: {recipient}\r\nSubject: found\r\n\r\nHello\r\n.");
    let commands = [
        "EHLO tests.example.test".to_owned(),
        format!("MAIL FROM:<{mailbox}>"),
        format!("RCPT TO:<{recipient}>"),
        "DATA".to_owned(),
        mail,
    ];
    expect(&mut stream, "220").await;
    for (command, code) in commands.iter().zip(["250", "250", "250", "354", "250"]) {
        stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
        expect(&mut stream, code).await;
    }
}

/// Reads one reply. Those of this server come whole, as it answers one command at a time.
async fn expect(stream: &mut TcpStream, code: &str) {
    let mut reply = [0; 1024];
    let length = stream.read(&mut reply).await.unwrap();
    let reply = String::from_utf8_lossy(&reply[..length]);
    assert!(reply.starts_with(code), "expected {code}: {reply}");
}
