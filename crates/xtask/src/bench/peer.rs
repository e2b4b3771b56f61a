//! A private Postfix that relays over TLS, with everything set that makes it fast and nothing that makes it forget.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::sink::SENDER;
use crate::command::read;
use crate::environment::User;
use crate::failure::{Context, Failure, Result};
use crate::output::{self, Stopwatch};
use crate::servers::ports;
use crate::servers::process::{Process, Signal};

/// SMTP clients that hand mails in at the same time; each keeps its connection.
const SESSIONS: &str = "20";
const START_DEADLINE: Duration = Duration::from_secs(20);
const STOP_DEADLINE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// How long a reload needs until the new settings hold.
const RELOAD: Duration = Duration::from_secs(1);
/// Milliseconds in a tick of `/proc/PID/stat` (`USER_HZ`, proc(5)).
const TICK_MS: f64 = 10.0;

const MAIN: &str = "\
compatibility_level = 3.6
queue_directory = @BASE@/queue
data_directory = @BASE@/data
maillog_file = @BASE@/postfix.log
maillog_file_prefixes = @BASE@
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.example.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
smtp_tls_security_level = encrypt
smtp_tls_connection_reuse = yes
smtp_connection_cache_on_demand = yes
tls_random_source = dev:/dev/urandom
";

const MASTER: &str = "\
127.0.0.1:@PORT@ inet n - n - - smtpd
pickup     unix        n - n 60    1 pickup
cleanup    unix        n - n -     0 cleanup
qmgr       unix        n - n 300   1 qmgr
tlsmgr     unix        - - n 1000? 1 tlsmgr
tlsproxy   unix        - - n -     0 tlsproxy
rewrite    unix        - - n -     - trivial-rewrite
bounce     unix        - - n -     0 bounce
defer      unix        - - n -     0 bounce
trace      unix        - - n -     0 bounce
verify     unix        - - n -     1 verify
flush      unix        n - n 1000? 0 flush
proxymap   unix        - - n -     - proxymap
smtp       unix        - - n -     - smtp
error      unix        - - n -     - error
retry      unix        - - n -     - error
discard    unix        - - n -     - discard
anvil      unix        - - n -     1 anvil
scache     unix        - - n -     1 scache
postlog    unix-dgram  n - n -     1 postlogd
";

/// A Postfix that runs until this value is dropped.
pub(super) struct Peer {
    process: Process,
    base: PathBuf,
    port: u16,
}

