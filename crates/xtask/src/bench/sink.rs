//! The sink for Postfix: the same provider simulator as that of `nuncio bench`, in a process of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::figures::number;
use crate::failure::{Context, Failure, Result};
use crate::output::Stopwatch;
use crate::servers::ports;
use crate::servers::process::{Process, Signal};

/// How often its count is looked at.
const LOOK: Duration = Duration::from_millis(20);
const START_DEADLINE: Duration = Duration::from_secs(20);
/// All mails of a part must have come within it.
const DEADLINE: Duration = Duration::from_mins(5);

/// Nobody logs in, which spares Postfix what nuncio has to do.
const SCRIPT: &str = "\
mails_kept_max = 0
[listen]
starttls = \"127.0.0.1:@STARTTLS@\"
implicit_tls = \"127.0.0.1:@TLS@\"
token = \"127.0.0.1:@TOKEN@\"
admin = \"127.0.0.1:@ADMIN@\"
[smtp]
auth_not_required = true
any_sender = true
reply_delay_ms = @DELAY@
[limits]
connections = 4294967295
messages_per_minute = 4294967295
recipients_per_day = 1000000000000
";

/// Who sends: the simulator's mailbox.
pub(super) const SENDER: &str = "no-reply@contoso.example";

/// A simulator that runs until this value is dropped.
pub(super) struct Sink {
    process: Process,
    port: u16,
    admin: u16,
}

impl Sink {
    pub(super) fn start(program: &Path, folder: &Path, reply_delay_ms: u32) -> Result<Self> {
        fs::create_dir(folder).context(format_args!("cannot create {}", folder.display()))?;
        let found = ports::free(4, std::process::id() ^ reply_delay_ms)?;
        let [starttls, tls, token, admin] = found[..] else {
            return Err(Failure::new("too few free ports"));
        };
        let mut script = SCRIPT.replace("@DELAY@", &reply_delay_ms.to_string());
        for (key, port) in
            [("@STARTTLS@", starttls), ("@TLS@", tls), ("@TOKEN@", token), ("@ADMIN@", admin)]
        {
            script = script.replace(key, &port.to_string());
        }
        let path = folder.join("sim.toml");
        fs::write(&path, script).context(format_args!("cannot write {}", path.display()))?;
        let mut command = Command::new(program);
        command.arg("sim").arg("--script").arg(&path).arg("--pki").arg(folder.join("pki"));
        let process = Process::start("sink", &mut command, folder)?;
        let mut sink = Self { process, port: starttls, admin };
        let watch = Stopwatch::start();
        while let Err(failure) = sink.accepted() {
            if let Some(status) = sink.process.ended()? {
                return Err(Failure::new(format!("the sink ended with {status}")));
            }
            if START_DEADLINE < watch.elapsed() {
                return Err(failure);
            }
            std::thread::park_timeout(LOOK);
        }
        Ok(sink)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// How many mails it took since its start.
    pub(super) fn accepted(&self) -> Result<u64> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin))
            .context("cannot reach the sink")?;
        stream
            .write_all(b"GET /stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .context("cannot ask the sink")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("cannot hear the sink")?;
        // The sum stands before those of the mailboxes.
        let count = number(&answer, "mails_accepted")?;
        format!("{count:.0}").parse().context("the count of the sink is no whole number")
    }

    /// Waits until it has taken `count` mails since its start.
    pub(super) fn wait_for(&self, count: u64) -> Result<()> {
        let watch = Stopwatch::start();
        while self.accepted()? < count {
            if DEADLINE < watch.elapsed() {
                let accepted = self.accepted()?;
                return Err(Failure::new(format!("the sink got only {accepted} of {count} mails")));
            }
            std::thread::park_timeout(LOOK);
        }
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.process.signal(Signal::Kill);
        self.process.ended().ok();
    }
}
