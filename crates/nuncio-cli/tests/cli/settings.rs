//! `nuncio settings smtp`

use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::test_smtp_settings_response::Event;
use nuncio_api::v1::*;
use nuncio_cli::environment::Environment;
use nuncio_cli::exit::Exit;
use tonic::Code;

use crate::fake::{Fake, Script, refusal};
use crate::{nuncio, nuncio_in};

const SECRET: &str = "3Kx8Q~very-secret";

fn stage(kind: SmtpTestStageKind, outcome: SmtpTestOutcome) -> SmtpTestStage {
    SmtpTestStage {
        node: "nodes/a".to_owned(),
        kind: kind.into(),
        outcome: outcome.into(),
        elapsed: Some(prost_types::Duration { seconds: 0, nanos: 12_000_000 }),
        detail: "seen".to_owned(),
        ..SmtpTestStage::default()
    }
}

fn test(stages: &[SmtpTestStage], passed: bool) -> Vec<TestSmtpSettingsResponse> {
    let told = stages.iter().cloned().map(Event::Stage);
    let node = SmtpNodeTest { node: "nodes/a".to_owned(), passed, stages: stages.to_vec() };
    let report = SmtpTestReport { passed, nodes: vec![node], except_nodes: Vec::new() };
    let events = told.chain([Event::Report(report)]);
    events.map(|event| TestSmtpSettingsResponse { event: Some(event) }).collect()
}

fn passing() -> Vec<TestSmtpSettingsResponse> {
    test(&[stage(SmtpTestStageKind::Dns, SmtpTestOutcome::Passed)], true)
}

fn failing() -> Vec<TestSmtpSettingsResponse> {
    let tls = SmtpTestStage {
        detail: String::new(),
        error_code: "NO_CERTIFICATION_PATH".to_owned(),
        cause: "the issuer is not trusted".to_owned(),
        remedy: "add the issuer's certificate".to_owned(),
        presented_chain: vec![PresentedCertificate {
            subject: "CN=mail.example.com".to_owned(),
            issuer: "CN=Own CA".to_owned(),
            not_before: "2026-01-01T00:00:00Z".to_owned(),
            not_after: "2027-01-01T00:00:00Z".to_owned(),
            sha256_fingerprint: "ab12".to_owned(),
        }],
        ..stage(SmtpTestStageKind::Tls, SmtpTestOutcome::Failed)
    };
    let auth = stage(SmtpTestStageKind::Auth, SmtpTestOutcome::Skipped);
    test(&[stage(SmtpTestStageKind::Dns, SmtpTestOutcome::Passed), tls, auth], false)
}

fn saved() -> SmtpSettings {
    SmtpSettings {
        provider: SmtpProvider::ExchangeOnline.into(),
        host: "smtp.office365.com".to_owned(),
        port: 587,
        encryption: SmtpEncryption::Starttls.into(),
        email_address: "nuncio@example.com".to_owned(),
        authentication: Some(Authentication::Oauth(OauthAuthentication {
            client_id: "c1".to_owned(),
            tenant_id: "t1".to_owned(),
            client_secret_set: true,
            token_endpoint: "https://login.example.com/t1/token".to_owned(),
            ..OauthAuthentication::default()
        })),
        etag: "g3".to_owned(),
        generation: 3,
        ..SmtpSettings::default()
    }
}

fn oauth(settings: &SmtpSettings) -> &OauthAuthentication {
    let Some(Authentication::Oauth(oauth)) = &settings.authentication else { panic!("no oauth") };
    oauth
}

