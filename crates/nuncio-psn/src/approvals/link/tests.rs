use super::*;

fn key(byte: u8) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
}

fn link() -> Link {
    Link {
        approval: ApprovalId::new(*b"0123456789abcdef"),
        verdict: Verdict::Approve,
        approver: 3,
        expires_at: Timestamp::from_second(1_800_000_000).unwrap(),
    }
}

#[test]
fn a_link_is_read_as_it_was_made() {
    let token = link().token(&key(1));
    assert_eq!(Link::read(&token, &key(1)), Ok(link()));
    assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
}

#[test]
fn a_link_that_was_changed_anywhere_is_forged() {
    let token = link().token(&key(1));
    for place in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(Link::read(&changed, &key(1)), Err(Forged), "{place}");
    }
}

#[test]
fn what_is_no_link_is_forged() {
    let token = link().token(&key(1));
    for text in ["", "x", "====", &token[..40], &format!("{token}AA"), &"A".repeat(10_000)] {
        assert_eq!(Link::read(text, &key(1)), Err(Forged), "{text}");
    }
    assert_eq!(Link::read(&token, &key(2)), Err(Forged), "another key");
}

#[test]
fn each_decision_approver_and_end_has_a_link_of_its_own() {
    let links = [
        link(),
        Link { verdict: Verdict::Deny, ..link() },
        Link { approver: 4, ..link() },
        Link { expires_at: Timestamp::from_second(1_800_000_001).unwrap(), ..link() },
    ];
    let tokens: std::collections::BTreeSet<_> =
        links.iter().map(|link| link.token(&key(1))).collect();
    assert_eq!(tokens.len(), links.len());
}
