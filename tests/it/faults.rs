//! A provider in trouble: nothing is lost, nothing that must not be is sent twice, and the reason is told.
//!
//! Silence after the login is bounded by a minute and more (RFC 5321, section 4.5.3.2), so it is left to the tests of the
//! SMTP session, whose clock can be turned.

use std::panic::resume_unwind;
use std::time::Duration;

use futures::future::join_all;
use nuncio_api::v1;
use nuncio_api::v1::{ChannelState, MailClass, MailJobState, RecipientState};
use nuncio_provider_sim::config::{
    AuthFailure, ClientSecret, DEFAULT_CLIENT_ID, DEFAULT_TENANT_ID, SimConfig, SimSecret,
    SmtpConfig, TokenConfig,
};
use nuncio_provider_sim::fault::{
    Action, Fault, Phase, TokenAction, TokenFault, TokenResponse, When,
};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails::{bulk, guest_credentials, raw};
use nuncio_tests::node::TestNode;
use nuncio_tests::settings::{settings_for, with_oauth};
use tokio::task::JoinSet;

/// How long a mail of unknown outcome may take until it was sent again: 30 to 45 s, and then some.
const RESENT: Duration = Duration::from_mins(2);
/// How long it may take until a token endpoint is asked again that refused: a minute, and the next probe after it.
const ASKED_AGAIN: Duration = Duration::from_mins(4);
/// How long a connection may take to get ready, in seconds.
const CONNECT_TIMEOUT_S: i64 = 2;

/// A node that sends to a simulator, over a connection that is not there yet.
async fn node_with(config: SimConfig) -> (Simulator, TestNode) {
    let simulator = Simulator::start(config).await.expect("the simulator starts");
    let node = TestNode::start().await;
    let connect_timeout = Some(prost_types::Duration { seconds: CONNECT_TIMEOUT_S, nanos: 0 });
    node.save_tested(v1::SmtpSettings { connect_timeout, ..settings_for(&simulator) }).await;
    (simulator, node)
}

/// Runs all cases side by side, as each of them waits most of the time.
fn all<F>(cases: impl IntoIterator<Item = F>) -> impl Future<Output = ()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut running: JoinSet<()> = cases.into_iter().collect();
    async move {
        while let Some(end) = running.join_next().await {
            end.unwrap_or_else(|panic| resume_unwind(panic.into_panic()));
        }
    }
}

/// One fault of the way, once: the job waits with this reason, costs no attempt, and is sent once.
async fn check_passing(fault: Fault, code: &'static str) {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    simulator.faults().push(fault.clone());
    passes(&simulator, &node, bulk("in trouble"), code, &format!("{fault:?}")).await;
    node.stop().await;
}

async fn check_passing_token(fault: TokenFault, code: &'static str) {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    simulator.faults().push_token(fault.clone());
    passes(&simulator, &node, bulk("in trouble"), code, &format!("{fault:?}")).await;
    node.stop().await;
}

async fn passes(
    simulator: &Simulator,
    node: &TestNode,
    request: v1::CreateMailJobRequest,
    code: &str,
    fault: &str,
) {
    let job = node.submit(request).await;

    let deferred = node
        .wait_until(&job.name, PATIENCE, |job| {
            matches!(job.state(), MailJobState::Deferred | MailJobState::Held)
        })
        .await;
    let reason = deferred.reason.unwrap_or_default();
    assert_eq!(reason.code, code, "{fault}: {reason:?}");
    assert_eq!(deferred.state, i32::from(MailJobState::Deferred), "{fault}");
    let sent = node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;

    assert_eq!(sent.attempt_count, 1, "{fault}: trouble on the way costs no attempt");
    let (_, attempts) = node.job(&job.name).await;
    let told: Vec<_> = attempts.iter().map(|one| (one.outcome.as_str(), one.counted)).collect();
    let (last, before) = told.split_last().expect("it was sent");
    assert_eq!(*last, ("SENT", true), "{fault}: {attempts:#?}");
    assert!(before.iter().all(|one| *one == (code, false)), "{fault}: {attempts:#?}");
    assert!((1..=2).contains(&before.len()), "{fault}: {attempts:#?}");
    assert_eq!((simulator.accepted_count(), simulator.duplicates()), (1, Vec::new()), "{fault}");
    node.wait_for_channel(ChannelState::Open, PATIENCE).await;
}

