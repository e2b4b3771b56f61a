//! What the servers and the tests have to agree on: ports, names, secrets, folders.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::ports;
use crate::environment::User;
use crate::failure::{Context, Result};
use crate::template;

/// The key of the folder in which everything of a run lies.
pub(super) const BASE: &str = "BASE";

const PORTS: &[&str] = &[
    "OAUTH_PORT",
    "OAUTH_EXPIRED_PORT",
    "OAUTH_WRONG_NAME_PORT",
    "OAUTH_SELF_SIGNED_PORT",
    "SMTP_STARTTLS_PORT",
    "SMTP_TLS_PORT",
    "SMTP_EXPIRED_PORT",
    "SMTP_WRONG_NAME_PORT",
    "SMTP_SELF_SIGNED_PORT",
    "SMTP_BARE_PORT",
    "SMTP_PLAIN_PORT",
    "SMTP_RELAY_PORT",
    "SMTP_CLEAR_PORT",
    "NODE_SMTP_PORT",
    "POSTGRES_PORT",
    "ETCD_PORT",
    "ETCD_PEER_PORT",
    "HTTP_PROXY_PORT",
    "SOCKS_PROXY_PORT",
];

/// Every one is random and of one run, so that a test can look for it in all that was logged.
const SECRETS: &[&str] = &[
    "SECRET_SVC_POST",
    "SECRET_SVC_BASIC",
    "SECRET_SVC_SECRET_EXPIRED",
    "SECRET_SVC_ROTATED",
    "SECRET_SVC_ROTATED_NEXT",
    "SECRET_SVC_SHORT",
    "SECRET_SVC_NOMAIL",
    "SECRET_SVC_OTHERUSER",
    "SECRET_SVC_OPAQUE",
    "SECRET_SVC_POOL",
    "SECRET_SVC_VERIFIER",
    "PLAIN_PASSWORD",
    "POSTGRES_PASSWORD",
    "ETCD_ROOT_PASSWORD",
    "PROXY_PASSWORD",
];
const SECRET_BYTES: usize = 24;

/// Values by key, in the order of their keys.
#[derive(Debug)]
pub(super) struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    /// Chooses free ports and fresh secrets for the servers in the folder `base`.
    pub(super) fn choose(base: &Path, python: &str, mail_user: User) -> Result<Self> {
        let base = base.display();
        let own = std::env::current_exe().context("cannot find the program of this process")?;
        let seed = u32::from_le_bytes(random::<4>()?);
        let ports = ports::free(PORTS.len(), seed)?;
        let mut values: BTreeMap<_, _> =
            PORTS.iter().copied().zip(ports.iter().map(u16::to_string)).collect();
        for name in SECRETS {
            values.insert(name, hex(&random::<SECRET_BYTES>()?));
        }
        let issuer = format!("https://localhost:{}", values["OAUTH_PORT"]);
        let etcd = format!("https://localhost:{}", values["ETCD_PORT"]);
        let postgres = format!(
            "postgres://nuncio:{}@127.0.0.1:{}/postgres",
            values["POSTGRES_PASSWORD"], values["POSTGRES_PORT"]
        );
        values.extend([
            (BASE, base.to_string()),
            ("LOG_DIR", format!("{base}/log")),
            ("HOST", "localhost".to_owned()),
            ("CA_FILE", format!("{base}/tls/ca.pem")),
            ("OAUTH_TOKEN_URL", format!("{issuer}/token")),
            ("OAUTH_ISSUER", issuer),
            ("OAUTH_SCOPE", "mail.send".to_owned()),
            ("OAUTH_SIGNING_KEY", format!("{base}/oauth/signing.key")),
            ("OAUTH_REQUESTS_FILE", format!("{base}/oauth/requests.jsonl")),
            ("OAUTH_ROTATED_FILE", format!("{base}/oauth/rotated")),
            ("CLIENT_CERT_FILE", format!("{base}/client/cert.pem")),
            ("CLIENT_KEY_FILE", format!("{base}/client/key.pem")),
            ("CLIENT_KEY_ID", "client1".to_owned()),
            ("MAILBOX", "notifications@example.test".to_owned()),
            ("SECOND_MAILBOX", "notifications-2@example.test".to_owned()),
            ("SHARED_MAILBOX", "shared@example.test".to_owned()),
            ("OTHER_MAILBOX", "other@example.test".to_owned()),
            ("PROXY_USER", "nuncio".to_owned()),
            ("PLAIN_USER", "relay@example.test".to_owned()),
            ("SMTP_SIZE_LIMIT", "10240000".to_owned()),
            ("MAIL_DIR", format!("{base}/mail")),
            ("NODE_MAIL_DIR", format!("{base}/node-mail")),
            ("MAIL_UID", mail_user.uid.to_string()),
            ("MAIL_GID", mail_user.gid.to_string()),
            ("POSTGRES_USER", "nuncio".to_owned()),
            ("POSTGRES_URL", postgres),
            ("ETCD_ENDPOINT", etcd),
            ("ETCD_ROOT_CERT_FILE", format!("{base}/tls/etcd-root.crt")),
            ("ETCD_ROOT_KEY_FILE", format!("{base}/tls/etcd-root.key")),
            ("ETCD_PAN_CERT_FILE", format!("{base}/tls/etcd-nuncio-pan.crt")),
            ("ETCD_PAN_KEY_FILE", format!("{base}/tls/etcd-nuncio-pan.key")),
            ("ETCD_PSN_CERT_FILE", format!("{base}/tls/etcd-nuncio-psn.crt")),
            ("ETCD_PSN_KEY_FILE", format!("{base}/tls/etcd-nuncio-psn.key")),
            ("PYTHON", python.to_owned()),
            ("XTASK", own.display().to_string()),
        ]);
        Ok(Self(values))
    }

    pub(super) fn get(&self, key: &str) -> &str {
        &self.0[key]
    }

    pub(super) fn ports(&self) -> impl Iterator<Item = (&'static str, u16)> {
        PORTS.iter().map(|name| (*name, self.get(name).parse().expect("ports are numbers")))
    }

    /// One `KEY=VALUE` a line.
    pub(super) fn lines(&self) -> String {
        self.0.iter().fold(String::new(), |mut lines, (key, value)| {
            writeln!(lines, "{key}={value}").expect("a string takes everything");
            lines
        })
    }

    /// Replaces each `@KEY@` of `template` by its value.
    pub(super) fn fill(&self, template: &str) -> Result<String> {
        template::fill(template, self.0.iter().map(|(key, value)| (*key, value.as_str())))
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut source = File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    source.read_exact(&mut bytes).context("cannot read /dev/urandom")?;
    Ok(bytes)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

#[cfg(test)]
mod tests;
