//! The temporary folder of a run: everything that the servers read and write.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use super::settings::Settings;
use super::{certificates, etcd};
use crate::command::{command, read};
use crate::environment::{User, root};
use crate::failure::{Context, Result};

const FOLDERS: &[&str] = &[
    "client",
    "dovecot",
    "dovecot/keys",
    "dovecot/run",
    "dovecot/state",
    "etcd",
    "log",
    "mail",
    "node",
    "node-mail",
    "oauth",
    "postfix",
    "postfix/conf",
    "postfix/data",
    "postfix/queue",
    "postgres",
    "proxy",
    "sockets",
    "tls",
];

/// Where they are filled in, below the folder of the run.
const TEMPLATES: &[(&str, &str)] = &[
    ("main.cf", "postfix/conf/main.cf"),
    ("master.cf", "postfix/conf/master.cf"),
    ("dovecot.conf", "dovecot/dovecot.conf"),
    ("oauth2.conf.ext", "dovecot/oauth2.conf.ext"),
    ("oauth2-second.conf.ext", "dovecot/oauth2-second.conf.ext"),
    ("tinyproxy.conf", "proxy/tinyproxy.conf"),
    ("etcd.yml", "etcd/etcd.yml"),
];

const SCRIPTS: &[&str] = &["oauth.mjs", "settings.mjs", "smtp.mjs"];

/// The file that the tests read.
pub(super) const ENV_FILE: &str = "servers.env";

/// Creates a folder that only this process knows.
pub(super) fn create(attempt: u32) -> Result<PathBuf> {
    let path =
        std::env::temp_dir().join(format!("nuncio-servers-{}-{attempt}", std::process::id()));
    create_folder(&path)?;
    Ok(path)
}

/// Fills the folder of `settings` with keys, certificates and configurations.
pub(super) fn fill(base: &Path, settings: &Settings, node_modules: &Path) -> Result<()> {
    for name in FOLDERS {
        create_folder(&base.join(name))?;
    }
    certificates::servers(&base.join("tls"))?;
    certificates::etcd_clients(&base.join("tls"), etcd::USERS)?;
    certificates::oauth_client(&base.join("client"))?;
    certificates::token_key(
        Path::new(settings.get("OAUTH_SIGNING_KEY")),
        &base.join("dovecot/keys"),
    )?;
    let sources = root().join("tests/real-servers");
    for (template, target) in TEMPLATES {
        let text = fs::read_to_string(sources.join(template))
            .context(format_args!("cannot read {template}"))?;
        write(&base.join(target), &settings.fill(&text)?, PUBLIC)?;
    }
    for script in SCRIPTS {
        fs::copy(sources.join(script), base.join("node").join(script))
            .context(format_args!("cannot copy {script}"))?;
    }
    symlink(node_modules, base.join("node/node_modules"))
        .context("cannot link the packages of npm")?;
    let users =
        format!("{}:{{PLAIN}}{}\n", settings.get("PLAIN_USER"), settings.get("PLAIN_PASSWORD"));
    write(&base.join("dovecot/users"), &users, PRIVATE)?;
    write(&base.join("oauth/requests.jsonl"), "", PUBLIC)?;
    write(&base.join(ENV_FILE), &settings.lines(), PRIVATE)?;
    give_away(base)?;
    // Creates the folders of the queue with the owners that Postfix wants.
    read(command(base, &["postfix", "-c"]).arg(base.join("postfix/conf")).arg("check")).map(drop)
}

/// The owner of delivered mail: the caller, who reads it; but never root, to whom Dovecot does not deliver.
pub(super) fn mail_user() -> Result<User> {
    let caller = User::caller()?;
    if caller.uid == 0 { User::named("mail") } else { Ok(caller) }
}

const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;

fn give_away(base: &Path) -> Result<()> {
    let caller = User::caller()?;
    let owners = [
        (ENV_FILE, caller),
        ("client/key.pem", caller),
        ("dovecot/users", User::named("dovecot")?),
        ("mail", mail_user()?),
        ("postfix/data", User::named("postfix")?),
        ("postgres", User::named("postgres")?),
        ("tls/etcd-nuncio-pan.key", caller),
        ("tls/etcd-nuncio-psn.key", caller),
        ("tls/etcd-root.key", caller),
    ];
    for (name, User { uid, gid }) in owners {
        chown(base.join(name), Some(uid), Some(gid))
            .context(format_args!("cannot give {name} to user {uid}"))?;
    }
    Ok(())
}

/// Open to everybody, whatever the umask: each server runs as a user of its own.
fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir(path).context(format_args!("cannot create {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
        .context(format_args!("cannot open {}", path.display()))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(path, text).context(format_args!("cannot write {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(mode))
        .context(format_args!("cannot set the permissions of {}", path.display()))
}
