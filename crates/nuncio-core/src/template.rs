//! Templates: subjects and bodies with variables, in the languages of their readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use icu_locale_core::Locale;
use minijinja::Value;

use crate::secret::Sensitive;
use crate::template::catalogue::Template;
use crate::template::custom::{CustomTexts, DEFAULT_PORTAL, Texts, TextsKey, check_portal};
use crate::template::engine::{RenderError, Target};
use crate::template::layout::Script;
use crate::template::locale::{DEFAULT_LANGUAGE, candidates, format_locale, parse_locale};

pub mod catalogue;
pub mod check;
pub mod custom;
pub mod locale;
pub mod shipped;
pub mod variable;

mod engine;
mod format;
mod layout;

/// The values of a template's variables by name. They may hold guests' passwords.
pub type Variables = BTreeMap<String, Sensitive>;

/// The templates that a node knows: those that come with nuncio, and the portals' own. A snapshot: it never changes.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    custom: Arc<BTreeMap<TextsKey, CustomTexts>>,
}

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub struct TemplateUse<'a> {
    /// `templates/guest-credentials`.
    pub name: &'a str,
    /// The portal whose texts are preferred; none or empty means [`DEFAULT_PORTAL`].
    pub portal: Option<&'a str>,
    /// The reader's language as BCP 47 tag; empty means `en`.
    pub locale: &'a str,
    pub variables: &'a Variables,
}

/// What a template made. The bodies may hold secrets, so there is no `Debug`.
#[derive(Clone)]
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Whose texts it was made from.
    pub source: TextsSource,
    /// The texts that would have come first, and what is wrong with them.
    pub broken: Vec<(TextsKey, String)>,
}

/// Whose texts a mail was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextsSource {
    /// None means that they came with nuncio.
    pub portal: Option<String>,
    pub locale: String,
}

/// Why a template made nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("template `{name}` does not exist; there are: {known}")]
    Unknown { name: String, known: String },
    #[error("the template cannot be used so")]
    Invalid {
        /// By name of the variable.
        variables: Vec<(String, String)>,
        locale: Option<String>,
        portal: Option<String>,
    },
    #[error("{0}")]
    Broken(String),
}

impl Templates {
    /// The templates that come with nuncio.
    pub fn shipped() -> Self {
        Self::default()
    }

    /// Those that come with nuncio, and these.
    pub fn with_custom(custom: BTreeMap<TextsKey, CustomTexts>) -> Self {
        Self { custom: Arc::new(custom) }
    }

    /// The portals' own texts.
    pub fn custom(&self) -> &BTreeMap<TextsKey, CustomTexts> {
        &self.custom
    }

    /// These, and texts in place of those with the same key.
    #[must_use]
    pub fn and(&self, key: TextsKey, texts: CustomTexts) -> Self {
        let mut custom = (*self.custom).clone();
        custom.insert(key, texts);
        Self { custom: Arc::new(custom) }
    }

    /// The texts that mails of a portal in a language are made from, and whose they are.
    pub fn texts(&self, template: &Template, portal: &str, tag: &str) -> (TextsSource, Texts) {
        let locale = parse_locale(tag).unwrap_or(Locale::UNKNOWN);
        let own = self.custom_for(template.id, portal, &locale).next();
        if let Some((key, texts)) = own {
            let source =
                TextsSource { portal: Some(key.portal.clone()), locale: key.locale.clone() };
            return (source, texts.clone());
        }
        let (language, texts) = shipped_for(template.id, &locale);
        (TextsSource { portal: None, locale: language.to_owned() }, texts.clone())
    }

    /// Makes subject and bodies. An unknown or missing variable is an error.
    ///
    /// Texts are looked for in the portal, then in the default portal, then among those that come with nuncio; in each
    /// by the exact tag, then by shorter ones, then by the portal's default. A text that cannot be filled is passed
    /// over for the next one and told in `broken`.
    pub fn render(&self, wanted: &TemplateUse<'_>) -> Result<Rendered, TemplateError> {
        let name = wanted.name;
        let template = Template::named(name).ok_or_else(|| unknown(name))?;
        let (values, locale) = check(template, wanted)?;
        let portal = wanted.portal.filter(|portal| !portal.is_empty()).unwrap_or(DEFAULT_PORTAL);
        let mut broken = Vec::new();
        for (key, texts) in self.custom_for(template.id, portal, &locale) {
            match fill(texts, &key.locale, &locale, template, &values) {
                Ok((subject, text, html)) => {
                    let (portal, locale) = (Some(key.portal.clone()), key.locale.clone());
                    let source = TextsSource { portal, locale };
                    return Ok(Rendered { subject, text, html, source, broken });
                }
                Err(error) => broken.push((key.clone(), error.to_string())),
            }
        }
        let (language, texts) = shipped_for(template.id, &locale);
        let (subject, text, html) = fill(texts, language, &locale, template, &values)
            .map_err(|error| TemplateError::Broken(format!("`{name}` is broken: {error}")))?;
        let source = TextsSource { portal: None, locale: language.to_owned() };
        Ok(Rendered { subject, text, html, source, broken })
    }

