//! Which texts a list has.

use std::collections::{BTreeMap, BTreeSet};

use nuncio_api::v1;
use nuncio_core::template::catalogue::{NAME_PREFIX, Template};
use nuncio_core::template::custom::{DEFAULT_PORTAL, TextsKey, check_portal};
use nuncio_core::template::locale::parse_locale;
use nuncio_core::template::shipped::LANGUAGES;
use nuncio_core::violation::Violations;

use crate::share::SavedTexts;

/// What a list is asked for; none means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    portal: Option<String>,
    template: Option<&'static str>,
    locale: Option<String>,
    custom_only: bool,
}

impl Filter {
    pub(crate) fn read(request: &v1::ListTemplatesRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let portal = given(&request.portal);
        if let Some(portal) = &portal {
            violations.check("portal", check_portal(portal));
        }
        let template = given(&request.template).and_then(|name| {
            let problem =
                format!("is no template; a name looks like `{NAME_PREFIX}guest-credentials`");
            violations.check("template", Template::named(&name).ok_or(problem))
        });
        let locale = given(&request.locale)
            .and_then(|tag| violations.check("locale", parse_locale(&tag)))
            .map(|locale| locale.id.to_string());
        let (template, custom_only) = (template.map(|one| one.id), request.custom_only);
        violations.none_or(|| Self { portal, template, locale, custom_only })
    }

    fn fits(&self, key: &TextsKey) -> bool {
        let fits = |wanted: Option<&str>, is: &str| wanted.is_none_or(|wanted| wanted == is);
        fits(self.portal.as_deref(), &key.portal)
            && fits(self.template, &key.template)
            && fits(self.locale.as_deref(), &key.locale)
    }
}

/// The texts that fit: the portals' own, and what comes with nuncio under the name of the portal that is asked for.
pub(crate) fn rows(
    filter: &Filter,
    all: &BTreeMap<TextsKey, SavedTexts>,
) -> Vec<(TextsKey, &'static Template)> {
    let own = all.iter().filter(|(_, saved)| saved.custom.is_some()).map(|(key, _)| key.clone());
    let portal = filter.portal.as_deref().unwrap_or(DEFAULT_PORTAL);
    let shipped = Template::all().iter().filter(|_| !filter.custom_only).flat_map(|template| {
        LANGUAGES.into_iter().map(|language| TextsKey {
            portal: portal.to_owned(),
            template: template.id.to_owned(),
            locale: language.to_owned(),
        })
    });
    let keys: BTreeSet<TextsKey> = own.chain(shipped).filter(|key| filter.fits(key)).collect();
    // A template of a later version may be in the store.
    keys.into_iter()
        .filter_map(|key| Some((Template::find(&key.template)?, key)))
        .map(|(t, k)| (k, t))
        .collect()
}
