//! `nuncio templates`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nuncio_api::v1::{
    DeleteTemplateRequest, GetTemplateRequest, ListTemplateChangesRequest, ListTemplatesRequest,
    ListTemplatesResponse, PreviewTemplateRequest, SendTestEmailRequest, Template, TemplateDraft,
    UpdateTemplateRequest,
};

use crate::command::templates::files::{DraftArgs, write_folder};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::input::{parse_mailbox, parse_pair};
use crate::run::Context;
use crate::view;

mod files;

#[derive(Subcommand)]
pub enum TemplatesCommand {
    /// List texts: those that come with nuncio, and the portals' own
    #[command(after_long_help = exit::HELP)]
    List(ListArgs),
    /// Show texts and the variables that they may use
    #[command(after_long_help = exit::HELP)]
    Get {
        #[command(flatten)]
        which: Which,
        /// Write `subject.txt`, `text.txt` and `html.html` into this folder
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Save a portal's own texts
    #[command(after_long_help = exit::HELP)]
    Save(Box<SaveArgs>),
    /// Delete a portal's own texts: back to those behind them
    #[command(after_long_help = exit::HELP)]
    Delete {
        #[command(flatten)]
        which: Which,
        /// Only if they still have this etag
        #[arg(long, default_value = "", hide_default_value = true)]
        etag: String,
    },
    /// Show what a mail would say, with sample values
    #[command(after_long_help = exit::HELP)]
    Preview(Box<PreviewArgs>),
    /// Send what `preview` shows to an address
    #[command(after_long_help = exit::HELP)]
    SendTest(Box<SendTestArgs>),
    /// Show who changed a portal's own texts, and when
    #[command(after_long_help = exit::HELP)]
    History {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Args)]
pub struct ListArgs {
    /// Only of this portal
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    portal: String,
    /// Only of this template: `guest-credentials`
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    template: String,
    /// Only in this language
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TAG")]
    locale: String,
    /// Only the portals' own
    #[arg(long)]
    custom: bool,
}

/// Which texts.
#[derive(Args)]
pub struct Which {
    /// The template: `guest-credentials`, or the whole name `portals/…/templates/…/locales/…`
    template: String,
    /// The portal; `default` stands for all
    #[arg(long, default_value = "default", value_name = "ID")]
    portal: String,
    /// The language: `en`, `de-CH`
    #[arg(long, default_value = "en", value_name = "TAG")]
    locale: String,
}

#[derive(Args)]
pub struct SaveArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    draft: DraftArgs,
    /// They also serve languages for which the portal has no texts of its own
    #[arg(long)]
    serves_other_languages: bool,
    /// Only if the present ones still have this etag
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    /// Only check; nothing is saved
    #[arg(long)]
    validate_only: bool,
}

#[derive(Args)]
pub struct PreviewArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    draft: DraftArgs,
    /// A value in place of the sample; may be repeated
    #[arg(long = "var", value_parser = parse_pair, value_name = "NAME=VALUE")]
    vars: Vec<(String, String)>,
    /// Only the values that are given, no samples
    #[arg(long)]
    no_samples: bool,
    /// Write `subject.txt`, `text.txt` and `html.html` into this folder
    #[arg(long = "to-folder", value_name = "FOLDER")]
    to_folder: Option<PathBuf>,
}

#[derive(Args)]
pub struct SendTestArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    draft: DraftArgs,
    /// Whom it goes to
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// A value in place of the sample; may be repeated
    #[arg(long = "var", value_parser = parse_pair, value_name = "NAME=VALUE")]
    vars: Vec<(String, String)>,
    /// Makes the call safe to repeat
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    request_id: String,
}

pub(crate) async fn run(
    context: &mut Context<'_>,
    command: TemplatesCommand,
) -> Result<Exit, Failure> {
    match command {
        TemplatesCommand::List(args) => list(context, args).await,
        TemplatesCommand::Get { which, folder } => get(context, which, folder).await,
        TemplatesCommand::Save(args) => save(context, *args).await,
        TemplatesCommand::Delete { which, etag } => delete(context, which, etag).await,
        TemplatesCommand::Preview(args) => preview(context, *args).await,
        TemplatesCommand::SendTest(args) => send_test(context, *args).await,
        TemplatesCommand::History { which } => history(context, which).await,
    }
}

