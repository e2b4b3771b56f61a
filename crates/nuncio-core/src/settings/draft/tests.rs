use super::*;
use crate::settings::ClientCredential;
use crate::settings::proxy::{ProxyAddress, ProxyCredentials};

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";

/// Exchange Online with as little as an operator must give.
fn exchange() -> SmtpSettingsDraft {
    SmtpSettingsDraft {
        provider: Some(Provider::ExchangeOnline),
        email_address: "portal@example.com".to_owned(),
        authentication: oauth(exchange_client()),
        ..SmtpSettingsDraft::default()
    }
}

fn exchange_client() -> OauthDraft {
    OauthDraft {
        client_id: "11111111-2222-3333-4444-555555555555".to_owned(),
        tenant_id: "contoso.onmicrosoft.com".to_owned(),
        client_secret: Some("s3cret".to_owned().into()),
        ..OauthDraft::default()
    }
}

fn certificate_client() -> OauthDraft {
    OauthDraft {
        client_secret: None,
        certificate_pem: CERTIFICATE.to_owned(),
        private_key: Some(PRIVATE_KEY.to_owned().into()),
        ..exchange_client()
    }
}

fn oauth(draft: OauthDraft) -> AuthenticationDraft {
    AuthenticationDraft::Oauth(Box::new(draft))
}

fn with_client(draft: OauthDraft) -> SmtpSettingsDraft {
    SmtpSettingsDraft { authentication: oauth(draft), ..exchange() }
}

/// An internal relay with a password.
fn relay(password: Option<&str>) -> SmtpSettingsDraft {
    SmtpSettingsDraft {
        host: "relay.example.com".to_owned(),
        port: 587,
        email_address: "portal@example.com".to_owned(),
        authentication: AuthenticationDraft::Password {
            username: "portal".to_owned(),
            password: password.map(|password| password.to_owned().into()),
        },
        ..SmtpSettingsDraft::default()
    }
}

fn client(settings: SmtpSettings) -> OauthClient {
    match settings.authentication {
        Authentication::Oauth(client) => client,
        other @ (Authentication::None | Authentication::Password { .. }) => panic!("{other:?}"),
    }
}

/// Checks a draft; `expect` names the fields that are wrong.
#[track_caller]
fn check(draft: SmtpSettingsDraft, expect: &str) {
    let violations = draft.check(None).err().unwrap_or_default();
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields.join(" "), expect, "{violations}");
}

#[test]
fn exchange_online_needs_only_who_it_is() {
    let settings = exchange().check(None).unwrap();

    assert_eq!((settings.host.as_str(), settings.port), ("smtp.office365.com", 587));
    assert_eq!(settings.encryption, Encryption::StartTls);
    assert_eq!(settings.connect_timeout, Duration::from_mins(1));
    let limits = MailboxLimits {
        connections_max: 3,
        messages_per_minute_max: Some(30),
        recipients_per_day_max: Some(10_000),
    };
    assert_eq!(settings.limits, limits);
    let client = client(settings);
    assert_eq!(client.scope, "https://outlook.office365.com/.default");
    let endpoint = "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token";
    assert_eq!(client.token_endpoint, endpoint);
    assert!(matches!(client.credential, ClientCredential::SecretPost(_)));
}

#[test]
fn what_a_provider_fills_in_can_be_changed() {
    let client_draft = OauthDraft {
        token_endpoint: "https://127.0.0.1:8443/token".to_owned(),
        scope: "mail.send other".to_owned(),
        ..exchange_client()
    };
    let draft = SmtpSettingsDraft {
        host: "127.0.0.1".to_owned(),
        port: 465,
        encryption: Some(Encryption::Tls),
        connections_max: 1,
        messages_per_minute_max: 5,
        recipients_per_day_max: 400,
        ..with_client(client_draft)
    };

    let settings = draft.check(None).unwrap();

    assert_eq!((settings.host.as_str(), settings.port), ("127.0.0.1", 465));
    assert_eq!(settings.encryption, Encryption::Tls);
    let limits = MailboxLimits {
        connections_max: 1,
        messages_per_minute_max: Some(5),
        recipients_per_day_max: Some(400),
    };
    assert_eq!(settings.limits, limits);
    let client = client(settings);
    assert_eq!(client.token_endpoint, "https://127.0.0.1:8443/token");
    assert_eq!(client.scope, "mail.send other");
}

