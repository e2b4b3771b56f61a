//! SMTP settings: every mistake is told with its cause and its remedy, and only what was proved is saved.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nuncio_api::v1;
use nuncio_api::v1::SmtpTestOutcome as Outcome;
use nuncio_api::v1::SmtpTestStageKind as Stage;
use nuncio_provider_sim::config::{
    DEFAULT_CLIENT_SECRET, DEFAULT_MAILBOX, DEFAULT_SECRET_ID, Mailbox, SimConfig, TlsConfig,
};
use nuncio_provider_sim::fault::{Action, Fault, Phase, TokenAction, TokenFault};
use nuncio_provider_sim::pki::CertificateKind;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{PATIENCE, reason};
use nuncio_tests::mails::bulk;
use nuncio_tests::node::TestNode;
use nuncio_tests::settings::{settings_for, with_oauth};
use tonic::Code;
use tonic_types::StatusExt as _;

/// What a failed test must say.
struct Expected<'a> {
    stage: Stage,
    code: &'a str,
    /// Words of the cause, and of the remedy.
    cause: &'a [&'a str],
    remedy: &'a [&'a str],
}

/// Tests settings, which must fail as expected, and may not be saved then. Returns the stage that failed.
async fn check(
    node: &TestNode,
    settings: v1::SmtpSettings,
    expected: Expected<'_>,
) -> v1::SmtpTestStage {
    let report = node.test(settings.clone()).await;
    assert!(!report.passed, "{report:#?}");
    let stages = &report.nodes[0].stages;
    assert_eq!(stages.len(), 7, "every stage is told, tried or not: {stages:#?}");
    let failed: Vec<_> = stages.iter().filter(|one| one.outcome() == Outcome::Failed).collect();
    let [stage] = failed.as_slice() else { panic!("{} stages failed: {failed:#?}", failed.len()) };
    assert_eq!(
        (stage.kind(), stage.error_code.as_str()),
        (expected.stage, expected.code),
        "{stage:#?}"
    );
    for words in expected.cause {
        assert!(stage.cause.contains(words), "no `{words}` in the cause: {}", stage.cause);
    }
    for words in expected.remedy {
        assert!(stage.remedy.contains(words), "no `{words}` in the remedy: {}", stage.remedy);
    }
    assert!(!format!("{report:?}").contains(DEFAULT_CLIENT_SECRET), "{report:?}");

    let refused = node.save(settings).await.expect_err("what failed cannot be saved");
    let expected = (Code::FailedPrecondition, "SMTP_SETTINGS_NOT_TESTED".to_owned());
    assert_eq!(reason(&refused), expected);
    (*stage).clone()
}

async fn start(config: SimConfig) -> (Simulator, TestNode) {
    let simulator = Simulator::start(config).await.expect("the simulator starts");
    (simulator, TestNode::start().await)
}

fn one_second(settings: v1::SmtpSettings) -> v1::SmtpSettings {
    let connect_timeout = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    v1::SmtpSettings { connect_timeout, ..settings }
}

