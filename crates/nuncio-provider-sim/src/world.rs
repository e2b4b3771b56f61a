//! What the servers of one simulator share.

use std::sync::Mutex;

use jiff::Timestamp;

use crate::assertion::{SeenIds, Verifier};
use crate::clock;
use crate::config::{Client, ClientSecret, SimConfig, Tenant};
use crate::fault::Faults;
use crate::ledger::Ledger;
use crate::smtp::limits::MailboxLimits;
use crate::smtp::recipients::Recipients;
use crate::tokens::Tokens;

/// What the servers of one simulator share.
pub(crate) struct World {
    pub(crate) config: SimConfig,
    pub(crate) faults: Faults,
    pub(crate) ledger: Ledger,
    pub(crate) tokens: Tokens,
    pub(crate) assertions_seen: SeenIds,
    pub(crate) limits: MailboxLimits,
    pub(crate) recipients: Recipients,
    clients: Mutex<Vec<KnownClient>>,
    /// Base URL of the token endpoint.
    pub(crate) authority: String,
}

/// A client with its certificates read.
#[derive(Clone, Debug)]
pub(crate) struct KnownClient {
    pub(crate) settings: Client,
    pub(crate) keys: Vec<Verifier>,
}

/// A certificate in the configuration is not one.
#[derive(Debug, thiserror::Error)]
#[error("a certificate of client `{client_id}` is not an X.509 certificate in PEM")]
pub(crate) struct CertificateUnreadable {
    pub(crate) client_id: String,
}

impl World {
    pub(crate) fn new(
        mut config: SimConfig,
        authority: String,
    ) -> Result<Self, CertificateUnreadable> {
        let faults = Faults::new(std::mem::take(&mut config.faults));
        let clients = config.clients.iter().map(known).collect::<Result<_, _>>()?;
        Ok(Self {
            faults,
            ledger: Ledger::new(config.mails_kept_max),
            tokens: Tokens::default(),
            assertions_seen: SeenIds::default(),
            limits: MailboxLimits::new(config.limits.clone()),
            recipients: Recipients::new(config.recipients.clone()),
            clients: Mutex::new(clients),
            config,
            authority,
        })
    }

    /// The tenant with this id or domain.
    pub(crate) fn tenant(&self, name: &str) -> Option<&Tenant> {
        self.config.tenants.iter().find(|tenant| {
            tenant.id.eq_ignore_ascii_case(name)
                || tenant.domains.iter().any(|it| it.eq_ignore_ascii_case(name))
        })
    }

    /// The client with this id, if it is known in the tenant.
    pub(crate) fn client(&self, client_id: &str, tenant: &Tenant) -> Option<KnownClient> {
        let clients = self.clients.lock().expect("no code under this lock panics");
        let found = clients.iter().find(|client| {
            let Client { client_id: id, tenant: home, .. } = &client.settings;
            id.eq_ignore_ascii_case(client_id)
                && (home.is_empty() || home.eq_ignore_ascii_case(&tenant.id))
        });
        found.cloned()
    }

    /// Ends the time of the secrets that exist now, of all of them or of those with this id.
    pub(crate) fn expire_secrets(&self, id: Option<&str>) {
        let now = clock::now();
        let mut clients = self.clients.lock().expect("no code under this lock panics");
        let secrets = clients.iter_mut().flat_map(|client| &mut client.settings.secrets);
        for secret in secrets.filter(|secret| id.is_none_or(|id| secret.secret_id == id)) {
            secret.expires = Some(secret.expires.map_or(now, |at: Timestamp| at.min(now)));
        }
    }

    /// Gives a client one more secret; false if there is no such client.
    pub(crate) fn add_secret(&self, client_id: &str, secret: ClientSecret) -> bool {
        let mut clients = self.clients.lock().expect("no code under this lock panics");
        let found = clients
            .iter_mut()
            .find(|client| client.settings.client_id.eq_ignore_ascii_case(client_id));
        found.map(|client| client.settings.secrets.push(secret)).is_some()
    }
}

fn known(client: &Client) -> Result<KnownClient, CertificateUnreadable> {
    let read = |pem: &String| {
        Verifier::from_pem(pem)
            .ok_or_else(|| CertificateUnreadable { client_id: client.client_id.clone() })
    };
    let keys = client.certificates.iter().map(read).collect::<Result<_, _>>()?;
    Ok(KnownClient { settings: client.clone(), keys })
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("authority", &self.authority).finish_non_exhaustive()
    }
}