#[test]
fn a_generic_provider_needs_everything() {
    let generic = SmtpSettingsDraft {
        provider: None,
        authentication: oauth(OauthDraft::default()),
        ..SmtpSettingsDraft::default()
    };

    check(
        generic,
        "host port email_address oauth.client_id oauth.token_endpoint oauth.client_secret",
    );
}

fn pool(mailboxes: &[&str], draft: SmtpSettingsDraft) -> SmtpSettingsDraft {
    let additional_mailboxes = mailboxes.iter().map(|one| (*one).to_owned()).collect();
    SmtpSettingsDraft { additional_mailboxes, ..draft }
}

#[test]
fn additional_mailboxes_send_beside_the_first() {
    let settings = pool(&["b@example.com", "a@example.com"], exchange()).check(None).unwrap();

    let mailboxes: Vec<_> = settings.mailboxes().map(EmailAddress::as_str).collect();
    assert_eq!(mailboxes, ["portal@example.com", "b@example.com", "a@example.com"]);
}

#[test]
fn every_wrong_mailbox_is_named() {
    check(
        pool(
            &["Portal@Example.com", "b@example.com", "", "B@example.com", "a b@example.com"],
            exchange(),
        ),
        "additional_mailboxes[0] additional_mailboxes[2] additional_mailboxes[3] additional_mailboxes[4]",
    );
    let many: Vec<String> = (0..=20).map(|number| format!("m{number}@example.com")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    check(pool(&many[..20], exchange()), "");
    check(pool(&many, exchange()), "additional_mailboxes");
}

#[test]
fn additional_mailboxes_need_oauth() {
    let mailboxes = ["b@example.com", "c@example.com"];
    for authentication in [relay(Some("pw")).authentication, AuthenticationDraft::None] {
        let draft = SmtpSettingsDraft { authentication, ..relay(None) };
        check(pool(&mailboxes, draft), "additional_mailboxes[0] additional_mailboxes[1]");
    }
}

fn proxy(url: &str, username: &str, password: Option<&str>) -> ProxyDraft {
    ProxyDraft {
        url: url.to_owned(),
        username: username.to_owned(),
        password: password.map(|password| password.to_owned().into()),
        bypass: Vec::new(),
    }
}

fn through(proxy: ProxyDraft, draft: SmtpSettingsDraft) -> SmtpSettingsDraft {
    SmtpSettingsDraft { proxy: Some(proxy), ..draft }
}

const SQUID: &str = "http://squid.example.com:3128";

#[test]
fn a_proxy_is_used_but_for_the_servers_past_it() {
    let draft = ProxyDraft {
        bypass: vec![".corp.example.com".to_owned()],
        ..proxy(SQUID, "nuncio", Some("pw"))
    };

    let settings = through(draft.clone(), exchange()).check(None).unwrap();
    let used = settings.smtp_proxy().unwrap();
    assert_eq!(used.address, SQUID.parse::<ProxyAddress>().unwrap());
    let password = "pw".to_owned().into();
    let username = "nuncio".to_owned();
    assert_eq!(used.credentials, Some(ProxyCredentials { username, password }));

    let inside = SmtpSettingsDraft { host: "mx.corp.example.com".to_owned(), ..exchange() };
    assert_eq!(through(draft, inside).check(None).unwrap().smtp_proxy(), None);
}

#[test]
fn everything_that_is_wrong_with_a_proxy_is_told() {
    let wrong = ProxyDraft {
        bypass: vec!["10.0.0.0/8".to_owned(), "a b".to_owned(), String::new()],
        ..proxy("squid:3128", "us:er", None)
    };
    check(
        through(wrong, exchange()),
        "proxy.url proxy.bypass[1] proxy.bypass[2] proxy.username proxy.password",
    );
    check(through(proxy(SQUID, "", Some("pw")), exchange()), "proxy.username");
    check(
        through(proxy(SQUID, "a\r\nb", Some("p\nw")), exchange()),
        "proxy.username proxy.password",
    );
    let long = "x".repeat(256);
    check(through(proxy(SQUID, &long, Some(&long)), exchange()), "proxy.username proxy.password");
    let many = ProxyDraft { bypass: vec!["a".to_owned(); 101], ..proxy(SQUID, "", None) };
    check(through(many, exchange()), "proxy.bypass");
    let socks = proxy("socks5://socks:1080", "us:er", Some("pw"));
    check(through(socks, exchange()), "");
}

#[test]
fn the_password_of_a_proxy_is_kept_for_the_same_proxy_and_user_only() {
    let saved = through(proxy(SQUID, "nuncio", Some("pw")), exchange()).check(None).unwrap();
    let again = |url: &str, username: &str| {
        let settings = through(proxy(url, username, None), exchange()).check(Some(&saved));
        settings.map(|settings| settings.proxy.unwrap().credentials).map_err(|violations| {
            violations.iter().map(|one| one.field.clone()).collect::<Vec<_>>().join(" ")
        })
    };

    assert_eq!(again(SQUID, "nuncio"), Ok(saved.proxy.as_ref().unwrap().credentials.clone()));
    assert_eq!(again(SQUID, ""), Ok(None));
    assert_eq!(again(SQUID, "other"), Err("proxy.password".to_owned()));
    assert_eq!(again("http://mine.test:3128", "nuncio"), Err("proxy.password".to_owned()));
}

/// Who brings proxy and authority makes any server, and would get what is saved.
#[test]
fn saved_secrets_need_the_same_proxy_or_the_same_authorities() {
    let saved_secret = exchange().check(None).unwrap();
    let saved_key = with_client(certificate_client()).check(None).unwrap();
    let saved_password = relay(Some("pw")).check(None).unwrap();
    let no_key = OauthDraft { private_key: None, ..certificate_client() };
    let no_secret = OauthDraft { client_secret: None, ..exchange_client() };
    for (saved, draft, field) in [
        (&saved_secret, with_client(no_secret), "oauth.client_secret"),
        (&saved_key, with_client(no_key), "oauth.private_key_pem"),
        (&saved_password, relay(None), "password.password"),
    ] {
        let mine = through(proxy("http://mine.test:3128", "", None), draft.clone());
        assert!(mine.clone().check(Some(saved)).is_ok(), "{field}");
        let authority = SmtpSettingsDraft { ca_certificates_pem: CERTIFICATE.to_owned(), ..draft };
        assert!(authority.check(Some(saved)).is_ok(), "{field}");

        let both = SmtpSettingsDraft { ca_certificates_pem: CERTIFICATE.to_owned(), ..mine };
        let violations = both.check(Some(saved)).unwrap_err();
        let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, [field]);
    }
}

