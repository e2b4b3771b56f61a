use super::*;
use crate::mail::SUBJECT_CHARS_MAX;
use crate::template::variable::VariableKind;

fn make(template: &Template, locale: &str, variables: &Variables) -> Rendered {
    let name = template.name();
    let wanted = TemplateUse { name: &name, portal: None, locale, variables };
    Templates::shipped()
        .render(&wanted)
        .unwrap_or_else(|error| panic!("{name} {locale}: {error:?}"))
}

fn each(check: impl Fn(&'static Template, &'static str)) {
    for template in Template::all() {
        for language in shipped::LANGUAGES {
            check(template, language);
        }
    }
}

/// Without what is there for the reader's program only.
fn plain(text: &str) -> String {
    text.replace(['\u{2068}', '\u{2069}'], "")
}

#[test]
fn every_template_speaks_every_language() {
    each(|template, language| {
        let made = make(template, language, &template.samples());

        let at = format!("{} {language}", template.id);
        assert_eq!(made.source, TextsSource { portal: None, locale: language.to_owned() }, "{at}");
        assert!((1..=SUBJECT_CHARS_MAX).contains(&made.subject.chars().count()), "{at}");
        assert!(!made.subject.contains(char::is_control), "{at}");
        assert!(made.broken.is_empty(), "{at}");
        for body in [&made.subject, &made.text, &made.html] {
            assert!(!body.contains(variable::is_mark), "{at}");
            assert!(
                ["{{", "{%", "[[", "fragment"].iter().all(|left| !body.contains(left)),
                "{at}: {body}"
            );
        }
        assert!(!made.text.contains("\n\n\n") && made.text.ends_with('\n'), "{at}: {}", made.text);
        let direction = if language == "ar" { "rtl" } else { "ltr" };
        assert!(
            made.html.contains(&format!("<html lang=\"{language}\" dir=\"{direction}\">")),
            "{at}"
        );
    });
}

#[test]
fn every_required_variable_appears_in_text_and_html() {
    each(|template, language| {
        let mut variables = template.samples();
        for name in template.required {
            let kind = template.variable(name).unwrap().kind;
            let value = if kind == VariableKind::Number {
                "424242".to_owned()
            } else if kind == VariableKind::Url {
                format!("https://example.com/{name}")
            } else {
                format!("<{name}>")
            };
            variables.insert((*name).to_owned(), value.into());
        }

        let made = make(template, language, &variables);

        for name in template.required {
            let value = if template.variable(name).unwrap().kind == VariableKind::Number {
                format::number(&parse_locale(language).unwrap(), 424_242)
            } else {
                variables[*name].expose().to_owned()
            };
            let at = format!("{} {language} {name}", template.id);
            assert!(plain(&made.text).contains(&value), "{at}: {}", made.text);
            assert!(made.html.contains(&layout::escaped(&value)), "{at}: {}", made.html);
        }
    });
}

#[test]
fn a_template_does_with_what_it_requires() {
    each(|template, language| {
        let required = |(name, _): &(String, Sensitive)| template.requires(name);
        let variables = template.samples().into_iter().filter(required).collect();

        let made = make(template, language, &variables);

        let at = format!("{} {language}", template.id);
        for line in made.text.lines() {
            assert!(!line.trim_end().ends_with([':', '：']) || line.contains(' '), "{at}: {line}");
            assert!(!line.contains("  ") && !line.contains("()"), "{at}: {line}");
            assert!(!line.ends_with(' ') && !line.contains(" ,"), "{at}: {line}");
        }
    });
}

#[test]
fn every_language_uses_the_same_variables() {
    for template in Template::all() {
        let used = |language: &str| {
            let texts = shipped::texts(template.id, language).unwrap();
            let is_used = |name: &&str| texts.text.contains(&format!("{{{{ {name}"));
            let names: Vec<_> = template.variables().map(|one| one.name).collect();
            names.into_iter().filter(is_used).collect::<Vec<_>>()
        };
        for language in shipped::LANGUAGES {
            // Japanese greets by the last name.
            let without_greeting = |mut names: Vec<&'static str>| {
                names.retain(|name| !["first_name", "last_name"].contains(name));
                names
            };
            let (here, english) = (without_greeting(used(language)), without_greeting(used("en")));
            assert_eq!(here, english, "{} {language}", template.id);
        }
    }
}

#[test]
fn the_catalogue_names_each_template_and_variable_once() {
    let ids: Vec<_> = Template::all().iter().map(|one| one.id).collect();
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    for template in Template::all() {
        let names: Vec<_> = template.variables().map(|one| one.name).collect();
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "{}", template.id);
        for variable in template.variables() {
            assert!(variable.kind.read(variable.sample).is_ok(), "{}", variable.name);
        }
    }
}
