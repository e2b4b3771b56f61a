//! One shell that runs the commands of a page one after the other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::environment::variable;
use crate::failure::{Context, Failure, Result};
use crate::processes::kill_with_descendants;
use crate::walkthrough::page::Said;

/// Begins the line that tells the exit code. No command prints it.
const END: char = '\u{1}';
/// How wide a terminal the commands are told to write for.
const COLUMNS: &str = "120";

pub(super) struct Shell {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Where the command of the moment is written to: what it reads must not be the next command.
    script: PathBuf,
    folder: String,
}

impl Shell {
    /// Starts a shell in `folder` that finds the programs of `programs` and has `settings` as its environment, one
    /// `KEY=VALUE` a line.
    pub(super) fn start(folder: &Path, programs: &Path, settings: &str) -> Result<Self> {
        let work = folder.join("work");
        fs::create_dir(&work).context("cannot make the folder of the commands")?;
        let path = variable("PATH").unwrap_or_default();
        let mut process = Command::new("bash")
            .args(["--noprofile", "--norc", "-c", "exec bash --noprofile --norc 2>&1"])
            .current_dir(&work)
            .envs(settings.lines().filter_map(|line| line.split_once('=')))
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("COLUMNS", COLUMNS)
            .env("NO_COLOR", "1")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start bash")?;
        let stdin = process.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(process.stdout.take().expect("stdout is piped"));
        let script = folder.join("command");
        Ok(Self { process, stdin, stdout, script, folder: format!("{}/", work.display()) })
    }

    /// Runs commands, and waits until they end. What they put into the background goes on.
    pub(super) fn run(&mut self, commands: &str) -> Result<Said> {
        fs::write(&self.script, commands).context("cannot write a command")?;
        let script = self.script.display();
        writeln!(self.stdin, "source {script} </dev/null; printf '\\n\\001%d\\n' $?")
            .context("the shell has ended")?;
        let mut output = String::new();
        loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line).context("cannot read what it said")?;
            if read == 0 {
                return Err(Failure::new(format!("the shell ended at: {commands}")));
            }
            if let Some(code) = line.strip_prefix(END) {
                let code = code.trim_end().parse().context("the shell told no exit code")?;
                output.pop();
                return Ok(Said { output: output.replace(&self.folder, ""), code });
            }
            output.push_str(&line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        kill_with_descendants(self.process.id());
        self.process.wait().ok();
    }
}
