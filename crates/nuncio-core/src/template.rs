//! Templates: subjects and bodies with variables.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use crate::class::MailClass;
use crate::secret::Sensitive;

/// How many steps one rendering may take, so that no template runs for ever.
const FUEL: u64 = 100_000;
/// The longest value of a variable, in characters.
pub const VARIABLE_CHARS_MAX: usize = 4096;

/// The values of a template's variables by name. They may hold guests' passwords.
pub type Variables = BTreeMap<String, Sensitive>;

/// The templates that a node knows.
#[derive(Clone, Debug)]
pub struct Templates {
    all: &'static [Template],
}

/// A template: what it is called, what it needs, and its texts.
#[derive(Debug)]
pub struct Template {
    /// Its name: `templates/guest-credentials`.
    pub name: &'static str,
    /// The class of a mail made from it, if the caller names none.
    pub class: MailClass,
    /// Every variable, and whether it must be given.
    pub variables: &'static [Variable],
    /// The texts by language; the first is the one for all other languages.
    pub texts: &'static [Texts],
}

#[derive(Debug)]
pub struct Variable {
    pub name: &'static str,
    pub required: bool,
}

#[derive(Debug)]
pub struct Texts {
    /// A BCP 47 tag, for example `en`.
    pub locale: &'static str,
    pub subject: &'static str,
    pub text: &'static str,
    pub html: &'static str,
}

/// What a template made. The bodies may hold secrets, so there is no `Debug`.
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Why a template made nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("template `{name}` does not exist; there are: {known}")]
    Unknown { name: String, known: String },
    #[error("the variables do not fit")]
    Variables(Vec<(String, String)>),
    #[error("{0}")]
    Locale(String),
    #[error("{0}")]
    Broken(String),
}

impl Templates {
    /// The templates that come with nuncio.
    pub fn shipped() -> Self {
        Self { all: SHIPPED }
    }

    pub fn find(&self, name: &str) -> Option<&'static Template> {
        self.all.iter().find(|template| template.name == name)
    }

    /// Makes subject and bodies. HTML is escaped; an unknown or missing variable is an error.
    pub fn render(
        &self,
        name: &str,
        variables: &Variables,
        locale: &str,
    ) -> Result<Rendered, TemplateError> {
        let template = self.find(name).ok_or_else(|| {
            let known: Vec<_> = self.all.iter().map(|one| format!("`{}`", one.name)).collect();
            TemplateError::Unknown { name: name.to_owned(), known: known.join(", ") }
        })?;
        check_variables(template, variables)?;
        let texts = template.texts_for(locale)?;
        let values = Value::from_pairs(
            template
                .variables
                .iter()
                .map(|one| (one.name, variables.get(one.name).map_or("", Sensitive::expose))),
        );
        let make = |source, escape| {
            render(source, escape, &values)
                .map_err(|error| TemplateError::Broken(format!("`{name}` is broken: {error}")))
        };
        Ok(Rendered {
            subject: make(texts.subject, AutoEscape::None)?,
            text: make(texts.text, AutoEscape::None)?,
            html: make(texts.html, AutoEscape::Html)?,
        })
    }
}

impl Template {
    /// The texts for a language: the exact tag, its language alone, or the template's first.
    fn texts_for(&self, locale: &str) -> Result<&'static Texts, TemplateError> {
        let well_formed =
            locale.len() <= 35 && locale.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !well_formed {
            let problem = "is no language tag; give one such as `en` or `de-CH` (BCP 47)";
            return Err(TemplateError::Locale(problem.to_owned()));
        }
        let language = locale.split('-').next().unwrap_or_default();
        let find = |tag: &str| self.texts.iter().find(|one| one.locale.eq_ignore_ascii_case(tag));
        let first = self.texts.first().expect("every template has texts");
        Ok(find(locale).or_else(|| find(language)).unwrap_or(first))
    }
}

fn check_variables(template: &Template, given: &Variables) -> Result<(), TemplateError> {
    let mut problems = Vec::new();
    for variable in template.variables.iter().filter(|variable| variable.required) {
        if given.get(variable.name).is_none_or(|value| value.expose().is_empty()) {
            problems.push((variable.name.to_owned(), "is missing; this template needs it".into()));
        }
    }
    for (name, value) in given {
        if !template.variables.iter().any(|variable| variable.name == name) {
            let known: Vec<_> = template.variables.iter().map(|one| one.name).collect();
            let problem =
                format!("is not a variable of this template; known: {}", known.join(", "));
            problems.push((name.clone(), problem));
        }
        if VARIABLE_CHARS_MAX < value.expose().chars().count() {
            problems
                .push((name.clone(), format!("is longer than {VARIABLE_CHARS_MAX} characters")));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(TemplateError::Variables(problems)) }
}

fn render(source: &str, escape: AutoEscape, values: &Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).build()?);
    environment.set_auto_escape_callback(move |_name| escape.clone());
    environment.render_str(source, values)
}

const fn required(name: &'static str) -> Variable {
    Variable { name, required: true }
}

const fn optional(name: &'static str) -> Variable {
    Variable { name, required: false }
}

const SHIPPED: &[Template] = &[Template {
    name: "templates/guest-credentials",
    class: MailClass::Credentials,
    variables: &[
        required("username"),
        required("password"),
        required("valid_from"),
        required("valid_to"),
        optional("first_name"),
        optional("last_name"),
        optional("company"),
        optional("mobile_number"),
        optional("duration"),
        optional("person_visited"),
        optional("reason_for_visit"),
        optional("unused_expires"),
        optional("ssid"),
    ],
    texts: &[Texts {
        locale: "en",
        subject: include_str!("template/guest-credentials.en.subject.txt"),
        text: include_str!("template/guest-credentials.en.body.txt"),
        html: include_str!("template/guest-credentials.en.body.html"),
    }],
}];

#[cfg(test)]
mod tests;
