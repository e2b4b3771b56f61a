//! etcd, for the settings that several nodes share. It knows its users by their certificates.

use std::path::Path;
use std::process::Command;

use super::settings::Settings;
use crate::command::{read, works};
use crate::failure::Result;

/// The user who may do everything, and the role that says so. etcd knows both by this name.
const ROOT: &str = "root";
const PAN: &str = "nuncio-pan";
const PSN: &str = "nuncio-psn";

/// Each has a client certificate of its name.
pub(super) const USERS: &[&str] = &[ROOT, PAN, PSN];

/// What begins with it belongs to nuncio.
const PREFIX: &str = "/nuncio/";

/// What each of the others may do with keys that begin with [`PREFIX`].
const PERMISSIONS: &[(&str, &str)] = &[(PAN, "readwrite"), (PSN, "read")];

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
    works(as_root(settings).args(["endpoint", "health"]))
}

/// Makes the users with their roles, and asks each client from then on who it is.
pub(super) fn enable_authentication(settings: &Settings) -> Result<()> {
    let root = |words: &[&str]| read(as_root(settings).args(words)).map(drop);
    let root_and_password = format!("{ROOT}:{}", settings.get("ETCD_ROOT_PASSWORD"));
    root(&["role", "add", ROOT])?;
    root(&["user", "add", &root_and_password])?;
    root(&["user", "grant-role", ROOT, ROOT])?;
    for (user, permission) in PERMISSIONS {
        root(&["role", "add", user])?;
        root(&["role", "grant-permission", "--prefix", user, permission, PREFIX])?;
        root(&["user", "add", "--no-password", user])?;
        root(&["user", "grant-role", user, user])?;
    }
    root(&["auth", "enable"])
}

/// `etcdctl` with the certificate of [`ROOT`]. It does not take an option that its environment names as well.
fn as_root(settings: &Settings) -> Command {
    let mut etcdctl = Command::new("etcdctl");
    etcdctl.env("ETCDCTL_API", "3");
    for (variable, key) in [
        ("ETCDCTL_ENDPOINTS", "ETCD_ENDPOINT"),
        ("ETCDCTL_CACERT", "CA_FILE"),
        ("ETCDCTL_CERT", "ETCD_ROOT_CERT_FILE"),
        ("ETCDCTL_KEY", "ETCD_ROOT_KEY_FILE"),
    ] {
        etcdctl.env(variable, settings.get(key));
    }
    etcdctl
}
