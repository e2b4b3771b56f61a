//! Watches over the expiry of the client secret, and raises the alarms about it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use nuncio_core::alarm::catalogue::SECRET_EXPIRED;
use nuncio_core::ports::alarms::AlarmSink;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{RecordKey, RecordKind, RecordStore};
use nuncio_core::ports::token::{CLIENT_SECRET_EXPIRED, TokenRequest, TokenSource};
use nuncio_core::secret_expiry::{
    EndpointAnswer, SecretAlarm, SecretDates, SecretStatus, alarms, status,
};
use nuncio_core::settings::{
    Authentication, ClientCredential, OauthClient, SavedSmtpSettings, SmtpSettings,
};
use nuncio_runtime::chain::Chain;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::standing::{Before, Raised, StandingAlarms, Wish, Wishes};

/// Which alarms about the secret stand.
const STANDING: RecordKind = RecordKind("secret-watch");
/// How often it looks. A token is asked for only if none is cached.
const PERIOD: Duration = Duration::from_hours(1);
/// How long after a start or a change it looks: what was saved has just passed a test, so the token endpoint has
/// nothing new to say, and whoever sends a mail asks it anyway.
const SETTLE: Duration = Duration::from_mins(1);
/// How soon it looks again if an alarm could not be told.
const RETRY: Duration = Duration::from_mins(1);

/// Everything that the watch needs. It builds none of it, so a test can bring its own.
#[derive(Clone)]
pub struct SecretWatch {
    pub records: Arc<dyn RecordStore>,
    pub settings: watch::Receiver<Option<Arc<SavedSmtpSettings>>>,
    pub tokens: Arc<dyn TokenSource>,
    pub alarms: Arc<dyn AlarmSink>,
    pub clock: Arc<dyn Clock>,
    /// What it has seen last, with the settings that it has looked at; none if there is no secret.
    pub seen: watch::Sender<Option<SeenSecrets>>,
}

/// What the watch has seen of the secrets of these settings.
#[derive(Clone, Debug)]
pub struct SeenSecrets {
    /// The generation of the settings.
    pub generation: i64,
    pub status: SecretStatus,
}

/// What is to stand, and what the token endpoint has said.
struct Wanted {
    alarms: Wishes,
    answer: EndpointAnswer,
    labels: BTreeMap<String, String>,
    status: SecretStatus,
}

impl SecretWatch {
    /// Looks once an hour, and a while after the start and each change of the settings, until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut settings = self.settings.clone();
        let mut wait = SETTLE;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Ok(()) = settings.changed() => {
                    wait = SETTLE;
                    continue;
                }
                () = sleep(wait) => {}
            }
            wait = match stop.run_until_cancelled(self.look()).await {
                None | Some(Ok(())) => PERIOD,
                Some(Err(error)) => {
                    warn!("the alarms about the client secret must wait: {}", Chain(&error));
                    RETRY
                }
            };
        }
    }

    /// Raises what is to stand and does not, and clears what stands and is over.
    pub async fn look(&self) -> Result<(), StoreError> {
        let saved = self.settings.borrow().clone();
        let wanted = match saved.as_deref().and_then(|saved| secret_of(&saved.settings)) {
            Some((settings, client)) => Some(self.wanted(settings, client).await),
            None => None,
        };
        let seen = saved.as_deref().zip(wanted.as_ref());
        self.seen.send_replace(seen.map(|(saved, wanted)| SeenSecrets {
            generation: saved.generation,
            status: wanted.status.clone(),
        }));
        let standing = StandingAlarms {
            records: &*self.records,
            alarms: &*self.alarms,
            clock: &*self.clock,
            key: RecordKey::new(STANDING, "smtp"),
        };
        let before = standing.read().await?;
        if wanted.as_ref().is_some_and(|wanted| is_still_expired(&before, wanted)) {
            return Ok(());
        }
        standing.settle(before, wanted.map(|wanted| wanted.alarms).unwrap_or_default()).await
    }

    async fn wanted(&self, settings: &SmtpSettings, client: &OauthClient) -> Wanted {
        let labels = BTreeMap::from([
            ("client_id".to_owned(), client.client_id.clone()),
            ("mailbox".to_owned(), settings.email_address.to_string()),
        ]);
        let answer = match self.tokens.token(TokenRequest::of(settings, client)).await {
            Ok(token) => match token.passed_over {
                None => EndpointAnswer::Works,
                Some(reason) => {
                    let is_expired = reason.code == CLIENT_SECRET_EXPIRED;
                    EndpointAnswer::NextWorks { words: reason.message, is_expired }
                }
            },
            Err(error) if error.reason.code == CLIENT_SECRET_EXPIRED => {
                EndpointAnswer::Expired(error.reason.message)
            }
            Err(error) if error.is_about_secret() => EndpointAnswer::Wrong(error.reason.message),
            Err(_other) => EndpointAnswer::None,
        };
        let (dates, now) = (SecretDates::from(client), self.clock.now());
        let status = status(dates, &answer, now);
        let alarms = alarms(dates, &answer, now);
        let standing = alarms.into_iter().map(|alarm| {
            let SecretAlarm { alarm_type, severity, stage, description, details } = alarm;
            let raised = Raised { stage, labels: labels.clone() };
            (alarm_type.to_owned(), Wish { raised, severity, description, details })
        });
        Wanted { alarms: standing.collect(), answer, labels: labels.clone(), status }
    }
}

/// Whether the endpoint has said before that this secret has expired, and says nothing else now.
fn is_still_expired(before: &Before, wanted: &Wanted) -> bool {
    let expired =
        before.standing.get(SECRET_EXPIRED).is_some_and(|one| one.labels == wanted.labels);
    expired && wanted.answer == EndpointAnswer::None
}

/// The client, if it has a secret that can expire.
fn secret_of(settings: &SmtpSettings) -> Option<(&SmtpSettings, &OauthClient)> {
    match &settings.authentication {
        Authentication::Oauth(client) => match client.credential {
            ClientCredential::SecretPost(_) | ClientCredential::SecretBasic(_) => {
                Some((settings, client))
            }
            ClientCredential::Certificate { .. } => None,
        },
        Authentication::None | Authentication::Password { .. } => None,
    }
}

#[cfg(test)]
mod tests;
