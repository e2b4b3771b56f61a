use super::*;
use crate::template::variable::VARIABLE_CHARS_MAX;

mod chain;
mod walk;

const NAME: &str = "templates/guest-credentials";

fn variables(given: &[(&str, &str)]) -> Variables {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into()));
    given.collect()
}

fn required_variables() -> Variables {
    variables(&[
        ("username", "jdoe01"),
        ("password", "p<&>\"4"),
        ("valid_from", "2026-11-23 08:00"),
        ("valid_to", "2026-11-24 08:00"),
    ])
}

fn try_render(
    variables: &Variables,
    locale: &str,
    portal: Option<&str>,
) -> Result<Rendered, TemplateError> {
    Templates::shipped().render(&TemplateUse { name: NAME, portal, locale, variables })
}

fn render(variables: &Variables) -> Rendered {
    try_render(variables, "en", None).unwrap()
}

#[track_caller]
fn check_locale(locale: &str, expect: bool) {
    let rendered = try_render(&required_variables(), locale, None);
    assert_eq!(rendered.is_ok(), expect, "{locale}");
    assert!(
        expect || matches!(rendered, Err(TemplateError::Invalid { locale: Some(_), .. })),
        "{locale}"
    );
}

#[track_caller]
fn check_variables_refused(variables: &Variables, expect: &[&str]) {
    let refused = try_render(variables, "en", None).err();
    let Some(TemplateError::Invalid { variables, .. }) = refused else { panic!("{refused:?}") };
    let names: Vec<_> = variables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, expect);
}

#[test]
fn credentials_are_in_both_bodies_and_not_in_the_subject() {
    let Rendered { subject, text, html, .. } = render(&required_variables());

    assert_eq!(subject, "Your guest account credentials");
    assert!(text.contains("Username: jdoe01\nPassword: p<&>\"4\n"), "{text}");
    assert!(html.contains("<code>p&lt;&amp;&gt;&quot;4</code>"), "{html}");
    assert!(text.contains("Valid to: 2026-11-24 08:00"));
}

#[test]
fn html_is_escaped_in_the_html_body_only() {
    let mut variables = required_variables();
    variables.insert("first_name".to_owned(), "<script>x</script>".to_owned().into());

    let Rendered { text, html, .. } = render(&variables);

    assert!(!html.contains("<script>"), "{html}");
    assert!(text.contains("Hello <script>x</script>,"), "{text}");
}

#[test]
fn what_is_not_given_leaves_no_gap() {
    let Rendered { text, html, .. } = render(&required_variables());

    assert!(text.starts_with("Hello,\n"), "{text}");
    assert!(!text.contains("SSID") && !html.contains("SSID"));
    assert!(!text.contains("First name"), "{text}");
    assert!(!text.contains("\n\n\n"), "{text}");
}

#[test]
fn a_value_is_text_and_never_a_template() {
    let mut variables = required_variables();
    variables.insert("company".to_owned(), "{{ password }}{% if %}".to_owned().into());

    assert!(render(&variables).text.contains("Company: {{ password }}{% if %}"));
}

#[test]
fn a_value_cannot_pass_for_the_end_of_a_value() {
    let mut variables = required_variables();
    variables.insert("company".to_owned(), "\u{FDDF}<b>\u{FDD2}javascript:x".to_owned().into());

    let Rendered { text, html, .. } = render(&variables);

    assert!(text.contains("Company: <b>javascript:x"), "{text}");
    assert!(html.contains("<bdi>&lt;b&gt;javascript:x</bdi>"), "{html}");
}

#[test]
fn missing_empty_unknown_and_long_variables_are_told_together() {
    let long = "x".repeat(VARIABLE_CHARS_MAX + 1);
    let given = variables(&[
        ("username", ""),
        ("password", &"ü".repeat(VARIABLE_CHARS_MAX)),
        ("valid_from", &long),
        ("passwort", "x"),
    ]);

    check_variables_refused(&given, &["username", "valid_to", "passwort", "valid_from"]);
}

