use nuncio_core::address::EmailAddress;
use nuncio_core::conformance::settings::all_shapes;

use super::*;

fn saved(settings: SmtpSettings) -> SavedSmtpSettings {
    let saved_at = "2026-11-23T12:34:56.789012345Z".parse().unwrap();
    let summary = "host".to_owned();
    let history = vec![DocumentChange { caller: "local".to_owned(), at: saved_at, summary }];
    SavedSmtpSettings { settings, generation: 7, saved_at, history }
}

/// A document as text, with one thing replaced.
fn document(from: &str, to: &str) -> String {
    let json = encode(&saved(all_shapes().remove(0)));
    let text = str::from_utf8(&json).unwrap();
    assert!(text.contains(from), "`{from}` is not in {text}");
    text.replacen(from, to, 1)
}

fn check_refused(text: &str, expect: &str) {
    assert_eq!(decode(text.as_bytes(), 7).unwrap_err().to_string(), expect);
}

#[test]
fn settings_of_every_shape_come_back() {
    for settings in all_shapes() {
        let saved = saved(settings);

        assert_eq!(decode(&encode(&saved), 7).unwrap(), saved);
    }
}

#[test]
fn version_1_stays_readable() {
    let text = r#"{"version":1,"saved_at":"2026-11-23T12:34:56.789012345Z","provider":"exchange_online",
        "host":"relay.example.com","port":587,"connect_timeout_ms":1500,"encryption":"start_tls",
        "email_address":"nuncio@example.com","authentication":{"oauth":{
        "client_id":"11111111-2222-3333-4444-555555555555","tenant_id":"contoso.example",
        "credential":{"secret_post":{"client_secret":"shape-secret"}},
        "client_secret_expire_date":"2027-03-15",
        "token_endpoint":"https://login.example.com/oauth2/v2.0/token",
        "scope":"https://outlook.example.com/.default offline"}},
        "ca_certificates_pem":"-----BEGIN CERTIFICATE-----\nCCCC\n-----END CERTIFICATE-----\n",
        "connections_max":3,"messages_per_minute_max":30}"#;

    let mut expect =
        SmtpSettings { additional_mailboxes: Vec::new(), proxy: None, ..all_shapes().remove(0) };
    let Authentication::Oauth(client) = &mut expect.authentication else { panic!("it is OAuth") };
    client.next_secret = None;
    let expect = SavedSmtpSettings { history: Vec::new(), ..saved(expect) };
    assert_eq!(decode(text.as_bytes(), 7).unwrap(), expect);
}

#[test]
fn version_2_stays_readable() {
    let text = r#"{"version":2,"saved_at":"2026-11-23T12:34:56.789012345Z","provider":"generic",
        "host":"relay.example.com","port":587,"connect_timeout_ms":60000,"encryption":"none",
        "email_address":"nuncio@example.com","additional_mailboxes":["nuncio-2@example.com"],
        "authentication":"none","ca_certificates_pem":"","connections_max":3,
        "messages_per_minute_max":null,"recipients_per_day_max":400,
        "proxy":{"url":"http://squid.example.com:3128","credentials":{"username":"u","password":"p"},
        "bypass":[".corp.example.com","10.0.0.0/8"]}}"#;

    let settings = decode(text.as_bytes(), 7).unwrap().settings;

    let mailboxes: Vec<_> = settings.mailboxes().map(EmailAddress::as_str).collect();
    assert_eq!(mailboxes, ["nuncio@example.com", "nuncio-2@example.com"]);
    assert_eq!(settings.limits.recipients_per_day_max, Some(400));
    let proxy = settings.proxy.unwrap();
    assert_eq!(proxy.address.to_string(), "http://squid.example.com:3128");
    assert_eq!(proxy.credentials.unwrap().username, "u");
    assert!(!proxy.bypass.iter().any(|bypass| bypass.holds("mail.example.com")));
}

#[test]
fn a_later_version_is_refused_with_what_to_do() {
    check_refused(
        &document(r#""version":4"#, r#""version":5,"colour":"green""#),
        "it has version 5 of its format, and this nuncio knows version 4; run the nuncio that wrote it, or a \
         newer one",
    );
}

#[test]
fn what_is_malformed_is_told_without_its_content() {
    let malformed = "its content does not have the shape of its version: ";
    check_refused("", &format!("{malformed}it is no JSON with a `version`"));
    check_refused("{}", &format!("{malformed}it is no JSON with a `version`"));
    check_refused(
        &document("nuncio@example.com", "nuncio"),
        &format!("{malformed}`email_address` is no address"),
    );
    check_refused(
        &document("nuncio-2@example.com", "nuncio"),
        &format!("{malformed}`additional_mailboxes` is no address"),
    );
    check_refused(
        &document("http://squid", "ftp://squid"),
        &format!("{malformed}`proxy.url` cannot be read"),
    );
    check_refused(
        &document(".corp.example.com", "a b"),
        &format!("{malformed}`proxy.bypass` cannot be read"),
    );
    for (from, to) in [
        (r#""port":587"#, r#""port":"shape-secret""#),
        ("secret_post", "shape-secret"),
        (r#""provider""#, r#""shape-secret":1,"provider""#),
    ] {
        let error = decode(document(from, to).as_bytes(), 7).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{malformed}unexpected value at line 1")), "{error}");
        assert!(!error.contains("shape-secret"), "{error}");
    }
}