#[test]
fn a_host_is_a_name_without_scheme() {
    for (host, expect) in [
        ("smtp.example.com", ""),
        ("192.0.2.1", ""),
        ("smtp://example.com", "host"),
        ("a b", "host"),
        ("a\r\nb", "host"),
    ] {
        check(SmtpSettingsDraft { host: host.to_owned(), ..exchange() }, expect);
    }
}

#[test]
fn numbers_stay_in_their_ranges() {
    let port = |port| SmtpSettingsDraft { port, ..exchange() };
    check(port(65_535), "");
    check(port(65_536), "port");
    check(port(-1), "port");
    let timeout = |seconds| SmtpSettingsDraft {
        connect_timeout: Some(Duration::from_secs(seconds)),
        ..exchange()
    };
    check(timeout(1), "");
    check(timeout(300), "");
    check(timeout(0), "connect_timeout");
    check(timeout(301), "connect_timeout");
    let limits = |connections_max, messages_per_minute_max| SmtpSettingsDraft {
        connections_max,
        messages_per_minute_max,
        ..exchange()
    };
    check(limits(100, 100_000), "");
    check(limits(101, 100_001), "limits.max_connections limits.max_messages_per_minute");
    check(limits(-1, -1), "limits.max_connections limits.max_messages_per_minute");
}

