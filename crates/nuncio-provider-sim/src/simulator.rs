//! A running simulator.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::clock;
use crate::config::{ClientSecret, SimConfig};
use crate::fault::Faults;
use crate::http;
use crate::ledger::{AcceptedMail, Duplicate, Stats, TooFewAccepted};
use crate::pki::{PkiError, SimPki};
use crate::smtp::{self, TlsStart};
use crate::token_endpoint::TokenEndpoint;
use crate::tokens::{self, Grant};
use crate::world::World;

/// Why a simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    #[error("the certificates could not be made")]
    Pki(#[from] PkiError),
    #[error("the {server} could not listen on {address}")]
    Listen { server: &'static str, address: SocketAddr, source: std::io::Error },
    #[error("the admin endpoint knows no login and must be on loopback, not on {address}")]
    AdminNotLoopback { address: SocketAddr },
    #[error("a certificate of client `{client_id}` is not an X.509 certificate in PEM")]
    CertificateUnreadable { client_id: String },
}

/// A token endpoint, a submission server and an admin endpoint, running until `shutdown` or drop.
#[derive(Debug)]
pub struct Simulator {
    world: Arc<World>,
    pki: SimPki,
    addresses: Addresses,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

#[derive(Clone, Copy, Debug)]
struct Addresses {
    token: SocketAddr,
    starttls: SocketAddr,
    implicit_tls: SocketAddr,
    admin: SocketAddr,
}

impl Simulator {
    /// Starts with a new certificate authority.
    pub async fn start(config: SimConfig) -> Result<Self, SimError> {
        Self::start_with(config, SimPki::generate()?).await
    }

    /// Starts with a given certificate authority, for instance that of a simulator which was shut down.
    pub async fn start_with(config: SimConfig, pki: SimPki) -> Result<Self, SimError> {
        let listen = &config.listen;
        if !listen.admin.ip().is_loopback() {
            return Err(SimError::AdminNotLoopback { address: listen.admin });
        }
        let token = bind("token endpoint", listen.token).await?;
        let starttls = bind("submission server", listen.starttls).await?;
        let implicit_tls = bind("submission server with implicit TLS", listen.implicit_tls).await?;
        let admin = bind("admin endpoint", listen.admin).await?;
        let addresses = Addresses {
            token: token.1,
            starttls: starttls.1,
            implicit_tls: implicit_tls.1,
            admin: admin.1,
        };

        let token_tls = TlsAcceptor::from(pki.server(config.tls.token, &config.tls.names)?);
        let smtp_tls = TlsAcceptor::from(pki.server(config.tls.smtp, &config.tls.names)?);
        let authority = format!("https://localhost:{}", addresses.token.port());
        let world = World::new(config, authority)
            .map_err(|error| SimError::CertificateUnreadable { client_id: error.client_id })?;
        let world = Arc::new(world);

        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let endpoint = Arc::new(TokenEndpoint { world: Arc::clone(&world) });
        tasks.spawn(http::serve(token.0, Some(token_tls), endpoint, stop.clone()));
        for (listener, start) in
            [(starttls.0, TlsStart::OnCommand), (implicit_tls.0, TlsStart::AtOnce)]
        {
            tasks.spawn(smtp::serve(
                listener,
                smtp_tls.clone(),
                start,
                Arc::clone(&world),
                stop.clone(),
            ));
        }
        let endpoint = Arc::new(Admin { world: Arc::clone(&world), pki: pki.clone() });
        tasks.spawn(http::serve(admin.0, None, endpoint, stop.clone()));
        Ok(Self { world, pki, addresses, tasks, stop })
    }

    /// Ends all connections and frees the ports. Dropping the simulator does the same without waiting for it.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Where the token endpoint listens (HTTPS).
    pub fn token_addr(&self) -> SocketAddr {
        self.addresses.token
    }

    /// Where the submission server listens for clients that use STARTTLS.
    pub fn starttls_addr(&self) -> SocketAddr {
        self.addresses.starttls
    }

    /// Where the submission server listens for clients that begin with TLS.
    pub fn implicit_tls_addr(&self) -> SocketAddr {
        self.addresses.implicit_tls
    }

    /// Where the admin endpoint listens (plain HTTP).
    pub fn admin_addr(&self) -> SocketAddr {
        self.addresses.admin
    }

    /// Base URL of the token endpoint, as `https://login.microsoftonline.com` is: `https://localhost:…`.
    pub fn authority(&self) -> &str {
        &self.world.authority
    }

    /// URL for token requests of a tenant, named by id or domain.
    pub fn token_url(&self, tenant: &str) -> String {
        format!("{}/{tenant}/oauth2/v2.0/token", self.world.authority)
    }

    /// What it was started with, without the faults.
    pub fn config(&self) -> &SimConfig {
        &self.world.config
    }

    pub fn pki(&self) -> &SimPki {
        &self.pki
    }

    /// The certificate to trust, as PEM.
    pub fn ca_pem(&self) -> String {
        self.pki.ca_pem()
    }

    /// The faults, which can be added and taken away while it runs.
    pub fn faults(&self) -> &Faults {
        &self.world.faults
    }

    /// The accepted mails that are still kept, oldest first; see `SimConfig::mails_kept_max`.
    pub fn accepted(&self) -> Vec<Arc<AcceptedMail>> {
        self.world.ledger.accepted()
    }

    /// How many mails were accepted since the start.
    pub fn accepted_count(&self) -> u64 {
        self.world.ledger.stats().mails_accepted
    }

    /// Message-IDs that were accepted more than once, sorted.
    pub fn duplicates(&self) -> Vec<Duplicate> {
        self.world.ledger.duplicates()
    }

    /// Every Message-ID accepted since the start, and how often.
    pub fn message_ids(&self) -> BTreeMap<String, u64> {
        self.world.ledger.message_ids()
    }

    /// How often a mail with this Message-ID (without angle brackets) was accepted for this recipient.
    pub fn delivered(&self, message_id: &str, recipient: &str) -> u64 {
        self.world.ledger.delivered(message_id, recipient)
    }

    /// Waits until `wanted` mails were accepted since the start.
    pub async fn wait_for_accepted(
        &self,
        wanted: u64,
        timeout: Duration,
    ) -> Result<(), TooFewAccepted> {
        self.world.ledger.wait_for_accepted(wanted, timeout).await
    }

    pub fn stats(&self) -> Stats {
        self.world.ledger.stats()
    }

    /// A token for submission, as the token endpoint gives it to the first client; for senders that only measure.
    pub fn submission_token(&self) -> Option<String> {
        let config = &self.world.config;
        let (client, tenant) = (config.clients.first()?, config.tenants.first()?);
        let now = clock::now();
        let grant = Grant {
            client_id: client.client_id.clone(),
            tenant_id: tenant.id.clone(),
            audience: config.smtp.audiences.first()?.clone(),
            roles: client.roles.clone(),
            expires: tokens::after(now, config.tokens.lifetime_s),
        };
        Some(self.world.tokens.issue(grant, now, config.tokens.size))
    }

    /// Makes all tokens invalid that exist now.
    pub fn expire_tokens(&self) {
        self.world.tokens.expire_all(clock::now());
    }

    /// Makes all client secrets expired that exist now.
    pub fn expire_secrets(&self) {
        self.world.expire_secrets(None);
    }

    /// Makes the client secrets with this id expired.
    pub fn expire_secret(&self, id: &str) {
        self.world.expire_secrets(Some(id));
    }

    /// Gives a client one more secret; false if there is no such client.
    pub fn add_secret(&self, client_id: &str, secret: ClientSecret) -> bool {
        self.world.add_secret(client_id, secret)
    }

    /// Writes `ca.pem` and `intermediate.pem` into a folder, and returns the path of `ca.pem`.
    pub fn write_pki(&self, folder: &Path) -> Result<std::path::PathBuf, PkiError> {
        self.pki.write_to(folder)
    }
}

async fn bind(
    server: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), SimError> {
    let failed = |source| SimError::Listen { server, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
