//! `nuncio settings import`
//!
//! Everything is checked before anything is saved, the test of the SMTP settings included. What is as in the file
//! already is not saved again, so that an import that broke off can be repeated.

use std::path::PathBuf;

use clap::Args;
use nuncio_api::client::Clients;
use serde_json::{Value, json};

use crate::command::settings::ExceptArgs;
use crate::command::settings::bundle::{Bundle, Part, file, node};
use crate::command::settings::import::apply::{Allowed, apply, apply_trust};
use crate::command::settings::import::check::{Checked, check};
use crate::command::settings::import::diff::{PartChange, changes};
use crate::command::settings::import::secrets::SecretArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::globals::Format;
use crate::input::read_text;
use crate::output::{Cell, Table, Tone};
use crate::run::Context;

mod apply;
mod check;
mod diff;
mod secrets;

/// A saved secret stays where it would go to the same server as before; every other one is given by file.
#[derive(Args)]
pub struct ImportArgs {
    /// A file that `nuncio settings export` wrote; `-` is the standard input
    file: PathBuf,
    /// Only check the file and show what would change; nothing is saved, and no mail server is asked
    #[arg(long)]
    dry_run: bool,
    /// Only these parts of the file: `trust-store`, `smtp`, `guest-mail`, `alarms`, `alarm-types`, `alarm-routes`, `templates`,
    /// `reminders`
    #[arg(long, value_delimiter = ',', value_parser = parse_part, value_name = "PARTS")]
    only: Vec<Part>,
    /// The most reminders that may be due at once by this import
    #[arg(long, default_value_t = 0, value_name = "N")]
    max_due: i64,
    #[command(flatten)]
    except: ExceptArgs,
    #[command(flatten)]
    secrets: SecretArgs,
}

fn parse_part(name: &str) -> Result<Part, String> {
    let known = Part::ALL.map(Part::name).join(", ");
    Part::from_name(name).ok_or_else(|| format!("is no part; there are: {known}"))
}

pub(super) async fn run(context: &mut Context<'_>, args: ImportArgs) -> Result<Exit, Failure> {
    let text = read_text(&args.file).await?;
    let mut wanted = file::read(&args.file, &text, context.out)?;
    wanted.retain(&args.only);
    let given = args.secrets.put_into(&mut wanted, context.environment).await?;
    let mut clients = context.connect().await?;
    let present = node::read(&mut clients).await?;
    let Checked { mut request, would_be } =
        check(&mut clients, wanted, &present, args.max_due).await?;
    let changes = changes(&present, &would_be, &given, context.out)?;
    show(context, &changes, &request, &given)?;
    let is_changed = |part: Part| changes.iter().any(|one| one.part == part);
    if args.dry_run || changes.is_empty() {
        return end_without_save(context, args.dry_run);
    }
    let mut done = Vec::new();
    if let Some(trust_store) = request.trust_store.take().filter(|_| is_changed(Part::TrustStore)) {
        // The test of the SMTP settings may need it.
        apply_trust(context, &mut clients, trust_store, &mut done).await?;
    }
    let except = args.except.except_nodes;
    if is_changed(Part::Smtp) && !passes(context, &mut clients, &request, &except).await? {
        let what = if done.is_empty() { "nothing was saved" } else { "nothing else was saved" };
        note(context, what)?;
        return Ok(Exit::Refused);
    }
    request.keep_changed(&changes);
    let allowed = Allowed { max_due: args.max_due, except_nodes: except };
    apply(context, &mut clients, request, allowed, done).await?;
    Ok(Exit::Ok)
}

/// The settings are proved like any others: by a test from every node.
async fn passes(
    context: &mut Context<'_>,
    clients: &mut Clients,
    request: &Bundle,
    except: &[String],
) -> Result<bool, Failure> {
    let end = super::test(context, clients, request.smtp.clone(), except.to_vec()).await?;
    Ok(end == Exit::Ok)
}

/// What changes, and which secrets stay.
fn show(
    context: &mut Context<'_>,
    changes: &[PartChange],
    request: &Bundle,
    given: &[String],
) -> Result<(), Failure> {
    let secrets = request.secrets();
    let is_changed = |part: Part| changes.iter().any(|one| one.part == part);
    let kept = secrets.iter().filter(|one| is_changed(one.part) && !given.contains(&one.field));
    if context.out.format() == Format::Json {
        let shown =
            changes.iter().map(|one| json!({ "part": one.part.name(), "fields": one.fields }));
        let kept = kept.map(|one| json!({ "part": one.part.name(), "field": one.field }));
        let plan =
            json!({ "changes": shown.collect::<Value>(), "keptSecrets": kept.collect::<Value>() });
        context.out.value(&plan)?;
        return Ok(());
    }
    if !changes.is_empty() {
        let mut table = Table::with_head(["PART", "CHANGES"]);
        for one in changes {
            let fields = one.fields.join(", ");
            table.row([Cell::toned(Tone::Strong, one.part.name()), Cell::from(fields)]);
        }
        context.out.table(&table)?;
    }
    for one in kept {
        context.out.note(format!("the saved secret stays: {}: {}", one.part.name(), one.field))?;
    }
    Ok(())
}

fn end_without_save(context: &mut Context<'_>, dry_run: bool) -> Result<Exit, Failure> {
    let why = if dry_run { "nothing was saved" } else { "everything is as in the file already" };
    note(context, why)?;
    Ok(Exit::Ok)
}

fn note(context: &mut Context<'_>, text: &str) -> Result<(), Failure> {
    if context.out.format() == Format::Table {
        context.out.note(text)?;
    }
    Ok(())
}
