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
use crate::small_disk::{self, SmallDisk};

/// Where Debian keeps the programs of each version.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// What `initdb` is told.
const INIT: [&str; 8] =
    ["-U", "nuncio", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust", "--no-sync"];
/// Makes and serves data on a disk that only this process sees. `$1` are the programs, `$2` the data, `$3` the log of
/// changes, `$4` the folder of its socket, `$5` the port; a command that runs another as its user follows, and after
/// `--` what `initdb` is told. Without autovacuum a full disk stays full.
const MAKE_AND_SERVE: &str = r#"
programs=$1 data=$2 log=$3 sockets=$4 port=$5; shift 5
user=; while [ "$1" != -- ]; do user="$user $1"; shift; done; shift
$user "$programs/initdb" -D "$data" --waldir="$log" "$@" &&
exec $user "$programs/postgres" -D "$data" -k "$sockets" -h 127.0.0.1 -p "$port" -c autovacuum=off
"#;
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
        let mut new = Self::new().await;
        let mut initdb = new.command("initdb").await;
        let made = initdb.args(INIT).stdout(Stdio::null()).status().await;
        assert!(made.is_ok_and(|status| status.success()), "`initdb` fails");
        new.start_again().await;
        new
    }

    /// The same with a disk of its own, which has so many bytes, below its data. It goes with the server, which
    /// cannot be started again.
    ///
    /// Its log of changes is elsewhere, as where both disks are full PostgreSQL does not refuse but stops.
    pub async fn start_on_small_disk(bytes: u64) -> (Self, SmallDisk) {
        let mut new = Self::new().await;
        let folder = new.folder.path();
        let disk = folder.join("disk");
        fs::create_dir(&disk).expect("a folder can be made");
        let mut server = small_disk::command(&disk, bytes, Path::new("sh"));
        server.args(["-c", MAKE_AND_SERVE, "sh"]).arg(&new.programs);
        server.arg(disk.join("data")).arg(folder.join("log")).arg(folder);
        server.arg(new.port.to_string()).args(as_its_user().await);
        server.args(INIT).env("LC_ALL", "C.UTF-8");
        server.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let server = server.spawn().expect("PostgreSQL can be started");
        let disk = SmallDisk::of(server.id().expect("it runs"), &disk);
        new.server = Some(server);
        new.wait_until_it_answers().await;
        (new, disk)
    }

    async fn new() -> Self {
        let folder = TempDir::with_prefix("nuncio-pg-").expect("a temporary folder can be made");
        if is_root() {
            let (uid, gid) = (id("-u").await, id("-g").await);
            chown(folder.path(), Some(uid), Some(gid)).expect("root may do this");
        }
        Self { folder, programs: programs(), port: free_port(), server: None }
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
        self.wait_until_it_answers().await;
    }

    async fn wait_until_it_answers(&self) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = PgConnection::connect(&self.url()).await {
            assert!(Instant::now() < deadline, "PostgreSQL does not answer: {error}");
            sleep(PAUSE).await;
        }
    }

    /// One of its programs with its data, run as its user, as it does not run as root.
    async fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        if is_root() {
            command.uid(id("-u").await).gid(id("-g").await);
        }
        command.current_dir(self.folder.path()).env("LC_ALL", "C.UTF-8");
        command.arg("-D").arg(self.folder.path().join("data"));
        command
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The command by which who is root on a small disk becomes somebody whom PostgreSQL runs for, up to `--`.
async fn as_its_user() -> Vec<String> {
    let command = if is_root() {
        let (uid, gid) = (id("-u").await, id("-g").await);
        format!("setpriv --reuid={uid} --regid={gid} --clear-groups --")
    } else {
        let own = fs::metadata("/proc/self").expect("there is always one");
        format!("unshare --map-user={} --map-group={} --", own.uid(), own.gid())
    };
    command.split(' ').map(str::to_owned).collect()
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
