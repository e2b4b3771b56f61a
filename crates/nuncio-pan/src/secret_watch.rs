//! Watches over the expiry of the client secret, and raises the alarms about it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use nuncio_core::alarm::catalogue::SECRET_EXPIRED;
use nuncio_core::alarm::{AlarmIdentity, RaisedAlarm};
use nuncio_core::ports::alarms::AlarmSink;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, RecordKey, RecordKind, RecordStore, Write,
};
use nuncio_core::ports::token::{CLIENT_SECRET_EXPIRED, TokenRequest, TokenSource};
use nuncio_core::secret_expiry::{
    EndpointAnswer, SecretAlarm, SecretDates, SecretStatus, alarms, status,
};
use nuncio_core::settings::{
    Authentication, ClientCredential, OauthClient, SavedSmtpSettings, SmtpSettings,
};
use nuncio_runtime::chain::Chain;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Which alarms about the secret stand.
const STANDING: RecordKind = RecordKind("secret-watch");
/// How often it looks. A token is asked for only if none is cached.
const PERIOD: Duration = Duration::from_hours(1);
/// How long after a start or a change it looks: what was saved has just passed a test, so the token endpoint has
/// nothing new to say, and whoever sends a mail asks it anyway.
const SETTLE: Duration = Duration::from_mins(1);
/// How soon it looks again if an alarm could not be told.
const RETRY: Duration = Duration::from_mins(1);
/// All nodes use the same secret: whichever PAN looks, it is one alarm.
const ALL_NODES: &str = "all";

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

/// The alarms that stand, by their type.
type Standing = BTreeMap<String, Raised>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Raised {
    stage: String,
    labels: BTreeMap<String, String>,
}

/// What is to stand, and what the token endpoint has said.
struct Wanted {
    alarms: BTreeMap<String, (Raised, SecretAlarm)>,
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
        let key = RecordKey::new(STANDING, "smtp");
        let record =
            self.records.read(std::slice::from_ref(&key)).await?.into_iter().next().flatten();
        let before: Standing = record
            .as_ref()
            .and_then(|record| serde_json::from_str(&record.content).ok())
            .unwrap_or_default();
        if wanted.as_ref().is_some_and(|wanted| is_still_expired(&before, wanted)) {
            return Ok(());
        }
        let wanted = wanted.map(|wanted| wanted.alarms).unwrap_or_default();
        let after: Standing =
            wanted.iter().map(|(name, (raised, _))| (name.clone(), raised.clone())).collect();
        if before == after {
            return Ok(());
        }
        for (name, standing) in &before {
            if after.get(name).is_none_or(|raised| raised.labels != standing.labels) {
                self.alarms.clear(identity(name, &standing.labels)).await?;
            }
        }
        for (name, (raised, alarm)) in &wanted {
            if before.get(name) != Some(raised) {
                self.alarms.raise(self.raised(name, raised, alarm)).await?;
            }
        }
        // Last: who dies before it raises the same alarm again, which is one alarm.
        let mut changes = Changeset::new(self.clock.now());
        changes.writes.push(Write::Put {
            key,
            expected: record.map_or(Expected::Absent, |record| Expected::Version(record.version)),
            owner: None,
            due_at: None,
            content: serde_json::to_string(&after).expect("texts always become JSON"),
        });
        match self.records.commit(changes).await {
            Err(CommitError::Store(source)) => Err(source),
            // Another PAN has seen the same.
            Ok(_) | Err(CommitError::Conflict { .. } | CommitError::RequestIdReused { .. }) => {
                Ok(())
            }
        }
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
            let raised = Raised { stage: alarm.stage.clone(), labels: labels.clone() };
            (alarm.alarm_type.to_owned(), (raised, alarm))
        });
        Wanted { alarms: standing.collect(), answer, labels: labels.clone(), status }
    }

    fn raised(&self, name: &str, raised: &Raised, alarm: &SecretAlarm) -> RaisedAlarm {
        RaisedAlarm {
            identity: identity(name, &raised.labels),
            severity: alarm.severity,
            description: alarm.description.clone(),
            details: alarm.details.clone(),
            raised_at: self.clock.now(),
        }
    }
}

/// Whether the endpoint has said before that this secret has expired, and says nothing else now.
fn is_still_expired(before: &Standing, wanted: &Wanted) -> bool {
    let expired = before.get(SECRET_EXPIRED).is_some_and(|one| one.labels == wanted.labels);
    expired && wanted.answer == EndpointAnswer::None
}

fn identity(alarm_type: &str, labels: &BTreeMap<String, String>) -> AlarmIdentity {
    AlarmIdentity {
        alarm_type: alarm_type.to_owned(),
        node: ALL_NODES.to_owned(),
        labels: labels.clone(),
    }
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