/// The job ends as failed with this reply.
async fn check_refused(phase: Phase, reply: &'static str, code: &'static str) {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    simulator.faults().push(Fault::next(1, phase, Action::Reply(reply.to_owned())));

    let job = node.submit(bulk("refused")).await;
    let failed = node.wait_for_state(&job.name, MailJobState::Failed, PATIENCE).await;

    let reason = failed.reason.unwrap_or_default();
    assert_eq!(reason.code, code, "{phase:?}");
    assert!(!reason.remedy.is_empty(), "{phase:?}: {reason:?}");
    let told = reason.reply.unwrap_or_default();
    assert_eq!(told.code.to_string(), reply[..3], "{phase:?}");
    let of_recipient = failed.recipients[0].reason.clone().unwrap_or_default();
    assert_eq!((of_recipient.code.as_str(), of_recipient.remedy), (code, reason.remedy));
    let (_, attempts) = node.job(&job.name).await;
    assert_eq!(attempts[0].outcome, code, "{phase:?}");
    assert!(attempts[0].detail.starts_with(&reason.message), "{attempts:#?}");
    assert_eq!(failed.recipients[0].state(), RecipientState::Refused, "{phase:?}");
    let next = node.submit(bulk("next")).await;
    node.wait_for_state(&next.name, MailJobState::Sent, PATIENCE).await;
    assert_eq!(simulator.accepted_count(), 1, "{phase:?}");
    node.stop().await;
}