/// A port where nobody listens.
fn deserted_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    listener.local_addr().expect("it is bound").port()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_test_tells_every_stage_with_its_time() {
    let (simulator, node) = start(SimConfig::exchange()).await;

    let report = node.test(settings_for(&simulator)).await;

    assert!(report.passed);
    let stages = &report.nodes[0].stages;
    let kinds: Vec<Stage> = stages.iter().map(v1::SmtpTestStage::kind).collect();
    let all =
        [Stage::Dns, Stage::Tcp, Stage::Tls, Stage::Token, Stage::Ehlo, Stage::Auth, Stage::Mail];
    assert_eq!(kinds, all);
    for stage in stages {
        assert_eq!(stage.outcome(), Outcome::Passed, "{stage:?}");
        assert!(stage.elapsed.is_some() && !stage.detail.is_empty(), "{stage:?}");
    }
    assert_eq!(simulator.accepted_count(), 0, "a test sends no mail");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_tenant_is_told_by_name() {
    let (simulator, node) = start(SimConfig::exchange()).await;
    let tenant = "11111111-2222-4333-8444-555555555555";
    let settings = with_oauth(settings_for(&simulator), |oauth| {
        oauth.tenant_id = tenant.to_owned();
        oauth.token_endpoint = simulator.token_url(tenant);
    });
    let expected = Expected {
        stage: Stage::Token,
        code: "INVALID_TENANT_OR_ENDPOINT",
        cause: &["the tenant does not exist", "AADSTS90002"],
        remedy: &["correct the tenant in the token endpoint"],
    };
    check(&node, settings, expected).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_its_id_and_an_expired_one_are_told_apart() {
    let (simulator, node) = start(SimConfig::exchange()).await;
    let with_secret = |secret: &str| {
        with_oauth(settings_for(&simulator), |oauth| oauth.client_secret = secret.to_owned())
    };

    let expected = Expected {
        stage: Stage::Token,
        code: "INVALID_CLIENT_SECRET",
        cause: &["the client secret is wrong", "AADSTS7000215"],
        remedy: &["VALUE"],
    };
    check(&node, with_secret("wrong~8Q.secret"), expected).await;
    let expected = Expected {
        stage: Stage::Token,
        code: "INVALID_CLIENT_SECRET",
        cause: &["the client secret is wrong"],
        remedy: &["has the form of an ID", "make a new secret"],
    };
    check(&node, with_secret(DEFAULT_SECRET_ID), expected).await;
    simulator.expire_secrets();
    let expected = Expected {
        stage: Stage::Token,
        code: "CLIENT_SECRET_EXPIRED",
        cause: &["has expired", "AADSTS7000222"],
        remedy: &["make a new client secret"],
    };
    check(&node, with_secret(DEFAULT_CLIENT_SECRET), expected).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_client_is_told() {
    let (simulator, node) = start(SimConfig::exchange()).await;
    let settings = with_oauth(settings_for(&simulator), |oauth| {
        oauth.client_id = "99999999-2222-4333-8444-555555555555".to_owned();
    });
    let expected = Expected {
        stage: Stage::Token,
        code: "INVALID_CLIENT_ID",
        cause: &["the client id is not known"],
        remedy: &["check client id and tenant"],
    };
    check(&node, settings, expected).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_authority_is_named_and_the_chain_is_shown() {
    let tls = TlsConfig { token: CertificateKind::Good, ..TlsConfig::default() };
    let (simulator, node) = start(SimConfig { tls, ..SimConfig::exchange() }).await;
    let other = Simulator::start(SimConfig::exchange()).await.unwrap();
    // The token endpoint is the other one's, so that only one of the two servers is at fault.
    let mut settings = with_oauth(settings_for(&other), |_| {});
    settings.port = simulator.starttls_addr().port().into();

    let expected = Expected {
        stage: Stage::Tls,
        code: "NO_VALID_CERTIFICATION_PATH",
        cause: &["the SMTP server", "nuncio simulator root"],
        remedy: &["ca_certificates_pem"],
    };
    let stage = check(&node, settings, expected).await;

    let presented = stage.presented_chain.first().expect("the chain is shown");
    assert!(presented.issuer.contains("nuncio simulator root"), "{presented:?}");
    assert_eq!(presented.sha256_fingerprint.replace(':', "").len(), 64, "{presented:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_do_not_fit_are_told_apart() {
    for (kind, code, cause) in [
        (CertificateKind::WrongName, "CERTIFICATE_NAME_MISMATCH", "not for `localhost`"),
        (CertificateKind::Expired, "CERTIFICATE_EXPIRED", "expired at"),
        (CertificateKind::SelfSigned, "NO_VALID_CERTIFICATION_PATH", "signed by itself"),
        (
            CertificateKind::MissingIntermediate,
            "NO_VALID_CERTIFICATION_PATH",
            "nuncio simulator intermediate",
        ),
    ] {
        let tls = TlsConfig { smtp: kind, ..TlsConfig::default() };
        let (simulator, node) = start(SimConfig { tls, ..SimConfig::exchange() }).await;
        let cause = ["the SMTP server", cause];
        let expected =
            Expected { stage: Stage::Tls, code, cause: &cause, remedy: &["certificate"] };
        let stage = check(&node, settings_for(&simulator), expected).await;
        assert!(!stage.presented_chain.is_empty(), "{kind:?}: {stage:?}");
        node.stop().await;

        let tls = TlsConfig { token: kind, ..TlsConfig::default() };
        let (simulator, node) = start(SimConfig { tls, ..SimConfig::exchange() }).await;
        let cause = ["the token endpoint", cause[1]];
        let expected =
            Expected { stage: Stage::Token, code, cause: &cause, remedy: &["certificate"] };
        let stage = check(&node, settings_for(&simulator), expected).await;
        assert!(!stage.presented_chain.is_empty(), "{kind:?}: {stage:?}");
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_is_not_ready_says_what_to_check() {
    let mailboxes = vec![
        Mailbox::new(DEFAULT_MAILBOX),
        Mailbox { smtp_auth_disabled: true, ..Mailbox::new("off@contoso.example") },
    ];
    let (simulator, node) = start(SimConfig { mailboxes, ..SimConfig::exchange() }).await;
    let with_address = |address: &str| v1::SmtpSettings {
        email_address: address.to_owned(),
        ..settings_for(&simulator)
    };

    let expected = Expected {
        stage: Stage::Auth,
        code: "INVALID_EMAIL_ADDRESS",
        cause: &["535 5.7.3", "roles SMTP.SendAsApp"],
        remedy: &[
            "e-mail address",
            "object id of the Enterprise application",
            "Add-MailboxPermission",
            "SmtpClientAuthenticationDisabled",
        ],
    };
    check(&node, with_address("nobody@contoso.example"), expected).await;
    let expected = Expected {
        stage: Stage::Auth,
        code: "SMTP_AUTH_DISABLED",
        cause: &["switched off for the mailbox or the tenant"],
        remedy: &["Set-CASMailbox", "Set-TransportConfig"],
    };
    check(&node, with_address("off@contoso.example"), expected).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_named() {
    let (simulator, node) = start(SimConfig::exchange()).await;

    let port = deserted_port();
    let down = v1::SmtpSettings { port: port.into(), ..settings_for(&simulator) };
    let expected = Expected {
        stage: Stage::Tcp,
        code: "CONNECTION_REFUSED",
        cause: &["the SMTP server", &port.to_string()],
        remedy: &["port"],
    };
    check(&node, down, expected).await;
    let port = deserted_port();
    let down = with_oauth(settings_for(&simulator), |oauth| {
        oauth.token_endpoint = format!("https://localhost:{port}/tenant/oauth2/v2.0/token");
    });
    let expected = Expected {
        stage: Stage::Token,
        code: "TOKEN_ENDPOINT_REFUSED",
        cause: &["the token endpoint", &port.to_string()],
        remedy: &["port"],
    };
    check(&node, down, expected).await;
    let host = "no-such-host.invalid";
    let lost = v1::SmtpSettings { host: host.to_owned(), ..settings_for(&simulator) };
    let expected = Expected {
        stage: Stage::Dns,
        code: "HOST_NOT_FOUND",
        cause: &["the SMTP server", host],
        remedy: &["host name", "name servers"],
    };
    check(&node, lost, expected).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_names_the_server_that_was_silent() {
    let (simulator, node) = start(SimConfig::exchange()).await;
    let settings = one_second(settings_for(&simulator));

    simulator.faults().push(Fault::always(Phase::Greeting, Action::Stall));
    let expected = Expected {
        stage: Stage::Tls,
        code: "CONNECTION_TIMED_OUT",
        cause: &["the SMTP server", "localhost", "within 1 s", "no proxy configured"],
        remedy: &["port", "firewall"],
    };
    check(&node, settings.clone(), expected).await;
    simulator.faults().clear();
    simulator.faults().push_token(TokenFault::always(TokenAction::Stall));
    let expected = Expected {
        stage: Stage::Token,
        code: "TOKEN_ENDPOINT_TIMED_OUT",
        cause: &["the token endpoint", "localhost", "within 1 s"],
        remedy: &["allow this node outgoing HTTPS"],
    };
    check(&node, settings, expected).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_exactly_what_was_tested_can_be_saved() {
    let (simulator, node) = start(SimConfig::exchange()).await;
    let tested = settings_for(&simulator);
    let not_tested = (Code::FailedPrecondition, "SMTP_SETTINGS_NOT_TESTED".to_owned());

    let refused = node.save(tested.clone()).await.expect_err("nothing was tested");
    assert_eq!(reason(&refused), not_tested);
    let details = refused.get_error_details();
    let precondition = details.precondition_failure().expect("it tells what to do first");
    assert!(precondition.violations[0].description.contains("test exactly these values first"));
    assert!(node.test(tested.clone()).await.passed);
    let other = with_oauth(tested.clone(), |oauth| oauth.client_secret.push('x'));
    let refused = node.save(other).await.expect_err("another secret was tested");
    assert_eq!(reason(&refused), not_tested);
    let other = v1::SmtpSettings { port: tested.port + 1, ..tested.clone() };
    let refused = node.save(other).await.expect_err("another port was tested");
    assert_eq!(reason(&refused), not_tested);

    let saved = node.save(tested.clone()).await.expect("exactly this was tested");

    assert_eq!(saved.generation, 1);
    let stale = v1::SmtpSettings { etag: "\"stale\"".to_owned(), ..tested };
    let refused = node.save(stale).await.expect_err("somebody else has saved meanwhile");
    assert_eq!(reason(&refused), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_settings_survive_a_restart_and_their_secret_is_never_shown() {
    let (simulator, node) = start(SimConfig::exchange()).await;
    let saved = node.save_tested(settings_for(&simulator)).await;

    let node = node.restart().await;

    let mut client = node.clients.smtp_settings.clone();
    let got =
        client.get_smtp_settings(v1::GetSmtpSettingsRequest {}).await.expect("they are there");
    let got = got.into_inner().smtp_settings.expect("the answer has settings");
    assert_eq!(got, saved);
    let Some(v1::smtp_settings::Authentication::Oauth(oauth)) = &got.authentication else {
        panic!("not OAuth: {got:?}")
    };
    assert_eq!((oauth.client_secret.as_str(), oauth.client_secret_set), ("", true));
    let job = node.submit(bulk("after the restart")).await;
    node.wait_for_state(&job.name, v1::MailJobState::Sent, PATIENCE).await;
    // The secret that is left out is the saved one.
    assert!(node.test(got).await.passed);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_in_no_file_and_the_key_file_is_for_one_user() {
    let (simulator, node) = start(SimConfig::exchange()).await;
    node.save_tested(settings_for(&simulator)).await;
    let stopped = node.stop().await;

    let files = files_below(&stopped.data_dir());

    assert!(files.len() >= 3, "key, settings and jobs: {files:?}");
    for path in &files {
        let bytes = fs::read(path).expect("the file can be read");
        let secret = DEFAULT_CLIENT_SECRET.as_bytes();
        let found = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "the secret is in {}", path.display());
    }
    let control = b"ciphertext";
    let found = files.iter().any(|path| {
        let bytes = fs::read(path).expect("the file can be read");
        bytes.windows(control.len()).any(|window| window == control)
    });
    assert!(found, "no encrypted settings: is this the right folder?");
    for path in files.iter().filter(|path| path.ends_with("keys/settings.key")) {
        let mode = fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    entries
        .map(|entry| entry.expect("the folder can be read").path())
        .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_right_are_refused_before_any_test() {
    let node = TestNode::start().await;
    let settings = v1::SmtpSettings {
        host: "mail server".to_owned(),
        port: 70_000,
        email_address: "nobody".to_owned(),
        encryption: v1::SmtpEncryption::None.into(),
        ca_certificates_pem: "no certificate".to_owned(),
        authentication: Some(v1::smtp_settings::Authentication::Oauth(
            v1::OauthAuthentication::default(),
        )),
        additional_mailboxes: ["a@b.example", "nobody", "A@b.example"].map(str::to_owned).into(),
        limits: Some(v1::MailboxLimits {
            max_connections: -1,
            max_messages_per_minute: 100_001,
            max_recipients_per_day: 10_000_001,
        }),
        proxy: Some(v1::Proxy {
            url: "https://user:pw@proxy:3128".to_owned(),
            username: "us:er".to_owned(),
            bypass: ["10.0.0.0/8", "a b"].map(str::to_owned).into(),
            ..v1::Proxy::default()
        }),
        ..v1::SmtpSettings::default()
    };
    let request = v1::TestSmtpSettingsRequest {
        smtp_settings: Some(settings),
        ..v1::TestSmtpSettingsRequest::default()
    };

    let refused = node.clients.smtp_settings.clone().test_smtp_settings(request).await;

    let refused = refused.expect_err("nothing of this can be right");
    assert_eq!(reason(&refused), (Code::InvalidArgument, "INVALID_SMTP_SETTINGS".to_owned()));
    let details = refused.get_error_details();
    let told = &details.bad_request().expect("all violations").field_violations;
    let fields: Vec<&str> = told.iter().map(|one| one.field.as_str()).collect();
    let expected = [
        "host",
        "port",
        "email_address",
        "additional_mailboxes[1]",
        "additional_mailboxes[2]",
        "limits.max_connections",
        "limits.max_messages_per_minute",
        "limits.max_recipients_per_day",
        "ca_certificates_pem",
        "proxy.url",
        "proxy.bypass[1]",
        "proxy.username",
        "proxy.password",
        "oauth.client_id",
        "oauth.token_endpoint",
        "oauth.client_secret",
    ];
    assert_eq!(fields, expected, "{told:#?}");
    assert!(!format!("{refused:?}").contains("pw@"), "a password in a URL is not repeated");
    let mut client = node.clients.smtp_settings.clone();
    let nothing = client.get_smtp_settings(v1::GetSmtpSettingsRequest {}).await;
    let nothing = nothing.expect_err("there are no settings");
    assert_eq!(reason(&nothing), (Code::NotFound, "SMTP_SETTINGS_NOT_SET".to_owned()));
    node.stop().await;
}

/// Exchange Online has a switch for each mailbox, and tokens that are good for all of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_one_mailbox_of_a_pool_that_may_not_log_in_is_named() {
    let mut config = SimConfig::exchange();
    let more = ["second@contoso.example", "third@contoso.example"];
    let mailboxes = more.map(|address| Mailbox {
        send_as: vec![DEFAULT_MAILBOX.to_owned()],
        smtp_auth_disabled: address.starts_with("second"),
        ..Mailbox::new(address)
    });
    config.mailboxes.extend(mailboxes);
    let (simulator, node) = start(config).await;
    let additional_mailboxes = more.map(str::to_owned).into();
    let settings = v1::SmtpSettings { additional_mailboxes, ..settings_for(&simulator) };

    let report = node.test(settings).await;

    let stages: Vec<_> = report.nodes.iter().flat_map(|node| &node.stages).collect();
    let failed: Vec<_> =
        stages.iter().filter(|stage| stage.outcome() == v1::SmtpTestOutcome::Failed).collect();
    assert_eq!(failed.len(), 1, "{report:#?}");
    assert_eq!(failed[0].mailbox, "second@contoso.example");
    assert_eq!(failed[0].error_code, "SMTP_AUTH_DISABLED");
    assert!(failed[0].remedy.contains("Set-CASMailbox"), "{report:#?}");
    let third = stages.iter().filter(|stage| stage.mailbox == "third@contoso.example");
    assert!(third.clone().all(|stage| stage.outcome() == v1::SmtpTestOutcome::Passed));
    assert_eq!(third.count(), 2, "AUTH and MAIL");
    assert_eq!(simulator.stats().token_requests, 1, "one token serves all");
    node.stop().await;
}
