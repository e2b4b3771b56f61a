//! `AlarmService`: converts at the edge, decides nothing.

use nuncio_api::caller::caller_id;
use nuncio_core::job::CallerId;
use std::pin::Pin;

use futures::{Stream, StreamExt as _};
use nuncio_api::convert::alarm as alarm_out;
use nuncio_api::convert::alarm::{ALARM_NAME_PREFIX, SILENCE_NAME_PREFIX};
use nuncio_api::error::{invalid, status};
use nuncio_api::page_token::by_id::{id_page, next_id_page};
use nuncio_api::trace::of_call;
use nuncio_api::v1;
use nuncio_api::v1::alarm_service_server::AlarmService;
use nuncio_core::alarm::group::{Epoch, Group, GroupDecision};
use nuncio_core::alarm::identity::Fingerprint;
use nuncio_core::alarm::silence::{SILENCES_MAX, check_comment};
use nuncio_core::alarm::standing::{Acknowledgement, Phase, StandingAlarm};
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, Record, RecordKey, RecordQuery, Write,
};
use nuncio_core::violation::Violations;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::errors::{
    changed, draining, invalid_alarm, invalid_name, not_firing, not_found, not_taken,
    request_id_reused, store,
};
use crate::intake::{AlarmIntake, Incoming, Taken};
use crate::muting::silences;
use crate::records::{ALARM, SILENCE, alarm, group, silence};
use crate::rounds::{Rounds, store_error};
use crate::rules::KnownRules;
use crate::service::events::{read_clear, read_raise, take_batch};
use crate::service::explain::{Subject, explain};
use crate::service::list::{AlarmFilter, EXAMINED_MAX};
use crate::service::rules::{
    delete_type, replace_rules, settings_out, type_out, update_settings, update_type,
};

pub(crate) mod events;
mod explain;
mod list;
mod mask;
mod rules;

/// How often an acknowledgement is tried while others write the alarm.
const TRIES_MAX: u32 = 10;
/// How many batches of one stream are taken at once; their answers keep their order.
const BATCHES_UNDER_WAY: usize = 4;

pub(crate) struct AlarmApi {
    pub(crate) alarms: AlarmIntake,
    pub(crate) rounds: Rounds,
    pub(crate) shutdown: CancellationToken,
}

impl AlarmApi {
    async fn take(
        &self,
        incoming: Incoming,
    ) -> Result<(v1::AlarmOutcome, Option<v1::Alarm>), Status> {
        let taken = self.alarms.take(vec![incoming]).await.map_err(|error| not_taken(&error))?;
        match taken.into_iter().next() {
            Some(Taken::Done { outcome, alarm, .. }) => {
                let alarm = alarm.map(|alarm| self.alarm_out(*alarm));
                Ok((outcome.into(), alarm))
            }
            Some(Taken::RequestIdReused { alarm }) => Err(request_id_reused(&alarm)),
            None => Err(draining()),
        }
    }

    fn alarm_out(&self, alarm: StandingAlarm) -> v1::Alarm {
        let kind = self.rounds.rules.current().rules.find(&alarm.identity.alarm_type);
        alarm_out::alarm(alarm, kind.as_ref())
    }

    async fn find(&self, name: &str) -> Result<(Record, StandingAlarm), Status> {
        let print = fingerprint(name)?;
        let key = RecordKey::new(ALARM, print.as_str());
        let read = self.rounds.store.read(&[key]).await.map_err(|error| store(&error))?;
        let record = read.into_iter().next().flatten();
        let record = record.ok_or_else(|| not_found("ALARM_NOT_FOUND", name))?;
        let alarm = alarm::read(&record).map_err(|error| store(&error))?;
        Ok((record, alarm))
    }

    async fn group_of(&self, alarm: &StandingAlarm) -> Result<Option<(Record, Group)>, Status> {
        let read = self.rounds.store.read(&[group::key(&alarm.group)]).await;
        let record = read.map_err(|error| store(&error))?.into_iter().next().flatten();
        let Some(record) = record else { return Ok(None) };
        let found = group::read(&record).map_err(|error| store(&error))?;
        Ok(Some((record, found)))
    }

