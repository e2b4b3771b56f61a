use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nuncio_core::reply::EnhancedCode;

use super::*;

fn reply(text: &str) -> SmtpReply {
    let (code, rest) = text.split_once(' ').unwrap();
    let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
    let enhanced: Option<EnhancedCode> = first.parse().ok();
    let text = if enhanced.is_some() { after } else { rest };
    SmtpReply { code: code.parse().unwrap(), enhanced, text: text.to_owned() }
}

fn check(phase: Phase, text: &str, class: Class, code: &str) {
    let finding = classify(phase, &reply(text));
    assert_eq!((finding.class, finding.code), (class, code), "{text} at {phase}");
}

fn throttled(seconds: u64) -> Class {
    Class::Throttled(Some(Duration::from_secs(seconds)))
}

#[test]
fn refused_logins() {
    let check = |text, class, code| check(Phase::Auth, text, class, code);
    check("535 5.7.3 Authentication unsuccessful [host]", Class::Login, "INVALID_EMAIL_ADDRESS");
    check("535 5.7.8 Error: authentication failed", Class::Login, "INVALID_EMAIL_ADDRESS");
    check("535 Incorrect authentication data", Class::Login, "INVALID_EMAIL_ADDRESS");
    check(
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.",
        Class::Closed,
        "SMTP_AUTH_DISABLED",
    );
    check(
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
        Class::Closed,
        "BASIC_AUTHENTICATION_DISABLED",
    );
    check(
        "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.",
        Class::Closed,
        "BLOCKED_BY_SECURITY_DEFAULTS",
    );
    check(
        "535 5.7.139 The request did not meet the criteria to be authenticated successfully.",
        Class::Closed,
        "BLOCKED_BY_POLICY",
    );
    check(
        "550 5.7.30 Basic authentication is not supported for Client Submission.",
        Class::Closed,
        "BASIC_AUTHENTICATION_DISABLED",
    );
    check("501 5.5.124 Invalid XOAUTH2 auth data", Class::Closed, "INVALID_EMAIL_ADDRESS");
    check("504 5.5.4 unknown mechanism", Class::Closed, "MECHANISM_NOT_OFFERED");
    check("454 4.7.0 Temporary authentication failure", Class::Unavailable, "LOGIN_UNAVAILABLE");
    check("421 4.3.2 Service not active", Class::Unavailable, "SERVER_UNAVAILABLE");
    check(
        "421 4.7.66 TLS 1.0 and 1.1 are not supported",
        Class::Closed,
        "TLS_VERSION_NOT_SUPPORTED",
    );
    check("538 5.7.11 Encryption required", Class::Closed, "LOGIN_REFUSED");
    check("550 5.2.251 full", Class::Closed, "MAILBOX_FULL");
    check("550 5.2.252 throttled", Class::Closed, "MAILBOX_BLOCKED");
    check("550 5.2.253 licence", Class::Closed, "MAILBOX_BLOCKED");
    check("550 5.2.255 invalid recipients", Class::Closed, "MAILBOX_BLOCKED");
}

#[test]
fn refusals_before_the_login() {
    check(
        Phase::Greeting,
        "421 4.3.2 Service not active",
        Class::Unavailable,
        "SERVER_UNAVAILABLE",
    );
    check(Phase::Greeting, "450 busy", Class::Unavailable, "SERVER_UNAVAILABLE");
    check(Phase::Greeting, "554 no service", Class::Closed, "CLIENT_REFUSED");
    check(Phase::StartTls, "454 4.7.0 TLS not available", Class::Unavailable, "SERVER_UNAVAILABLE");
    check(Phase::Ehlo, "550 5.7.1 go away", Class::Closed, "CLIENT_REFUSED");
}

