//! A PostgreSQL of one test alone, which may crash it and start it again.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::caller::PATIENCE;

/// Where Debian keeps the programs of each version.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// Between two looks whether it answers.
const PAUSE: Duration = Duration::from_millis(50);

/// A running or crashed PostgreSQL. It is killed when it is dropped.
#[derive(Debug)]
pub struct PrivatePostgres {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl PrivatePostgres {
    /// Starts a new one, which lets everybody of this machine in.
    pub async fn start() -> Self {
        let folder = TempDir::with_prefix("nuncio-pg-").expect("a temporary folder can be made");
        let mut new = Self { folder, programs: programs(), port: free_port(), server: None };
        let init = ["-U", "nuncio", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust", "--no-sync"];
        let mut initdb = new.command("initdb").await;
        let made = initdb.args(init).stdout(Stdio::null()).status().await;
        assert!(made.is_ok_and(|status| status.success()), "`initdb` fails");
        new.start_again().await;
        new
    }

    /// For the setting `store.url`.
    pub fn url(&self) -> String {
        format!("postgres://nuncio@127.0.0.1:{}/postgres?application_name=nuncio-test", self.port)
    }

    /// Ends at once, without a word to anybody, as when its machine fails.
    pub async fn crash(&mut self) {
        let mut server = self.server.take().expect("it runs");
        let pid = server.id().expect("it runs").to_string();
        // SIGQUIT is PostgreSQL's "immediate shutdown": what it has not written is recovered at the next start.
        let kill = Command::new("kill").args(["-s", "QUIT", &pid]).status().await;
        assert!(kill.is_ok_and(|status| status.success()), "`kill` did not reach it");
        let ended = timeout(PATIENCE, server.wait()).await;
        ended.expect("it ends in time").expect("it is our process");
    }

    /// Starts it after a crash, and waits until it answers.
    pub async fn start_again(&mut self) {
        let mut server = self.command("postgres").await;
        server.arg("-k").arg(self.folder.path()).args(["-h", "127.0.0.1"]);
        server.args(["-p", &self.port.to_string()]).stderr(Stdio::null()).kill_on_drop(true);
        self.server = Some(server.spawn().expect("PostgreSQL can be started"));
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = PgConnection::connect(&self.url()).await {
            assert!(Instant::now() < deadline, "PostgreSQL does not answer: {error}");
            sleep(PAUSE).await;
        }
    }

    /// One of its programs with its data, run as its user, as it does not run as root.
    async fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            let (uid, gid) = (id("-u").await, id("-g").await);
            chown(self.folder.path(), Some(uid), Some(gid)).expect("root may do this");
            command.uid(uid).gid(gid);
        }
        command.current_dir(self.folder.path()).env("LC_ALL", "C.UTF-8");
        command.arg("-D").arg(self.folder.path().join("data"));
        command
    }
}

/// The folder of the newest version's programs.
fn programs() -> PathBuf {
    let versions = fs::read_dir(PROGRAMS).into_iter().flatten().flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = versions.filter_map(|entry| Some((version(&entry.path())?, entry.path())));
    let (_version, newest) = versions.max().expect("`cargo xtask test` has installed PostgreSQL");
    newest.join("bin")
}

/// User or group of Debian's package.
async fn id(which: &str) -> u32 {
    let told = Command::new("id").args([which, "postgres"]).output().await;
    let told = String::from_utf8(told.expect("`id` is everywhere").stdout);
    let number = told.ok().and_then(|text| text.trim().parse().ok());
    number.expect("there is the user `postgres`")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    listener.local_addr().expect("it is bound").port()
}
