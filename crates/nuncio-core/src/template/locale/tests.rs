use super::*;

#[track_caller]
fn check(tag: &str, expect: &[&str]) {
    assert_eq!(candidates(&parse_locale(tag).unwrap()), expect, "{tag}");
}

#[test]
fn a_tag_falls_back_to_shorter_ones() {
    check("de", &["de"]);
    check("DE-ch", &["de-CH", "de"]);
    check("zh-hant-tw", &["zh-Hant-TW", "zh-Hant", "zh"]);
    check("de-u-nu-latn", &["de"]);
    check("", &["en"]);
}

#[test]
fn dates_follow_the_region_if_the_text_is_in_its_language() {
    let asked = parse_locale("en-GB").unwrap();

    assert_eq!(format_locale(&asked, "en").to_string(), "en-GB");
    assert_eq!(format_locale(&asked, "de").to_string(), "de");
}

#[test]
fn the_direction_follows_language_and_script() {
    for (tag, expect) in [
        ("ar", true),
        ("ar-EG", true),
        ("he", true),
        ("de", false),
        ("az-Arab", true),
        ("ur-Latn", false),
    ] {
        assert_eq!(is_right_to_left(tag), expect, "{tag}");
    }
}
