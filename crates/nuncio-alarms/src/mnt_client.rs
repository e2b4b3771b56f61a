//! The MnT behind its gRPC service.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream;
use nuncio_api::client::{Clients, ConnectError, Credentials, connect_lazy};
use nuncio_api::convert::alarm_event::{cleared, raised, refusal};
use nuncio_api::v1;

use crate::forwarder::{AlarmReceiver, TellError, Told};
use crate::outbox::{AlarmEvent, Waiting};

/// How long connecting and the begin of an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A client of `AlarmService`. It connects with the first alarm, and again whenever the connection was lost.
#[derive(Clone)]
pub struct MntClient {
    clients: Clients,
}

impl MntClient {
    /// `address` is one such as `http://127.0.0.1:7587`. It needs a Tokio runtime around it.
    pub fn new(address: &str, credentials: &Credentials) -> Result<Self, ConnectError> {
        Ok(Self::of(connect_lazy(address, DEADLINE, credentials)?))
    }

    /// By a way that is there already.
    pub fn of(clients: Clients) -> Self {
        Self { clients }
    }
}

#[async_trait]
impl AlarmReceiver for MntClient {
    async fn tell(&self, events: &[Waiting]) -> Result<Vec<Told>, TellError> {
        let batch = v1::RaiseAlarmsRequest { events: events.iter().map(event).collect() };
        let mut alarms = self.clients.alarms.clone();
        let failed = |status: tonic::Status| TellError(Box::new(status));
        let answers = alarms.raise_alarms(stream::iter([batch])).await.map_err(failed)?;
        let answer = answers.into_inner().message().await.map_err(failed)?;
        let answer = answer.ok_or_else(|| TellError("the answer ended too early".into()))?;
        if answer.results.len() != events.len() {
            return Err(TellError("the answer speaks of other alarms".into()));
        }
        Ok(answer.results.iter().map(told).collect())
    }
}

fn event(waiting: &Waiting) -> v1::AlarmEvent {
    match &waiting.event {
        AlarmEvent::Raised(alarm) => raised(alarm, &waiting.request_id),
        AlarmEvent::Cleared { alarm, at } => cleared(alarm, *at, &waiting.request_id),
    }
}

fn told(result: &v1::AlarmResult) -> Told {
    refusal(result).map_or(Told::Taken, Told::Refused)
}
