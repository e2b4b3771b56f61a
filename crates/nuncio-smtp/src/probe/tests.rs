use nuncio_core::ports::token::TokenErrorKind;
use nuncio_core::settings::SavedSmtpSettings;
use nuncio_core::smtp_test::StageOutcome;

use super::*;
use crate::auth::Mechanism;
use crate::testing::*;

const OFFER: &str = "PIPELINING, AUTH LOGIN XOAUTH2";
const LOGGED_IN: &str = "S: 235 2.7.0 ok\n";
const MAIL: &str =
    "C: MAIL FROM:<sender@mx.test>\nS: 250 2.1.0 Sender OK\nC: RCPT TO:<sender@mx.test>\n";
const RESET: &str = "C: RSET\nS: 250 ok\n";

/// The trial of the sender where RCPT is answered like this.
fn trial(rcpt: &str) -> String {
    format!("{MAIL}S: {rcpt}\n{RESET}")
}

/// Runs a test; what is sent while it runs must be what it returns.
async fn stages(
    servers: &Arc<Servers>,
    tokens: &Arc<Tokens>,
    saved: &SavedSmtpSettings,
) -> Vec<StageResult> {
    let network = Arc::clone(servers) as Arc<dyn Network>;
    let source = Arc::clone(tokens) as Arc<dyn TokenSource>;
    let probe = SmtpProbe::over(network, source, "node.test", "node-1");
    let (sender, mut receiver) = mpsc::channel(16);
    let test = probe.test(&saved.settings, sender).await;
    assert_eq!(test.node, "node-1");
    let mut sent = Vec::new();
    while let Some(stage) = receiver.recv().await {
        sent.push(stage);
    }
    assert_eq!(sent, test.stages);
    let is_wanted = |kind: &StageKind| match kind {
        StageKind::Proxy => saved.settings.proxy.is_some(),
        StageKind::Node => false,
        StageKind::Dns
        | StageKind::Tcp
        | StageKind::Tls
        | StageKind::Token
        | StageKind::Ehlo
        | StageKind::Auth
        | StageKind::Mail => true,
    };
    let kinds: Vec<StageKind> = sent.iter().map(|stage| stage.kind).collect();
    let more = saved.settings.additional_mailboxes.iter();
    let expect = StageKind::ALL
        .into_iter()
        .filter(is_wanted)
        .chain(more.flat_map(|_| [StageKind::Auth, StageKind::Mail]));
    assert_eq!(kinds, expect.collect::<Vec<_>>(), "every stage is told once, in order");
    servers.finish().await;
    sent
}

