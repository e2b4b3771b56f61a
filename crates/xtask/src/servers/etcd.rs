//! etcd, for the settings that several nodes share. It knows its users by their certificates.

use std::path::Path;
use std::process::Command;

use super::settings::Settings;
use crate::command::{read, works};
use crate::failure::{Failure, Result};

/// The user who may do everything, and the role that says so. etcd knows both by this name.
pub(crate) const ROOT: &str = "root";
const PAN: &str = "nuncio-pan";
const PSN: &str = "nuncio-psn";

/// Each has a client certificate of its name.
pub(super) const USERS: &[&str] = &[ROOT, PAN, PSN];

/// What begins with it belongs to nuncio.
pub(crate) const PREFIX: &str = "/nuncio/";

/// A user, known by the common name of a certificate, and the only one with the role of that name.
pub(crate) struct User {
    pub(crate) name: &'static str,
    /// What may be done with keys that begin with [`PREFIX`]: `read`, `write` or `readwrite`.
    pub(crate) all: &'static str,
    /// Keys that may be written as well.
    pub(crate) writes: &'static [&'static str],
}

const TEST_USERS: &[User] = &[
    User { name: PAN, all: "readwrite", writes: &[] },
    User { name: PSN, all: "read", writes: &[] },
];

/// Whom `etcdctl` asks, and as who: by the certificate of [`ROOT`].
pub(crate) struct Root {
    /// One or several, with commas between them.
    pub(crate) endpoints: String,
    pub(crate) ca_file: String,
    pub(crate) cert_file: String,
    pub(crate) key_file: String,
}

/// The command that serves `config` in the foreground. All that it does not name is as by default, and so is `fsync`.
pub(super) fn server(config: &Path) -> Command {
    let mut server = Command::new("etcd");
    // Beside a file it heeds no other option and none of its variables but this, without which versions up to 3.4 do not
    // run on ARM; other processors do not mind.
    server.arg("--config-file").arg(config);
    server.env("ETCD_UNSUPPORTED_ARCH", "arm64");
    server
}

/// Whether requests are answered: the port is open before they are.
pub(super) fn is_healthy(settings: &Settings) -> bool {
    works(Root::of(settings).etcdctl().args(["endpoint", "health"]))
}

/// Makes the users with their roles, and asks each client from then on who it is.
pub(super) fn enable_authentication(settings: &Settings) -> Result<()> {
    let root_and_password = format!("{ROOT}:{}", settings.get("ETCD_ROOT_PASSWORD"));
    Root::of(settings).enable_authentication(&[&root_and_password], TEST_USERS)
}

impl Root {
    fn of(settings: &Settings) -> Self {
        Self {
            endpoints: settings.get("ETCD_ENDPOINT").to_owned(),
            ca_file: settings.get("CA_FILE").to_owned(),
            cert_file: settings.get("ETCD_ROOT_CERT_FILE").to_owned(),
            key_file: settings.get("ETCD_ROOT_KEY_FILE").to_owned(),
        }
    }

    /// Makes `users`, and asks each client from then on who it is. `root` is how [`ROOT`] is added: with a password, or
    /// with an option that says that it has none.
    pub(crate) fn enable_authentication(&self, root: &[&str], users: &[User]) -> Result<()> {
        let etcdctl = |words: &[&str]| read(self.etcdctl().args(words)).map(drop);
        etcdctl(&["role", "add", ROOT])?;
        etcdctl(&[&["user", "add"], root].concat())?;
        etcdctl(&["user", "grant-role", ROOT, ROOT])?;
        for User { name, all, writes } in users {
            etcdctl(&["role", "add", name])?;
            etcdctl(&["role", "grant-permission", "--prefix", name, all, PREFIX])?;
            for key in *writes {
                let key = format!("{PREFIX}{key}");
                etcdctl(&["role", "grant-permission", name, "readwrite", &key])?;
            }
            etcdctl(&["user", "add", "--no-password", name])?;
            etcdctl(&["user", "grant-role", name, name])?;
        }
        etcdctl(&["auth", "enable"])
    }

    /// Forgets all revisions but the present ones.
    pub(crate) fn compact(&self) -> Result<()> {
        // What a key that is not there is answered with begins with the revision.
        let answer = read(self.etcdctl().args(["get", "none", "--write-out", "fields"]))?;
        let revision = answer.lines().find_map(|line| line.strip_prefix("\"Revision\" : "));
        let revision = revision.ok_or_else(|| Failure::new("etcd tells no revision"))?;
        read(self.etcdctl().args(["compact", revision])).map(drop)
    }

    /// It does not take an option that its environment names as well.
    pub(crate) fn etcdctl(&self) -> Command {
        let mut etcdctl = Command::new("etcdctl");
        etcdctl.env("ETCDCTL_API", "3");
        etcdctl.env("ETCDCTL_ENDPOINTS", &self.endpoints).env("ETCDCTL_CACERT", &self.ca_file);
        etcdctl.env("ETCDCTL_CERT", &self.cert_file).env("ETCDCTL_KEY", &self.key_file);
        etcdctl
    }
}
