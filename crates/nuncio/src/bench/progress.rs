//! Shows that something goes on.

use std::future::Future;
use std::time::Duration;

use nuncio_cli::output::Output;
use tokio::time::Instant;

use crate::bench::{Failure, report};

/// How often progress is shown on a terminal, and how often elsewhere.
const PROGRESS_TERMINAL: Duration = Duration::from_millis(250);
const PROGRESS_ELSEWHERE: Duration = Duration::from_secs(5);

/// What is counted while something goes on.
#[derive(Clone, Copy)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) sent: u64,
}

/// Does something, and shows how far it is.
pub(super) async fn with_progress<T>(
    work: impl Future<Output = T>,
    counts: impl Fn() -> Counts,
    out: &mut Output,
) -> Result<T, Failure> {
    let spinner = out.spinner();
    let period = if spinner.is_hidden() { PROGRESS_ELSEWHERE } else { PROGRESS_TERMINAL };
    let started = Instant::now();
    let mut ticks = tokio::time::interval_at(started + period, period);
    let mut last = (started, counts());
    tokio::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = ticks.tick() => {}
        }
        let now = (Instant::now(), counts());
        let time = now.0 - last.0;
        let text = format!(
            "{:>5.1} s  {} jobs accepted ({:.0}/s), {} mails sent ({:.0}/s)",
            started.elapsed().as_secs_f64(),
            now.1.accepted,
            report::rate(now.1.accepted - last.1.accepted, time),
            now.1.sent,
            report::rate(now.1.sent - last.1.sent, time),
        );
        last = now;
        if spinner.is_hidden() {
            out.note(text)?;
        } else {
            spinner.set_message(text);
        }
    };
    spinner.finish_and_clear();
    Ok(done)
}