#[test]
fn the_sender_and_the_session() {
    let check = |phase, text, class, code| check(phase, text, class, code);
    let text = "530 5.7.57 Client not authenticated to send mail";
    check(Phase::Mail, text, Class::SessionLost, "LOGIN_REQUIRED");
    let text = "550 5.7.60 SMTP; Client does not have permissions to send as this sender";
    check(Phase::Mail, text, Class::Sender, "SENDER_REFUSED");
    check(Phase::EndOfData, text, Class::Sender, "SENDER_REFUSED");
    let text = "554 5.2.252 SendAsDenied; a not allowed to send as b; STOREDRV.Submission";
    check(Phase::EndOfData, text, Class::Sender, "SENDER_REFUSED");
    let text =
        "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied";
    check(Phase::EndOfData, text, Class::Sender, "SENDER_REFUSED");
    let text = "553 5.7.1 <a@b>: Sender address rejected: not owned by user c";
    check(Phase::Rcpt, text, Class::Sender, "SENDER_REFUSED");
    let text = "430 4.2.0 STOREDRV; mailbox logon failure; ConnectionFailedTransientException";
    check(Phase::EndOfData, text, Class::Logon, "MAILBOX_PERMISSION_MISSING");
    let text = "430 4.2.0 STOREDRV; MapiExceptionLogonFailed";
    check(Phase::EndOfData, text, Class::Logon, "MAILBOX_PERMISSION_MISSING");
}

#[test]
fn too_much_and_too_fast() {
    let end = Phase::EndOfData;
    let concurrent =
        "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending";
    check(end, concurrent, Class::Throttled(None), "MAILBOX_THROTTLED");
    let threads = "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded";
    check(end, threads, Class::Throttled(None), "MAILBOX_THROTTLED");
    check(Phase::Auth, concurrent, Class::Throttled(None), "MAILBOX_THROTTLED");
    check(end, "432 slow down", Class::Throttled(None), "MAILBOX_THROTTLED");
    for code in [421, 451] {
        let rate = format!(
            "{code} 4.4.2 Message submission rate for this client has exceeded the configured limit"
        );
        check(Phase::Mail, &rate, throttled(60), "MAILBOX_THROTTLED");
    }
    check(Phase::Mail, "421 4.4.2 Connection timed out", Class::Unavailable, "SERVER_UNAVAILABLE");
    check(Phase::Mail, "451 4.7.500 Server busy", throttled(120), "MAILBOX_THROTTLED");
    check(
        Phase::Rcpt,
        "451 4.7.699 Access denied, please try again later",
        throttled(120),
        "MAILBOX_THROTTLED",
    );
    let blocked = Class::TooManyThrottled(Duration::from_mins(15));
    check(end, "550 5.2.254 too many recipients", blocked, "MAILBOX_BLOCKED");
    for text in [
        "452 4.5.3 Too many recipients",
        "550 4.5.3 Too many recipients",
        "552 too many recipients",
    ] {
        check(Phase::Rcpt, text, Class::TooMany, "TOO_MANY_RECIPIENTS");
    }
    // A limit of the rate, as Postfix has it, is none of the mail.
    let rate = "450 4.7.1 Error: too many recipients from 192.0.2.1";
    check(Phase::Rcpt, rate, Class::Deferred(None), PROVIDER_DEFERRED);
    let hour = Class::Deferred(Some(Duration::from_hours(1)));
    check(Phase::Rcpt, "550 5.2.121 hourly limit", hour, "RECIPIENT_THROTTLED");
    check(Phase::Rcpt, "550 5.2.122 hourly limit", hour, "RECIPIENT_THROTTLED");
    let quota = "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException";
    check(end, quota, throttled(3600), "DAY_LIMIT_REACHED");
    check(end, "554 5.2.2 SubmissionQuotaExceededException", throttled(3600), "DAY_LIMIT_REACHED");
    check(end, "550 5.2.2 Submission quota exceeded", throttled(3600), "DAY_LIMIT_REACHED");
    check(end, "550 5.1.90 too many", throttled(3600), "DAY_LIMIT_REACHED");
    check(
        Phase::Mail,
        "550 5.4.5 Daily user sending limit exceeded",
        throttled(3600),
        "DAY_LIMIT_REACHED",
    );
    let tenant = Class::TenantThrottled(Duration::from_hours(1));
    check(end, "550 5.7.232 trial", tenant, "TENANT_LIMIT_REACHED");
    check(end, "550 5.7.233 tenant", tenant, "TENANT_LIMIT_REACHED");
}

