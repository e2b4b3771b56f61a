//! A run of tests that must end in time.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::failure::{Context, Failure, Result};
use crate::{command, output, processes};

/// How long processes that were killed may take to be gone.
const KILL_DEADLINE: Duration = Duration::from_secs(5);

/// Runs `cargo test`. After `limit` it kills it, with everything that it has started, and names the tests that hang.
pub(super) fn run(tests: &mut Command, limit: Duration) -> Result<()> {
    output::say(&format!("    $ {}", command::line(tests)));
    let mut child = tests.stdout(Stdio::piped()).spawn().context("cannot run the tests")?;
    let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let slow = Arc::<SlowTests>::default();
    let (ended, end) = sync_channel(1);
    let reader = std::thread::spawn({
        let slow = Arc::clone(&slow);
        move || pass_on(stdout, &slow, &ended)
    });
    let in_time = end.recv_timeout(limit) != Err(RecvTimeoutError::Timeout);
    if !in_time {
        processes::kill_with_descendants(child.id());
    }
    let status = child.wait().context("cannot wait for the tests")?;
    if !in_time {
        // Whoever lives on keeps standard output open.
        let all = end.recv_timeout(KILL_DEADLINE) != Err(RecvTimeoutError::Timeout);
        let killed = if all { "killed" } else { "killed, though some of their processes live on," };
        return Err(Failure::new(format!("the tests were {killed} after {limit:?}; {slow}")));
    }
    reader.join().expect("the reader does not panic");
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` ended with {status}", command::line(tests))))
}

/// Prints what the tests print, and learns from it.
fn pass_on(stdout: impl BufRead, slow: &SlowTests, ended: &SyncSender<()>) {
    let mut terminal = std::io::stdout();
    for line in stdout.split(b'\n').map_while(std::io::Result::ok) {
        // A terminal that is gone is no reason to stop.
        terminal.write_all(&line).and_then(|()| terminal.write_all(b"\n")).ok();
        slow.hear(&String::from_utf8_lossy(&line));
    }
    // Nobody waits any more where it is too late.
    ended.send(()).ok();
}

/// The tests that run for long, by what the harness prints: it names each after a minute.
#[derive(Default)]
struct SlowTests(Mutex<BTreeSet<String>>);

impl SlowTests {
    fn hear(&self, line: &str) {
        let Some(told) = line.strip_prefix("test ") else { return };
        if let Some(name) = told.strip_suffix(" has been running for over 60 seconds") {
            self.lock().insert(name.to_owned());
        } else if let Some((name, _result)) = told.split_once(" ... ") {
            self.lock().remove(name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().expect("no code under this lock panics")
    }
}

impl std::fmt::Display for SlowTests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.lock().iter().cloned().collect();
        if names.is_empty() {
            return f.write_str("none of them had been running for more than a minute");
        }
        write!(f, "still running for more than a minute: {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests;
