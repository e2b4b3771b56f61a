use super::*;

fn english() -> Locale {
    "en".parse().unwrap()
}

fn values(given: &[(&'static str, VariableKind, &str)]) -> Value {
    let value = |(name, kind, text): &(&'static str, VariableKind, &str)| {
        (*name, value(*kind, Some(kind.read(text).unwrap()), &english()))
    };
    Value::from_pairs(given.iter().map(value))
}

#[track_caller]
fn check(source: &str, expect: &str) {
    let values = values(&[
        ("name", VariableKind::Text, "Erika"),
        ("blank", VariableKind::Text, ""),
        ("lines", VariableKind::Lines, "a\n<b>"),
        ("count", VariableKind::Number, "1234"),
        ("at", VariableKind::DateTime, "2026-03-01T18:05:00+00:00[UTC]"),
        ("user", VariableKind::Credential, "erika01"),
    ]);
    assert_eq!(render(source, Target::Html, &values, &english()).unwrap(), expect, "{source}");
}

#[test]
fn values_conditions_loops_and_filters_work() {
    check("{{ name }} {{ blank }}", "Erika ");
    check("{% if user and not blank %}x{% endif %}", "x");
    check("{% if name == 'Erika' and count > 1000 %}x{% else %}y{% endif %}", "x");
    check("{{ blank or name }} {{ blank | default('–') }}", "Erika –");
    check(
        "{% for l in lines | lines %}<li>{{ l }}</li>{% endfor %}",
        "<li>a</li><li>&lt;b&gt;</li>",
    );
    check("{{ lines }}", "a<br>\n&lt;b&gt;");
    check("{{ count }}", "1,234");
    check("{{ at | date }}, {{ at | time }}", "March 1, 2026, 6:05\u{202f}PM (UTC)");
    check("{{ name | upper }} {{ user | lower }} {{ ' x ' | trim }}", "ERIKA erika01 x");
}

#[test]
fn a_line_of_tags_leaves_no_line_and_any_other_line_ends() {
    check("a\n{% if name %}\nb\n{% endif %}\nc\n", "a\nb\nc");
    check("a\n  {% if name %}{% if blank %}\nb\n{% endif %}{% endif %}\nc", "a\nc");
    check("a {% if name %}b{% endif %}\nc", "a b\nc");
    check("{% if name %}b{% endif -%}\nc", "bc");
}

#[test]
fn a_template_cannot_run_for_ever() {
    let many = "y\n".repeat(1000);
    let values = values(&[("all", VariableKind::Lines, &many)]);
    let endless = "{% for a in all|lines %}{% for b in all|lines %}x{% endfor %}{% endfor %}";

    let stopped = render(endless, Target::Marked, &values, &english());

    assert_eq!(stopped, Err(RenderError::TooLong));
}

#[test]
fn a_template_cannot_grow_for_ever() {
    let many = "y\n".repeat(1000);
    let values = values(&[("all", VariableKind::Lines, &many)]);
    let growing = format!("{{% for a in all|lines %}}{}{{% endfor %}}", "x".repeat(2000));

    let stopped = render(&growing, Target::Marked, &values, &english());

    assert_eq!(stopped, Err(RenderError::TooLarge));
}

#[test]
fn a_variable_that_does_not_exist_is_an_error_with_its_line() {
    let refused = render("a\n{{ nope }}", Target::Marked, &values(&[]), &english()).unwrap_err();

    assert!(refused.to_string().starts_with("line 2: "), "{refused}");
}
