//! What processes and the machine use, as Linux tells it in `/proc`; elsewhere nothing is known.

use std::time::Duration;

/// Ticks a second in `/proc/PID/stat`: `USER_HZ`, which is 100 on every common machine (proc(5)).
const TICK: Duration = Duration::from_millis(10);
/// Where user and system time stand behind the name of the program (proc(5): fields 14 and 15 of `stat`, and the
/// name is field 2).
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;

/// Resident memory, MiB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Memory {
    pub(super) now: f64,
    pub(super) max: f64,
}

/// The processor time that a process has used.
pub(super) fn cpu(pid: u32) -> Option<Duration> {
    ticks(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?).map(|ticks| TICK * ticks)
}

/// The processor time of the threads of this process that have this name.
pub(super) fn thread_cpu(name: &str) -> Option<Duration> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?.flatten();
    let mut sum = None;
    for thread in threads.map(|entry| entry.path()) {
        let read = |file| std::fs::read_to_string(thread.join(file)).unwrap_or_default();
        // The first number of `schedstat`: nanoseconds on a processor.
        if read("comm").trim_end() == name
            && let Some(nanos) = read("schedstat").split(' ').next().and_then(|it| it.parse().ok())
        {
            sum = Some(sum.unwrap_or(Duration::ZERO) + Duration::from_nanos(nanos));
        }
    }
    sum
}

/// The processor time that all processors together have spent on anything.
pub(super) fn machine_cpu() -> Option<Duration> {
    busy_ticks(&std::fs::read_to_string("/proc/stat").ok()?).map(|ticks| TICK * ticks)
}

pub(super) fn memory(pid: u32) -> Option<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Memory { now: mebibytes(&status, "VmRSS:")?, max: mebibytes(&status, "VmHWM:")? })
}

fn ticks(stat: &str) -> Option<u32> {
    // The name may hold anything, brackets and blanks too.
    let (_name, fields) = stat.rsplit_once(')')?;
    let field = |at| fields.split_ascii_whitespace().nth(at)?.parse::<u32>().ok();
    Some(field(USER_TIME)? + field(SYSTEM_TIME)?)
}

/// All columns of the first line but `idle` and `iowait` (proc(5): the fourth and fifth).
fn busy_ticks(stat: &str) -> Option<u32> {
    let columns = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    // What guests use is part of `user` and `nice` already.
    let busy = columns.take(8).enumerate().filter(|(column, _)| !matches!(column, 3 | 4));
    busy.map(|(_, ticks)| ticks.parse::<u32>().ok()).sum()
}

fn mebibytes(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kibibytes) / 1024.0)
}

#[cfg(test)]
mod tests;
