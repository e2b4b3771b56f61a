use super::*;
use crate::fault::{Action, Fault, Phase, TokenAction, TokenFault, When};

#[test]
fn a_script_in_toml_changes_only_what_it_names() {
    let script = r#"
        mails_kept_max = 5

        [listen]
        starttls = "127.0.0.1:2587"

        [limits]
        messages_per_minute = 60
        over_rate = "delay"

        [tls]
        smtp = "missing_intermediate"

        [smtp]
        auth_failure = "google"
        extensions = { chunking = false }

        [[clients]]
        client_id = "app"
        secrets = [{ value = "s3cret", expires = "2027-01-01T00:00:00Z" }]

        [[mailboxes]]
        address = "alarms@contoso.example"
        send_as = ["noc@contoso.example"]

        [[recipients]]
        pattern = "refused@"
        rcpt = "550 5.1.10 no"

        [[faults.smtp]]
        phase = "end_of_data"
        action = "cut_after_accept"
        when = { between = { from_ms = 1000, to_ms = 2000 } }

        [[faults.smtp]]
        phase = "auth"
        action = { reply = "535 5.7.3 no" }
        when = { next = 2 }

        [[faults.token]]
        action = { throttle = { retry_after_s = 60 } }
    "#;

    let config: SimConfig = toml::from_str(script).unwrap();

    assert_eq!(config.mails_kept_max, 5);
    assert_eq!(config.listen.starttls.port(), 2587);
    assert_eq!(config.listen.token.port(), 0);
    assert_eq!((config.limits.messages_per_minute, config.limits.connections), (60, 3));
    assert_eq!(config.limits.over_rate, OverRate::Delay);
    assert_eq!(config.tls.smtp, CertificateKind::MissingIntermediate);
    assert_eq!(config.smtp.auth_failure, AuthFailure::Google);
    assert!(!config.smtp.extensions.chunking && config.smtp.extensions.pipelining);
    assert_eq!(config.clients[0].roles, ["SMTP.SendAsApp"]);
    assert_eq!(config.mailboxes[0].send_as, ["noc@contoso.example"]);
    assert_eq!(config.recipients.len(), 1);
    assert_eq!(config.tenants[0].id, DEFAULT_TENANT_ID);
    let cut = Fault::always(Phase::EndOfData, Action::CutAfterAccept);
    assert_eq!(
        config.faults.smtp,
        [
            Fault { when: When::Between { from_ms: 1000, to_ms: 2000 }, ..cut },
            Fault::next(2, Phase::Auth, Action::Reply("535 5.7.3 no".to_owned())),
        ]
    );
    assert_eq!(
        config.faults.token,
        [TokenFault::always(TokenAction::Throttle { retry_after_s: 60 })]
    );
}

#[test]
fn a_misspelt_key_is_an_error() {
    let error = toml::from_str::<SimConfig>("[limits]\nconections = 3").unwrap_err();
    assert!(error.to_string().contains("conections"), "{error}");
}

#[test]
fn debug_shows_no_secret() {
    let text = format!("{:?}", SimConfig::exchange());
    assert!(!text.contains(DEFAULT_CLIENT_SECRET), "{text}");
}

#[test]
fn a_pattern_is_an_address_a_local_part_or_a_domain() {
    for (pattern, address, matches) in [
        ("a@b.example", "A@B.example", true),
        ("a@b.example", "aa@b.example", false),
        ("refused@", "Refused@anywhere.example", true),
        ("refused@", "not-refused@anywhere.example", false),
        ("@b.example", "anybody@B.example", true),
        ("@b.example", "anybody@sub.b.example", false),
    ] {
        let rule = RecipientRule::refused(pattern);
        assert_eq!(rule.matches(address), matches, "`{pattern}` against `{address}`");
    }
}
