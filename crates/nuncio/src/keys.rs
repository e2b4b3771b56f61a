//! `nuncio keys`: the keys that encrypt settings and mails, in their file and on the nodes.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nuncio_cli::command::keys::KeysCommand as NodeCommand;
use nuncio_cli::exit::{self, Exit};
use nuncio_cli::globals::Format;
use nuncio_cli::output::{Line, Output, Tone};
use nuncio_runtime::chain::Chain;
use nuncio_server::keyring::lines::{Place, add_key, put_first, remove_key};
use nuncio_server::keyring::{KeyId, KeyringError};
use serde_json::json;

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Add a new random key to a key file, or make the file with it
    ///
    /// Without `--first` nodes only read it. A node follows its file, and writes with the first key of it as soon as all live
    /// nodes can read that one: give all nodes the same file.
    #[command(after_long_help = exit::HELP)]
    Add(AddArgs),
    /// Put a key before all others of a key file: nodes write with it as soon as all of them can read it
    #[command(after_long_help = exit::HELP)]
    First(LineArgs),
    /// Remove a key that does not write from a key file; `nuncio keys list` says when nothing needs it
    #[command(after_long_help = exit::HELP)]
    Remove(LineArgs),
    #[command(flatten)]
    Node(NodeCommand),
}

#[derive(Args)]
pub(crate) struct AddArgs {
    /// The key file (`keys.file`)
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Put it before all others, so that it writes
    #[arg(long)]
    first: bool,
}

#[derive(Args)]
pub(crate) struct LineArgs {
    /// The id of the key
    #[arg(value_parser = key_id)]
    key: KeyId,
    /// The key file (`keys.file`)
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// What is done with a key file. It asks no node.
pub(crate) enum FileCommand {
    Add(AddArgs),
    First(LineArgs),
    Remove(LineArgs),
}

impl KeysCommand {
    /// What is done with a key file, or else what a node is asked.
    pub(crate) fn of_a_file(self) -> Result<FileCommand, NodeCommand> {
        match self {
            Self::Add(args) => Ok(FileCommand::Add(args)),
            Self::First(args) => Ok(FileCommand::First(args)),
            Self::Remove(args) => Ok(FileCommand::Remove(args)),
            Self::Node(command) => Err(command),
        }
    }
}

/// Runs a command on a key file.
pub(crate) fn run(command: FileCommand, out: &mut Output) -> Exit {
    let done = match command {
        FileCommand::Add(args) => add(&args),
        FileCommand::First(LineArgs { key, file }) => put_first(&file, &key).map(|()| {
            ("put first", key, "all nodes with this file write with it when all can read it")
        }),
        FileCommand::Remove(LineArgs { key, file }) => {
            remove_key(&file, &key).map(|()| ("removed", key, "nodes with this file forget it"))
        }
    };
    let told = match done {
        Ok((what, key, then)) => tell(out, what, &key, then).map(|()| Exit::Ok),
        Err(failure) => {
            out.note(format!("nuncio keys: {}", Chain(&failure))).map(|()| Exit::Failed)
        }
    };
    // Nobody is left to be told.
    told.unwrap_or(Exit::Failed)
}

fn add(args: &AddArgs) -> Result<(&'static str, KeyId, &'static str), KeyringError> {
    let (place, then) = if args.first {
        (Place::First, "give all nodes this file; they write with it when all can read it")
    } else {
        (Place::Last, "give all nodes this file; then put it first by `nuncio keys first`")
    };
    Ok(("added", add_key(&args.file, place)?, then))
}

fn tell(out: &mut Output, what: &str, key: &KeyId, then: &str) -> std::io::Result<()> {
    match out.format() {
        Format::Json => out.value(&json!({ "keyId": key.as_str() })),
        Format::Table => {
            out.line(Line::new().push(Tone::Good, what).plain(format!(" {key}; {then}")))
        }
    }
}

fn key_id(text: &str) -> Result<KeyId, String> {
    KeyId::parse(text).ok_or_else(|| "use 1 to 64 letters, digits, `-` and `_`".to_owned())
}

#[cfg(test)]
mod tests;
