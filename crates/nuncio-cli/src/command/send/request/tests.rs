use super::*;

fn check(text: &str, expect: (&str, &str)) {
    let (content_type, path) = split_type(text);
    assert_eq!((content_type.as_str(), path), expect, "{text}");
}

#[test]
fn a_media_type_is_given_or_guessed_from_the_name() {
    check("map.pdf", ("application/pdf", "map.pdf"));
    check("a/MAP.PDF", ("application/pdf", "a/MAP.PDF"));
    check("text/x-own=a.pdf", ("text/x-own", "a.pdf"));
    check("text/x-own=a=b", ("text/x-own", "a=b"));
    check("text/plain; charset=utf-8=a", ("text/plain; charset=utf-8", "a"));
    check("unknown", (OCTET_STREAM, "unknown"));
    // A path with an equals sign is no type.
    check("./a=b.pdf", ("application/pdf", "./a=b.pdf"));
    check("docs/a=b.pdf", ("application/pdf", "docs/a=b.pdf"));
    check("/tmp/a=b.pdf", ("application/pdf", "/tmp/a=b.pdf"));
}

#[test]
fn a_template_may_be_named_by_its_last_part() {
    assert_eq!(template_name("guest-credentials"), "templates/guest-credentials");
    assert_eq!(template_name("templates/x"), "templates/x");
}
