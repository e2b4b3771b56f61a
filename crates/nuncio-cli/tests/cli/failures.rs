//! What is said when something goes wrong.

use nuncio_cli::exit::Exit;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::fake::{Fake, Script, refusal};
use crate::nuncio;

const SMALL: [&str; 3] = ["send", "--to", "guest"];

#[tokio::test]
async fn without_a_server_it_says_how_to_start_one() {
    // It is held and does not listen, so that nobody else comes to listen there.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());

    let ran = nuncio(&address, &["nodes"]).await;

    assert_eq!(ran.exit, Exit::Unreachable);
    assert!(ran.err.starts_with(&format!("error: no nuncio answers at {address}")), "{}", ran.err);
    assert!(ran.err.contains("start one with `nuncio serve`"), "{}", ran.err);
}

#[tokio::test]
async fn a_node_with_a_certificate_is_told_from_one_that_is_away() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serve = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        // As a TLS server answers what is no handshake: the alert `unexpected_message`.
        let alert = [0x15, 3, 3, 0, 2, 2, 10];
        tokio::io::AsyncWriteExt::write_all(&mut socket, &alert).await.unwrap();
        std::future::pending::<()>().await;
    };

    let ran = tokio::select! {
        ran = nuncio(&address, &["nodes"]) => ran,
        () = serve => unreachable!("it is pending"),
    };

    assert!(ran.err.contains("if that node has a certificate, give `https://…`"), "{}", ran.err);
}

#[tokio::test]
async fn an_address_that_is_none_is_invalid_input() {
    let ran = nuncio("127.0.0.1:7587", &["nodes"]).await;

    assert_eq!(ran.exit, Exit::Invalid);
    assert!(ran.err.contains("give one such as `http://127.0.0.1:7587`"), "{}", ran.err);
}

fn two_violations() -> Status {
    let mut details = ErrorDetails::with_error_info("INVALID_MAIL_JOB", "nuncio", []);
    details.add_bad_request_violation("mail.to[0].address", "is not an address");
    let missing = FieldViolation::new("mail.content", "is missing");
    let missing = FieldViolation { reason: "MISSING".to_owned(), ..missing };
    let mut violations = details.bad_request().expect("it has one").field_violations.clone();
    violations.push(missing);
    details.set_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, "the mail job is not valid", details)
}

#[tokio::test]
async fn every_violation_is_told() {
    let fake = Fake::start(Script { create: Some(two_violations()), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &SMALL).await;

    assert_eq!(ran.exit, Exit::Invalid);
    let expect = "\
error: the mail job is not valid
  mail.to[0].address: is not an address
  mail.content: is missing
";
    assert_eq!(ran.err, expect);
    assert_eq!(ran.out, "");
}

#[tokio::test]
async fn a_program_gets_the_error_as_json() {
    let fake = Fake::start(Script { create: Some(two_violations()), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &[&SMALL[..], &["--output", "json"]].concat()).await;

    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(error["error"]["reason"], "INVALID_MAIL_JOB");
    assert_eq!(error["error"]["violations"][1]["field"], "mail.content");
    assert_eq!(error["error"]["violations"][1]["reason"], "MISSING");
    assert_eq!(ran.out, "");
}

async fn check(code: Code, reason: &str, expect: Exit) {
    let create = Some(refusal(code, reason, "no"));
    let fake = Fake::start(Script { create, ..Script::default() }).await;

    let ran = nuncio(&fake.address, &SMALL).await;

    assert_eq!(ran.exit, expect, "{code:?}");
    assert!(ran.err.starts_with("error: no\n"), "{}", ran.err);
}

#[tokio::test]
async fn each_kind_of_refusal_has_its_exit_code() {
    check(Code::NotFound, "TEMPLATE_NOT_FOUND", Exit::NotFound).await;
    check(Code::AlreadyExists, "REQUEST_ID_REUSED", Exit::Invalid).await;
    check(Code::FailedPrecondition, "SMTP_SETTINGS_NOT_TESTED", Exit::Refused).await;
    check(Code::Aborted, "ETAG_MISMATCH", Exit::Refused).await;
    check(Code::ResourceExhausted, "STORE_FULL", Exit::Failed).await;
    check(Code::Unavailable, "STORE_UNAVAILABLE", Exit::Failed).await;
    check(Code::Internal, "INTERNAL", Exit::Failed).await;
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told_with_its_name() {
    let ran =
        nuncio("http://127.0.0.1:1", &["send", "--to", "a@b", "--text-file", "/nowhere"]).await;

    assert_eq!(ran.exit, Exit::Invalid);
    assert!(ran.err.contains("file `/nowhere` cannot be read: "), "{}", ran.err);
}
