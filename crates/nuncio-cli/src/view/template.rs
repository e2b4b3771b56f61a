//! Templates for people.

use nuncio_api::v1::{PreviewTemplateResponse, Template, TemplateChange, TemplateVariable};

use crate::names;
use crate::output::{Cell, Table};
use crate::time::moment;

/// A list of texts, one on a line.
pub(crate) fn templates(templates: &[Template]) -> Table {
    let mut table = Table::with_head(["NAME", "TEXTS", "CLASS", "SUBJECT"]);
    for one in templates {
        table.row([
            Cell::from(&one.name),
            Cell::from(if one.custom { "own" } else { &one.source }),
            Cell::from(names::class(one.class())),
            Cell::from(&one.subject),
        ]);
    }
    table
}

/// What there is to say about texts.
pub(crate) fn head(template: &Template) -> Table {
    let mut table = Table::list();
    table.value("name", &template.name);
    table.value("what it does", &template.description);
    table.value("class", names::class(template.class()));
    table.value("texts", &template.source);
    let others = if template.serves_other_languages { "yes" } else { "" };
    table.value("serves others", others);
    table.value("etag", &template.etag);
    if template.update_time.is_some() {
        table.value("saved", moment(template.update_time.as_ref()));
    }
    table.value("subject", &template.subject);
    table
}

/// The variables that texts may use.
pub(crate) fn variables(variables: &[TemplateVariable]) -> Table {
    let mut table = Table::with_head(["VARIABLE", "KIND", "REQUIRED", "WHAT IT IS"]);
    for one in variables {
        table.row([
            Cell::from(&one.name),
            Cell::from(names::variable_kind(one.kind())),
            Cell::from(if one.required { "yes" } else { "" }),
            Cell::from(&one.description),
        ]);
    }
    table
}

/// The head of what a mail would say.
pub(crate) fn preview(made: &PreviewTemplateResponse) -> Table {
    let mut table = Table::list();
    table.value("texts", &made.source);
    table.value("subject", &made.subject);
    table
}

/// The changes of texts.
pub(crate) fn changes(changes: &[TemplateChange]) -> Table {
    let mut table = Table::with_head(["TIME", "CALLER", "CHANGED"]);
    for one in changes {
        table.row([
            Cell::from(moment(one.time.as_ref())),
            Cell::from(&one.caller),
            Cell::from(&one.summary),
        ]);
    }
    table
}
