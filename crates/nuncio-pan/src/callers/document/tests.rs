use super::*;

fn callers() -> Callers {
    let one = |name: &str, credential| KnownCaller {
        name: name.to_owned(),
        permissions: BTreeSet::from(Permission::ALL),
        limits: CallerLimits { calls_per_second: Some(7), calls_at_once: None },
        credential,
        created_at: "2026-11-30T12:00:00Z".parse().unwrap(),
    };
    let token = Credential::Token(TokenHash::of("nuncio_hunter2"));
    Callers(vec![one("portal-app", token), one("monitoring", Credential::Certificate)])
}

#[test]
fn callers_are_read_as_they_were_written_and_without_a_token() {
    let written = encode(&callers());

    assert_eq!(decode(&written).unwrap(), callers());
    assert!(!written.expose().contains("hunter2"), "{}", written.expose());
}

#[test]
fn what_is_not_understood_grants_nothing() {
    let written = encode(&callers()).expose().to_owned();
    for text in [
        String::new(),
        written.replace(r#""version":1"#, r#""version":2"#),
        written.replace("submit", "everything"),
        written.replace(r#""token_sha256":""#, r#""token_sha256":"x"#),
        written.replace("created_at", "made_at"),
    ] {
        assert!(decode(&Sensitive::from(text.clone())).is_err(), "{text}");
    }
}
