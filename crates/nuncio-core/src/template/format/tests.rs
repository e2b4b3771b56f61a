use super::*;

fn locale(tag: &str) -> Locale {
    tag.parse().unwrap()
}

#[track_caller]
fn check_moment(tag: &str, part: Part, expect: &str) {
    let at: ZonedDateTime = "2026-03-01T18:05:59+01:00[Europe/Berlin]".parse().unwrap();
    assert_eq!(moment(&locale(tag), &at, part), expect, "{tag}");
}

#[track_caller]
fn check_duration(tag: &str, minutes: i64, expect: &str) {
    assert_eq!(duration(&locale(tag), SignedDuration::from_mins(minutes)), expect, "{tag}");
}

#[test]
fn a_moment_is_written_as_the_language_and_region_do() {
    check_moment("en", Part::Both, "March 1, 2026 at 6:05\u{202f}PM (GMT+1)");
    check_moment("en-GB", Part::Both, "1 March 2026 at 18:05 (GMT+1)");
    check_moment("de", Part::Both, "1. März 2026 um 18:05 (GMT+1)");
    check_moment("fr", Part::Both, "1 mars 2026 à 18:05 (UTC+1)");
    check_moment("es", Part::Both, "1 de marzo de 2026 a las 18:05 (GMT+1)");
    check_moment("ja", Part::Both, "2026年3月1日 18:05 (GMT+1)");
    check_moment("ar", Part::Date, "1 مارس 2026");
    check_moment("ar-EG", Part::Date, "١ مارس ٢٠٢٦");
    check_moment("de", Part::Date, "1. März 2026");
    check_moment("de", Part::Time, "18:05 (GMT+1)");
}

#[test]
fn a_length_of_time_has_the_two_largest_units() {
    const HOUR: i64 = 60;
    const DAY: i64 = 24 * HOUR;

    check_duration("en", 0, "0 minutes");
    check_duration("en", 1, "1 minute");
    check_duration("en", 2 * HOUR + 5, "2 hours 5 minutes");
    check_duration("en", DAY, "1 day");
    check_duration("en", 3 * DAY - 1, "3 days");
    check_duration("en", 2 * DAY + 3 * HOUR + 29, "2 days 3 hours");
    check_duration("en", -90, "1 hour 30 minutes");
    check_duration("en", 1_250 * DAY, "1,250 days");
}

#[test]
fn units_follow_the_plural_rules_of_the_language() {
    const DAY: i64 = 24 * 60;

    check_duration("de", DAY + 60, "1 Tag 1 Stunde");
    check_duration("fr", 3 * DAY, "3 jours");
    check_duration("es", 2 * 60 + 1, "2 horas 1 minuto");
    check_duration("ja", 3 * DAY + 240, "3日4時間");
    check_duration("ar", DAY, "يوم واحد");
    check_duration("ar", 2 * DAY, "يومان");
    check_duration("ar", 3 * DAY + 120, "3 أيام وساعتان");
    check_duration("ar", 11 * DAY, "11 يومًا");
    check_duration("ar", 100 * DAY, "100 يوم");
    check_duration("it", 3 * DAY + 120, "3 d 2 h");
}

#[test]
fn a_number_has_the_separators_of_the_region() {
    for (tag, expect) in [
        ("en", "1,234,567"),
        ("de", "1.234.567"),
        ("fr", "1\u{202f}234\u{202f}567"),
        ("ar-EG", "١٬٢٣٤٬٥٦٧"),
    ] {
        assert_eq!(number(&locale(tag), 1_234_567), expect, "{tag}");
    }
}

#[test]
fn the_longest_and_oldest_are_written_too() {
    for tag in ["en", "ar", "ja"] {
        for at in [jiff::Timestamp::MIN, jiff::Timestamp::MAX] {
            let at = at.to_zoned_datetime(jiff::tz::TimeZone::UTC);
            assert!(!moment(&locale(tag), &at, Part::Both).is_empty());
        }
        for length in [SignedDuration::MIN, SignedDuration::MAX] {
            assert!(!duration(&locale(tag), length).is_empty());
        }
        assert!(!number(&locale(tag), i64::MIN).is_empty());
    }
}