    async fn acknowledge(
        &self,
        request: &v1::AcknowledgeAlarmRequest,
        by: CallerId,
    ) -> Result<StandingAlarm, Status> {
        for _try in 0..TRIES_MAX {
            let (record, mut found) = self.find(&request.name).await?;
            if found.phase != Phase::Firing {
                return Err(not_firing(&request.name));
            }
            let now = self.rounds.clock.now();
            found.acknowledgement = (!request.withdraw).then(|| Acknowledgement {
                by: by.0.clone(),
                at: now,
                comment: request.comment.clone(),
            });
            let mut changes = Changeset::new(now);
            let known = self.rounds.rules.current();
            let expected = Expected::Version(record.version);
            changes.writes.push(alarm::write(&found, &known.rules, expected));
            // The group sees it at its next look, which is soon.
            if let Some((record, mut group)) = self.group_of(&found).await?
                && group.look_by(now)
            {
                changes.writes.push(group::write(&group, Expected::Version(record.version)));
            }
            match self.rounds.store.commit(changes).await {
                Ok(_) => return Ok(found),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(store(&store_error(error))),
            }
        }
        Err(changed(&request.name))
    }
}

#[tonic::async_trait]
impl AlarmService for AlarmApi {
    async fn raise_alarm(
        &self,
        request: Request<v1::RaiseAlarmRequest>,
    ) -> Result<Response<v1::RaiseAlarmResponse>, Status> {
        let (by, trace) = (caller_id(&request), of_call(&request));
        let v1::RaiseAlarmRequest { alarm, validate_only } = request.into_inner();
        let mut violations = Violations::default();
        let (known, now) = (self.rounds.rules.current(), self.rounds.clock.now());
        let read = read_raise(&mut violations, alarm.unwrap_or_default(), &known.rules, (&by, now));
        let Some(mut incoming) = read.filter(|_| violations.is_empty()) else {
            return Err(invalid_alarm(violations));
        };
        incoming.trace = incoming.trace.or(trace);
        if validate_only {
            return Ok(Response::new(v1::RaiseAlarmResponse::default()));
        }
        let (outcome, alarm) = self.take(incoming).await?;
        Ok(Response::new(v1::RaiseAlarmResponse { alarm, outcome: outcome.into() }))
    }

    type RaiseAlarmsStream =
        Pin<Box<dyn Stream<Item = Result<v1::RaiseAlarmsResponse, Status>> + Send>>;

