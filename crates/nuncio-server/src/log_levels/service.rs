//! `LogLevelService`.

use std::sync::Arc;
use std::time::Duration;

use nuncio_api::caller::caller_id;
use nuncio_api::convert::enums::known;
use nuncio_api::convert::time::{duration_from, timestamp};
use nuncio_api::error::{invalid, unavailable};
use nuncio_api::v1;
use nuncio_api::v1::log_level_service_server::LogLevelService;
use nuncio_core::job::CallerId;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::settings::{SaveError, SettingsShare};
use nuncio_core::settings::document::{DocumentChange, SettingsDocument};
use nuncio_core::settings::log_levels::{
    Component, LogLevels, LogSeverity, TTL, TTL_MAX, TimedLevel,
};
use nuncio_core::violation::{Fault, Violations};
use nuncio_runtime::chain::Chain;
use tonic::{Request, Response, Status};
use tracing::error;

use crate::errors::STORE_RETRY;
use crate::log_levels::document;

/// How often a change is tried while others change levels too.
const TRIES_MAX: u32 = 5;

pub(crate) struct LogLevelApi {
    pub(crate) settings: Arc<dyn SettingsShare>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What is asked for: a level, or none for the configured one.
struct Wanted {
    component: Component,
    severity: Option<LogSeverity>,
    ttl: Duration,
}

impl LogLevelApi {
    /// What is set now, and the etag of the document.
    fn present(&self) -> (LogLevels, String) {
        let saved = self.settings.document(SettingsDocument::LogLevels).borrow().clone();
        let mut levels = document::read(saved.as_deref());
        levels.forget_ended(self.clock.now());
        (levels, saved.map(|saved| saved.etag()).unwrap_or_default())
    }

    async fn set(&self, wanted: &Wanted, by: &CallerId) -> Result<LogLevels, SaveError> {
        let mut tries = 0;
        loop {
            let (mut levels, etag) = self.present();
            let now = self.clock.now();
            let until = now + wanted.ttl;
            let level = wanted.severity.map(|severity| TimedLevel { severity, until });
            levels.set(wanted.component, level);
            let change = DocumentChange {
                caller: by.0.clone(),
                at: now,
                summary: format!(
                    "{}: {}",
                    wanted.component.name(),
                    wanted.severity.map_or("as configured", LogSeverity::name)
                ),
            };
            let (kind, content) = (SettingsDocument::LogLevels, document::write(&levels));
            match self.settings.save_document(kind, content, change, Some(&etag)).await {
                Ok(_) => return Ok(levels),
                Err(SaveError::EtagMismatch { .. }) if tries < TRIES_MAX => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

#[tonic::async_trait]
impl LogLevelService for LogLevelApi {
    async fn list_log_levels(
        &self,
        _request: Request<v1::ListLogLevelsRequest>,
    ) -> Result<Response<v1::ListLogLevelsResponse>, Status> {
        let components = Component::all().map(|one| one.name().to_owned()).collect();
        let log_levels = told(&self.present().0);
        Ok(Response::new(v1::ListLogLevelsResponse { log_levels, components }))
    }

    async fn set_log_level(
        &self,
        request: Request<v1::SetLogLevelRequest>,
    ) -> Result<Response<v1::SetLogLevelResponse>, Status> {
        let by = caller_id(&request);
        let wanted = read(&request.into_inner()).map_err(|violations| {
            invalid("INVALID_LOG_LEVEL", "the log level is not valid", violations)
        })?;
        let levels = self.set(&wanted, &by).await.map_err(|problem| {
            error!("log levels were not saved: {}", Chain(&problem));
            unavailable("SETTINGS_STORE_UNAVAILABLE", problem.to_string(), STORE_RETRY)
        })?;
        Ok(Response::new(v1::SetLogLevelResponse { log_levels: told(&levels) }))
    }
}

fn read(request: &v1::SetLogLevelRequest) -> Result<Wanted, Violations> {
    let mut violations = Violations::default();
    let component = Component::from_name(&request.component).ok_or_else(|| {
        let names: Vec<_> = Component::all().map(Component::name).collect();
        format!("is no component; there are: {}", names.join(", "))
    });
    let component = violations.check_as(Fault::Unknown, "component", component);
    let severity = known::<v1::LogSeverity, _>(&mut violations, "severity", request.severity);
    let ttl = duration_from(&mut violations, "ttl", request.ttl).unwrap_or(TTL);
    let is_in_range = !ttl.is_zero() && ttl <= TTL_MAX;
    let problem =
        "must be more than 0 and seven days at most; what is to stay belongs into `log.filter`";
    let ttl =
        violations.check_as(Fault::OutOfRange, "ttl", is_in_range.then_some(ttl).ok_or(problem));
    match (component, ttl) {
        (Some(component), Some(ttl)) if violations.is_empty() => {
            Ok(Wanted { component, severity, ttl })
        }
        _ => Err(violations),
    }
}

fn told(levels: &LogLevels) -> Vec<v1::LogLevel> {
    let told = levels.iter().map(|(component, TimedLevel { severity, until })| v1::LogLevel {
        component: component.name().to_owned(),
        severity: v1::LogSeverity::from(severity).into(),
        expire_time: Some(timestamp(until)),
    });
    told.collect()
}
