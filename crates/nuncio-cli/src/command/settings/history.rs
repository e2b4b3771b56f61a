//! Who changed settings.

use nuncio_api::v1::ListSettingsChangesRequest;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::globals::Format;
use crate::run::Context;
use crate::view;

/// Shows the changes of a document; of all if it is empty.
pub(crate) async fn show(context: &mut Context<'_>, document: &str) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let request = ListSettingsChangesRequest { document: document.to_owned() };
    let listed = clients.settings.list_settings_changes(request).await?.into_inner();
    match context.out.format() {
        Format::Json => context.out.message(&listed)?,
        Format::Table if listed.changes.is_empty() => context.out.note("no changes yet")?,
        Format::Table => context.out.table(&view::settings_change::changes(&listed.changes))?,
    }
    Ok(Exit::Ok)
}
