use super::*;

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

fn webhook(url: &str, secret: Option<&str>) -> RouteDraft {
    let secret = secret.map(|secret| Sensitive::from(secret.to_owned()));
    RouteDraft {
        id: "on-call".to_owned(),
        enabled: true,
        target: Some(TargetDraft::Webhook { url: url.to_owned(), secret }),
        timeout: None,
        ca_certificates_pem: String::new(),
    }
}

fn fields(draft: RouteDraft) -> Vec<String> {
    let violations = draft.check(None).unwrap_err();
    violations.into_iter().map(|one| one.field).collect()
}

#[test]
fn a_webhook_needs_https_except_to_this_machine() {
    for url in ["https://a.example", "http://127.0.0.1:1/x", "http://[::1]/", "http://localhost/"] {
        webhook(url, Some(SECRET)).check(None).unwrap();
    }
    for url in ["http://a.example", "ftp://a", "https://", "https://u:p@a", "a", "https://a/ b"] {
        assert_eq!(fields(webhook(url, Some(SECRET))), ["webhook.url"], "{url}");
    }
}

#[test]
fn a_secret_is_kept_for_its_url_only() {
    let saved = webhook("https://a.example", Some(SECRET)).check(None).unwrap();

    webhook("https://a.example", None).check(Some(&saved)).unwrap();
    let elsewhere = webhook("https://b.example", None).check(Some(&saved));

    assert!(elsewhere.is_err());
    for bad in ["", "MDEy", "whsec_short", "whsec_%%%%MzQ1Njc4OWFiY2RlZjAxMjM0NTY3"] {
        assert_eq!(fields(webhook("https://a.example", Some(bad))), ["webhook.secret"], "{bad}");
    }
}

#[test]
fn all_faults_of_a_route_are_told_at_once() {
    let draft = RouteDraft {
        id: "On Call".to_owned(),
        enabled: true,
        target: Some(TargetDraft::Syslog {
            host: "a b".to_owned(),
            port: Some(70_000),
            transport: SyslogTransport::Tls,
        }),
        timeout: Some(Duration::from_hours(1)),
        ca_certificates_pem: "-----BEGIN PRIVATE KEY-----".to_owned(),
    };

    assert_eq!(
        fields(draft),
        ["name", "timeout", "ca_certificates_pem", "syslog.host", "syslog.port"]
    );
}

#[test]
fn a_message_is_tried_ever_more_rarely_for_a_day() {
    let failure = RouteFailure {
        code: "REFUSED",
        message: String::new(),
        retry_after: None,
        not_understood: false,
    };
    let pause = |tries| next_try(&failure, tries, Duration::ZERO, 0.0).unwrap().as_secs();

    assert_eq!([1, 2, 3, 4, 9, 100].map(pause), [5, 15, 45, 135, 900, 900]);
    assert_eq!(next_try(&failure, 5, TRY_FOR, 0.0), None);
    let wish = RouteFailure { retry_after: Some(Duration::from_mins(1)), ..failure.clone() };
    assert_eq!(next_try(&wish, 1, Duration::ZERO, 0.0), Some(Duration::from_mins(1)));
    let poison = RouteFailure { not_understood: true, ..failure };
    assert_eq!(next_try(&poison, NOT_UNDERSTOOD_TRIES, Duration::ZERO, 0.0), None);
}