    /// The portals' own texts that will do, the best first.
    fn custom_for<'a>(
        &'a self,
        id: &str,
        portal: &str,
        locale: &Locale,
    ) -> impl Iterator<Item = (&'a TextsKey, &'a Texts)> {
        let portals =
            if portal == DEFAULT_PORTAL { vec![portal] } else { vec![portal, DEFAULT_PORTAL] };
        let mut found = Vec::new();
        for portal in portals {
            let key = |locale: &str| TextsKey {
                portal: portal.to_owned(),
                template: id.to_owned(),
                locale: locale.to_owned(),
            };
            let by_tag = candidates(locale).into_iter().map(|tag| key(&tag));
            found.extend(by_tag.filter_map(|key| self.custom.get_key_value(&key)));
            let of_portal = self.custom.range(key("")..);
            let of_portal =
                of_portal.take_while(|(key, _)| key.portal == portal && key.template == id);
            found.extend(of_portal.filter(|(_, custom)| custom.is_default));
        }
        found.into_iter().map(|(key, custom)| (key, &custom.texts))
    }
}

fn unknown(name: &str) -> TemplateError {
    let known: Vec<_> = Template::all().iter().map(|one| format!("`{}`", one.name())).collect();
    TemplateError::Unknown { name: name.to_owned(), known: known.join(", ") }
}

/// The shipped texts for a language, and which they are.
fn shipped_for(id: &str, locale: &Locale) -> (&'static str, &'static Texts) {
    let language = shipped::LANGUAGES.into_iter().find(|tag| *tag == locale.id.language.as_str());
    let language = language.unwrap_or(DEFAULT_LANGUAGE);
    let texts = shipped::texts(id, language);
    (language, texts.expect("every template has a text in every language, which a test tells"))
}

type Values = BTreeMap<&'static str, variable::Given>;

/// Reads variables, locale and portal, or tells all that is wrong with them.
fn check(template: &Template, wanted: &TemplateUse<'_>) -> Result<(Values, Locale), TemplateError> {
    let given = wanted.variables;
    let (mut values, mut problems) = (Values::new(), Vec::new());
    for name in template.required {
        if given.get(*name).is_none_or(|value| value.expose().is_empty()) {
            problems.push(((*name).to_owned(), "is missing; this template needs it".into()));
        }
    }
    for (name, value) in given {
        match template.variable(name).map(|known| (known.name, known.kind.read(value.expose()))) {
            Some((name, Ok(value))) => _ = values.insert(name, value),
            Some((_, Err(problem))) => problems.push((name.clone(), problem)),
            None => {
                let known: Vec<_> = template.variables().map(|one| one.name).collect();
                let known = known.join(", ");
                let problem = format!("is not a variable of this template; known: {known}");
                problems.push((name.clone(), problem));
            }
        }
    }
    let locale = parse_locale(wanted.locale);
    let portal = wanted.portal.filter(|portal| !portal.is_empty());
    let portal = portal.map_or(Ok(()), check_portal).err();
    match locale {
        Ok(locale) if problems.is_empty() && portal.is_none() => Ok((values, locale)),
        locale => Err(TemplateError::Invalid { variables: problems, locale: locale.err(), portal }),
    }
}

/// Subject, text and HTML.
fn fill(
    texts: &Texts,
    tag: &str,
    asked: &Locale,
    template: &Template,
    values: &Values,
) -> Result<(String, String, String), RenderError> {
    let locale = format_locale(asked, tag);
    let value = |one: &'static variable::Variable| {
        (one.name, engine::value(one.kind, values.get(one.name).cloned(), &locale))
    };
    let values = Value::from_pairs(template.variables().map(value));
    let script = Script { locale: tag, is_right_to_left: locale::is_right_to_left(tag) };
    let make = |source, target| engine::render(source, target, &values, &locale);
    let subject = layout::subject(&make(&texts.subject, Target::Marked)?, script);
    let marked = make(&texts.text, Target::Marked)?;
    let text = layout::text(&marked, script);
    let html = if texts.html.is_empty() {
        layout::html(&marked, &subject, script)
    } else {
        let own = make(&texts.html, Target::Html)?;
        if is_page(&own) { own } else { layout::page(&own, &subject, script) }
    };
    Ok((subject, text, html))
}

fn is_page(html: &str) -> bool {
    let start: String = html.trim_start().chars().take(9).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype") || start.starts_with("<html")
}

#[cfg(test)]
mod tests;
