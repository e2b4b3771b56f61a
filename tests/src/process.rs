//! The program `nuncio` as a process.

use std::fmt::Write as _;
use std::ops::Deref;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::caller::{Caller, PATIENCE};
use crate::fake_clock::FakeClock;
use crate::small_disk::{self, SmallDisk};

/// A running `nuncio`. It is killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: watch::Receiver<String>,
    stderr: watch::Receiver<String>,
    readers: JoinSet<()>,
}

/// How a process has ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; nothing where a signal has ended it.
    pub code: Option<i32>,
    /// The signal that has ended it.
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// `nuncio serve`, ready. It can be asked whatever a [`Caller`] asks.
#[derive(Debug)]
pub struct ServeProcess {
    /// The API: `http://127.0.0.1:…`.
    pub server: String,
    /// Health and metrics: `127.0.0.1:…`.
    pub http: String,
    pub process: Process,
    caller: Caller,
}

impl Process {
    /// Starts `nuncio` with `args`, and with `env` as the only `NUNCIO_*` variables.
    pub fn start<S: AsRef<str>>(args: &[S], env: &[(&str, &str)]) -> Self {
        Self::start_by(Command::new(program()), args, env)
    }

    /// The same by a command to which `args` are added.
    fn start_by<S: AsRef<str>>(mut command: Command, args: &[S], env: &[(&str, &str)]) -> Self {
        command.args(args.iter().map(AsRef::as_ref)).env_clear().kill_on_drop(true);
        command.env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").env("NO_COLOR", "1");
        command.envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut readers = JoinSet::new();
        let stdout = keep(&mut readers, child.stdout.take().expect("it is piped"));
        let stderr = keep(&mut readers, child.stderr.take().expect("it is piped"));
        Self { child, stdout, stderr, readers }
    }

    /// Starts `nuncio serve` on free ports with this data folder, and does not wait until it is ready.
    pub fn serve(data_dir: &Path, more: &[&str]) -> Self {
        Self::serve_by(Command::new(program()), data_dir, more)
    }

