//! The real OAuth and mail servers that `cargo xtask test` runs beside the tests.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use crate::environment;

/// Names the file of `KEY=VALUE` lines that says what is where.
const VARIABLE: &str = "NUNCIO_TEST_SERVERS";

/// Between two looks into a mailbox.
const PAUSE: Duration = Duration::from_millis(20);

/// How many tests may use the mail servers at the same time. Where more log in at once on two processors, Dovecot 2.3 refuses a
/// good token now and then, for a reason that it does not tell.
const TURNS_MAX: usize = 2;
static TURNS: Semaphore = Semaphore::const_new(TURNS_MAX);

/// What is known of the running servers. What the keys mean is said in `crates/xtask/src/servers/settings.rs`.
#[derive(Clone, Debug)]
pub struct RealServers {
    settings: BTreeMap<String, String>,
    /// Whoever comes next waits for it.
    _turn: Option<Arc<SemaphorePermit<'static>>>,
}

/// Whose mailboxes are looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailServer {
    /// Postfix with Dovecot; behind all ports but one.
    Postfix,
    /// npm's smtp-server, behind `NODE_SMTP_PORT`.
    Node,
}

impl RealServers {
    /// Panics where no servers run, as a test without them would prove nothing.
    pub fn from_env() -> Self {
        let file =
            environment::variable(VARIABLE).unwrap_or_else(|| panic!("run `cargo xtask test`"));
        let lines = fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("cannot read `{file}`: {error}"));
        let settings = lines.lines().filter_map(|line| line.split_once('='));
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { settings, _turn: None }
    }

    /// The same for a test that uses the mail servers: it waits for its turn, which ends with this value and its clones.
    pub async fn in_turn() -> Self {
        let turn = TURNS.acquire().await.expect("nobody closes it");
        Self { _turn: Some(Arc::new(turn)), ..Self::from_env() }
    }

    /// The value of a key such as `MAILBOX`.
    pub fn get(&self, key: &str) -> &str {
        self.settings.get(key).unwrap_or_else(|| panic!("the real servers know no `{key}`"))
    }

    /// The number of a port such as `SMTP_STARTTLS_PORT`; its host is [`Self::host`].
    pub fn port(&self, key: &str) -> u16 {
        self.get(key).parse().unwrap_or_else(|error| panic!("`{key}` is no port: {error}"))
    }

    /// The name that the good certificates are for.
    pub fn host(&self) -> &str {
        self.get("HOST")
    }

    /// The certificate of the authority that issued them, as PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.get("CA_FILE").into()
    }

    /// The secret of an OAuth client such as `svc-post`.
    pub fn client_secret(&self, client: &str) -> &str {
        self.get(&format!("SECRET_{}", client.to_uppercase().replace('-', "_")))
    }

    /// Every secret of this run. None may be found in anything that is logged, answered or exported.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let secret = |key: &str| key.starts_with("SECRET_") || key.ends_with("_PASSWORD");
        self.settings
            .iter()
            .filter(move |(key, _value)| secret(key))
            .map(|(_key, value)| value.as_str())
    }

    /// Every access token that was given out up to now. None may be found either.
    pub fn access_tokens(&self) -> Vec<String> {
        let text = |request: Value| Some(request.get("token")?.as_str()?.to_owned());
        self.token_requests().filter_map(text).collect()
    }

    /// How many tokens were given out under the name of a [`Self::faulty_token_url`] with `useless`.
    pub fn tokens_given(&self, name: &str) -> usize {
        self.token_requests().filter(|request| request["name"] == name).count()
    }

    /// A token endpoint that misbehaves as `fault` says, for example `status-503`, `delay-3000`, `reset`, `html`,
    /// `first-2-NAME` (the first two requests under this name get 503) or `useless-2-3-NAME` (the second and the
    /// third token under this name do not allow to send, without the `3` neither do all later ones); `down-2-3-NAME`
    /// gives 503 for these.
    pub fn faulty_token_url(&self, fault: &str) -> String {
        format!("{}/fault/{fault}/token", self.get("OAUTH_ISSUER"))
    }

    fn token_requests(&self) -> impl Iterator<Item = Value> {
        let lines = fs::read_to_string(self.get("OAUTH_REQUESTS_FILE")).unwrap_or_default();
        let whole = lines.rfind('\n').map_or(0, |end| end + 1);
        let parse = |line: &str| serde_json::from_str(line).expect("each line is JSON");
        lines[..whole].lines().map(parse).collect::<Vec<_>>().into_iter()
    }

    /// The mails that Postfix has delivered to `recipient` (any name at `example.test`), in no order.
    pub fn maildir(&self, recipient: &str) -> Vec<Vec<u8>> {
        self.mails_at(MailServer::Postfix, recipient)
    }

    /// The mails that `server` has delivered to `recipient`, in no order.
    pub fn mails_at(&self, server: MailServer, recipient: &str) -> Vec<Vec<u8>> {
        let base = match server {
            MailServer::Postfix => self.get("MAIL_DIR"),
            MailServer::Node => self.get("NODE_MAIL_DIR"),
        };
        let folder = Path::new(base).join(recipient.to_lowercase()).join("Maildir/new");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
            Err(error) => panic!("cannot read `{}`: {error}", folder.display()),
        };
        let paths = entries.map(|entry| entry.expect("the folder of a mailbox stays").path());
        paths.map(|path| fs::read(path).expect("nobody takes mails away")).collect()
    }

    /// Waits until Postfix has delivered at least `count` mails to `recipient`.
    pub async fn wait_for_mail(
        &self,
        recipient: &str,
        count: usize,
        timeout: Duration,
    ) -> Vec<Vec<u8>> {
        self.wait_for_mail_at(MailServer::Postfix, recipient, count, timeout).await
    }

    /// Waits until `server` has delivered at least `count` mails to `recipient`; panics after `timeout`.
    pub async fn wait_for_mail_at(
        &self,
        server: MailServer,
        recipient: &str,
        count: usize,
        timeout: Duration,
    ) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + timeout;
        loop {
            let mails = self.mails_at(server, recipient);
            if mails.len() >= count {
                return mails;
            }
            let found = mails.len();
            assert!(
                Instant::now() < deadline,
                "{found} of {count} mails for `{recipient}` after {timeout:?}"
            );
            sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests;