    async fn raise_alarms(
        &self,
        request: Request<Streaming<v1::RaiseAlarmsRequest>>,
    ) -> Result<Response<Self::RaiseAlarmsStream>, Status> {
        let (alarms, rounds) = (self.alarms.clone(), self.rounds.clone());
        let (by, trace) = (caller_id(&request), of_call(&request));
        let taken = request.into_inner().map(move |batch| {
            let (alarms, rounds, by) = (alarms.clone(), rounds.clone(), by.clone());
            let trace = trace.clone();
            async move {
                let (known, now) = (rounds.rules.current(), rounds.clock.now());
                take_batch(&alarms, batch?, &known, (&by, now), trace.as_ref()).await
            }
        });
        let until = self.shutdown.clone();
        let answers =
            taken.buffered(BATCHES_UNDER_WAY).take_until(async move { until.cancelled().await });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn clear_alarm(
        &self,
        request: Request<v1::ClearAlarmRequest>,
    ) -> Result<Response<v1::ClearAlarmResponse>, Status> {
        let by = caller_id(&request);
        let v1::ClearAlarmRequest { end, name } = request.into_inner();
        let mut end = end.unwrap_or_default();
        if !name.is_empty() {
            end.identity = Some(self.find(&name).await?.1.identity.into());
        }
        let mut violations = Violations::default();
        let read = read_clear(&mut violations, end, (&by, self.rounds.clock.now()));
        let Some(incoming) = read.filter(|_| violations.is_empty()) else {
            return Err(invalid_alarm(violations));
        };
        let (outcome, alarm) = self.take(incoming).await?;
        Ok(Response::new(v1::ClearAlarmResponse { alarm, outcome: outcome.into() }))
    }

    async fn get_alarm(
        &self,
        request: Request<v1::GetAlarmRequest>,
    ) -> Result<Response<v1::GetAlarmResponse>, Status> {
        let (_record, found) = self.find(&request.into_inner().name).await?;
        let group = self.group_of(&found).await?.map(|(_record, group)| group);
        let decisions = group.as_ref().map(|group| decisions(&found, group)).unwrap_or_default();
        let next = group.filter(|_| found.is_member());
        let next = next.map(|group| nuncio_api::convert::time::timestamp(group.due_at));
        Ok(Response::new(v1::GetAlarmResponse {
            alarm: Some(self.alarm_out(found)),
            decisions: decisions.into_iter().map(v1::AlarmDecision::from).collect(),
            next_decide_time: next,
        }))
    }

    async fn list_alarms(
        &self,
        request: Request<v1::ListAlarmsRequest>,
    ) -> Result<Response<v1::ListAlarmsResponse>, Status> {
        let request = request.into_inner();
        let filter = AlarmFilter::read(&request)
            .map_err(|problems| invalid("INVALID_FILTER", "the filter is not valid", problems))?;
        let bare =
            v1::ListAlarmsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
        let page = id_page(request.page_size, &request.page_token, &bare)?;
        let (mut after, mut examined) = (page.after, 0);
        let mut alarms = Vec::new();
        let mut is_over = false;
        let wanted = usize::try_from(page.limit).unwrap_or(usize::MAX);
        while alarms.len() < wanted && examined < EXAMINED_MAX && !is_over {
            let limit = page.limit.min(EXAMINED_MAX - examined);
            let query = RecordQuery { kind: ALARM, owner: None, after: after.clone(), limit };
            let records = self.rounds.store.list_records(&query).await;
            let records = records.map_err(|error| store(&error))?;
            let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
            is_over = count < limit;
            examined += count;
            for record in records {
                if wanted <= alarms.len() {
                    is_over = false;
                    break;
                }
                let found = alarm::read(&record).map_err(|error| store(&error))?;
                after = Some(record.key.id);
                if filter.fits(&found) {
                    alarms.push(self.alarm_out(found));
                }
            }
        }
        let next = after.filter(|_| !is_over).map(|after| next_id_page(&bare, &after));
        let next_page_token = next.unwrap_or_default();
        Ok(Response::new(v1::ListAlarmsResponse { alarms, next_page_token }))
    }

    async fn acknowledge_alarm(
        &self,
        request: Request<v1::AcknowledgeAlarmRequest>,
    ) -> Result<Response<v1::AcknowledgeAlarmResponse>, Status> {
        let by = caller_id(&request);
        let request = request.into_inner();
        let mut violations = Violations::default();
        check_comment(&mut violations, "comment", &request.comment);
        if !violations.is_empty() {
            return Err(invalid_alarm(violations));
        }
        let found = self.acknowledge(&request, by).await?;
        let alarm = Some(self.alarm_out(found));
        Ok(Response::new(v1::AcknowledgeAlarmResponse { alarm }))
    }

    async fn create_silence(
        &self,
        request: Request<v1::CreateSilenceRequest>,
    ) -> Result<Response<v1::CreateSilenceResponse>, Status> {
        let by = caller_id(&request);
        let given = request.into_inner().silence.unwrap_or_default();
        let mut violations = Violations::default();
        let draft = alarm_out::silence_draft(&mut violations, given);
        let now = self.rounds.clock.now();
        let made = draft.check(self.rounds.token(now), by.0, now);
        let made = made.map_err(|more| violations.append(more)).ok();
        let Some(made) = made.filter(|_| violations.is_empty()) else {
            return Err(invalid("INVALID_SILENCE", "the silence is not valid", violations));
        };
        let known = silences(&*self.rounds.store).await.map_err(|error| store(&error))?;
        if SILENCES_MAX <= known.len() {
            let message = format!("there are {SILENCES_MAX} silences; delete one");
            return Err(status(Code::ResourceExhausted, "TOO_MANY_SILENCES", message, []));
        }
        let mut changes = Changeset::new(now);
        changes.writes.push(silence::write(&made, Expected::Absent));
        let stored = self.rounds.store.commit(changes).await;
        stored.map_err(|error| store(&store_error(error)))?;
        let is_active = made.is_active(now);
        let silence = Some(alarm_out::silence(made, is_active));
        Ok(Response::new(v1::CreateSilenceResponse { silence }))
    }

    async fn list_silences(
        &self,
        request: Request<v1::ListSilencesRequest>,
    ) -> Result<Response<v1::ListSilencesResponse>, Status> {
        let request = request.into_inner();
        let bare = v1::ListSilencesRequest::default();
        let page = id_page(request.page_size, &request.page_token, &bare)?;
        let now = self.rounds.clock.now();
        let query =
            RecordQuery { kind: SILENCE, owner: None, after: page.after, limit: page.limit };
        let records = self.rounds.store.list_records(&query).await;
        let records = records.map_err(|error| store(&error))?;
        let is_full = records.len() == usize::try_from(page.limit).unwrap_or(usize::MAX);
        let last = records.last().filter(|_| is_full).map(|record| record.key.id.clone());
        let mut silences = Vec::with_capacity(records.len());
        for record in &records {
            let one = silence::read(record).map_err(|error| store(&error))?;
            let is_active = one.is_active(now);
            silences.push(alarm_out::silence(one, is_active));
        }
        let next_page_token = last.map(|last| next_id_page(&bare, &last)).unwrap_or_default();
        Ok(Response::new(v1::ListSilencesResponse { silences, next_page_token }))
    }

    async fn delete_silence(
        &self,
        request: Request<v1::DeleteSilenceRequest>,
    ) -> Result<Response<v1::DeleteSilenceResponse>, Status> {
        let name = request.into_inner().name;
        let id = name.strip_prefix(SILENCE_NAME_PREFIX).filter(|id| is_uuid(id));
        let id = id.ok_or_else(|| invalid_name(&name, "silences/0192f0c1-… with a UUID"))?;
        let key = RecordKey::new(SILENCE, id);
        let read = self.rounds.store.read(std::slice::from_ref(&key)).await;
        let record = read.map_err(|error| store(&error))?.into_iter().next().flatten();
        if record.is_none() {
            return Err(not_found("SILENCE_NOT_FOUND", &name));
        }
        let mut changes = Changeset::new(self.rounds.clock.now());
        changes.writes.push(Write::Delete { key, expected: Expected::Any });
        let stored = self.rounds.store.commit(changes).await;
        stored.map_err(|error| store(&store_error(error)))?;
        Ok(Response::new(v1::DeleteSilenceResponse {}))
    }

    async fn list_alarm_types(
        &self,
        request: Request<v1::ListAlarmTypesRequest>,
    ) -> Result<Response<v1::ListAlarmTypesResponse>, Status> {
        let request = request.into_inner();
        let bare = v1::ListAlarmTypesRequest::default();
        let page = id_page(request.page_size, &request.page_token, &bare)?;
        let known: std::sync::Arc<KnownRules> = self.rounds.rules.current();
        let types = known.rules.types();
        let behind =
            types.iter().filter(|one| page.after.as_ref().is_none_or(|last| *last < one.id));
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let ids: Vec<&str> = behind.map(|one| one.id.as_str()).collect();
        let shown = &ids[..limit.min(ids.len())];
        let alarm_types = shown.iter().filter_map(|id| type_out(&known, id)).collect();
        let last = shown.last().filter(|_| shown.len() < ids.len());
        let next_page_token = last.map(|last| next_id_page(&bare, last)).unwrap_or_default();
        Ok(Response::new(v1::ListAlarmTypesResponse { alarm_types, next_page_token }))
    }

    async fn update_alarm_type(
        &self,
        request: Request<v1::UpdateAlarmTypeRequest>,
    ) -> Result<Response<v1::UpdateAlarmTypeResponse>, Status> {
        let by = caller_id(&request);
        let alarm_type = Some(update_type(self, request.into_inner(), by).await?);
        Ok(Response::new(v1::UpdateAlarmTypeResponse { alarm_type }))
    }

    async fn delete_alarm_type(
        &self,
        request: Request<v1::DeleteAlarmTypeRequest>,
    ) -> Result<Response<v1::DeleteAlarmTypeResponse>, Status> {
        let by = caller_id(&request);
        let alarm_type = delete_type(self, request.into_inner(), by).await?;
        Ok(Response::new(v1::DeleteAlarmTypeResponse { alarm_type }))
    }

    async fn get_alarm_settings(
        &self,
        _request: Request<v1::GetAlarmSettingsRequest>,
    ) -> Result<Response<v1::GetAlarmSettingsResponse>, Status> {
        let known = self.rounds.rules.current();
        let changes = known.history.iter().map(|change| v1::AlarmSettingsChange {
            caller: change.caller.clone(),
            change_time: Some(nuncio_api::convert::time::timestamp(change.at)),
            summary: change.summary.clone(),
        });
        Ok(Response::new(v1::GetAlarmSettingsResponse {
            alarm_settings: Some(settings_out(&known)),
            changes: changes.collect(),
        }))
    }

    async fn update_alarm_settings(
        &self,
        request: Request<v1::UpdateAlarmSettingsRequest>,
    ) -> Result<Response<v1::UpdateAlarmSettingsResponse>, Status> {
        let by = caller_id(&request);
        let alarm_settings = Some(update_settings(self, request.into_inner(), by).await?);
        Ok(Response::new(v1::UpdateAlarmSettingsResponse { alarm_settings }))
    }

    async fn replace_alarm_rules(
        &self,
        request: Request<v1::ReplaceAlarmRulesRequest>,
    ) -> Result<Response<v1::ReplaceAlarmRulesResponse>, Status> {
        let by = caller_id(&request);
        Ok(Response::new(replace_rules(self, request.into_inner(), by).await?))
    }

    async fn explain_route(
        &self,
        request: Request<v1::ExplainRouteRequest>,
    ) -> Result<Response<v1::ExplainRouteResponse>, Status> {
        let subject = match request.into_inner().subject {
            Some(v1::explain_route_request::Subject::Name(name)) => {
                Subject::Standing(Box::new(self.find(&name).await?.1))
            }
            Some(v1::explain_route_request::Subject::Alarm(alarm)) => {
                let mut violations = Violations::default();
                let (known, now) = (self.rounds.rules.current(), self.rounds.clock.now());
                let draft = alarm_out::raise_draft(&mut violations, alarm);
                let raise = draft.check(&mut violations, &known.rules, now);
                let Some(raise) = raise.filter(|_| violations.is_empty()) else {
                    return Err(invalid_alarm(violations));
                };
                Subject::New(Box::new(raise))
            }
            None => {
                let mut violations = Violations::default();
                violations.add("subject", "is missing; give `name` or `alarm`");
                return Err(invalid_alarm(violations));
            }
        };
        explain(self, subject).await.map(Response::new)
    }
}

/// What was decided about the mails of the alarm's group since it began.
fn decisions(alarm: &StandingAlarm, group: &Group) -> Vec<GroupDecision> {
    let since = |epoch: Epoch| alarm.began < epoch;
    group.decisions.iter().filter(|one| since(one.epoch)).cloned().collect()
}

fn fingerprint(name: &str) -> Result<Fingerprint, Status> {
    let print = name.strip_prefix(ALARM_NAME_PREFIX).and_then(Fingerprint::parse);
    print.ok_or_else(|| invalid_name(name, "alarms/0f3c… with 32 hexadecimal digits"))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}