    fn serve_by(command: Command, data_dir: &Path, more: &[&str]) -> Self {
        let data_dir = data_dir.display().to_string();
        let mut args = vec!["serve", "--data-dir", &data_dir];
        args.extend(["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
        args.extend(more);
        Self::start_by(command, &args, &[])
    }

    /// Runs `nuncio` to its end.
    pub async fn run<S: AsRef<str>>(args: &[S], env: &[(&str, &str)]) -> Ended {
        Self::start(args, env).ended().await
    }

    /// The standard output up to now.
    pub fn stdout(&self) -> String {
        self.stdout.borrow().clone()
    }

    /// The standard error up to now.
    pub fn stderr(&self) -> String {
        self.stderr.borrow().clone()
    }

    /// Waits until the standard error has `part`, and returns all of it.
    pub async fn wait_for_stderr(&mut self, part: &str) -> String {
        wait_for(&mut self.stderr, part).await
    }

    /// Waits until the standard output has `part`, and returns all of it.
    pub async fn wait_for_stdout(&mut self, part: &str) -> String {
        wait_for(&mut self.stdout, part).await
    }

    /// Sends SIGTERM.
    pub async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Sends SIGSTOP: it stands still until it is resumed, and does not know it.
    pub async fn pause(&self) {
        self.signal("STOP").await;
    }

    /// Sends SIGCONT.
    pub async fn resume(&self) {
        self.signal("CONT").await;
    }

    /// Sends SIGKILL, and waits until the process is gone.
    pub async fn kill9(mut self) -> Ended {
        self.child.start_kill().expect("it is our process");
        self.ended().await
    }

    /// Waits until the process has ended by itself.
    pub async fn ended(mut self) -> Ended {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let Ok(status) = status else {
            panic!("the process goes on and on; it said: {}", self.stderr())
        };
        let status: ExitStatus = status.expect("it is our process");
        while self.readers.join_next().await.is_some() {}
        Ended {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("the process still runs").to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status().await;
        assert!(kill.is_ok_and(|status| status.success()), "`kill` did not reach the process");
    }
}

impl ServeProcess {
    /// Starts `nuncio serve` on free ports with this data folder, and waits until it is ready.
    pub async fn start(data_dir: &Path, more: &[&str]) -> Self {
        Self::try_start(data_dir, more).await.unwrap_or_else(|ended| panic!("{ended:#?}"))
    }

    /// The same, where it may fail.
    pub async fn try_start(data_dir: &Path, more: &[&str]) -> Result<Self, Ended> {
        Self::when_ready(Process::serve(data_dir, more)).await
    }

    /// Starts `nuncio serve` with a disk of its own, which has so many bytes, below its data folder.
    pub async fn start_on_small_disk(data_dir: &Path, bytes: u64) -> (Self, SmallDisk) {
        let command = small_disk::command(data_dir, bytes, &program());
        let node = Self::when_ready(Process::serve_by(command, data_dir, &[])).await;
        let node = node.unwrap_or_else(|ended| panic!("{}: {ended:#?}", small_disk::NEEDED));
        let pid = node.process.child.id().expect("the process still runs");
        (node, SmallDisk::of(pid, data_dir))
    }

    /// Starts `nuncio serve` on free ports with this data folder, by the time of this clock.
    pub async fn start_by_clock(data_dir: &Path, clock: &FakeClock) -> Self {
        let mut command = Command::new("env");
        let set = clock.environment().into_iter().map(|(name, value)| format!("{name}={value}"));
        command.args(set).arg(program());
        let node = Self::when_ready(Process::serve_by(command, data_dir, &[])).await;
        node.unwrap_or_else(|ended| panic!("{ended:#?}"))
    }

    async fn when_ready(mut process: Process) -> Result<Self, Ended> {
        let ready = timeout(PATIENCE, ready(&mut process.stderr)).await;
        let ready = ready.unwrap_or_else(|_elapsed| panic!("not ready: {}", process.stderr()));
        let Some((grpc, http)) = ready else { return Err(process.ended().await) };
        let server = format!("http://{grpc}");
        let caller = Caller::connect(&server).await;
        Ok(Self { server, http, process, caller })
    }

    /// Sends SIGTERM, and waits until the process has ended.
    pub async fn stop(self) -> Ended {
        self.process.terminate().await;
        self.process.ended().await
    }
}

impl Deref for ServeProcess {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// The program beside the tests; `cargo xtask test` builds it.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("tests are in `target/…/deps`");
    let program = folder.join("nuncio");
    assert!(program.is_file(), "`{}` is missing: run `cargo xtask test`", program.display());
    program
}

/// Keeps what is read, line by line.
fn keep(
    readers: &mut JoinSet<()>,
    from: impl AsyncRead + Unpin + Send + 'static,
) -> watch::Receiver<String> {
    let (tell, told) = watch::channel(String::new());
    readers.spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            tell.send_modify(|text| writeln!(text, "{line}").expect("a text takes any text"));
        }
    });
    told
}

async fn wait_for(text: &mut watch::Receiver<String>, part: &str) -> String {
    let found = timeout(PATIENCE, text.wait_for(|text| text.contains(part))).await;
    if let Ok(Ok(found)) = found.map(|found| found.map(|found| found.clone())) {
        return found;
    }
    panic!("`{part}` does not come: {}", *text.borrow())
}

/// The addresses in the line that says that the node is ready; nothing where the process has ended before.
async fn ready(stderr: &mut watch::Receiver<String>) -> Option<(String, String)> {
    let addresses = |text: &str| {
        let (_, rest) = text.split_once(" is ready: grpc at ")?;
        let (grpc, rest) = rest.split_once(", health and metrics at ")?;
        // In a log for programs a quote follows.
        let http = rest.split(|c: char| c.is_whitespace() || c == '"').next()?;
        Some((grpc.to_owned(), http.to_owned()))
    };
    let text = stderr.wait_for(|text| addresses(text).is_some()).await.ok()?;
    addresses(&text)
}
