//! Changes of settings for people.

use nuncio_api::v1::SettingsChange;

use crate::output::{Cell, Table};
use crate::time::moment;

/// A change on each line.
pub(crate) fn changes(changes: &[SettingsChange]) -> Table {
    let mut table = Table::with_head(["TIME", "DOCUMENT", "GENERATION", "BY", "CHANGED"]);
    for one in changes {
        table.row([
            Cell::from(moment(one.change_time.as_ref())),
            Cell::from(&one.document),
            Cell::from(one.generation.to_string()),
            Cell::from(&one.caller),
            Cell::from(&one.summary),
        ]);
    }
    table
}
