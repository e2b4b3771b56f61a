//! `nuncio settings export`

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::command::settings::bundle::{Bundle, Part, document, file, node};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::globals::Format;
use crate::run::Context;

/// The file that is written has no secret in it, but names each that must be entered again.
#[derive(Args)]
pub struct ExportArgs {
    /// Where to write; without it, or as `-`, to the standard output
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) async fn run(context: &mut Context<'_>, args: ExportArgs) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let bundle = node::read(&mut clients).await?;
    let path = args.file.filter(|path| path.as_os_str() != "-");
    match (path, context.out.format()) {
        (None, Format::Json) => {
            context.out.value(&Value::Object(document(&bundle, context.out)?))?;
        }
        (None, Format::Table) => {
            let text = file::write(&bundle, context.out)?;
            context.out.raw(text.as_bytes())?;
        }
        (Some(path), _) => {
            let text = file::write(&bundle, context.out)?;
            let written = tokio::fs::write(&path, text).await;
            written.map_err(|source| Failure::Written { path, source })?;
        }
    }
    tell(context, &bundle)?;
    Ok(Exit::Ok)
}

/// What the reader of the file should know, beside it.
fn tell(context: &mut Context<'_>, bundle: &Bundle) -> Result<(), Failure> {
    if context.out.format() == Format::Json {
        return Ok(());
    }
    for part in Part::ALL {
        if bundle.value(part, context.out)?.is_none() {
            let why = "nothing is saved, or the node has no role that serves it";
            context.out.note(format!("left out: {} ({why})", part.name()))?;
        }
    }
    for one in bundle.secrets() {
        let (part, field) = (one.part.name(), one.field);
        context.out.note(format!("to enter again: {part}: {field} (`{}`)", one.option))?;
    }
    Ok(())
}
