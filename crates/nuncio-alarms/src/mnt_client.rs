//! The MnT behind its gRPC service.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream;
use nuncio_api::client::{Clients, ConnectError, Credentials, connect_lazy};
use nuncio_api::convert::alarm_event::{cleared, raised, refusal};
use nuncio_api::trace::{carry, code_name};
use nuncio_api::v1;
use nuncio_runtime::trace;
use tonic::codegen::http::Uri;
use tonic::{Code, Request, Status};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};

use crate::forwarder::{AlarmReceiver, TellError, Told};
use crate::outbox::{AlarmEvent, Waiting};

/// How long connecting and the begin of an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// What it calls.
const METHOD: &str = "nuncio.v1.AlarmService/RaiseAlarms";

/// A client of `AlarmService`. It connects with the first alarm, and again whenever the connection was lost.
#[derive(Clone)]
pub struct MntClient {
    clients: Clients,
    /// For the span of a call.
    host: String,
    port: u16,
}

impl MntClient {
    /// `address` is one such as `http://127.0.0.1:7587`. It needs a Tokio runtime around it.
    pub fn new(address: &str, credentials: &Credentials) -> Result<Self, ConnectError> {
        Ok(Self::of(connect_lazy(address, DEADLINE, credentials)?, address))
    }

    /// By a way that is there already; it leads to `address`.
    pub fn of(clients: Clients, address: &str) -> Self {
        let uri: Uri = address.parse().unwrap_or_default();
        let host = uri.host().unwrap_or_default().to_owned();
        Self { clients, host, port: uri.port_u16().unwrap_or_default() }
    }

    async fn call(&self, events: &[Waiting]) -> Result<v1::RaiseAlarmsResponse, Status> {
        let batch = v1::RaiseAlarmsRequest { events: events.iter().map(event).collect() };
        let mut request = Request::new(stream::iter([batch]));
        carry(&mut request, trace::current(&Span::current()).as_ref());
        let answers = self.clients.alarms.clone().raise_alarms(request).await?;
        let answer = answers.into_inner().message().await?;
        answer.ok_or_else(|| Status::unknown("the answer ended too early"))
    }
}

#[async_trait]
impl AlarmReceiver for MntClient {
    async fn tell(&self, events: &[Waiting]) -> Result<Vec<Told>, TellError> {
        let span = info_span!(
            "rpc.client",
            otel.name = METHOD,
            otel.kind = "client",
            otel.status_code = Empty,
            rpc.system.name = "grpc",
            rpc.method = METHOD,
            rpc.response.status_code = Empty,
            server.address = self.host,
            server.port = self.port,
        );
        let answer = self.call(events).instrument(span.clone()).await;
        let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
        span.record("rpc.response.status_code", code_name(code));
        if code != Code::Ok {
            span.record("otel.status_code", "ERROR");
        }
        let answer = answer.map_err(|status| TellError(Box::new(status)))?;
        if answer.results.len() != events.len() {
            return Err(TellError("the answer speaks of other alarms".into()));
        }
        Ok(answer.results.iter().map(told).collect())
    }
}

fn event(waiting: &Waiting) -> v1::AlarmEvent {
    match &waiting.event {
        AlarmEvent::Raised(alarm) => raised(alarm, &waiting.request_id, waiting.trace.as_ref()),
        AlarmEvent::Cleared { alarm, at } => cleared(alarm, *at, &waiting.request_id),
    }
}

fn told(result: &v1::AlarmResult) -> Told {
    refusal(result).map_or(Told::Taken, Told::Refused)
}