#[test]
fn credentials_never_go_in_clear_text() {
    let clear = Some(Encryption::None);
    check(SmtpSettingsDraft { encryption: clear, ..exchange() }, "encryption");
    check(SmtpSettingsDraft { encryption: clear, ..relay(Some("pw")) }, "encryption");
    let authentication = AuthenticationDraft::None;
    check(SmtpSettingsDraft { encryption: clear, authentication, ..relay(None) }, "");
}

#[test]
fn a_tenant_is_one_tenant() {
    for (tenant, expect) in [
        ("11111111-2222-3333-4444-555555555555", ""),
        ("", "oauth.tenant_id"),
        ("common", "oauth.tenant_id"),
        ("organizations", "oauth.tenant_id"),
        ("../evil", "oauth.tenant_id"),
    ] {
        check(
            with_client(OauthDraft { tenant_id: tenant.to_owned(), ..exchange_client() }),
            expect,
        );
    }
}

#[test]
fn a_token_endpoint_is_an_https_url() {
    for (url, expect) in [
        ("https://login.example.com/token", ""),
        ("http://login.example.com/token", "oauth.token_endpoint"),
        ("login.example.com/token", "oauth.token_endpoint"),
        ("https://", "oauth.token_endpoint"),
        ("https:///token", "oauth.token_endpoint"),
        ("https://user@login.example.com/token", "oauth.token_endpoint"),
        ("https://login.example.com/token ", "oauth.token_endpoint"),
    ] {
        let token_endpoint = url.to_owned();
        check(with_client(OauthDraft { token_endpoint, ..exchange_client() }), expect);
    }
}

#[test]
fn a_pasted_line_break_is_noticed() {
    let pasted = |secret: &str| Some(ClientSecret::from(secret.to_owned()));
    let client_secret = pasted("s3cret\n");
    check(with_client(OauthDraft { client_secret, ..exchange_client() }), "oauth.client_secret");
    let client_id = "1111 ".to_owned();
    check(with_client(OauthDraft { client_id, ..exchange_client() }), "oauth.client_id");
    let scope = "a\nb".to_owned();
    check(with_client(OauthDraft { scope, ..exchange_client() }), "oauth.scope");
}

#[test]
fn an_expiry_date_is_a_day() {
    for (date, expect) in [
        ("2027-03-15", ""),
        ("", ""),
        ("2027-02-30", "oauth.client_secret_expire_date"),
        ("15.03.2027", "oauth.client_secret_expire_date"),
    ] {
        let client_secret_expire_date = date.to_owned();
        check(with_client(OauthDraft { client_secret_expire_date, ..exchange_client() }), expect);
    }
}

#[test]
fn a_client_proves_itself_by_secret_or_certificate() {
    let credential = |draft| client(with_client(draft).check(None).unwrap()).credential;
    let basic = OauthDraft { client_secret_basic: true, ..exchange_client() };
    assert!(matches!(credential(basic), ClientCredential::SecretBasic(_)));
    assert!(matches!(credential(certificate_client()), ClientCredential::Certificate { .. }));

    let both =
        OauthDraft { client_secret: exchange_client().client_secret, ..certificate_client() };
    check(with_client(both), "oauth.client_secret");
    let no_key = OauthDraft { private_key: None, ..certificate_client() };
    check(with_client(no_key), "oauth.private_key_pem");
    let no_secret = OauthDraft { client_secret: None, ..exchange_client() };
    check(with_client(no_secret), "oauth.client_secret");
}

#[test]
fn pem_texts_are_pem_texts() {
    let ca_certificates_pem = "not a certificate".to_owned();
    check(SmtpSettingsDraft { ca_certificates_pem, ..exchange() }, "ca_certificates_pem");
    let certificate_pem = PRIVATE_KEY.to_owned();
    let swapped = OauthDraft { certificate_pem, ..certificate_client() };
    check(with_client(swapped), "oauth.certificate_pem");
    let private_key = Some(CERTIFICATE.to_owned().into());
    let swapped = OauthDraft { private_key, ..certificate_client() };
    check(with_client(swapped), "oauth.private_key_pem");
    let ca_certificates_pem = CERTIFICATE.repeat(PEM_BYTES_MAX / CERTIFICATE.len() + 1);
    check(SmtpSettingsDraft { ca_certificates_pem, ..exchange() }, "ca_certificates_pem");
}