#[test]
fn an_unknown_template_is_refused_with_those_there_are() {
    for name in ["templates/nope", "guest-credentials", ""] {
        let wanted = TemplateUse { name, portal: None, locale: "en", variables: &Variables::new() };
        let refused = Templates::shipped().render(&wanted).err();

        let Some(TemplateError::Unknown { name: told, known }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(told, name);
        assert!(known.contains("`templates/guest-credentials`, `templates/guest-username`"));
    }
}

#[test]
fn a_language_that_a_template_does_not_have_gets_english() {
    check_locale("en", true);
    check_locale("en-GB", true);
    check_locale("de-CH", true);
    check_locale("xx-Latn-US", true);
    check_locale("", true);
    check_locale("en_US", false);
    check_locale("en\r\nBcc: x", false);
    check_locale("e", false);
    check_locale(&"a".repeat(36), false);
}

#[test]
fn a_portal_without_a_name_that_could_be_one_is_refused() {
    let refused = try_render(&required_variables(), "en", Some("a/b")).err();

    assert!(matches!(refused, Some(TemplateError::Invalid { portal: Some(_), .. })), "{refused:?}");
    assert!(try_render(&required_variables(), "en", Some("")).is_ok());
    assert!(try_render(&required_variables(), "en", Some("Lobby_1.a-b")).is_ok());
}

#[test]
fn no_error_shows_a_value() {
    let given = variables(&[("password", "Tr0ub4dor"), ("nope", "Tr0ub4dor")]);
    let refused = try_render(&given, "en", None).err().unwrap();

    assert!(!format!("{refused:?} {refused}").contains("Tr0ub4dor"));
}

#[test]
fn moments_and_lengths_of_time_are_written_as_the_region_does() {
    let mut given = required_variables();
    let moment = "2026-03-01T18:25:00+01:00[Europe/Berlin]".to_owned();
    given.insert("valid_to".to_owned(), moment.into());
    given.insert("duration".to_owned(), "P90D".to_owned().into());

    let american = try_render(&given, "en", None).unwrap().text;
    let british = try_render(&given, "en-GB", None).unwrap().text;

    assert!(american.contains("Valid to: March 1, 2026 at 6:25\u{202f}PM (GMT+1)\n"), "{american}");
    assert!(british.contains("Valid to: 1 March 2026 at 18:25 (GMT+1)\n"), "{british}");
    assert!(american.contains("Duration: 90 days\n"), "{american}");
}

#[test]
fn the_summary_of_a_bulk_says_of_what_the_guests_were_told() {
    use crate::portal::PortalEvent;
    use crate::template::shipped::LANGUAGES;

    for locale in LANGUAGES {
        let mut subjects = std::collections::BTreeSet::new();
        for event in PortalEvent::ALL {
            let variables = variables(&[
                ("event", event.name()),
                ("total", "1"),
                ("created", "1"),
                ("failed", "0"),
            ]);
            let wanted = TemplateUse {
                name: "templates/guest-bulk-summary",
                portal: None,
                locale,
                variables: &variables,
            };
            let Rendered { subject, text, .. } = Templates::shipped().render(&wanted).unwrap();
            let topic = |text: &str| text.split(['(', '（', ')', '）']).nth(1).unwrap().to_owned();
            assert_eq!(topic(&subject), topic(&text), "{locale} {}", event.name());
            subjects.insert(subject);
        }
        assert_eq!(subjects.len(), PortalEvent::ALL.len(), "{locale}: {subjects:?}");
    }
}

#[test]
fn a_summary_of_an_extension_does_not_speak_of_new_accounts() {
    let given = [("event", "extended"), ("total", "5"), ("created", "3"), ("failed", "2")];
    let variables = variables(&[&given[..], &[("failures", "2. gone-01: no such user")]].concat());
    let wanted = TemplateUse {
        name: "templates/guest-bulk-summary",
        portal: None,
        locale: "en",
        variables: &variables,
    };

    let Rendered { subject, text, .. } = Templates::shipped().render(&wanted).unwrap();

    assert_eq!(subject, "Notices sent to guests (extended access): 3 of 5");
    assert!(text.contains("Told: 3\nNot told: 2"), "{text}");
    assert!(text.contains("Not told, and why:\n2. gone-01: no such user"), "{text}");
}
