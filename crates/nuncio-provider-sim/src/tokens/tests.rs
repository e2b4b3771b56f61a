use super::*;

fn grant(expires: Timestamp) -> Grant {
    Grant {
        client_id: "app".to_owned(),
        tenant_id: "tenant".to_owned(),
        audience: "https://outlook.office365.com".to_owned(),
        roles: vec!["SMTP.SendAsApp".to_owned()],
        expires,
    }
}

#[test]
fn a_token_is_good_until_it_expires() {
    let tokens = Tokens::default();
    let now = Timestamp::UNIX_EPOCH;
    let token = tokens.issue(grant(after(now, 10)), now, 0);
    assert_eq!(tokens.check(&token, after(now, 9)).unwrap().client_id, "app");
    assert!(tokens.check(&token, after(now, 10)).is_none());
    assert!(tokens.check("another", now).is_none());
}

#[test]
fn expiring_all_leaves_later_tokens_alone() {
    let tokens = Tokens::default();
    let now = Timestamp::UNIX_EPOCH;
    let early = tokens.issue(grant(after(now, 10)), now, 0);
    tokens.expire_all(now);
    let late = tokens.issue(grant(after(now, 10)), now, 0);
    assert!(tokens.check(&early, now).is_none());
    assert!(tokens.check(&late, now).is_some());
}

#[test]
fn a_token_has_the_size_asked_for_and_its_claims_can_be_read() {
    let tokens = Tokens::default();
    for size in [1100, 1500, 2000, 4000, 12_000] {
        let token = tokens.issue(grant(Timestamp::UNIX_EPOCH), Timestamp::UNIX_EPOCH, size);
        assert_eq!(token.len(), size);
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&claims).unwrap()["appid"], "app");
    }
}

#[test]
fn no_two_tokens_are_alike() {
    let tokens = Tokens::default();
    let issue = || tokens.issue(grant(Timestamp::UNIX_EPOCH), Timestamp::UNIX_EPOCH, 0);
    assert_ne!(issue(), issue());
    assert_eq!(guid().len(), 36);
}

#[test]
fn debug_shows_no_token() {
    let tokens = Tokens::default();
    let token = tokens.issue(grant(Timestamp::UNIX_EPOCH), Timestamp::UNIX_EPOCH, 0);
    assert!(!format!("{tokens:?}").contains(&token[..20]));
}
