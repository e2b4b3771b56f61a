//! `AlarmRouteService`: list, save, remove and test routes.

use nuncio_api::caller::caller_id;
use nuncio_core::job::CallerId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nuncio_api::convert::alarm_route::{ROUTE_NAME_PREFIX, route, route_draft};
use nuncio_api::convert::time::{duration, timestamp};
use nuncio_api::error::{invalid, status, unavailable};
use nuncio_api::v1;
use nuncio_api::v1::alarm_route_service_server::AlarmRouteService;
use nuncio_core::alarm::Severity;
use nuncio_core::alarm::route::{MessageKind, ROUTES_MAX, Route, RouteMessage};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::settings::{SaveError, SettingsShare};
use nuncio_core::settings::document::DocumentChange;
use nuncio_core::violation::Violations;
use nuncio_runtime::chain::Chain;
use tonic::{Code, Request, Response, Status};
use tracing::error;

use crate::courier::{Attempt, Courier};
use crate::routes::{SavedRoutes, routes, save};

/// When a client may try again while the store is down.
const STORE_RETRY: Duration = Duration::from_secs(2);

pub struct AlarmRoutes {
    pub courier: Courier,
    pub settings: Arc<dyn SettingsShare>,
    /// The name of this node.
    pub node: String,
}

impl AlarmRoutes {
    fn known(&self, name: &str) -> Result<(SavedRoutes, Route), Status> {
        let saved = routes(&*self.settings);
        let id = name.strip_prefix(ROUTE_NAME_PREFIX).unwrap_or_default();
        let found = saved.find(id).cloned();
        found.map(|found| (saved, found)).ok_or_else(|| not_found(name))
    }

    async fn save(
        &self,
        mut wanted: SavedRoutes,
        etag: &str,
        (what, by): (String, CallerId),
    ) -> Result<SavedRoutes, Status> {
        if !etag.is_empty() && etag != wanted.etag {
            return Err(not_saved(SaveError::EtagMismatch { present: wanted.etag }));
        }
        let at = self.courier.clock.now();
        let change = DocumentChange { caller: by.0, at, summary: what };
        wanted.routes.sort_by(|one, other| one.id.cmp(&other.id));
        save(&self.settings, wanted, change).await.map_err(not_saved)
    }

    async fn shown(&self, one: &Route, etag: &str) -> Result<v1::AlarmRoute, Status> {
        let waiting = self.courier.waiting(&one.id).await.map_err(|error| store(&error))?;
        let attempts = self.courier.attempts(&one.id).await.map_err(|error| store(&error))?;
        Ok(v1::AlarmRoute {
            etag: etag.to_owned(),
            waiting_messages: i64::try_from(waiting).unwrap_or(i64::MAX),
            last_attempt: attempts.first().map(attempt_out),
            ..route(one)
        })
    }
}

#[tonic::async_trait]
impl AlarmRouteService for AlarmRoutes {
    async fn list_alarm_routes(
        &self,
        _request: Request<v1::ListAlarmRoutesRequest>,
    ) -> Result<Response<v1::ListAlarmRoutesResponse>, Status> {
        let SavedRoutes { routes, etag } = routes(&*self.settings);
        let mut alarm_routes = Vec::new();
        for one in &routes {
            alarm_routes.push(self.shown(one, &etag).await?);
        }
        Ok(Response::new(v1::ListAlarmRoutesResponse { alarm_routes }))
    }

    async fn update_alarm_route(
        &self,
        request: Request<v1::UpdateAlarmRouteRequest>,
    ) -> Result<Response<v1::UpdateAlarmRouteResponse>, Status> {
        let by = caller_id(&request);
        let request = request.into_inner();
        let given = request.alarm_route.unwrap_or_default();
        let (name, etag) = (given.name.clone(), given.etag.clone());
        let mut violations = Violations::default();
        let draft = route_draft(given, &mut violations);
        let mut saved = routes(&*self.settings);
        let present = saved.find(&draft.id).cloned();
        let checked = draft.check(present.as_ref()).map_err(|more| violations.append(more)).ok();
        let (Some(checked), true) = (checked, violations.is_empty()) else {
            return Err(invalid("INVALID_ALARM_ROUTE", "the route is not valid", violations));
        };
        if present.is_none() && !request.allow_missing {
            return Err(not_found(&name));
        }
        if present.is_none() && ROUTES_MAX <= saved.routes.len() {
            let message = format!("there are {ROUTES_MAX} routes; remove one first");
            return Err(status(Code::ResourceExhausted, "TOO_MANY_ALARM_ROUTES", message, []));
        }
        let mut answer = route(&checked);
        if !request.validate_only {
            let what = if present.is_some() { "changed" } else { "added" };
            let what = format!("route {} {what}", checked.id);
            saved.routes.retain(|one| one.id != checked.id);
            saved.routes.push(checked.clone());
            let saved = self.save(saved, &etag, (what, by)).await?;
            answer = self.shown(&checked, &saved.etag).await?;
        }
        Ok(Response::new(v1::UpdateAlarmRouteResponse { alarm_route: Some(answer) }))
    }

