use super::*;
use crate::v1;

fn mask(paths: &[&str]) -> Result<Mask, Violations> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let mut violations = Violations::default();
    let mask = Mask::read::<v1::Guest>(&mut violations, Some(prost_types::FieldMask { paths }));
    violations.none_or(|| mask)
}

fn guest(username: &str, company: &str) -> v1::Guest {
    v1::Guest { username: username.to_owned(), company: company.to_owned(), ..v1::Guest::default() }
}

#[track_caller]
fn check(paths: &[&str], expected: &v1::Guest) {
    let merged = mask(paths).unwrap().merge(guest("new", ""), || guest("old", "Acme"));
    assert_eq!(merged, *expected, "{paths:?}");
}

#[test]
fn a_mask_says_which_fields_change() {
    check(&[], &guest("new", "Acme"));
    check(&["*"], &guest("new", ""));
    check(&["company"], &guest("old", ""));
    check(&["username", "company"], &guest("new", ""));
}

#[test]
fn what_is_no_field_or_is_output_only_cannot_be_changed() {
    for path in ["name", "etag", "create_time", "password", "guest.email", "a\nb"] {
        let violations = mask(&["email", path]).unwrap_err();
        assert_eq!(violations.iter().count(), 1, "{path}");
        assert!(!violations.to_string().trim().contains('\n'), "{path}");
    }
}
