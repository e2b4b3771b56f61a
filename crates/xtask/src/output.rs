//! The terminal, and the clock that a person in front of it cares for.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::failure::{Context, Result};

/// Prints a line. A terminal that is gone is no reason to stop: there may be servers to clean up.
pub(crate) fn say(line: &str) {
    let mut terminal = std::io::stderr().lock();
    writeln!(terminal, "{line}").ok();
}

/// Prints what a command is for, which may go to a file.
pub(crate) fn result(text: &str) -> Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot print the result")
}

/// Runs one step of a command under a heading and tells how long it took.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("\n==> {name}"));
    let watch = Stopwatch::start();
    let result = work();
    let end = if result.is_ok() { "done in" } else { "FAILED after" };
    say(&format!("    {name}: {end} {}", seconds(watch.elapsed())));
    result
}

/// A duration as a person reads it, as in `3.2 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Time since a start.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "measures real commands; there is no runtime whose time could be paused"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
