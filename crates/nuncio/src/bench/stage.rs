//! What is measured: a node in a process of its own, and the sink in this one.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nuncio_api::client::{self, Clients};
use nuncio_api::v1;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::test_smtp_settings_response::Event;
use nuncio_provider_sim::config::{
    DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_MAILBOX, DEFAULT_SCOPE, DEFAULT_TENANT_ID,
    SimConfig,
};
use nuncio_provider_sim::simulator::Simulator;
use tempfile::TempDir;

use crate::bench::Failure;

/// How long the node may take to answer.
const START_DEADLINE: Duration = Duration::from_secs(20);
const START_PAUSE: Duration = Duration::from_millis(20);
/// How much of its log tells why a node ended.
const LOG_TAIL: usize = 2_000;

/// A node of nuncio with a folder that goes away with it.
pub(super) struct Node {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Node {
    /// Starts a node with an empty store and without settings, and waits until it answers.
    pub(super) async fn start(log_filter: &str) -> Result<Self, Failure> {
        let folder = TempDir::with_prefix("nuncio-bench-").map_err(Failure::Folder)?;
        let log_path = folder.path().join("node.log");
        let log = File::create(&log_path).map_err(Failure::Folder)?;
        let (grpc, http) = free_ports().map_err(Failure::Spawn)?;
        let child = Command::new(std::env::current_exe().map_err(Failure::Spawn)?)
            .args(["serve", "--log-filter", log_filter])
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(["--grpc-listen", &grpc, "--http-listen", &http])
            // The figures are not to depend on who asks for them.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(Failure::Spawn)?;
        let mut node = Self { child, address: format!("http://{grpc}"), _folder: folder };
        let started = tokio::time::Instant::now();
        loop {
            let failure = match client::connect(&node.address, START_DEADLINE).await {
                Ok(_clients) => return Ok(node),
                Err(failure) => failure,
            };
            if let Some(status) = node.child.try_wait().map_err(Failure::Spawn)? {
                return Err(Failure::NodeEnded { status, log: tail(&log_path) });
            }
            if START_DEADLINE < started.elapsed() {
                return Err(failure.into());
            }
            tokio::time::sleep(START_PAUSE).await;
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Nothing in its folder is of worth, so it need not stop in order; and it may have ended by itself.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

/// Two addresses that were free a moment ago.
fn free_ports() -> std::io::Result<(String, String)> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (first, second) = (bind()?, bind()?);
    Ok((first.local_addr()?.to_string(), second.local_addr()?.to_string()))
}

fn tail(path: &Path) -> String {
    let log = std::fs::read_to_string(path).unwrap_or_default();
    let start = log.len().saturating_sub(LOG_TAIL);
    let start = (start..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(log.len());
    log[start..].trim().to_owned()
}

/// A provider without limits of rate, that counts.
pub(super) struct Sink(Simulator);

/// What the sink has counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SinkStats {
    pub(super) mails: u64,
    pub(super) repeated: u64,
    pub(super) token_requests: u64,
    pub(super) connections_max: u64,
    pub(super) round_trips: u64,
}

impl SinkStats {
    /// What came after `before`.
    pub(super) fn since(self, before: &Self) -> Self {
        Self {
            mails: self.mails - before.mails,
            repeated: self.repeated - before.repeated,
            round_trips: self.round_trips - before.round_trips,
            ..self
        }
    }
}

impl Sink {
    pub(super) async fn start(reply_delay_ms: u64) -> Result<Self, Failure> {
        let mut config = SimConfig::sink();
        config.smtp.reply_delay_ms = reply_delay_ms;
        Ok(Self(Simulator::start(config).await?))
    }

    pub(super) fn accepted(&self) -> u64 {
        self.0.accepted_count()
    }

    pub(super) fn stats(&self) -> SinkStats {
        let stats = self.0.stats();
        SinkStats {
            mails: stats.mails_accepted,
            repeated: stats.mails_repeated,
            token_requests: stats.token_requests,
            connections_max: stats.connections.max,
            round_trips: stats.round_trips,
        }
    }

    /// Tests and saves the settings for this sink, as a person would.
    pub(super) async fn save_settings(
        &self,
        clients: &mut Clients,
        connections: i32,
    ) -> Result<(), Failure> {
        let settings = self.settings(connections);
        let request = v1::TestSmtpSettingsRequest { smtp_settings: Some(settings.clone()) };
        let mut events = clients.smtp_settings.test_smtp_settings(request).await?.into_inner();
        let mut passed = false;
        let mut told = String::new();
        while let Some(event) = events.message().await? {
            match event.event {
                Some(Event::Report(report)) => passed = report.passed,
                Some(Event::Stage(stage)) => told = format!("{stage:?}"),
                None => {}
            }
        }
        if !passed {
            return Err(Failure::Settings(told));
        }
        let request = v1::UpdateSmtpSettingsRequest { smtp_settings: Some(settings) };
        clients.smtp_settings.update_smtp_settings(request).await?;
        Ok(())
    }

    fn settings(&self, connections: i32) -> v1::SmtpSettings {
        let oauth = v1::OauthAuthentication {
            client_id: DEFAULT_CLIENT_ID.to_owned(),
            tenant_id: DEFAULT_TENANT_ID.to_owned(),
            client_secret: DEFAULT_CLIENT_SECRET.to_owned(),
            token_endpoint: self.0.token_url(DEFAULT_TENANT_ID),
            scope: DEFAULT_SCOPE.to_owned(),
            ..v1::OauthAuthentication::default()
        };
        v1::SmtpSettings {
            provider: v1::SmtpProvider::Generic.into(),
            host: "localhost".to_owned(),
            port: i32::from(self.0.starttls_addr().port()),
            encryption: v1::SmtpEncryption::Starttls.into(),
            email_address: DEFAULT_MAILBOX.to_owned(),
            authentication: Some(Authentication::Oauth(oauth)),
            ca_certificates_pem: self.0.ca_pem(),
            limits: Some(v1::MailboxLimits {
                max_connections: connections,
                max_messages_per_minute: 0,
                max_recipients_per_day: 0,
            }),
            ..v1::SmtpSettings::default()
        }
    }
}
