use std::collections::BTreeSet;

use super::*;

#[test]
fn every_code_and_every_error_stands_once() {
    let codes: Vec<u32> = ROWS.iter().flat_map(|row| row.codes).copied().collect();
    let errors: Vec<&str> = ERRORS.iter().map(|(error, _)| *error).collect();

    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
    assert_eq!(errors.iter().collect::<BTreeSet<_>>().len(), errors.len());
}

#[test]
fn every_row_says_what_to_do() {
    for known in ROWS.iter().map(|row| &row.known).chain(ERRORS.iter().map(|(_, known)| known)) {
        for text in [known.cause, known.remedy] {
            assert!(!text.is_empty() && !text.ends_with('.'), "`{text}`");
        }
        assert!(known.reason.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
    }
}

#[test]
fn an_unknown_code_is_unknown() {
    assert!(by_code(1).is_none());
    assert!(by_error("insufficient_funds").is_none());
}
