//! The sink: a provider in this process, on a thread of its own.

use std::thread::JoinHandle;
use std::time::Duration;

use nuncio_api::client::Clients;
use nuncio_api::v1;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::test_smtp_settings_response::Event;
use nuncio_provider_sim::config::{
    DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_MAILBOX, DEFAULT_SCOPE,
    DEFAULT_TENANT_DOMAIN, DEFAULT_TENANT_ID, Mailbox, SimConfig,
};
use nuncio_provider_sim::simulator::Simulator;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bench::{BenchArgs, Failure, STALLED, process};

/// The name of its thread, by which its processor time is told from that of the load generator.
const THREAD: &str = "sink";

/// A provider without limits of rate, that counts. It has one thread: what that cannot do is its limit.
pub(super) struct Sink {
    simulator: Simulator,
    /// Mailboxes beside the default one.
    additional: Vec<String>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

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
    /// What came after `before`. The most connections at once are those of all the time.
    pub(super) fn since(self, before: &Self) -> Self {
        Self {
            mails: self.mails - before.mails,
            repeated: self.repeated - before.repeated,
            token_requests: self.token_requests - before.token_requests,
            connections_max: self.connections_max,
            round_trips: self.round_trips - before.round_trips,
        }
    }
}

impl Sink {
    pub(super) async fn start(args: &BenchArgs) -> Result<Self, Failure> {
        let mut config = SimConfig { mails_kept_max: 0, ..SimConfig::sink() };
        config.smtp.reply_delay_ms = args.reply_delay_ms;
        config.smtp.extensions.chunking = !args.no_chunking;
        // Every mailbox sends mails of the first one.
        config.smtp.any_sender = true;
        let additional: Vec<_> = (1..args.mailboxes).map(additional_mailbox).collect();
        config.mailboxes.extend(additional.iter().map(|address| Mailbox::new(address)));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (started, start) = oneshot::channel();
        let serve = move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().expect("a process may have an event loop");
            runtime.block_on(async {
                if started.send(Simulator::start(config).await).is_ok() {
                    stopped.cancelled().await;
                }
            });
        };
        let thread = std::thread::Builder::new().name(THREAD.to_owned()).spawn(serve);
        let thread = thread.map_err(Failure::Spawn)?;
        let simulator = start.await.expect("the thread tells how the start went")?;
        Ok(Self { simulator, additional, stop, thread: Some(thread) })
    }

    /// The processor time of its thread.
    pub(super) fn cpu() -> Option<Duration> {
        process::thread_cpu(THREAD)
    }

    pub(super) fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Waits until it took so many mails since its start.
    pub(super) async fn wait_for(&self, mails: u64) -> Result<(), Failure> {
        let waited = self.simulator.wait_for_accepted(mails, STALLED).await;
        waited.map_err(|few| Failure::Stalled { sent: few.accepted, accepted: few.wanted })
    }

    pub(super) fn accepted(&self) -> u64 {
        self.simulator.accepted_count()
    }

    pub(super) fn stats(&self) -> SinkStats {
        let stats = self.simulator.stats();
        SinkStats {
            mails: stats.mails_accepted,
            repeated: stats.mails_repeated,
            token_requests: stats.token_requests,
            connections_max: stats.connections.max,
            round_trips: stats.round_trips,
        }
    }

    /// Tests and saves the settings for this sink, as a person would. Returns when saving began: from then on the
    /// node may send.
    pub(super) async fn save_settings(
        &self,
        clients: &mut Clients,
        connections: i32,
    ) -> Result<Instant, Failure> {
        let settings = self.settings(connections);
        let request = v1::TestSmtpSettingsRequest {
            smtp_settings: Some(settings.clone()),
            ..v1::TestSmtpSettingsRequest::default()
        };
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
        let request =
            v1::UpdateSmtpSettingsRequest { smtp_settings: Some(settings), ..Default::default() };
        let begun = Instant::now();
        clients.smtp_settings.update_smtp_settings(request).await?;
        Ok(begun)
    }

    fn settings(&self, connections: i32) -> v1::SmtpSettings {
        let oauth = v1::OauthAuthentication {
            client_id: DEFAULT_CLIENT_ID.to_owned(),
            tenant_id: DEFAULT_TENANT_ID.to_owned(),
            client_secret: DEFAULT_CLIENT_SECRET.to_owned(),
            token_endpoint: self.simulator.token_url(DEFAULT_TENANT_ID),
            scope: DEFAULT_SCOPE.to_owned(),
            ..v1::OauthAuthentication::default()
        };
        v1::SmtpSettings {
            provider: v1::SmtpProvider::Generic.into(),
            host: "localhost".to_owned(),
            port: i32::from(self.simulator.starttls_addr().port()),
            encryption: v1::SmtpEncryption::Starttls.into(),
            email_address: DEFAULT_MAILBOX.to_owned(),
            additional_mailboxes: self.additional.clone(),
            authentication: Some(Authentication::Oauth(oauth)),
            ca_certificates_pem: self.simulator.ca_pem(),
            limits: Some(v1::MailboxLimits {
                max_connections: connections,
                max_messages_per_minute: 0,
                max_recipients_per_day: 0,
            }),
            ..v1::SmtpSettings::default()
        }
    }
}

fn additional_mailbox(number: u32) -> String {
    format!("no-reply-{number}@{DEFAULT_TENANT_DOMAIN}")
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_test_of_the_settings_used_is_not_counted() {
        let before = SinkStats { token_requests: 1, round_trips: 4, ..SinkStats::default() };
        let after = SinkStats { mails: 10, token_requests: 2, round_trips: 24, ..before };

        let seen = after.since(&before);

        assert_eq!((seen.mails, seen.token_requests, seen.round_trips), (10, 1, 20));
    }
}
