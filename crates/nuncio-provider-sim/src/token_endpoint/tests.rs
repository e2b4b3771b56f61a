use super::*;

fn check_resource(scope: &str, expected: Result<&str, u32>) {
    let found = resource(scope).map_err(|error| error.code());
    assert_eq!(found.as_deref().map_err(|code| *code), expected, "{scope}");
}

#[test]
fn a_scope_names_its_resource() {
    check_resource("https://outlook.office365.com/.default", Ok("https://outlook.office365.com"));
    check_resource("https://outlook.office365.com//.default", Ok("https://outlook.office365.com"));
    check_resource("https://outlook.office.com/SMTP.Send", Err(1_002_012));
    check_resource("/.default", Err(70_011));
    check_resource("a/.default b/.default", Err(70_011));
}

#[test]
fn a_guid_has_its_shape() {
    assert!(is_guid("7c9e6679-7425-40de-944b-e07fc1f90ae7"));
    assert!(!is_guid("7c9e6679-7425-40de-944b-e07fc1f90ae"));
    assert!(!is_guid("7c9e6679x7425-40de-944b-e07fc1f90ae7"));
    assert!(!is_guid("7c9e6679-7425-40de-944b-e07fc1f90aeg"));
}

#[test]
fn basic_credentials_are_form_encoded_inside() {
    let header = format!("Basic {}", STANDARD.encode("app:a%3Ab+c%2B"));
    assert_eq!(basic(&header), Some(("app".to_owned(), "a:b c+".to_owned())));
    assert_eq!(basic("Bearer x"), None);
    assert_eq!(basic("Basic !"), None);
}
