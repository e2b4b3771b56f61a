use super::*;

#[test]
fn a_refusal_looks_like_one_of_entra() {
    let error = EntraError::TenantNotFound { tenant: "fabrikam.example".to_owned() };

    let body = error.body(Timestamp::UNIX_EPOCH);

    let text = body["error_description"].as_str().unwrap();
    assert!(
        text.starts_with("AADSTS90002: Tenant 'fabrikam.example' not found. Check to make sure"),
        "{text}"
    );
    assert!(text.ends_with("Timestamp: 1970-01-01 00:00:00Z"), "{text}");
    assert_eq!(body["timestamp"], "1970-01-01 00:00:00Z");
    assert_eq!(body["error_uri"], "https://login.microsoftonline.com/error?code=90002");
}

#[test]
fn only_a_client_that_proved_nothing_gets_401() {
    let statuses = [
        EntraError::CredentialMissing,
        EntraError::Assertion(AssertionError::Invalid { reason: String::new() }),
        EntraError::ScopeInvalid { scope: String::new() },
        EntraError::ClientNotFound { client_id: String::new(), tenant: String::new() },
    ]
    .map(|error| error.status());
    assert_eq!(statuses, [401, 401, 400, 400]);
}
