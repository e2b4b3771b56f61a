//! `nuncio keys list` and `rotate`

use clap::Subcommand;
use nuncio_api::v1::rotate_keys_response::Event;
use nuncio_api::v1::{ListKeysRequest, RotateKeysRequest, RotateKeysResult};

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::globals::Format;
use crate::output::{Line, Tone};
use crate::run::Context;
use crate::view;

/// What a node is asked about the keys that encrypt settings and mails.
#[derive(Subcommand)]
pub enum KeysCommand {
    /// List the keys by id: which one writes, which nodes can read each, and what is still sealed with it
    #[command(after_long_help = exit::HELP)]
    List,
    /// Put all settings and mails under the key that writes, and tell which lines can be removed from the key files
    #[command(after_long_help = exit::HELP)]
    Rotate,
}

pub(crate) async fn run(context: &mut Context<'_>, command: KeysCommand) -> Result<Exit, Failure> {
    match command {
        KeysCommand::List => list(context).await,
        KeysCommand::Rotate => rotate(context).await,
    }
}

async fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let listed = clients.keys.list_keys(ListKeysRequest {}).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&listed)?,
        Format::Table => context.out.table(&view::key::keys(&listed.keys))?,
    }
    Ok(Exit::Ok)
}

async fn rotate(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let mut events = clients.keys.rotate_keys(RotateKeysRequest {}).await?.into_inner();
    let spinner = context.out.spinner();
    spinner.set_message("resealing");
    let mut result = None;
    while let Some(told) = events.message().await.inspect_err(|_| spinner.finish_and_clear())? {
        match told.event {
            Some(Event::Progress(progress)) => {
                spinner.set_message(format!("{} mails resealed", progress.resealed_mails));
            }
            Some(Event::Result(told)) => result = Some(told),
            None => {}
        }
    }
    spinner.finish_and_clear();
    let result = result.ok_or(Failure::Incomplete("result"))?;
    match context.out.format() {
        Format::Json => context.out.message(&result)?,
        Format::Table => tell(context, &result)?,
    }
    Ok(Exit::Ok)
}

fn tell(context: &mut Context<'_>, result: &RotateKeysResult) -> Result<(), Failure> {
    let RotateKeysResult { key_id, resealed_settings, resealed_mails, resealed_passwords, .. } =
        result;
    let what = format!(
        " to key {key_id}: {} settings documents, {resealed_mails} mails, {resealed_passwords} passwords that wait \
         for an approval",
        resealed_settings.len()
    );
    context.out.line(Line::new().push(Tone::Good, "rotated").plain(what))?;
    for key_id in &result.forgotten_keys {
        let what = format!(
            "nothing in the store needs key {key_id} any more: when `nuncio keys list` says so, remove it by `nuncio keys remove \
             {key_id} --file FILE` on each node"
        );
        context.out.line(what)?;
    }
    for key_id in &result.kept_keys {
        let what =
            format!("key {key_id} is still needed: look with `nuncio keys list`, and rotate again");
        context.out.line(Line::new().push(Tone::Warning, what))?;
    }
    Ok(())
}
