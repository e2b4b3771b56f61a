//! The processes of this machine, by what `/proc` tells of them.

use std::fs;
use std::process::Command;

use crate::command::works;

/// Kills a process and all that it has started, they and theirs.
pub(crate) fn kill_with_descendants(pid: u32) {
    // Whoever is stopped starts no more.
    signal("STOP", &[pid]);
    let mut all = vec![pid];
    loop {
        let more: Vec<_> = descendants(pid).into_iter().filter(|one| !all.contains(one)).collect();
        if more.is_empty() {
            break;
        }
        signal("STOP", &more);
        all.extend(more);
    }
    signal("KILL", &all);
}

/// The processes that this one has started, they and theirs.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> =
        all().into_iter().filter_map(|one| Some((one, parent(one)?))).collect();
    let mut found = vec![pid];
    let mut seen = 0;
    while let Some(parent) = found.get(seen).copied() {
        found.extend(parents.iter().filter(|(_, one)| *one == parent).map(|(child, _)| *child));
        seen += 1;
    }
    found.split_off(1)
}

fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The parent is the second field behind the name, which stands in brackets and may have any characters
/// (`man 5 proc_pid_stat`). A process that has ended in the meantime has none.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

fn signal(name: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    // Some may have ended by themselves in the meantime, which is as good.
    works(Command::new("kill").args(["-s", name]).args(pids));
}