    async fn delete_alarm_route(
        &self,
        request: Request<v1::DeleteAlarmRouteRequest>,
    ) -> Result<Response<v1::DeleteAlarmRouteResponse>, Status> {
        let by = caller_id(&request);
        let request = request.into_inner();
        let (mut saved, found) = self.known(&request.name)?;
        saved.routes.retain(|one| one.id != found.id);
        let what = format!("route {} removed", found.id);
        self.save(saved, &request.etag, (what, by)).await?;
        self.courier.forget(&found.id).await.map_err(|error| store(&error))?;
        Ok(Response::new(v1::DeleteAlarmRouteResponse {}))
    }

    async fn test_alarm_route(
        &self,
        request: Request<v1::TestAlarmRouteRequest>,
    ) -> Result<Response<v1::TestAlarmRouteResponse>, Status> {
        let (_saved, found) = self.known(&request.into_inner().name)?;
        let message = RouteMessage {
            id: self.courier.new_id(),
            kind: MessageKind::Test,
            at: self.courier.clock.now(),
            severity: Severity::Info,
            summary: format!("a test of route {} by nuncio", found.id),
            fields: BTreeMap::from([("node".to_owned(), self.node.clone())]),
        };
        let attempt = self.courier.test(&found, &message).await;
        let attempt = Some(attempt_out(&attempt));
        Ok(Response::new(v1::TestAlarmRouteResponse { attempt }))
    }

    async fn list_alarm_route_attempts(
        &self,
        request: Request<v1::ListAlarmRouteAttemptsRequest>,
    ) -> Result<Response<v1::ListAlarmRouteAttemptsResponse>, Status> {
        let (_saved, found) = self.known(&request.into_inner().name)?;
        let attempts = self.courier.attempts(&found.id).await.map_err(|error| store(&error))?;
        let attempts = attempts.iter().map(attempt_out).collect();
        Ok(Response::new(v1::ListAlarmRouteAttemptsResponse { attempts }))
    }
}

fn attempt_out(attempt: &Attempt) -> v1::AlarmRouteAttempt {
    v1::AlarmRouteAttempt {
        attempt_time: Some(timestamp(attempt.at)),
        message_id: attempt.message_id.clone(),
        r#type: attempt.kind.clone(),
        failure: attempt.failure.clone().unwrap_or_default(),
        message: attempt.message.clone(),
        latency: Some(duration(attempt.latency)),
        given_up: attempt.given_up,
    }
}

fn not_found(name: &str) -> Status {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
    let message = format!("`{shown}` does not exist; a name looks like `alarmRoutes/on-call`");
    status(Code::NotFound, "ALARM_ROUTE_NOT_FOUND", message, [("name", shown)])
}

fn not_saved(problem: SaveError) -> Status {
    let message = problem.to_string();
    match problem {
        SaveError::EtagMismatch { present } => {
            let message = format!("{message}; list the routes, look, and save again with it");
            status(Code::Aborted, "ETAG_MISMATCH", message, [("etag", present)])
        }
        SaveError::Store(_) => {
            error!("alarm routes were not saved: {}", Chain(&problem));
            unavailable("SETTINGS_STORE_UNAVAILABLE", message, STORE_RETRY)
        }
    }
}

fn store(problem: &StoreError) -> Status {
    error!("the client is told to try again: {}", Chain(problem));
    unavailable("STORE_UNAVAILABLE", "the store cannot be used at the moment", STORE_RETRY)
}
