//! Keys for people.

use nuncio_api::v1::Key;

use crate::output::{Cell, Table, Tone};

/// A list of keys, one on a line, with what to do about it.
pub(crate) fn keys(keys: &[Key]) -> Table {
    let head = ["KEY", "WRITTEN BY", "READ BY", "SETTINGS", "MAILS", "PASSWORDS", "NEXT"];
    let mut table = Table::with_head(head);
    for key in keys {
        let nodes = key.readable_nodes.len() + key.unreadable_nodes.len();
        table.row([
            Cell::from(&key.key_id),
            Cell::from(some_of(&key.writing_nodes, nodes)),
            Cell::from(some_of(&key.readable_nodes, nodes)),
            Cell::from(key.settings.len().to_string()),
            Cell::from(key.mails.to_string()),
            Cell::from(key.passwords.to_string()),
            next(key, nodes),
        ]);
    }
    table
}

/// What has to be done, or what is waited for.
fn next(key: &Key, nodes: usize) -> Cell {
    let (missing, waiting) = (key.unreadable_nodes.join(", "), key.waiting_nodes.join(", "));
    if key.removable {
        return Cell::toned(Tone::Good, "not used: put it first, or remove its line");
    }
    if !waiting.is_empty() && !missing.is_empty() {
        return Cell::toned(Tone::Warning, format!("give it to {missing}"));
    }
    if !waiting.is_empty() {
        return Cell::from(format!("{waiting} will write with it soon"));
    }
    if key.writing_nodes.len() == nodes {
        return Cell::from("");
    }
    if !key.writing_nodes.is_empty() {
        return Cell::toned(Tone::Warning, "give all nodes the same file");
    }
    if key.noted || !key.settings.is_empty() {
        return Cell::from("rotate");
    }
    Cell::from(format!("wait for {}", key.settings_nodes.join(", ")))
}

/// Names of nodes, or that it is all of them.
fn some_of(names: &[String], all: usize) -> String {
    match names.len() {
        0 => "-".to_owned(),
        some if some == all => format!("all {all}"),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests;
