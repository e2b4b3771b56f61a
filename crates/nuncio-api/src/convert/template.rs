//! Templates: names, texts and variables.

use nuncio_core::template::catalogue::{NAME_PREFIX, Template};
use nuncio_core::template::custom::{Texts, TextsKey, check_portal};
use nuncio_core::template::locale::parse_locale;
use nuncio_core::template::variable::Variable;
use tonic::{Code, Status};

use crate::error::status;
use crate::v1;

const PORTALS: &str = "portals/";
const LOCALES: &str = "/locales/";

/// The resource name of texts: `portals/default/templates/alarm/locales/de`.
pub fn texts_name(key: &TextsKey) -> String {
    let TextsKey { portal, template, locale } = key;
    format!("{PORTALS}{portal}/{NAME_PREFIX}{template}{LOCALES}{locale}")
}

/// The texts that a resource name means, with the tag of their language in its canonical form.
///
/// Whether there is such a template, the caller looks up.
pub fn texts_key(name: &str) -> Result<TextsKey, Status> {
    let parts = name.strip_prefix(PORTALS).and_then(|rest| {
        let (portal, rest) = rest.split_once('/')?;
        let (template, locale) = rest.strip_prefix(NAME_PREFIX)?.split_once(LOCALES)?;
        Some((portal, template, locale)).filter(|_| !template.contains('/') && !locale.is_empty())
    });
    let shown: String = name.chars().take(200).collect();
    let refuse = |problem: &str| {
        let message = format!(
            "`{shown}` {problem}; a name looks like \
             `portals/default/templates/guest-credentials/locales/de`"
        );
        status(Code::InvalidArgument, "INVALID_NAME", message, [("name", shown.clone())])
    };
    let Some((portal, template, locale)) = parts else {
        return Err(refuse("is no name of a template's texts"));
    };
    check_portal(portal).map_err(|problem| refuse(&problem))?;
    let locale = parse_locale(locale).map_err(|problem| refuse(&problem))?;
    let (portal, template) = (portal.to_owned(), template.to_owned());
    Ok(TextsKey { portal, template, locale: locale.id.to_string() })
}

/// What a template is, without its texts.
pub fn template_about(template: &Template) -> v1::Template {
    v1::Template {
        description: template.description.to_owned(),
        class: v1::MailClass::from(template.class).into(),
        ..v1::Template::default()
    }
}

/// The variables of a template.
pub fn template_variables(template: &Template) -> Vec<v1::TemplateVariable> {
    let variable = |one: &Variable| v1::TemplateVariable {
        name: one.name.to_owned(),
        kind: v1::TemplateVariableKind::from(one.kind).into(),
        required: template.requires(one.name),
        description: one.description.to_owned(),
        sample: one.sample.to_owned(),
    };
    template.variables().map(variable).collect()
}

impl From<v1::TemplateDraft> for Texts {
    fn from(v1::TemplateDraft { subject, text, html }: v1::TemplateDraft) -> Self {
        Self { subject, text, html }
    }
}
