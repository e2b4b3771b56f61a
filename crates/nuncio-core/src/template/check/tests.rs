use proptest::prelude::*;

use super::*;
use crate::template::{TemplateUse, Templates, custom, shipped};

fn template() -> &'static Template {
    Template::find("guest-username").unwrap()
}

fn english() -> Locale {
    "en".parse().unwrap()
}

fn texts(text: &str) -> Texts {
    Texts { subject: "Subject".to_owned(), text: text.to_owned(), html: String::new() }
}

fn problems(texts: &Texts) -> Vec<String> {
    let told = check(template(), &english(), texts, "t");
    told.iter().map(|one| format!("{}: {}", one.field, one.problem)).collect()
}

#[track_caller]
fn check_refused(text: &str, expect: &[&str]) {
    let told = problems(&texts(text));
    assert_eq!(told.len(), expect.len(), "{text}: {told:#?}");
    for (told, expect) in told.iter().zip(expect) {
        assert!(told.starts_with(expect), "{text}: {told}");
    }
}

#[test]
fn good_texts_pass() {
    for text in [
        "{{ username }}",
        "{% if first_name and not (company == 'x') %}{{ username | upper }}{% else %}x{% endif %}",
        "{{ first_name or username }} {{ company | default('–') }} {{ valid_to | date }}",
        "{{ username if company else 'x' }}",
        "{% for line in reason_for_visit | lines %}- {{ line }}\n{% endfor %}{{ username }}",
    ] {
        check_refused(text, &[]);
    }
}

#[test]
fn every_fault_is_told_with_line_and_column() {
    check_refused(
        "Hallo ü {{ usrname }}\n{{ username }} {% set a = 1 %}\n  {{ company | safe }}{{ 'x' * 9 }}",
        &[
            "t.text: line 1, column 12: there is no variable `usrname`; there are: username, ",
            "t.text: line 2, column 19: `set` cannot be used",
            "t.text: line 3, column 16: there is no filter `safe`; there are: date, ",
            "t.text: line 3, column 26: `*` cannot be used",
        ],
    );
}

#[test]
fn broken_syntax_is_told_with_line_and_column() {
    check_refused("a\n{{ username", &["t.text: line 2, column "]);
    check_refused("{% if username %}x", &["t.text: line 1, column "]);
    check_refused("x\n\n  {% endif %}", &["t.text: line 3, column "]);
    check_refused("{{ username }} {% include 'x' %}", &["t.text: line 1, column "]);
    check_refused("{{ username }} {% macro x() %}{% endmacro %}", &["t.text: line 1, column "]);
}

#[test]
fn a_required_variable_must_be_shown_in_text_and_html() {
    let missing = "t.text: does not show `username`";
    check_refused("x", &[missing]);
    check_refused("{% if username %}x{% endif %}", &[missing]);
    check_refused("{{ username == 'x' }}", &[missing]);

    let with_html = Texts { html: "<p>x</p>".to_owned(), ..texts("{{ username }}") };
    assert_eq!(problems(&with_html).len(), 1);
    assert!(problems(&with_html)[0].starts_with("t.html: does not show `username`"));
}

#[test]
fn all_parts_are_told_together() {
    let wrong =
        Texts { subject: "a\nb".to_owned(), text: String::new(), html: "{{ nope }}".to_owned() };
    let told = problems(&wrong);

    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(told[0].starts_with("t.subject: has a line break"), "{told:#?}");
    assert!(told[1].starts_with("t.text: is empty"), "{told:#?}");
}

#[test]
fn what_is_too_long_is_refused() {
    let long = Texts {
        subject: "x".repeat(SUBJECT_CHARS_MAX + 1),
        text: "x".repeat(TEXT_BYTES_MAX + 1),
        html: "x".repeat(HTML_BYTES_MAX + 1),
    };
    assert_eq!(problems(&long).len(), 3);
}

#[test]
fn what_would_run_or_grow_without_end_is_refused() {
    let template = Template::find("alarm-digest").unwrap();
    let start = "{{ count }}{{ alarms }}";
    let check_one = |text: String, expect: &str| {
        let told = check(template, &english(), &texts(&text), "t");
        let told: Vec<_> = told.iter().map(|one| one.problem.clone()).collect();
        assert!(told.len() == 1 && told[0].contains(expect), "{told:#?}");
    };
    let nested = "{% for a in alarms|lines %}{% for b in alarms|lines %}x{% endfor %}{% endfor %}";
    check_one(format!("{start}{nested}"), "runs too long");
    check_one(format!("{start}{}", "{{ alarms }}".repeat(100)), "becomes longer than 1 MiB");
}

#[test]
fn all_shipped_texts_pass() {
    for template in Template::all() {
        for language in shipped::LANGUAGES {
            let texts = shipped::texts(template.id, language).unwrap();
            let told = check(template, &language.parse().unwrap(), texts, "t");
            assert!(told.is_empty(), "{} {language}: {told}", template.id);
        }
    }
}

fn any_source() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("{{ username }}".to_owned()),
        Just("{% if company %}".to_owned()),
        Just("{% else %}".to_owned()),
        Just("{% endif %}".to_owned()),
        Just("{% for a in reason_for_visit | lines %}".to_owned()),
        Just("{% for b in username | lines %}".to_owned()),
        Just("{% endfor %}".to_owned()),
        Just("{{ a }}".to_owned()),
        Just("{% set a = username ~ username %}".to_owned()),
        Just("{{ 'x' * 1000000000 }}".to_owned()),
        Just("Label: ".to_owned()),
        Just("\n".to_owned()),
        Just("{{".to_owned()),
        Just("%}".to_owned()),
        Just("{% raw %}".to_owned()),
        Just("{#".to_owned()),
        any::<String>(),
    ];
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_panics_or_runs_on(subject in any_source(), text in any_source(), html in any_source()) {
        let texts = Texts { subject, text, html };
        let told = check(template(), &english(), &texts, "t");
        // Also what no check would let pass is bounded where it is filled.
        let key = custom::TextsKey {
            portal: "default".to_owned(),
            template: "guest-username".to_owned(),
            locale: "en".to_owned(),
        };
        let own = custom::CustomTexts { texts, is_default: false };
        let templates = Templates::with_custom([(key, own)].into());
        let value = |text: &str| crate::secret::Sensitive::from(text.to_owned());
        let variables = [
            ("username".to_owned(), value("u\nv\u{FDDF}")),
            ("reason_for_visit".to_owned(), value("a\nb")),
            ("company".to_owned(), value("c")),
        ];
        let wanted = TemplateUse {
            name: "templates/guest-username",
            portal: None,
            locale: "en",
            variables: &variables.into(),
        };
        let made = templates.render(&wanted).unwrap();
        prop_assert!(!made.subject.contains(char::is_control));
        prop_assert!(!made.html.contains(is_mark) || made.source.portal.is_some());
        // What passes the check is used.
        prop_assert!(!told.is_empty() || made.broken.is_empty());
    }
}
