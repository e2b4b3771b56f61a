use super::*;

fn templates(custom: &[(&str, &str, bool)]) -> Templates {
    let custom = custom.iter().map(|(portal, locale, is_default)| {
        let key = TextsKey {
            portal: (*portal).to_owned(),
            template: "guest-credentials".to_owned(),
            locale: (*locale).to_owned(),
        };
        let subject = format!("of {portal} in {locale}");
        let texts = Texts { subject, text: "{{ username }}".to_owned(), html: String::new() };
        (key, CustomTexts { texts, is_default: *is_default })
    });
    Templates::with_custom(custom.collect())
}

#[track_caller]
fn check(templates: &Templates, portal: &str, locale: &str, expect: (Option<&str>, &str)) {
    let variables = required_variables();
    let wanted = TemplateUse { name: NAME, portal: Some(portal), locale, variables: &variables };
    let made = templates.render(&wanted).unwrap();
    assert_eq!((made.source.portal.as_deref(), made.source.locale.as_str()), expect);
    assert_eq!(made.subject.starts_with("of "), expect.0.is_some());
}

#[test]
fn the_nearest_text_is_taken() {
    let custom = [
        ("lobby", "de-CH", false),
        ("lobby", "de", false),
        ("default", "de-AT", false),
        ("default", "en", false),
    ];
    let templates = templates(&custom);

    check(&templates, "lobby", "de-CH", (Some("lobby"), "de-CH"));
    check(&templates, "lobby", "de-ch", (Some("lobby"), "de-CH"));
    check(&templates, "lobby", "de-AT", (Some("lobby"), "de"));
    check(&templates, "other", "de-AT", (Some("default"), "de-AT"));
    check(&templates, "", "de-AT", (Some("default"), "de-AT"));
    check(&templates, "lobby", "en-GB", (Some("default"), "en"));
}

#[test]
fn a_portals_default_serves_the_languages_it_does_not_have() {
    let templates =
        templates(&[("lobby", "it", true), ("lobby", "de", false), ("default", "pt", true)]);

    check(&templates, "lobby", "fr", (Some("lobby"), "it"));
    check(&templates, "lobby", "de", (Some("lobby"), "de"));
    check(&templates, "other", "fr", (Some("default"), "pt"));
}

#[test]
fn without_a_text_of_its_own_a_portal_gets_what_comes_with_nuncio() {
    let templates = templates(&[("lobby", "it", false), ("default", "it", false)]);

    check(&templates, "lobby", "en-GB", (None, "en"));
    check(&templates, "lobby", "zz", (None, "en"));
    check(&templates, "lobby", "it-CH", (Some("lobby"), "it"));
}

#[test]
fn a_text_that_cannot_be_filled_is_passed_over_and_told() {
    let key = TextsKey {
        portal: "lobby".to_owned(),
        template: "guest-credentials".to_owned(),
        locale: "en".to_owned(),
    };
    let endless =
        "{% for a in username|lines %}{% for b in '\n'|lines %}{{ c }}{% endfor %}{% endfor %}";
    let texts = Texts { subject: "x".to_owned(), text: endless.to_owned(), html: String::new() };
    let custom = BTreeMap::from([(key.clone(), CustomTexts { texts, is_default: false })]);
    let variables = required_variables();
    let wanted =
        TemplateUse { name: NAME, portal: Some("lobby"), locale: "en", variables: &variables };

    let made = Templates::with_custom(custom).render(&wanted).unwrap();

    assert_eq!(made.source, TextsSource { portal: None, locale: "en".to_owned() });
    assert_eq!(made.broken.len(), 1);
    assert_eq!(made.broken[0].0, key);
}