impl Peer {
    pub(super) fn start(base: &Path, relay_port: u16) -> Result<Self> {
        let port = ports::free(1, std::process::id().wrapping_mul(7))?[0];
        for folder in ["", "conf", "data", "queue"] {
            let path = base.join(folder);
            fs::create_dir(&path)
                .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o755)))
                .context(format_args!("cannot create {}", path.display()))?;
        }
        let postfix = User::named("postfix")?;
        chown(base.join("data"), Some(postfix.uid), Some(postfix.gid))
            .context("cannot give a folder to Postfix")?;
        let fill = |text: &str| {
            let base = base.display().to_string();
            text.replace("@BASE@", &base).replace("@PORT@", &port.to_string())
        };
        for (name, text) in [("main.cf", MAIN), ("master.cf", MASTER)] {
            let path = base.join("conf").join(name);
            fs::write(&path, fill(text))
                .context(format_args!("cannot write {}", path.display()))?;
        }
        let conf = base.join("conf");
        read(Command::new("postfix").arg("-c").arg(&conf).arg("check"))?;
        let daemons =
            read(Command::new("postconf").arg("-c").arg(&conf).args(["-h", "daemon_directory"]))?;
        let mut master = Command::new(Path::new(daemons.trim()).join("master"));
        // -d: stay in the foreground.
        master.arg("-d").arg("-c").arg(&conf);
        let process = Process::start("postfix", &mut master, base)?;
        let mut peer = Self { process, base: base.to_owned(), port };
        let watch = Stopwatch::start();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = peer.process.ended()? {
                return Err(Failure::new(format!("Postfix ended with {status}")));
            }
            if START_DEADLINE < watch.elapsed() {
                return Err(Failure::new("Postfix does not answer"));
            }
            std::thread::park_timeout(LOOK);
        }
        peer.set(&[format!("relayhost = [127.0.0.1]:{relay_port}")])?;
        Ok(peer)
    }

    /// Sends everything to that port from now on, over at most so many connections.
    pub(super) fn relay_to(&self, port: u16, connections: u32) -> Result<()> {
        self.set(&[
            format!("relayhost = [127.0.0.1]:{port}"),
            format!("smtp_connection_cache_destinations = [127.0.0.1]:{port}"),
            format!("smtp_destination_concurrency_limit = {connections}"),
            format!("initial_destination_concurrency = {connections}"),
        ])
    }

    /// Whether mails are only taken, and not sent.
    pub(super) fn hold(&self, hold: bool) -> Result<()> {
        self.set(&[format!("defer_transports = {}", if hold { "smtp" } else { "" })])
    }

    fn set(&self, settings: &[String]) -> Result<()> {
        let conf = self.base.join("conf");
        read(Command::new("postconf").arg("-c").arg(&conf).arg("-e").args(settings))?;
        read(Command::new("postfix").arg("-c").arg(&conf).arg("reload"))?;
        std::thread::park_timeout(RELOAD);
        Ok(())
    }

    /// Hands mails in over several connections. Returns the seconds until the last was taken.
    pub(super) fn send(&self, mails: u32, size: &str) -> Result<f64> {
        self.send_and(mails, size, || Ok(()))
    }

    /// The same, and waits for something behind it.
    pub(super) fn send_and(
        &self,
        mails: u32,
        size: &str,
        wait: impl FnOnce() -> Result<()>,
    ) -> Result<f64> {
        output::say(&format!("    $ smtp-source -d -s {SESSIONS} -l {size} -m {mails}"));
        let mut source = Command::new("smtp-source");
        source.args(["-d", "-s", SESSIONS, "-l", size, "-m", &mails.to_string()]);
        source.args(["-f", SENDER, "-t", "guest@example.com"]);
        source.arg(format!("127.0.0.1:{}", self.port));
        let watch = Stopwatch::start();
        read(&mut source)?;
        wait()?;
        Ok(watch.elapsed().as_secs_f64())
    }

    /// Tries all waiting mails now. Returns the seconds until `wait` has ended.
    pub(super) fn flush_and(&self, wait: impl FnOnce() -> Result<()>) -> Result<f64> {
        let watch = Stopwatch::start();
        read(Command::new("postqueue").arg("-c").arg(self.base.join("conf")).arg("-f"))?;
        wait()?;
        Ok(watch.elapsed().as_secs_f64())
    }

    /// The processor time of all its processes, of those too that have ended and were waited for.
    pub(super) fn cpu_ms(&self) -> f64 {
        let queue = self.base.join("queue");
        let Ok(entries) = fs::read_dir("/proc") else {
            return 0.0;
        };
        let own = entries.flatten().map(|entry| entry.path()).filter(|path| {
            fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&queue))
        });
        let stats = own.filter_map(|path| fs::read_to_string(path.join("stat")).ok());
        stats.map(|stat| ticks(&stat) * TICK_MS).sum()
    }
}

/// User and system time, own and that of ended children: fields 14 to 17 of `stat` (proc(5)).
fn ticks(stat: &str) -> f64 {
    let (_name, fields) = stat.rsplit_once(')').unwrap_or_default();
    let fields = fields.split_ascii_whitespace().skip(11).take(4);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum()
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.process.signal(Signal::Terminate);
        self.process.ends_within(STOP_DEADLINE).ok();
        self.process.signal(Signal::Kill);
    }
}