#[test]
fn blocked_mailboxes_and_tenants() {
    let check = |text, code| check(Phase::EndOfData, text, Class::Closed, code);
    check("554 5.2.2 mailbox full; Storage", "MAILBOX_FULL");
    check("554 5.2.2 STOREDRV; QuotaExceededException", "MAILBOX_FULL");
    check("550 5.2.251 mailbox full", "MAILBOX_FULL");
    check("550 5.1.8 Access denied, bad outbound sender", "MAILBOX_BLOCKED");
    check("550 5.7.501 Access denied, spam abuse detected", "MAILBOX_BLOCKED");
    check("550 5.7.503 Access denied, banned sender", "MAILBOX_BLOCKED");
    check("550 5.7.705 tenant has exceeded threshold", "TENANT_BLOCKED");
    check("550 5.7.708 traffic not accepted from this IP", "TENANT_BLOCKED");
    check("550 5.7.750 unregistered domain", "DOMAIN_NOT_REGISTERED");
}

#[test]
fn troubles_of_the_provider() {
    let check = |text| check(Phase::EndOfData, text, Class::Unavailable, "SERVER_UNAVAILABLE");
    check("451 4.7.0 Temporary server error. Please try again later. PRX5");
    check("451 4.3.111 MRH1");
    check("451 4.4.3 Temporary error ATTR18");
    check("451 4.4.24 trouble");
    check("451 4.4.25 trouble");
    check("451 4.4.28 trouble");
    check("451 4.7.700 PFA agent busy");
    check("421 4.4.1 connection timed out");
    check("421 4.3.2 Service not active");
}

#[test]
fn one_mail_or_one_recipient() {
    let refused = |phase, text, code| check(phase, text, Class::Refused, code);
    refused(Phase::EndOfData, "550 5.7.703 blocked by the tenant", "MAIL_BLOCKED");
    refused(Phase::EndOfData, "550 5.6.11 bare line feeds", "MESSAGE_INVALID");
    refused(Phase::EndOfData, "550 5.7.512 From header", "MESSAGE_INVALID");
    refused(Phase::Mail, "552 5.3.4 too big", "MAIL_TOO_LARGE");
    refused(Phase::Mail, "554 5.6.3 8 bits", "EIGHT_BIT_NOT_TAKEN");
    refused(Phase::Rcpt, "553 5.6.7 not ASCII", "SMTPUTF8_NOT_OFFERED");
    refused(Phase::Rcpt, "550 5.5.105 External sending is not supported", "RECIPIENT_EXTERNAL");
    refused(Phase::Rcpt, "550 5.1.1 nobody", "RECIPIENT_UNKNOWN");
    refused(Phase::Rcpt, "550 5.1.10 nobody", "RECIPIENT_UNKNOWN");
    refused(Phase::Rcpt, "550 5.4.1 nobody", "RECIPIENT_UNKNOWN");
    refused(Phase::Rcpt, "501 5.1.3 bad address", "RECIPIENT_INVALID");
    refused(Phase::Rcpt, "550 5.1.3 bad address", "RECIPIENT_INVALID");
    refused(Phase::Rcpt, "501 5.1.7 bad address", "RECIPIENT_INVALID");
    refused(Phase::Rcpt, "501 5.1.1 bad address", "RECIPIENT_UNKNOWN");
    refused(Phase::Rcpt, "552 5.2.2 mailbox full", "RECIPIENT_FULL");
    refused(Phase::EndOfData, "599 unheard of", PROVIDER_REFUSED);
    let deferred = |phase, text, code| check(phase, text, Class::Deferred(None), code);
    deferred(Phase::Rcpt, "450 4.2.0 Greylisted", PROVIDER_DEFERRED);
    deferred(Phase::Rcpt, "452 4.2.2 full", "RECIPIENT_FULL");
    deferred(Phase::Mail, "451 4.7.0 try later", PROVIDER_DEFERRED);
    deferred(Phase::EndOfData, "499 unheard of", PROVIDER_DEFERRED);
    deferred(Phase::EndOfData, "430 4.2.0 something else", PROVIDER_DEFERRED);
}

