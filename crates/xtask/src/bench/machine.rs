//! On what the figures were seen.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::{available_parallelism, park_timeout};
use std::time::Duration;

use crate::command::{command, read};
use crate::environment::root;
use crate::install::postgres_folder;

/// How long the machine is looked at while nothing is measured.
const LOOK: Duration = Duration::from_secs(1);
/// Ticks a second in `/proc/stat` (`USER_HZ`, proc(5)).
const TICKS_PER_S: f64 = 100.0;

/// Tells which commit is checked out, and whether files differ from it.
const COMMIT: &[&str] = &["git", "describe", "--always", "--dirty", "--abbrev=7"];

/// The load of the last minute.
pub(super) fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// How many processors are busy with something else, while nothing is measured.
pub(super) fn foreign_processors() -> Option<f64> {
    let before = busy_ticks(&fs::read_to_string("/proc/stat").ok()?)?;
    park_timeout(LOOK);
    let after = busy_ticks(&fs::read_to_string("/proc/stat").ok()?)?;
    Some((after - before) / TICKS_PER_S / LOOK.as_secs_f64())
}

/// A line for each thing that the figures depend on. The commit is known of a program that was built here.
pub(super) fn description(
    program: &Path,
    is_built_here: bool,
    folder: &Path,
) -> Vec<(&'static str, String)> {
    let words = |words: &[&str]| {
        let told = read(&mut command(&root(), words)).unwrap_or_default();
        told.lines().next().unwrap_or_default().trim().to_owned()
    };
    let processors = available_parallelism().map_or(0, usize::from);
    let folder = folder.display().to_string();
    let postgres = postgres_folder().map(|folder| folder.join("postgres").display().to_string());
    let own = read(Command::new(program).arg("--version")).unwrap_or_default();
    vec![
        ("processors", format!("{processors} × {}", proc_value("/proc/cpuinfo", "model name"))),
        ("memory", proc_value("/proc/meminfo", "MemTotal")),
        ("system", words(&["uname", "-sr"])),
        ("file system", words(&["findmnt", "-n", "-o", "FSTYPE", "-T", &folder])),
        ("commit", if is_built_here { words(COMMIT) } else { "unknown".to_owned() }),
        ("nuncio", own.trim().to_owned()),
        ("compiler", words(&["rustc", "--version"])),
        ("Postfix", words(&["postconf", "-d", "-h", "mail_version"])),
        ("PostgreSQL", postgres.map(|it| words(&[&it, "--version"])).unwrap_or_default()),
        ("date", words(&["date", "-u", "+%Y-%m-%d %H:%M UTC"])),
    ]
}

/// The value behind the first `key:` in a file of `/proc`.
fn proc_value(path: &str, key: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'));
    line.unwrap_or("unknown").trim().to_owned()
}

/// All columns of the first line but `idle` and `iowait` (proc(5): the fourth and fifth).
fn busy_ticks(stat: &str) -> Option<f64> {
    let columns = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    // What guests use is part of `user` and `nice` already.
    let busy = columns.take(8).enumerate().filter(|(column, _)| !matches!(column, 3 | 4));
    busy.map(|(_, ticks)| ticks.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_busy_with_all_but_waiting() {
        let stat = "cpu  10 2 30 4000 500 6 7 8 3 1\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_ticks(stat), Some(63.0));
    }
}