async fn list(context: &mut Context<'_>, args: ListArgs) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let ListArgs { portal, template, locale, custom } = args;
    let is_short = !template.is_empty() && !template.contains('/');
    let mut request = ListTemplatesRequest {
        page_size: 1000,
        template: if is_short { format!("templates/{template}") } else { template },
        portal,
        locale,
        custom_only: custom,
        page_token: String::new(),
    };
    let mut all = ListTemplatesResponse::default();
    loop {
        let page = clients.templates.list_templates(request.clone()).await?.into_inner();
        all.templates.extend(page.templates);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    match context.out.format() {
        Format::Json => context.out.message(&all)?,
        Format::Table if all.templates.is_empty() => context.out.note("no templates")?,
        Format::Table => context.out.table(&view::template::templates(&all.templates))?,
    }
    Ok(Exit::Ok)
}

async fn get(
    context: &mut Context<'_>,
    which: Which,
    folder: Option<PathBuf>,
) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = GetTemplateRequest { name: which.name() };
    let response = clients.templates.get_template(request).await?.into_inner();
    if context.out.format() == Format::Json {
        context.out.message(&response)?;
    }
    let template = response.template.ok_or(Failure::Incomplete("template"))?;
    if let Some(folder) = folder {
        write_folder(&folder, &template.subject, &template.text, &template.html).await?;
    }
    if context.out.format() == Format::Table {
        context.out.table(&view::template::head(&template))?;
        context.out.line("")?;
        context.out.raw(template.text.as_bytes())?;
        if !template.html.is_empty() {
            context.out.line("")?;
            context.out.raw(template.html.as_bytes())?;
        }
        context.out.line("")?;
        context.out.table(&view::template::variables(&template.variables))?;
    }
    Ok(Exit::Ok)
}

async fn save(context: &mut Context<'_>, args: SaveArgs) -> Result<Exit, Failure> {
    let TemplateDraft { subject, text, html } = args.draft.read().await?.unwrap_or_default();
    let template = Template {
        name: args.which.name(),
        subject,
        text,
        html,
        serves_other_languages: args.serves_other_languages,
        etag: args.etag,
        ..Template::default()
    };
    let request = UpdateTemplateRequest {
        template: Some(template),
        allow_missing: true,
        validate_only: args.validate_only,
    };
    let mut clients = context.connect().await?;
    let response = clients.templates.update_template(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table if args.validate_only => context.out.line("valid; nothing was saved")?,
        Format::Table => {
            let saved = response.template.ok_or(Failure::Incomplete("template"))?;
            context.out.line(format!("saved {} as {}", saved.name, saved.etag))?;
        }
    }
    Ok(Exit::Ok)
}

async fn delete(context: &mut Context<'_>, which: Which, etag: String) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let name = which.name();
    let request = DeleteTemplateRequest { name: name.clone(), etag };
    let response = clients.templates.delete_template(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table => context.out.line(format!("deleted {name}"))?,
    }
    Ok(Exit::Ok)
}

async fn preview(context: &mut Context<'_>, args: PreviewArgs) -> Result<Exit, Failure> {
    let request = PreviewTemplateRequest {
        name: args.which.name(),
        draft: args.draft.read().await?,
        variables: args.vars.into_iter().collect(),
        no_samples: args.no_samples,
    };
    let mut clients = context.connect().await?;
    let made = clients.templates.preview_template(request).await?.into_inner();
    if let Some(folder) = args.to_folder {
        write_folder(&folder, &made.subject, &made.text, &made.html).await?;
    }
    match context.out.format() {
        Format::Json => context.out.message(&made)?,
        Format::Table => {
            context.out.table(&view::template::preview(&made))?;
            context.out.line("")?;
            context.out.raw(made.text.as_bytes())?;
        }
    }
    Ok(Exit::Ok)
}

async fn send_test(context: &mut Context<'_>, args: SendTestArgs) -> Result<Exit, Failure> {
    let to = parse_mailbox(&args.to)
        .map_err(|problem| Failure::input(problem, "give `--to` as `Name <address>`"))?;
    let request = SendTestEmailRequest {
        name: args.which.name(),
        draft: args.draft.read().await?,
        variables: args.vars.into_iter().collect(),
        to: Some(to),
        request_id: args.request_id,
    };
    let mut clients = context.connect().await?;
    let response = clients.templates.send_test_email(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table => {
            let job = response.mail_job.ok_or(Failure::Incomplete("mail job"))?;
            context.out.line(view::job::change(&job))?;
        }
    }
    Ok(Exit::Ok)
}

async fn history(context: &mut Context<'_>, which: Which) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = ListTemplateChangesRequest { name: which.name() };
    let response = clients.templates.list_template_changes(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&response)?,
        Format::Table if response.changes.is_empty() => context.out.note("no changes")?,
        Format::Table => context.out.table(&view::template::changes(&response.changes))?,
    }
    Ok(Exit::Ok)
}

impl Which {
    fn name(&self) -> String {
        let Self { template, portal, locale } = self;
        if template.starts_with("portals/") {
            return template.clone();
        }
        let template = template.strip_prefix("templates/").unwrap_or(template);
        format!("portals/{portal}/templates/{template}/locales/{locale}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, expect: &str) {
        let (portal, locale) = ("lobby".to_owned(), "de".to_owned());
        let which = Which { template: template.to_owned(), portal, locale };
        assert_eq!(which.name(), expect);
    }

    #[test]
    fn texts_may_be_named_by_their_parts_or_as_a_whole() {
        check("alarm", "portals/lobby/templates/alarm/locales/de");
        check("templates/alarm", "portals/lobby/templates/alarm/locales/de");
        let whole = "portals/other/templates/alarm/locales/fr";
        check(whole, whole);
    }
}
