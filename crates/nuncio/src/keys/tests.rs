use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use tempfile::TempDir;

use crate::{Cli, Command};

use super::*;

/// A writer that keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a command on a key file has printed, and how it has ended.
fn nuncio(folder: &TempDir, args: &[&str]) -> (String, Exit) {
    let file = folder.path().join("settings.key").display().to_string();
    let args = [&["nuncio", "keys"], args, &["--file", &file]].concat();
    let Cli { globals, command } = Cli::try_parse_from(args).unwrap();
    let Command::Keys(command) = command else { panic!("another command") };
    let kept = Kept::default();
    let mut out = Output::to(kept.clone(), kept.clone(), &globals);
    let Ok(command) = command.of_a_file() else { panic!("another command") };
    let exit = run(command, &mut out);
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    (text, exit)
}

#[test]
fn keys_are_added_put_first_and_removed_without_a_word_of_what_they_are() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("settings.key");
    let added = |args: &[&str]| {
        let (text, exit) = nuncio(&folder, args);
        assert_eq!(exit, Exit::Ok, "{text}");
        text.split([' ', ';']).nth(1).unwrap().to_owned()
    };
    let old = added(&["add"]);
    let new = added(&["add"]);
    added(&["first", &new]);

    let lines = || fs::read_to_string(&path).unwrap();
    let ids = || {
        lines()
            .lines()
            .filter_map(|line| line.split_once(' ').map(|(id, _)| id.to_owned()))
            .filter(|id| id.starts_with('k'))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(), [new.clone(), old.clone()]);
    let (text, exit) = nuncio(&folder, &["remove", &new]);
    assert_eq!(exit, Exit::Failed);
    assert!(text.contains("which writes"), "{text}");
    for line in lines().lines().filter(|line| line.starts_with('k')) {
        assert!(!text.contains(line.split_once(' ').unwrap().1), "{text}");
    }
    added(&["remove", &old]);
    assert_eq!(ids(), [new]);
}

#[test]
fn programs_get_the_id_as_json() {
    let folder = TempDir::new().unwrap();

    let (text, _) = nuncio(&folder, &["add", "--first", "--output", "json"]);

    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(value["keyId"].as_str().unwrap().starts_with('k'), "{text}");
}
