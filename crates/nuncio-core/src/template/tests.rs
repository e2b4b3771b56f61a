use super::*;

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

fn render(variables: &Variables) -> Rendered {
    Templates::shipped().render(NAME, variables, "en").unwrap()
}

#[track_caller]
fn check_locale(locale: &str, expect: bool) {
    let rendered = Templates::shipped().render(NAME, &required_variables(), locale);
    assert_eq!(rendered.is_ok(), expect, "{locale}");
    assert!(expect || matches!(rendered, Err(TemplateError::Locale(_))), "{locale}");
}

#[track_caller]
fn check_variables_refused(variables: &Variables, expect: &[&str]) {
    let refused = Templates::shipped().render(NAME, variables, "en").err();
    let Some(TemplateError::Variables(problems)) = refused else { panic!("{refused:?}") };
    let names: Vec<_> = problems.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, expect);
}

#[test]
fn credentials_are_in_both_bodies_and_not_in_the_subject() {
    let Rendered { subject, text, html } = render(&required_variables());

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
    assert!(text.contains("First name: NA"), "{text}");
    assert!(!text.contains("\n\n\n"), "{text}");
}

#[test]
fn every_variable_of_the_template_is_used() {
    let template = Templates::shipped().find(NAME).unwrap();
    let values = template.variables.iter().map(|one| (one.name, format!("<{}>", one.name)));
    let values: Vec<_> = values.collect();
    let given: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();

    let text = render(&variables(&given)).text;

    for (name, value) in given {
        assert!(text.contains(value), "`{name}` is not in: {text}");
    }
}

#[test]
fn a_value_is_text_and_never_a_template() {
    let mut variables = required_variables();
    variables.insert("company".to_owned(), "{{ password }}{% if %}".to_owned().into());

    assert!(render(&variables).text.contains("Company: {{ password }}{% if %}"));
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
    let refused = Templates::shipped().render("templates/nope", &Variables::new(), "en").err();

    let Some(TemplateError::Unknown { name, known }) = refused else { panic!("{refused:?}") };
    assert_eq!(
        (name.as_str(), known.as_str()),
        ("templates/nope", "`templates/guest-credentials`")
    );
}

#[test]
fn a_language_that_a_template_does_not_have_gets_its_first() {
    check_locale("en", true);
    check_locale("en-GB", true);
    check_locale("de-CH", true);
    check_locale("", true);
    check_locale("en_US", false);
    check_locale("en\r\nBcc: x", false);
    check_locale(&"a".repeat(36), false);
}

#[test]
fn no_error_shows_a_value() {
    let given = variables(&[("password", "Tr0ub4dor"), ("nope", "Tr0ub4dor")]);
    let refused = Templates::shipped().render(NAME, &given, "en").err().unwrap();

    assert!(!format!("{refused:?} {refused}").contains("Tr0ub4dor"));
}

#[test]
fn a_template_cannot_run_for_ever() {
    let endless = "{% for a in all %}{% for b in all %}x{% endfor %}{% endfor %}";
    let values = Value::from(BTreeMap::from([("all", vec!["y"; 1000])]));

    let stopped = super::render(endless, AutoEscape::None, &values).unwrap_err();

    assert_eq!(stopped.kind(), minijinja::ErrorKind::OutOfFuel, "{stopped}");
}

#[test]
fn a_variable_that_a_template_forgot_to_declare_is_an_error() {
    let values = Value::from(BTreeMap::from([("a", "x")]));

    assert_eq!(super::render("{{ a }}", AutoEscape::None, &values).unwrap(), "x");
    assert!(super::render("{{ b }}", AutoEscape::None, &values).is_err());
}
