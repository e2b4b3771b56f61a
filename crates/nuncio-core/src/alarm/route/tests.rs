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
        code: "REFUSED".to_owned(),
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

fn smtp(host: &str, password: Option<&str>) -> SmtpTargetDraft {
    let password = password.map(|password| Password::from(password.to_owned()));
    SmtpTargetDraft {
        host: host.to_owned(),
        port: None,
        encryption: None,
        login: Some(SmtpLoginDraft { username: String::new(), password }),
        from: "nuncio@backup.example".to_owned(),
        recipients: vec!["ops@backup.example".to_owned()],
    }
}

fn by_smtp(target: SmtpTargetDraft) -> RouteDraft {
    RouteDraft { target: Some(TargetDraft::Smtp(target)), ..webhook("", None) }
}

#[test]
fn a_mail_server_has_the_port_of_its_encryption_and_logs_in_as_the_sender() {
    let port = |encryption, login| {
        let target = SmtpTargetDraft { encryption, login, ..smtp("mx.example", Some("p")) };
        let route = by_smtp(target).check(None).unwrap();
        let RouteTarget::Smtp(target) = route.target else { panic!("{route:?}") };
        (target.port, target.login.map(|login| login.username))
    };
    let login = smtp("mx.example", Some("p")).login;

    let sender = Some("nuncio@backup.example".to_owned());
    assert_eq!(port(None, login.clone()), (587, sender.clone()));
    assert_eq!(port(Some(Encryption::Tls), login), (465, sender));
    assert_eq!(port(Some(Encryption::None), None), (25, None));
}

#[test]
fn a_password_is_kept_for_its_server_only_and_never_goes_in_clear_text() {
    let saved = by_smtp(smtp("mx.example", Some("p"))).check(None).unwrap();

    let kept = by_smtp(smtp("mx.example", None)).check(Some(&saved)).unwrap();
    let elsewhere = by_smtp(smtp("evil.example", None)).check(Some(&saved)).unwrap_err();
    let another_port = SmtpTargetDraft { port: Some(588), ..smtp("mx.example", None) };

    assert_eq!(kept.target, saved.target);
    assert_eq!(elsewhere.into_iter().next().unwrap().field, "smtp.password.password");
    assert!(by_smtp(another_port).check(Some(&saved)).is_err());
    let clear =
        SmtpTargetDraft { encryption: Some(Encryption::None), ..smtp("mx.example", Some("p")) };
    assert_eq!(fields(by_smtp(clear)), ["smtp.encryption"]);
}

#[test]
fn all_faults_of_a_mail_server_are_told_at_once() {
    let target = SmtpTargetDraft {
        host: "a b".to_owned(),
        port: Some(70_000),
        encryption: None,
        login: Some(SmtpLoginDraft { username: "a b".to_owned(), password: None }),
        from: "nobody".to_owned(),
        recipients: vec!["ops@backup.example".to_owned(), "x".to_owned()],
    };

    assert_eq!(
        fields(by_smtp(target)),
        [
            "smtp.host",
            "smtp.port",
            "smtp.from_address",
            "smtp.recipients[1]",
            "smtp.password.username",
            "smtp.password.password"
        ]
    );
    let none = SmtpTargetDraft { recipients: Vec::new(), ..smtp("mx.example", Some("p")) };
    assert_eq!(fields(by_smtp(none)), ["smtp.recipients"]);
}