#[test]
fn a_secret_that_is_left_out_stays_as_it_was_saved() {
    let saved = exchange().check(None).unwrap();
    let left_out = with_client(OauthDraft { client_secret: None, ..exchange_client() });
    assert_eq!(left_out.check(Some(&saved)).unwrap(), saved);

    let saved = with_client(certificate_client()).check(None).unwrap();
    let left_out = with_client(OauthDraft { private_key: None, ..certificate_client() });
    assert_eq!(left_out.check(Some(&saved)).unwrap(), saved);

    let saved = relay(Some("pw")).check(None).unwrap();
    assert_eq!(relay(None).check(Some(&saved)).unwrap(), saved);
}

/// A client with a next secret: the saved one, if no value is given.
fn followed(value: Option<&str>, expire_date: &str) -> OauthDraft {
    let secret = value.map(|value| value.to_owned().into());
    let next_secret = Some(NextSecretDraft { secret, expire_date: expire_date.to_owned() });
    OauthDraft {
        next_secret,
        client_secret_expire_date: "2027-03-15".to_owned(),
        ..exchange_client()
    }
}

#[test]
fn a_next_secret_is_kept_replaced_or_left_out() {
    let saved = with_client(followed(Some("n3xt"), "2027-09-15")).check(None).unwrap();
    let next = client(saved.clone()).next_secret.unwrap();
    assert_eq!(
        (next.secret.expose(), next.expire_date),
        ("n3xt", Some(jiff::civil::date(2027, 9, 15)))
    );

    let kept = with_client(followed(None, "2027-10-01")).check(Some(&saved)).unwrap();
    let next = client(kept).next_secret.unwrap();
    assert_eq!(
        (next.secret.expose(), next.expire_date),
        ("n3xt", Some(jiff::civil::date(2027, 10, 1)))
    );

    let removed = with_client(exchange_client()).check(Some(&saved)).unwrap();
    assert_eq!(client(removed).next_secret, None);
}

#[test]
fn a_next_secret_takes_the_place_of_the_first_with_its_date() {
    let saved = with_client(followed(Some("n3xt"), "2027-09-15")).check(None).unwrap();
    let promote = OauthDraft {
        client_secret: None,
        promote_next_secret: true,
        ..followed(None, "2027-09-15")
    };

    let promoted = client(with_client(promote.clone()).check(Some(&saved)).unwrap());

    assert_eq!(promoted.credential, ClientCredential::SecretPost("n3xt".to_owned().into()));
    assert_eq!(promoted.client_secret_expire_date, Some(jiff::civil::date(2027, 9, 15)));
    assert_eq!(promoted.next_secret, None);
    let third =
        NextSecretDraft { secret: Some("th1rd".to_owned().into()), ..NextSecretDraft::default() };
    let with_third = OauthDraft { next_secret: Some(third), ..promote };
    let with_third = client(with_client(with_third).check(Some(&saved)).unwrap());
    assert_eq!(with_third.next_secret.unwrap().secret.expose(), "th1rd");
}

#[test]
fn what_is_wrong_with_a_next_secret_is_told() {
    let promote = OauthDraft { promote_next_secret: true, ..exchange_client() };
    check(with_client(followed(None, "")), "oauth.next_client_secret.value");
    check(with_client(followed(Some("n3xt "), "")), "oauth.next_client_secret.value");
    check(with_client(followed(Some("s3cret"), "")), "oauth.next_client_secret.value");
    check(with_client(followed(Some("n3xt"), "soon")), "oauth.next_client_secret.expire_date");
    check(with_client(promote.clone()), "oauth.client_secret");
    let nothing_saved = OauthDraft { client_secret: None, ..promote };
    check(with_client(nothing_saved), "oauth.promote_next_client_secret");
    let beside_certificate = OauthDraft {
        next_secret: Some(NextSecretDraft {
            secret: Some("n3xt".to_owned().into()),
            ..NextSecretDraft::default()
        }),
        ..certificate_client()
    };
    check(with_client(beside_certificate), "oauth.next_client_secret.value");
    let promoted_certificate = OauthDraft { promote_next_secret: true, ..certificate_client() };
    check(with_client(promoted_certificate), "oauth.promote_next_client_secret");
}