#[test]
fn the_more_precise_row_wins() {
    // `5.2.252` alone is the block, with this text it is the sender's missing right.
    check(Phase::EndOfData, "550 5.2.252 SendAsDenied", Class::Sender, "SENDER_REFUSED");
    check(Phase::EndOfData, "550 5.2.252 blocked", Class::Closed, "MAILBOX_BLOCKED");
}

#[test]
fn every_row_can_be_reached() {
    for row in ROWS {
        let enhanced = match &row.enhanced {
            Enhanced::Any => None,
            Enhanced::One(class, subject, detail) => Some((*class, *subject, *detail)),
            Enhanced::Range(class, subject, details) => Some((*class, *subject, *details.start())),
        };
        let enhanced =
            enhanced.map(|(class, subject, detail)| EnhancedCode { class, subject, detail });
        let code = if row.basic == 0 { 550 } else { row.basic };
        let reply = SmtpReply { code, enhanced, text: row.text.to_owned() };
        let phase = row.phases.first().copied().unwrap_or(Phase::Mail);

        let finding = classify(phase, &reply);

        assert_eq!((finding.class, finding.code), (row.class, row.code), "{row:?}");
        assert_eq!(row.text, row.text.to_lowercase(), "{row:?}");
        assert!(!row.cause.is_empty() && !row.remedy.is_empty(), "{row:?} leaves somebody alone");
    }
}

#[test]
fn whoever_meets_a_reply_without_a_row_is_told_what_to_do() {
    for phase in [Phase::Greeting, Phase::Auth, Phase::Mail, Phase::Rcpt, Phase::EndOfData] {
        for code in [421, 499, 599] {
            let finding = classify(phase, &reply(&format!("{code} unheard of")));
            assert!(!finding.remedy.is_empty(), "{finding:?}");
        }
    }
}

/// The codes in the tables of OPERATIONS.md under "Reason codes".
fn documented() -> BTreeSet<&'static str> {
    let page = include_str!("../../../../docs/OPERATIONS.md");
    let (_, tables) = page.split_once("## Reason codes").expect("the page has them");
    let (tables, _) = tables.split_once("\n## ").expect("another chapter follows");
    let first_cells = tables.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    // Between backticks.
    first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_code_of_the_table_is_documented() {
    let defaults =
        [LOGIN_UNAVAILABLE, LOGIN_REFUSED, SERVER_UNAVAILABLE, CLIENT_REFUSED, DEFERRED, REFUSED];
    let codes = ROWS.iter().map(|row| row.code).chain(defaults.iter().map(|one| one.code));
    let missing: BTreeSet<_> = codes.filter(|code| !documented().contains(code)).collect();
    assert!(missing.is_empty(), "not in docs/OPERATIONS.md: {missing:?}");
}

#[test]
fn every_documented_code_is_told_by_something() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("they lie side by side");
    let mut sources = String::new();
    for one in ["core", "smtp", "oauth", "net", "tls", "delivery"] {
        read_into(&mut sources, &crates.join(format!("nuncio-{one}/src")));
    }
    let is_told = |code: &&str| sources.contains(&format!("\"{code}\""));
    let idle: Vec<_> = documented().into_iter().filter(|code| !is_told(code)).collect();
    assert!(idle.is_empty(), "in docs/OPERATIONS.md only: {idle:?}");
}

fn read_into(sources: &mut String, folder: &Path) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            read_into(sources, &path);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("tests.rs") {
            sources.push_str(&fs::read_to_string(path).expect("it can be read"));
        }
    }
}
