//! Packages of the system, by apt.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{command, read, run, works};
use crate::environment::{is_root, tools};
use crate::failure::{Context, Failure, Result};
use crate::output;

/// Something that the system must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Compiler,
    Dovecot,
    Etcd,
    Faketime,
    Iproute,
    Microsocks,
    Nftables,
    Node,
    Npm,
    OpenSsl,
    Postfix,
    Postgres,
    Protoc,
    Python,
    PythonVenv,
    Tinyproxy,
}

/// Where a program may be: `sbin` is not in everybody's `PATH`.
const FOLDERS: &[&str] =
    &["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Where protoc looks for the types that come with it, which Debian packages apart.
const PROTO_FOLDERS: &[&str] = &["/usr/local/include", "/usr/include"];

/// Asked by Debian's packages before they start a service; 101 forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_FORBIDS: &str = "#!/bin/sh\nexit 101\n";

/// How long to wait while another program installs packages.
const APT_LOCK_WAIT: &str = "DPkg::Lock::Timeout=300";

impl Need {
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Compiler => &["gcc", "libc6-dev", "make"],
            Self::Dovecot => &["dovecot-core", "dovecot-lmtpd"],
            Self::Etcd => &["etcd-server", "etcd-client"],
            Self::Faketime => &["faketime"],
            Self::Iproute => &["iproute2"],
            Self::Microsocks => &["microsocks"],
            Self::Nftables => &["nftables"],
            Self::Node => &["nodejs"],
            Self::Npm => &["npm"],
            Self::OpenSsl => &["openssl"],
            Self::Postfix => &["postfix"],
            Self::Postgres => &["postgresql"],
            Self::Protoc => &["protobuf-compiler", "libprotobuf-dev"],
            Self::Python => &["python3"],
            Self::PythonVenv => &["python3-venv"],
            Self::Tinyproxy => &["tinyproxy"],
        }
    }

    fn service(self) -> Option<&'static str> {
        match self {
            Self::Dovecot => Some("dovecot"),
            Self::Etcd => Some("etcd"),
            Self::Nftables => Some("nftables"),
            Self::Postfix => Some("postfix"),
            Self::Postgres => Some("postgresql"),
            Self::Tinyproxy => Some("tinyproxy"),
            Self::Compiler
            | Self::Faketime
            | Self::Iproute
            | Self::Microsocks
            | Self::Node
            | Self::Npm
            | Self::OpenSsl
            | Self::Protoc
            | Self::Python
            | Self::PythonVenv => None,
        }
    }

    fn is_met(self) -> bool {
        match self {
            Self::Compiler => has_program("cc"),
            Self::Dovecot => has_program("dovecot") && Path::new("/usr/lib/dovecot/lmtp").exists(),
            Self::Etcd => has_program("etcd") && has_program("etcdctl"),
            Self::Faketime => has_program("faketime"),
            Self::Iproute => has_program("ip"),
            Self::Microsocks => has_program("microsocks"),
            Self::Nftables => has_program("nft"),
            Self::Node => has_program("node"),
            Self::Npm => has_program("npm"),
            Self::OpenSsl => has_program("openssl"),
            Self::Postfix => has_program("postfix"),
            Self::Postgres => postgres_folder().is_some(),
            Self::Protoc => has_program("protoc") && has_well_known_types(),
            Self::Python => has_program("python3"),
            // Only asked for after Python could not make an environment.
            Self::PythonVenv => false,
            Self::Tinyproxy => has_program("tinyproxy"),
        }
    }
}

/// Where PostgreSQL's programs are, which Debian keeps out of `PATH`: those of the newest version.
pub(crate) fn postgres_folder() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let debian =
        versions.map(|entry| entry.path()).filter_map(|path| Some((version(&path)?, path)));
    let newest = debian.max().map(|(_version, path)| path.join("bin"));
    let configured = || {
        let folder = read(Command::new("pg_config").arg("--bindir")).ok()?;
        Some(PathBuf::from(folder.trim()))
    };
    let has_programs = |folder: &PathBuf| {
        ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file())
    };
    newest.filter(has_programs).or_else(|| configured().filter(has_programs))
}