#[test]
fn a_saved_next_secret_goes_to_no_other_token_endpoint() {
    let saved = with_client(followed(Some("n3xt"), "")).check(None).unwrap();
    let elsewhere = OauthDraft {
        client_secret: None,
        token_endpoint: "https://elsewhere.example.com/token".to_owned(),
        ..followed(None, "")
    };
    let promoted = OauthDraft { promote_next_secret: true, ..elsewhere.clone() };

    let kept = with_client(elsewhere).check(Some(&saved)).unwrap_err();
    let promoted = with_client(promoted).check(Some(&saved)).unwrap_err();

    let fields: Vec<_> = kept.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["oauth.client_secret", "oauth.next_client_secret.value"]);
    assert_eq!(promoted.iter().next().unwrap().field, "oauth.client_secret");
}

#[test]
fn a_saved_secret_of_another_kind_does_not_help() {
    let saved = relay(Some("pw")).check(None).unwrap();
    let left_out = with_client(OauthDraft { client_secret: None, ..exchange_client() });
    let refused = left_out.check(Some(&saved)).unwrap_err();
    assert_eq!(refused.iter().next().unwrap().field, "oauth.client_secret");

    let saved = exchange().check(None).unwrap();
    let refused = relay(None).check(Some(&saved)).unwrap_err();
    assert_eq!(refused.iter().next().unwrap().field, "password.password");
}

#[test]
fn no_violation_shows_a_secret() {
    let client_secret = Some(ClientSecret::from("Tr0ub4dor\n".to_owned()));
    let private_key = Some(PrivateKeyPem::from("Tr0ub4dor".to_owned()));
    let draft = OauthDraft { client_secret, private_key, ..certificate_client() };

    let violations = with_client(draft).check(None).unwrap_err();

    assert!(!format!("{violations:?} {violations}").contains("Tr0ub4dor"));
}

#[test]
fn a_saved_client_secret_goes_to_no_other_token_endpoint() {
    let saved = exchange().check(None).unwrap();
    let elsewhere = OauthDraft {
        client_secret: None,
        token_endpoint: "https://elsewhere.example.com/token".to_owned(),
        ..exchange_client()
    };

    let violations = with_client(elsewhere).check(Some(&saved)).unwrap_err();

    let problem = "is missing; the saved one is for another token endpoint: give it again";
    assert_eq!(violations.to_string(), format!("  oauth.client_secret: {problem}"));
}

#[test]
fn a_saved_password_goes_to_no_other_server() {
    let saved = relay(Some("hunter2")).check(None).unwrap();
    let elsewhere = SmtpSettingsDraft { host: "elsewhere.example.com".to_owned(), ..relay(None) };

    let violations = elsewhere.check(Some(&saved)).unwrap_err();

    let problem = "is missing; the saved one is for another server: give it again";
    assert_eq!(violations.to_string(), format!("  password.password: {problem}"));
}

#[test]
fn a_user_name_that_is_left_out_is_the_email_address() {
    let name_of = |username: &str| {
        let password = Some(Password::from("secret".to_owned()));
        let username = username.to_owned();
        let authentication = AuthenticationDraft::Password { username, password };
        match (SmtpSettingsDraft { authentication, ..relay(None) }).check(None).unwrap() {
            SmtpSettings { authentication: Authentication::Password { username, .. }, .. } => {
                username
            }
            other => panic!("{other:?}"),
        }
    };
    let address = relay(None).email_address;

    assert_eq!(name_of(""), address);
    assert_eq!(name_of("portal"), "portal");
}
