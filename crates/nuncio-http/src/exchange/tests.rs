use super::*;

fn check_retry_after(value: &str, expected: Option<u64>) {
    let now = "2026-01-01T12:00:00Z".parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, value.parse().unwrap());

    assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{value}");
}

#[test]
fn retry_after_is_read_as_seconds_or_as_a_date() {
    check_retry_after("60", Some(60));
    check_retry_after(" 0 ", Some(0));
    check_retry_after("Thu, 01 Jan 2026 12:02:00 GMT", Some(120));
    check_retry_after("Thu, 01 Jan 2026 11:00:00 GMT", Some(0));
    check_retry_after("soon", None);
    check_retry_after("-5", None);
}

#[test]
fn retry_after_has_a_limit() {
    check_retry_after("3600", Some(3600));
    check_retry_after("3601", Some(3600));
    check_retry_after("Fri, 01 Jan 2027 12:00:00 GMT", Some(3600));
}

#[test]
fn a_web_page_shows_in_its_content_type() {
    for (value, expected) in [
        ("text/html", true),
        ("Text/HTML; charset=utf-8", true),
        ("application/xhtml+xml", true),
        ("application/json", false),
        ("text/plain", false),
    ] {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
        assert_eq!(is_web_page(&headers), expected, "{value}");
    }
    assert!(!is_web_page(&HeaderMap::new()));
}

fn check_title(body: &str, expected: Option<&str>) {
    assert_eq!(title(body.as_bytes()).as_deref(), expected, "{body}");
}

#[test]
fn the_title_of_a_web_page_is_shown_if_it_is_harmless() {
    check_title("<html><TITLE>\n Guest  Login\n</TITLE>", Some("Guest Login"));
    check_title("<title>Anmeldung für Gäste</title>", Some("Anmeldung für Gäste"));
    check_title("{\"access_token\":\"x\"}", None);
    check_title("<title></title>", None);
    check_title("<title>cut off", None);
    check_title("<title><script>alert()</script></title>", None);
    check_title(&format!("<title>token {}</title>", "x".repeat(31)), None);
    let long = "word ".repeat(50);
    check_title(&format!("<title>{long}</title>"), Some(&long[..80]));
}