#[tokio::test]
async fn a_failed_test_shows_cause_remedy_and_the_presented_chain() {
    let fake = Fake::start(Script { test: failing(), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["settings", "smtp", "test"]).await;

    assert_eq!(ran.exit, Exit::Refused);
    let expect = "\
from nodes/a
✓ DNS       12ms  seen
✗ TLS       12ms  NO_CERTIFICATION_PATH
    cause:  the issuer is not trusted
    remedy: add the issuer's certificate
    the server presented:
      1. CN=mail.example.com
         issued by CN=Own CA
         valid 2026-01-01T00:00:00Z to 2027-01-01T00:00:00Z
         SHA-256 ab12
– AUTH      12ms  seen
not passed from 1 node: 1 stage failed
";
    assert_eq!(ran.out, expect);
    assert_eq!(fake.script().tested, [None], "without options the saved settings are tested");
}

#[tokio::test]
async fn stages_that_come_for_each_mailbox_name_it() {
    let of = |mailbox: &str, stage: SmtpTestStage| SmtpTestStage {
        mailbox: mailbox.to_owned(),
        ..stage
    };
    let refused = SmtpTestStage {
        detail: String::new(),
        error_code: "INVALID_EMAIL_ADDRESS".to_owned(),
        cause: "refused".to_owned(),
        remedy: "check it".to_owned(),
        ..stage(SmtpTestStageKind::Auth, SmtpTestOutcome::Failed)
    };
    let logged_in = SmtpTestStage {
        detail: "logged in as a@x.test".to_owned(),
        ..stage(SmtpTestStageKind::Auth, SmtpTestOutcome::Passed)
    };
    let mail = |outcome| stage(SmtpTestStageKind::Mail, outcome);
    let stages = [
        of("a@x.test", logged_in),
        of("a@x.test", mail(SmtpTestOutcome::Passed)),
        of("b@x.test", refused),
        of("b@x.test", mail(SmtpTestOutcome::Skipped)),
    ];
    let fake = Fake::start(Script { test: test(&stages, false), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["settings", "smtp", "test"]).await;

    let expect = "\
from nodes/a
✓ AUTH      12ms  logged in as a@x.test
✓ MAIL      12ms  a@x.test: seen
✗ AUTH      12ms  b@x.test: INVALID_EMAIL_ADDRESS
    cause:  refused
    remedy: check it
– MAIL      12ms  b@x.test: seen
not passed from 1 node: 1 stage failed
";
    assert_eq!(ran.out, expect);
}

#[tokio::test]
async fn a_test_for_programs_has_one_event_on_each_line() {
    let fake = Fake::start(Script { test: passing(), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["settings", "smtp", "test", "--output", "json"]).await;

    assert_eq!(ran.exit, Exit::Ok);
    let lines: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["stage"]["kind"], "SMTP_TEST_STAGE_KIND_DNS");
    assert_eq!(lines[1]["report"]["passed"], true);
}

#[tokio::test]
async fn what_is_tested_is_what_is_saved() {
    let fake = Fake::start(Script { test: passing(), ..Script::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), format!("{SECRET}\n")).unwrap();
    std::fs::write(folder.path().join("ca.pem"), "PEM").unwrap();
    let file = folder.path().join("smtp.toml");
    let toml = "provider = \"exchange-online\"\nclient_id = \"from file\"\ntenant-id = \"t\"\n\
                client-secret-file = \"secret\"\nca-file = [\"ca.pem\"]\nconnect-timeout = 20\n";
    std::fs::write(&file, toml).unwrap();

    let args = ["settings", "smtp", "save", "--test", "--file", file.to_str().unwrap()];
    let options = ["--client-id", "c", "--email-address", "nuncio@example.com"];
    let ran = nuncio(&fake.address, &[&args[..], &options[..]].concat()).await;

    assert_eq!(ran.exit, Exit::Ok, "{ran:?}");
    assert!(ran.out.ends_with("saved as generation 7\n"), "{}", ran.out);
    let script = fake.script();
    let settings = script.updated[0].clone();
    assert_eq!(script.tested[0].as_ref(), Some(&settings));
    assert_eq!(settings.provider(), SmtpProvider::ExchangeOnline);
    assert_eq!(settings.connect_timeout.unwrap().seconds, 20);
    assert_eq!(settings.ca_certificates_pem, "PEM\n");
    assert_eq!(settings.email_address, "nuncio@example.com");
    assert_eq!(oauth(&settings).client_id, "c", "an option goes before the file");
    assert_eq!(oauth(&settings).client_secret, SECRET);
    assert!(!format!("{}{}", ran.out, ran.err).contains(SECRET));
}

#[tokio::test]
async fn settings_that_do_not_pass_are_not_saved() {
    let fake = Fake::start(Script { test: failing(), ..Script::default() }).await;

    let args = ["settings", "smtp", "save", "--test", "--host", "mail.example.com"];
    let ran = nuncio(&fake.address, &args).await;

    assert_eq!(ran.exit, Exit::Refused);
    assert_eq!(fake.script().updated, []);
    assert_eq!(ran.err, "nothing was saved\n");
}

#[tokio::test]
async fn an_untested_save_is_refused_and_says_what_to_do() {
    let update = Some(refusal(Code::FailedPrecondition, "SMTP_SETTINGS_NOT_TESTED", "not tested"));
    let fake = Fake::start(Script { update, ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["settings", "smtp", "save", "--host", "h"]).await;

    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.err.contains("add `--test`"), "{}", ran.err);
}

#[tokio::test]
async fn a_new_secret_can_be_saved_on_top_of_the_saved_settings() {
    let fake = Fake::start(Script { settings: Some(saved()), ..Script::default() }).await;
    let environment =
        Environment { client_secret: Some(SECRET.to_owned()), ..Environment::default() };

    let args =
        ["settings", "smtp", "save", "--from-saved", "--client-secret-expire-date", "2027-03-15"];
    let ran = nuncio_in(&fake.address, &args, environment).await;

    assert_eq!(ran.exit, Exit::Ok, "{ran:?}");
    let settings = fake.script().updated.remove(0);
    assert_eq!(settings.host, "smtp.office365.com");
    assert_eq!(settings.etag, "g3");
    assert_eq!(oauth(&settings).client_secret, SECRET);
    assert_eq!(oauth(&settings).client_secret_expire_date, "2027-03-15");
    assert_eq!(oauth(&settings).token_endpoint, "https://login.example.com/t1/token");
}

#[tokio::test]
async fn another_tenant_does_not_keep_the_token_endpoint_of_the_first() {
    let fake = Fake::start(Script { settings: Some(saved()), ..Script::default() }).await;

    let args = ["settings", "smtp", "save", "--from-saved", "--tenant-id", "t2"];
    nuncio(&fake.address, &args).await;

    let settings = fake.script().updated.remove(0);
    assert_eq!(oauth(&settings).tenant_id, "t2");
    assert_eq!(oauth(&settings).token_endpoint, "");
}

#[tokio::test]
async fn settings_are_shown_without_secrets() {
    let fake = Fake::start(Script { settings: Some(saved()), ..Script::default() }).await;

    let table = nuncio(&fake.address, &["settings", "smtp", "get"]).await;
    let json = nuncio(&fake.address, &["settings", "smtp", "get", "--output", "json"]).await.json();

    assert!(table.out.contains("client secret            saved (hidden)\n"), "{}", table.out);
    assert_eq!(json["oauth"]["clientSecretSet"], true);
    assert_eq!(json["oauth"].get("clientSecret"), None);
}

#[tokio::test]
async fn missing_settings_are_not_found_and_say_how_to_set_them() {
    let fake = Fake::start(Script::default()).await;

    let ran = nuncio(&fake.address, &["settings", "smtp", "get"]).await;

    assert_eq!(ran.exit, Exit::NotFound);
    assert!(ran.err.contains("nuncio settings smtp save --test"), "{}", ran.err);
}

#[tokio::test]
async fn a_secret_in_the_file_of_values_is_refused_without_showing_it() {
    let fake = Fake::start(Script::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("smtp.toml");
    std::fs::write(&file, format!("client-secret = \"{SECRET}\"\n")).unwrap();

    let args = ["settings", "smtp", "test", "--file", file.to_str().unwrap()];
    let ran = nuncio(&fake.address, &args).await;

    assert_eq!(ran.exit, Exit::Invalid);
    assert!(ran.err.contains("unknown field `client-secret`"), "{}", ran.err);
    assert!(!ran.err.contains(SECRET), "{}", ran.err);
}

#[tokio::test]
async fn a_save_of_nothing_is_invalid_input() {
    let fake = Fake::start(Script::default()).await;

    let ran = nuncio(&fake.address, &["settings", "smtp", "save"]).await;

    assert_eq!(ran.exit, Exit::Invalid);
    assert!(ran.err.contains("there is nothing to save"), "{}", ran.err);
}

#[tokio::test]
async fn a_node_is_left_out_of_the_test_and_of_the_save_by_name() {
    let mut told = passing();
    if let Some(Event::Report(report)) = &mut told.last_mut().unwrap().event {
        report.except_nodes = vec!["psn-2".to_owned()];
    }
    let fake =
        Fake::start(Script { test: told, settings: Some(saved()), ..Script::default() }).await;

    let args = ["settings", "smtp", "save", "--test", "--from-saved", "--except-node", "psn-2"];
    let ran = nuncio(&fake.address, &[&args[..], &["--host", "mail.example.com"]].concat()).await;

    assert_eq!(ran.exit, Exit::Ok, "{ran:?}");
    assert_eq!(fake.script().excepted, [["psn-2"], ["psn-2"]]);
    assert!(ran.out.contains("passed from 1 node, psn-2 not asked; these"), "{}", ran.out);
}