/// Installs what is missing of `needs`. Does nothing, and needs no rights, where nothing is.
pub(crate) fn install(needs: &[Need]) -> Result<()> {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.is_met()).collect();
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages()).copied().collect();
    if packages.is_empty() {
        return Ok(());
    }
    let _lock = super::lock(&tools().join("system"))?;
    let names = packages.join(" ");
    output::say(&format!("    missing on this machine: {names}"));
    if !has_program("apt-get") {
        return Err(Failure::new(format!(
            "without apt these have to be installed by hand: {names}"
        )));
    }
    if missing.contains(&Need::Postfix) {
        answer_postfix()?;
    }
    let quiet = Quiet::services()?;
    let words: Vec<_> =
        ["apt-get", "-o", APT_LOCK_WAIT, "install", "-y", "-qq", "--no-install-recommends"]
            .into_iter()
            .chain(packages)
            .collect();
    let installed = run(&mut privileged(&words)).or_else(|_failure| {
        run(&mut privileged(&["apt-get", "-o", APT_LOCK_WAIT, "update", "-qq"]))?;
        run(&mut privileged(&words))
    });
    quiet.end(&missing)?;
    installed
}

fn has_program(name: &str) -> bool {
    let path = std::env::split_paths(&crate::environment::variable("PATH").unwrap_or_default())
        .collect::<Vec<_>>();
    let usual = FOLDERS.iter().map(|folder| Path::new(folder).to_owned());
    path.into_iter().chain(usual).any(|folder| folder.join(name).is_file())
}

fn has_well_known_types() -> bool {
    PROTO_FOLDERS.iter().any(|folder| Path::new(folder).join("google/protobuf/any.proto").is_file())
}

/// Unpacks a package into `folder` without installing it: nothing of the machine changes, and no service starts.
pub(crate) fn unpack(package: &str, folder: &Path) -> Result<()> {
    if !has_program("apt-get") {
        return Err(Failure::new(format!(
            "without apt `{package}` has to be unpacked by hand into {}",
            folder.display()
        )));
    }
    let words = ["apt-get", "-o", "APT::Sandbox::User=root", "download", "-qq", package];
    let download = || run(&mut command(folder, &words));
    download().or_else(|_failure| {
        run(&mut privileged(&["apt-get", "-o", APT_LOCK_WAIT, "update", "-qq"]))?;
        download()
    })?;
    let entries = fs::read_dir(folder).context(format_args!("cannot read {}", folder.display()))?;
    let mut archives = entries.flatten().map(|entry| entry.path());
    let archive = archives.find(|path| path.extension().is_some_and(|end| end == "deb"));
    let archive = archive.ok_or_else(|| Failure::new(format!("`{package}` did not come")))?;
    run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(folder))?;
    fs::remove_file(&archive).context(format_args!("cannot remove {}", archive.display()))
}

/// A command as root: by `sudo` for everybody else.
fn privileged(words: &[&str]) -> Command {
    let mut command = if is_root() { Command::new("env") } else { Command::new("sudo") };
    command.arg("DEBIAN_FRONTEND=noninteractive").args(words);
    command
}

/// Answers the question of Postfix's package so that no configuration is made and nothing can start.
fn answer_postfix() -> Result<()> {
    let mut child = privileged(&["debconf-set-selections"])
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run `debconf-set-selections`")?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin
        .write_all(b"postfix postfix/main_mailer_type select No configuration\n")
        .context("cannot answer the questions of postfix's package")?;
    drop(stdin);
    child.wait().context("cannot wait for `debconf-set-selections`")?;
    Ok(())
}

/// While it lives, installed packages start no service.
struct Quiet {
    remove_policy: bool,
}

impl Quiet {
    fn services() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { remove_policy: false });
        }
        let draft = std::env::temp_dir().join(format!("nuncio-policy-{}", std::process::id()));
        fs::write(&draft, POLICY_FORBIDS)
            .context(format_args!("cannot write {}", draft.display()))?;
        let placed = run(privileged(&["install", "-m", "755"]).arg(&draft).arg(POLICY));
        fs::remove_file(&draft).context(format_args!("cannot remove {}", draft.display()))?;
        placed?;
        Ok(Self { remove_policy: true })
    }

    /// Also keeps the new services from starting with the machine, which has no use for them.
    fn end(self, installed: &[Need]) -> Result<()> {
        if !self.remove_policy {
            return Ok(());
        }
        run(&mut privileged(&["rm", "-f", POLICY]))?;
        if Path::new("/run/systemd/system").exists() {
            for service in installed.iter().filter_map(|need| need.service()) {
                works(&mut privileged(&["systemctl", "disable", service]));
            }
        }
        Ok(())
    }
}