/// `+` for passed, `-` for skipped, the code for failed.
fn show(stages: &[StageResult]) -> String {
    let one = |stage: &StageResult| match &stage.outcome {
        StageOutcome::Passed { .. } => "+".to_owned(),
        StageOutcome::Skipped { why } => {
            assert!(!why.is_empty());
            "-".to_owned()
        }
        StageOutcome::Failed(error) => {
            assert!(!error.cause.is_empty() && !error.remedy.is_empty(), "{error:?}");
            error.code.clone()
        }
    };
    stages.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn detail(stages: &[StageResult], kind: StageKind) -> String {
    let stage = stages.iter().find(|stage| stage.kind == kind).unwrap();
    match &stage.outcome {
        StageOutcome::Passed { detail } => detail.clone(),
        StageOutcome::Failed(error) => format!("{} {}", error.cause, error.remedy),
        StageOutcome::Skipped { why } => why.clone(),
    }
}

/// The test with OAuth over STARTTLS against `script`.
async fn check(script: &str, expect: &str) -> Vec<StageResult> {
    let servers = Arc::new(Servers::new(&[script.to_owned()]));
    let saved = settings(&servers);
    let stages = stages(&servers, &Tokens::new(&["t1"]), &saved).await;
    assert_eq!(show(&stages), expect);
    stages
}

#[tokio::test(start_paused = true)]
async fn good_settings_pass_every_stage() {
    let script = starttls(OFFER) + &auth("t1") + LOGGED_IN + &trial("250 2.1.5 ok");
    let servers = Arc::new(Servers::new(&[script]));
    let tokens = Tokens::new(&["t1"]);

    let stages = stages(&servers, &tokens, &settings(&servers)).await;

    assert_eq!(show(&stages), "+ + + + + + +");
    assert_eq!(tokens.calls(), "fetch", "the cache is left alone");
    assert_eq!(detail(&stages, StageKind::Dns), "mx.test is 192.0.2.1");
    assert!(detail(&stages, StageKind::Tcp).contains("192.0.2.1:587"));
    assert!(detail(&stages, StageKind::Tls).starts_with("TLS 1.3 with TLS13_"));
    assert!(detail(&stages, StageKind::Token).contains("2026-11-23T13:00:00Z"));
    assert!(detail(&stages, StageKind::Ehlo).contains("AUTH LOGIN XOAUTH2"));
    assert!(detail(&stages, StageKind::Mail).contains("250 2.1.0 Sender OK"));
    assert_eq!(servers.heard().last().unwrap(), "QUIT");
}

const CONNECTED: &str = "RAW: HTTP/1.1 200 Connection established\\n\\n\n";

/// Settings whose server is reached through an HTTP proxy.
fn through_proxy(servers: &Servers) -> SavedSmtpSettings {
    let mut saved = settings(servers);
    saved.settings.host = "inner.test".to_owned();
    saved.settings.proxy = Some(Proxy {
        address: format!("http://{HOST}:3128").parse().unwrap(),
        credentials: None,
        bypass: vec![".past.test".parse().unwrap()],
    });
    saved
}

/// What a proxy hears, up to its answer.
const ASKED: &str = "C: CONNECT inner.test:587 HTTP/1.1\nC: Host: inner.test:587\n\
     C: User-Agent: nuncio/0.1.0\nC: \n";

#[tokio::test(start_paused = true)]
async fn a_server_behind_a_proxy_is_tested_through_it() {
    let talk = plain("SIZE 1000") + &trial("250 ok");
    let servers = Arc::new(Servers::new(&[ASKED.to_owned() + CONNECTED + &talk]));
    let mut saved = through_proxy(&servers);
    saved.settings.encryption = Encryption::None;
    saved.settings.authentication = Authentication::None;

    let stages = stages(&servers, &Tokens::new(&[]), &saved).await;

    assert_eq!(show(&stages), "+ - - - - + - +");
    let told = detail(&stages, StageKind::Proxy);
    assert_eq!(told, "connected to inner.test:587 through the proxy at 192.0.2.1:587");
    assert_eq!(detail(&stages, StageKind::Dns), "the proxy looks the name up");
}

#[tokio::test(start_paused = true)]
async fn the_certificate_behind_a_proxy_must_be_that_of_the_server() {
    let upgrade = "S: 220 mx.test ready\nC: EHLO node.test\nS: 250-mx.test\nS: 250 STARTTLS\n\
                   C: STARTTLS\nS: 220 2.0.0 go\nTLS\n";
    let servers = Arc::new(Servers::new(&[ASKED.to_owned() + CONNECTED + upgrade]));

    let stages = stages(&servers, &Tokens::new(&["t1"]), &through_proxy(&servers)).await;

    assert_eq!(show(&stages), "+ - - CERTIFICATE_NAME_MISMATCH + - - -");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_refuses_is_a_stage_of_its_own() {
    let refused = "RAW: HTTP/1.1 403 Filtered\\n\\n\n";
    let servers = Arc::new(Servers::new(&[ASKED.to_owned() + refused]));

    let stages = stages(&servers, &Tokens::new(&["t1"]), &through_proxy(&servers)).await;

    assert_eq!(show(&stages), "PROXY_REFUSED - - - + - - -", "the token is tested all the same");
    let told = detail(&stages, StageKind::Proxy);
    assert!(told.contains("the proxy `http://mx.test:3128` refused to connect to the SMTP server `inner.test:587` (403 Filtered)"), "{told}");
    assert_eq!(detail(&stages, StageKind::Dns), "the PROXY stage failed");
}

#[tokio::test(start_paused = true)]
async fn a_server_past_the_proxy_is_reached_directly() {
    let servers = Arc::new(Servers::closed_port());
    let mut saved = through_proxy(&servers);
    saved.settings.host = HOST.to_owned();
    saved.settings.proxy.as_mut().unwrap().bypass = vec![HOST.parse().unwrap()];

    let stages = stages(&servers, &Tokens::new(&["t1"]), &saved).await;

    assert_eq!(show(&stages), "- + CONNECTION_REFUSED - + - - -");
    assert_eq!(detail(&stages, StageKind::Proxy), "`mx.test` is reached past the proxy");
    assert!(
        detail(&stages, StageKind::Tcp).contains("direct, past the proxy `http://mx.test:3128`")
    );
}

/// The login of another mailbox with the token `t1`, up to the server's answer.
fn auth_as(mailbox: &str) -> String {
    let login = oauth_login("t1").of(&mailbox.parse().unwrap());
    let response = login.responses(Mechanism::Xoauth2).remove(0);
    format!("C: AUTH XOAUTH2\nS: 334 \nC: {response}\n")
}

#[tokio::test(start_paused = true)]
async fn every_mailbox_is_proved_whichever_fails() {
    let good = LOGGED_IN.to_owned() + &trial("250 2.1.5 ok");
    let refused = "S: 535 5.7.3 Authentication unsuccessful\n";
    let not_allowed = LOGGED_IN.to_owned() + &trial("553 5.7.1 not owned by user c@mx.test");
    let servers = Arc::new(Servers::new(&[
        starttls(OFFER) + &auth("t1") + refused,
        starttls(OFFER) + &auth_as("b@mx.test") + &good,
        starttls(OFFER) + &auth_as("c@mx.test") + &not_allowed,
        "CUT\n".to_owned(),
    ]));
    let mut saved = settings(&servers);
    saved.settings.additional_mailboxes =
        ["b@mx.test", "c@mx.test", "d@mx.test"].map(|one| one.parse().unwrap()).into();
    let tokens = Tokens::new(&["t1"]);

    let stages = stages(&servers, &tokens, &saved).await;

    assert_eq!(
        show(&stages),
        "+ + + + + INVALID_EMAIL_ADDRESS - + + + SENDER_REFUSED CONNECTION_CLOSED -"
    );
    let mailboxes: Vec<_> = stages[5..]
        .iter()
        .map(|stage| stage.mailbox.as_ref().unwrap().as_str().split_once('@').unwrap().0)
        .collect();
    assert_eq!(mailboxes, ["sender", "sender", "b", "b", "c", "c", "d", "d"]);
    assert!(stages[..5].iter().all(|stage| stage.mailbox.is_none()));
    assert_eq!(tokens.calls(), "fetch", "one token serves all");
}

#[tokio::test(start_paused = true)]
async fn settings_without_tls_and_login_skip_what_they_do_not_need() {
    let servers = Arc::new(Servers::new(&[plain("SIZE 1000") + &trial("250 ok")]));
    let saved = plain_settings(&servers);

    let stages = stages(&servers, &Tokens::new(&[]), &saved).await;

    assert_eq!(show(&stages), "+ + - - + - +");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_host_is_named() {
    let servers = Arc::new(Servers::new(&[]));
    let mut saved = settings(&servers);
    saved.settings.host = "typo.test".to_owned();

    let stages = stages(&servers, &Tokens::new(&["t1"]), &saved).await;

    assert_eq!(show(&stages), "HOST_NOT_FOUND - - + - - -", "the token is tested all the same");
    assert!(detail(&stages, StageKind::Dns).contains("`typo.test`"));
    assert_eq!(detail(&stages, StageKind::Auth), "the DNS stage failed");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_named_with_its_port() {
    let servers = Arc::new(Servers::new(&[]));
    let saved = settings(&servers);
    let started = Instant::now();

    let stages = stages(&servers, &Tokens::new(&["t1"]), &saved).await;

    assert_eq!(show(&stages), "+ CONNECTION_TIMED_OUT - + - - -");
    assert_eq!(started.elapsed(), saved.settings.connect_timeout);
    assert_eq!(stages[1].elapsed, saved.settings.connect_timeout);
    let detail = detail(&stages, StageKind::Tcp);
    assert!(
        detail.contains("the SMTP server `mx.test:587` did not answer within 60 s"),
        "{detail}"
    );
    assert!(detail.contains("no proxy configured"), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn a_closed_port_is_told_from_silence() {
    let servers = Arc::new(Servers::closed_port());
    let stages = stages(&servers, &Tokens::new(&["t1"]), &settings(&servers)).await;
    assert_eq!(show(&stages), "+ CONNECTION_REFUSED - + - - -");
}

#[tokio::test(start_paused = true)]
async fn an_untrusted_chain_is_shown() {
    let servers = Arc::new(Servers::new(&[starttls(OFFER)]));
    let mut saved = settings(&servers);
    saved.settings.ca_certificates_pem = Servers::new(&[]).ca_pem;

    let stages = stages(&servers, &Tokens::new(&["t1"]), &saved).await;

    assert_eq!(show(&stages), "+ + NO_VALID_CERTIFICATION_PATH + - - -");
    let StageOutcome::Failed(error) = &stages[2].outcome else { panic!("it failed") };
    assert_eq!(error.presented_chain.len(), 1);
    assert!(error.remedy.contains("ca_certificates_pem"), "{}", error.remedy);
}

#[tokio::test(start_paused = true)]
async fn authorities_that_are_no_certificates_are_a_fault_of_the_settings() {
    let servers = Arc::new(Servers::new(&["HANG\n".to_owned()]));
    let mut saved = settings(&servers);
    saved.settings.ca_certificates_pem = "no PEM".to_owned();

    let stages = stages(&servers, &Tokens::new(&["t1"]), &saved).await;

    assert_eq!(show(&stages), "+ + INVALID_CA_CERTIFICATES + - - -");
}

#[tokio::test(start_paused = true)]
async fn stripped_starttls_is_refused() {
    check(&plain("AUTH XOAUTH2"), "+ + STARTTLS_NOT_OFFERED + - - -").await;
}

#[tokio::test(start_paused = true)]
async fn without_a_token_the_server_is_tested_as_far_as_it_goes() {
    let servers = Arc::new(Servers::new(&[starttls(OFFER)]));
    let tokens = Tokens::failing("INVALID_CLIENT_SECRET", TokenErrorKind::Fatal);

    let stages = stages(&servers, &tokens, &settings(&servers)).await;

    assert_eq!(show(&stages), "+ + + INVALID_CLIENT_SECRET + - -");
    assert_eq!(detail(&stages, StageKind::Auth), "there is no token");
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_tells_what_to_check() {
    let refused = auth("t1") + "S: 535 5.7.3 Authentication unsuccessful\n";
    let stages = check(&(starttls(OFFER) + &refused), "+ + + + + INVALID_EMAIL_ADDRESS -").await;
    let detail = detail(&stages, StageKind::Auth);
    for hint in ["Enterprise application", "Add-MailboxPermission", "Set-CASMailbox", "535 5.7.3"] {
        assert!(detail.contains(hint), "{hint} in {detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_for_graph_is_found_out() {
    // The payload is {"aud":"https://graph.microsoft.com"}.
    let token = "e30.eyJhdWQiOiJodHRwczovL2dyYXBoLm1pY3Jvc29mdC5jb20ifQ.c2ln";
    let refused = auth(token) + "S: 535 5.7.3 Authentication unsuccessful\n";
    let servers = Arc::new(Servers::new(&[starttls(OFFER) + &refused]));

    let stages = stages(&servers, &Tokens::new(&[token]), &settings(&servers)).await;

    assert_eq!(show(&stages), "+ + + + + INVALID_EMAIL_ADDRESS -");
    assert!(detail(&stages, StageKind::Auth).contains("the token is for Microsoft Graph"));
    assert!(!format!("{stages:?}").contains(token), "the token itself is not shown");
}

#[tokio::test(start_paused = true)]
async fn switched_off_smtp_auth_has_a_code_of_its_own() {
    let refused = auth("t1")
        + "S: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.\n";
    check(&(starttls(OFFER) + &refused), "+ + + + + SMTP_AUTH_DISABLED -").await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_sender_fails_the_last_stage() {
    let trial = "C: MAIL FROM:<sender@mx.test>\nS: 550 5.7.60 no\nC: RSET\nS: 250 ok\n";
    let script = starttls(OFFER) + &auth("t1") + LOGGED_IN + trial;
    check(&script, "+ + + + + + SENDER_REFUSED").await;
}

/// Checks the last stage where RCPT with the sender's own address is answered by `rcpt`.
async fn check_rcpt(rcpt: &str, expect: &str) -> String {
    let script = starttls(OFFER) + &auth("t1") + LOGGED_IN + &trial(rcpt);
    let stages = check(&script, &format!("+ + + + + + {expect}")).await;
    detail(&stages, StageKind::Mail)
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_is_refused_only_at_rcpt_fails_the_last_stage() {
    let own = "553 5.7.1 <sender@mx.test>: Sender address rejected: not owned by user a@mx.test";
    assert!(check_rcpt(own, "SENDER_REFUSED").await.contains("SendAs"));
    for reply in ["554 5.7.1 Relay access denied", "554 Relaying denied", "530 log in first"] {
        assert!(check_rcpt(reply, "SENDER_REFUSED").await.contains(reply), "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_takes_no_mail_may_send() {
    for reply in ["550 5.1.1 no such user", "550 no such user", "450 4.2.0 greylisted", "452 full"]
    {
        assert!(check_rcpt(reply, "+").await.contains(reply), "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_in_the_middle_is_told() {
    let script = starttls(OFFER) + "C: AUTH XOAUTH2\nHANG\n";
    let stages = check(&script, "+ + + + + CONNECTION_TIMED_OUT -").await;
    assert!(detail(&stages, StageKind::Auth).contains("while logging in"));
}
