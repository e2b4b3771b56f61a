//! One server: a process and what it starts.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::command::works;
use crate::failure::{Context, Result};
use crate::output::Stopwatch;

/// Between two looks whether a process has ended.
const LOOK: Duration = Duration::from_millis(50);

/// A running server. Its process leads a group of its own.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

/// How a process is told to end.
#[derive(Clone, Copy)]
pub(crate) enum Signal {
    /// The leader, which ends the others of its group in its own way.
    Terminate,
    /// The whole group, at once.
    Kill,
    /// The whole group stands still, and does not know it.
    Pause,
    /// The whole group goes on.
    Resume,
}

impl Process {
    /// Starts `command`; what it prints goes behind what is in the file of its name in `logs`.
    pub(crate) fn start(name: &'static str, command: &mut Command, logs: &Path) -> Result<Self> {
        let path = logs.join(format!("{name}.out.log"));
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.context(format_args!("cannot create {}", path.display()))?;
        let errors = log.try_clone().context(format_args!("cannot share {}", path.display()))?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .context(format_args!("cannot start {name}"))?;
        Ok(Self { name, child })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// How the process ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context(format_args!("cannot look after {}", self.name))
    }

    /// Waits until it has ended, for so long at most, and tells whether it has.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> Result<bool> {
        let watch = Stopwatch::start();
        while self.ended()?.is_none() {
            if limit < watch.elapsed() {
                return Ok(false);
            }
            std::thread::park_timeout(LOOK);
        }
        Ok(true)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id();
        let line = match signal {
            Signal::Terminate => format!("kill -TERM {pid}"),
            Signal::Kill => format!("kill -KILL -{pid}"),
            Signal::Pause => format!("kill -STOP -{pid}"),
            Signal::Resume => format!("kill -CONT -{pid}"),
        };
        // It may have ended by itself in the meantime, which is as good.
        works(Command::new("sh").args(["-c", &line]));
    }
}