/// The provider judges the mail and wants it later: that costs an attempt.
async fn check_deferred(phase: Phase, reply: &'static str) {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    simulator.faults().push(Fault::next(1, phase, Action::Reply(reply.to_owned())));

    let job = node.submit(raw(MailClass::AlarmCritical, "later", &["noc@example.com"])).await;
    let deferred = node.wait_for_state(&job.name, MailJobState::Deferred, PATIENCE).await;
    let sent = node.wait_for_state(&job.name, MailJobState::Sent, RESENT).await;

    assert_eq!(deferred.reason.unwrap_or_default().code, "PROVIDER_DEFERRED", "{phase:?}");
    assert!(deferred.next_attempt_time.is_some(), "{phase:?}");
    assert_eq!((deferred.attempt_count, sent.attempt_count), (1, 2), "{phase:?}");
    assert_eq!(simulator.duplicates(), [], "{phase:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_before_the_end_of_the_mail_costs_nothing() {
    let closed = [
        Phase::Connect,
        Phase::Greeting,
        Phase::Ehlo,
        Phase::Starttls,
        Phase::Auth,
        Phase::Mail,
        Phase::Rcpt,
        Phase::Data,
    ];
    let cut = |phase| Fault::next(1, phase, Action::Cut);
    let closed = closed.map(|phase| (cut(phase), "CONNECTION_CLOSED"));
    let tls = (cut(Phase::Tls), "TLS_FAILED");
    all(closed.into_iter().chain([tls]).map(|(fault, code)| check_passing(fault, code))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_in_the_middle_of_a_mail_costs_nothing() {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    simulator.faults().push(Fault::next(1, Phase::Body, Action::Cut));
    let mut large = bulk("large");
    // More than the buffers of a connection hold, so that the end has certainly not gone out.
    large.mail.get_or_insert_default().attachments.push(v1::Attachment {
        file_name: "large.bin".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        content: vec![7; 8_000_000],
    });

    passes(&simulator, &node, large, "CONNECTION_CLOSED", "cut in the body").await;
    node.stop().await;
}

/// Of three mails over one connection the second goes out together with its commands (BDAT), so nobody knows what
/// became of it, wherever the connection is cut.
async fn check_cut_of_a_chunk(phase: Phase, action: Action) {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    let limits = Some(v1::MailboxLimits { max_connections: 1, ..Default::default() });
    node.save_tested(v1::SmtpSettings { limits, ..settings_for(&simulator) }).await;
    let when = When::Every(2);
    simulator.faults().push(Fault { when, ..Fault::always(phase, action.clone()) });

    let requests = [bulk("first"), bulk("second"), bulk("third")];
    let names = join_all(requests.map(async |one| node.submit(one).await.name)).await;
    let ended = node.wait_for_ends(&names, PATIENCE).await;

    let of = |state| ended.iter().filter(|job| job.state() == state).count();
    let seen = (of(MailJobState::Sent), of(MailJobState::Unknown));
    assert_eq!(seen, (2, 1), "{phase:?} {action:?}: {ended:#?}");
    let accepted = if action == Action::CutAfterAccept { 3 } else { 2 };
    let told = (simulator.accepted_count(), simulator.duplicates());
    assert_eq!(told, (accepted, Vec::new()), "{phase:?} {action:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_while_a_mail_goes_at_once_leaves_it_unknown_and_never_doubles_it() {
    let cuts = [Phase::Mail, Phase::Rcpt, Phase::Body, Phase::EndOfData];
    let cuts = cuts.map(|phase| (phase, Action::Cut));
    let lost = (Phase::EndOfData, Action::CutAfterAccept);
    let cases = cuts.into_iter().chain([lost]);
    all(cases.map(|(phase, action)| check_cut_of_a_chunk(phase, action))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_before_the_login_is_given_up_and_tried_again() {
    let phases =
        [Phase::Connect, Phase::Greeting, Phase::Ehlo, Phase::Starttls, Phase::Tls, Phase::Auth];
    let stall = |phase| Fault::next(1, phase, Action::Stall);
    all(phases.map(|phase| check_passing(stall(phase), "CONNECTION_TIMED_OUT"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_refusal_of_the_way_pauses_sending_and_costs_no_attempt() {
    let cases = [
        (Phase::Greeting, "421 4.3.2 Service not available", "SERVER_UNAVAILABLE"),
        (
            Phase::Ehlo,
            "451 4.7.0 Temporary server error. Please try again later",
            "SERVER_UNAVAILABLE",
        ),
        (
            Phase::Starttls,
            "454 4.7.0 TLS not available due to temporary reason",
            "SERVER_UNAVAILABLE",
        ),
        (Phase::Auth, "454 4.7.0 Temporary authentication failure", "LOGIN_UNAVAILABLE"),
        (Phase::Mail, "432 4.3.2 Concurrent connections limit exceeded.", "MAILBOX_THROTTLED"),
        (Phase::EndOfData, "432 4.3.2 Concurrent connections limit exceeded.", "MAILBOX_THROTTLED"),
        (Phase::EndOfData, "421 4.3.2 Service not active", "SERVER_UNAVAILABLE"),
    ];
    let fault = |phase, reply: &str| Fault::next(1, phase, Action::Reply(reply.to_owned()));
    all(cases.map(|(phase, reply, code)| check_passing(fault(phase, reply), code))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_wanted_later_is_sent_later() {
    let cases = [
        (Phase::Rcpt, "450 4.2.1 The mailbox is busy"),
        (Phase::Data, "451 4.3.0 Local error in processing"),
        (Phase::EndOfData, "452 4.3.1 Insufficient system storage"),
    ];
    all(cases.map(|(phase, reply)| check_deferred(phase, reply))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_refused_for_good_fails_and_stops_no_other() {
    let cases = [
        (Phase::Rcpt, "550 5.1.1 User unknown", "RECIPIENT_UNKNOWN"),
        (Phase::Data, "554 5.5.0 Transaction failed", "PROVIDER_REFUSED"),
        (Phase::EndOfData, "550 5.7.703 Blocked by the tenant", "MAIL_BLOCKED"),
    ];
    all(cases.map(|(phase, reply, code)| check_refused(phase, reply, code))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_leaves_a_bulk_mail_unknown_and_never_doubles_it() {
    for action in [Action::CutAfterAccept, Action::Cut] {
        let (simulator, node) = node_with(SimConfig::exchange()).await;
        simulator.faults().push(Fault::next(1, Phase::EndOfData, action.clone()));

        let job = node.submit(bulk("unknown")).await;
        let unknown = node.wait_for_state(&job.name, MailJobState::Unknown, PATIENCE).await;

        let reason = unknown.reason.unwrap_or_default();
        assert_eq!(reason.code, "OUTCOME_UNKNOWN");
        assert!(reason.remedy.contains("sent items"), "{reason:?}");
        assert_eq!(unknown.recipients[0].state(), RecipientState::Unknown);
        let next = node.submit(bulk("next")).await;
        node.wait_for_state(&next.name, MailJobState::Sent, PATIENCE).await;
        let accepted = if action == Action::Cut { 1 } else { 2 };
        assert_eq!((simulator.accepted_count(), simulator.duplicates()), (accepted, Vec::new()));
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_credentials_go_out_again_under_the_same_message_id() {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    simulator.faults().push(Fault::next(1, Phase::EndOfData, Action::CutAfterAccept));

    let job = node.submit(guest_credentials("erika@example.com")).await;
    let deferred = node.wait_for_state(&job.name, MailJobState::Deferred, PATIENCE).await;
    let sent = node.wait_for_state(&job.name, MailJobState::Sent, RESENT).await;

    let reason = deferred.reason.unwrap_or_default();
    assert_eq!(reason.code, "OUTCOME_UNKNOWN");
    assert!(reason.remedy.contains("a second copy may arrive"), "{reason:?}");
    assert_eq!(sent.attempt_count, 2);
    let (_, attempts) = node.job(&job.name).await;
    let outcomes: Vec<_> = attempts.iter().map(|one| one.outcome.as_str()).collect();
    assert_eq!(outcomes, ["OUTCOME_UNKNOWN", "SENT"]);
    let duplicates = simulator.duplicates();
    let [twice] = duplicates.as_slice() else { panic!("{duplicates:?}") };
    assert_eq!((format!("<{}>", twice.message_id), twice.times), (job.message_id, 2));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_under_way_is_replaced_within_the_attempt() {
    for auth_failure in [AuthFailure::Exchange, AuthFailure::Google] {
        let smtp =
            SmtpConfig { session_ends_with_token: true, auth_failure, ..SmtpConfig::default() };
        let (simulator, node) = node_with(SimConfig { smtp, ..SimConfig::exchange() }).await;
        let first = node.submit(bulk("first")).await;
        node.wait_for_state(&first.name, MailJobState::Sent, PATIENCE).await;
        let before = simulator.stats();

        simulator.expire_tokens();
        let second = node.submit(bulk("second")).await;
        node.wait_for_state(&second.name, MailJobState::Sent, PATIENCE).await;

        let (_, attempts) = node.job(&second.name).await;
        assert_eq!(attempts.len(), 1, "{auth_failure:?}: {attempts:#?}");
        let stats = simulator.stats();
        assert_eq!(stats.auths_refused - before.auths_refused, 1, "{auth_failure:?}");
        assert_eq!(stats.token_requests - before.token_requests, 1, "{auth_failure:?}");
        assert_eq!(stats.protocol_errors, 0, "{auth_failure:?}");
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_stays_refused_closes_the_channel_until_new_settings() {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    let before = simulator.stats();
    let reply = "535 5.7.3 Authentication unsuccessful [sim]";
    simulator.faults().push(Fault::always(Phase::Auth, Action::Reply(reply.to_owned())));

    let job = node.submit(bulk("held")).await;
    let held = node.wait_for_state(&job.name, MailJobState::Held, PATIENCE).await;

    let reason = held.reason.unwrap_or_default();
    assert_eq!(reason.code, "INVALID_EMAIL_ADDRESS");
    assert!(reason.message.contains("535 5.7.3"), "{reason:?}");
    assert!(reason.remedy.contains("Add-MailboxPermission"), "{reason:?}");
    assert_eq!(held.attempt_count, 0);
    let channel = node.wait_for_channel(ChannelState::Closed, PATIENCE).await;
    assert!(channel.remedy.contains("Add-MailboxPermission"), "{channel:?}");
    assert!(channel.retry_time.is_some(), "{channel:?}");
    let tokens = simulator.stats().token_requests - before.token_requests;
    assert_eq!(tokens, 2, "one refused token may be chance; two are not");
    simulator.faults().clear();
    let limits = Some(v1::MailboxLimits { max_connections: 2, ..Default::default() });
    let saved = node.save_tested(v1::SmtpSettings { limits, ..settings_for(&simulator) }).await;
    assert_eq!(saved.generation, 2);
    let sent = node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;

    assert_eq!((sent.settings_generation, sent.attempt_count), (2, 1));
    node.wait_for_channel(ChannelState::Open, PATIENCE).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_that_expires_holds_jobs_until_a_new_one_is_saved() {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    simulator.expire_secrets();

    let job = node.submit(bulk("held")).await;
    let held = node.wait_for_state(&job.name, MailJobState::Held, PATIENCE).await;
    assert_eq!(held.reason.unwrap_or_default().code, "CLIENT_SECRET_EXPIRED");
    let value = SimSecret::new("sim~8Q.the-next-secret");
    let secret = ClientSecret { value, secret_id: String::new(), expires: None };
    assert!(simulator.add_secret(DEFAULT_CLIENT_ID, secret));
    let renewed = with_oauth(settings_for(&simulator), |oauth| {
        oauth.client_secret = "sim~8Q.the-next-secret".to_owned();
    });
    node.save_tested(renewed).await;

    let sent = node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;
    assert_eq!(sent.settings_generation, 2);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_in_trouble_delays_mails_and_costs_no_attempt() {
    let cases = [
        (TokenAction::Unavailable { retry_after_s: Some(2) }, "TOKEN_ENDPOINT_UNAVAILABLE"),
        (TokenAction::Unavailable { retry_after_s: None }, "TOKEN_ENDPOINT_UNAVAILABLE"),
        (TokenAction::Throttle { retry_after_s: 2 }, "TOKEN_ENDPOINT_THROTTLED"),
        (TokenAction::Stall, "TOKEN_ENDPOINT_TIMED_OUT"),
        (TokenAction::Reset, "TOKEN_ENDPOINT_UNAVAILABLE"),
    ];
    all(cases.map(|(action, code)| check_passing_token(TokenFault::next(1, action), code))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_of_the_token_endpoint_is_kept() {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    simulator.faults().push_token(TokenFault::always(TokenAction::Throttle { retry_after_s: 600 }));

    let job = node.submit(bulk("throttled")).await;
    node.wait_for_state(&job.name, MailJobState::Deferred, PATIENCE).await;

    let channel = node.wait_for_channel(ChannelState::Paused, PATIENCE).await;
    let created = job.create_time.unwrap_or_default().seconds;
    let wait_s = channel.retry_time.unwrap_or_default().seconds - created;
    assert!((590..=900).contains(&wait_s), "it waits {wait_s} s");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_is_told_as_such() {
    let other = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let elsewhere = other.token_url(DEFAULT_TENANT_ID);
    for (action, words) in [
        (TokenAction::Html, "proxy or captive portal"),
        (TokenAction::Redirect(elsewhere), "redirects to `localhost`"),
        (TokenAction::HugeBody(64 * 1024 * 1024), "token endpoint"),
    ] {
        let (simulator, node) = node_with(SimConfig::exchange()).await;
        simulator.faults().push_token(TokenFault::always(action.clone()));

        let job = node.submit(bulk("no token")).await;
        let waits = node
            .wait_until(&job.name, PATIENCE, |job| {
                matches!(job.state(), MailJobState::Deferred | MailJobState::Held)
            })
            .await;

        let reason = waits.reason.unwrap_or_default();
        assert_eq!(reason.code, "NOT_A_TOKEN_RESPONSE", "{action:?}: {reason:?}");
        assert!(reason.message.contains(words), "{action:?}: {reason:?}");
        node.stop().await;
    }
    assert_eq!(other.stats().token_requests, 0, "the secret must not follow a redirect");
}

/// A broken answer of the token endpoint, once: the mail waits without an attempt, and goes out with nobody's help.
async fn check_broken_token(body: String) {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    let answer = TokenResponse {
        status: 200,
        body: body.clone(),
        content_type: "application/json".to_owned(),
        retry_after: None,
    };
    simulator.faults().push_token(TokenFault::next(1, TokenAction::Respond(answer)));

    let job = node.submit(bulk("broken token")).await;
    let held = node.wait_for_state(&job.name, MailJobState::Held, PATIENCE).await;
    let reason = held.reason.unwrap_or_default();
    assert_eq!((reason.code.as_str(), held.attempt_count), ("NOT_A_TOKEN_RESPONSE", 0), "{body}");
    assert!(!reason.remedy.is_empty(), "{body}: {reason:?}");
    node.wait_for_channel(ChannelState::Closed, PATIENCE).await;
    let sent = node.wait_for_state(&job.name, MailJobState::Sent, ASKED_AGAIN).await;

    assert_eq!(sent.attempt_count, 1, "{body}: what the token endpoint says costs no attempt");
    let (_, attempts) = node.job(&job.name).await;
    let (last, before) = attempts.split_last().expect("it was sent");
    assert_eq!((last.outcome.as_str(), last.counted), ("SENT", true), "{body}: {attempts:#?}");
    let waited = |one: &v1::MailAttempt| one.outcome == "NOT_A_TOKEN_RESPONSE" && !one.counted;
    assert!(before.iter().all(waited), "{body}: {attempts:#?}");
    assert_eq!((simulator.accepted_count(), simulator.duplicates()), (1, Vec::new()), "{body}");
    node.wait_for_channel(ChannelState::Open, PATIENCE).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_answer_of_the_token_endpoint_holds_mails_until_it_is_whole_again() {
    let bodies = [
        "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_tok",
        "{\"token_type\":\"Bearer\",\"expires_in\":3599}",
        "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"\"}",
        "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":null}",
        "[]",
        "",
    ];
    all(bodies.map(|body| check_broken_token(body.to_owned()))).await;
}

/// A life that makes no sense is not believed, and no mail waits for it.
async fn check_odd_life(expires_in: &'static str) {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    let action = TokenAction::ExpiresInAs(expires_in.to_owned());
    simulator.faults().push_token(TokenFault::always(action));

    let names = join_all(
        (0..3).map(async |number| node.submit(bulk(&format!("odd life {number}"))).await.name),
    );
    let ended = node.wait_for_ends(&names.await, PATIENCE).await;

    for job in ended {
        let (job, attempts) = node.job(&job.name).await;
        let seen = (job.state(), job.attempt_count, attempts.len());
        assert_eq!(seen, (MailJobState::Sent, 1, 1), "{expires_in}: {attempts:#?}");
    }
    assert_eq!((simulator.accepted_count(), simulator.duplicates()), (3, Vec::new()));
    assert!(simulator.faults().shown() > 0, "{expires_in}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_life_makes_no_sense_is_used() {
    let lives = ["0", "-1", "1e30", "99999999999999999999", "18446744073709551615", "null", "{}"];
    all(lives.map(check_odd_life)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_odd_shapes_are_used() {
    for action in [
        TokenAction::Delay(500),
        TokenAction::ExpiresInAsText,
        TokenAction::ExpiresInMissing,
        TokenAction::TokenSize(12_000),
    ] {
        let smtp = SmtpConfig { inline_auth_max: Some(1000), ..SmtpConfig::default() };
        let (simulator, node) = node_with(SimConfig { smtp, ..SimConfig::exchange() }).await;
        simulator.faults().push_token(TokenFault::always(action.clone()));

        let job = node.submit(bulk("odd")).await;
        node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;

        let (_, attempts) = node.job(&job.name).await;
        assert_eq!(attempts.len(), 1, "{action:?}: {attempts:#?}");
        assert!(simulator.faults().shown() > 0, "{action:?}");
        node.stop().await;
    }
    let tokens = TokenConfig { size: 8000, ..TokenConfig::default() };
    let (_simulator, node) = node_with(SimConfig { tokens, ..SimConfig::exchange() }).await;
    let job = node.submit(bulk("a big token from the start")).await;
    node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_on_starttls_gets_no_credentials() {
    let attacks = [
        (
            SmtpConfig { starttls_stripped: true, ..SmtpConfig::default() },
            "STARTTLS_NOT_OFFERED",
            "strip STARTTLS",
        ),
        (
            SmtpConfig {
                starttls_injection: "250-sim\r\n250 AUTH XOAUTH2\r\n".to_owned(),
                ..SmtpConfig::default()
            },
            "STARTTLS_INJECTED",
            "tampering",
        ),
    ];
    for (smtp, code, words) in attacks {
        let config = SimConfig { smtp, ..SimConfig::exchange() };
        let simulator = Simulator::start(config).await.expect("the simulator starts");
        let node = TestNode::start().await;

        let report = node.test(settings_for(&simulator)).await;

        let stages = &report.nodes[0].stages;
        let failed = stages.iter().find(|stage| !stage.error_code.is_empty());
        let failed = failed.unwrap_or_else(|| panic!("no stage failed: {stages:#?}"));
        assert_eq!(failed.error_code, code);
        assert!(failed.remedy.contains(words), "{failed:?}");
        let stats = simulator.stats();
        assert_eq!((stats.auths_accepted, stats.auths_refused), (0, 0), "{code}");
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_starttls_that_vanishes_later_holds_the_mail() {
    let (simulator, node) = node_with(SimConfig::exchange()).await;
    let without = "250-sim.prod.outlook.com\n250-SIZE 1000000\n250 AUTH XOAUTH2";
    simulator.faults().push(Fault::always(Phase::Ehlo, Action::Reply(without.to_owned())));
    let before = simulator.stats();

    let job = node.submit(bulk("not in clear text")).await;
    let held = node.wait_for_state(&job.name, MailJobState::Held, PATIENCE).await;

    assert_eq!(held.reason.unwrap_or_default().code, "STARTTLS_NOT_OFFERED");
    let after = simulator.stats();
    assert_eq!(after.auths_accepted, before.auths_accepted, "nobody logs in without TLS");
    assert_eq!(simulator.accepted_count(), 0);
    node.stop().await;
}
