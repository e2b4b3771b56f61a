//! Who would get a mail about an alarm now, and who would not and why.

use nuncio_api::v1;
use nuncio_core::alarm::arrival::{Arrival, Event, Raise};
use nuncio_core::alarm::group::{Group, GroupKey};
use nuncio_core::alarm::kind::TypeStatus;
use nuncio_core::alarm::mute::{MUTE_STAGES, Mute, MuteQuestion, is_urgent};
use nuncio_core::alarm::recipient::{Admission, AlarmRecipient, Lane, MailSummary};
use nuncio_core::alarm::settings::AlarmRules;
use nuncio_core::alarm::standing::{Phase, StandingAlarm};
use nuncio_core::ports::records::RecordKey;
use tonic::Status;

use super::AlarmApi;
use crate::errors::store;
use crate::muting::muting;
use crate::recipients::routes;
use crate::records::{ALARM, alarm, group, recipient};

/// What is asked about.
pub(super) enum Subject {
    Standing(Box<StandingAlarm>),
    New(Box<Raise>),
}

pub(super) async fn explain(
    api: &AlarmApi,
    subject: Subject,
) -> Result<v1::ExplainRouteResponse, Status> {
    let records = &*api.rounds.store;
    let now = api.rounds.clock.now();
    let known = api.rounds.rules.current();
    let rules = &known.rules;
    let muting = muting(records, rules).await.map_err(|error| store(&error))?;
    let mut stages = Stages(Vec::new());

    let (identity, is_new) = match &subject {
        Subject::Standing(alarm) => (alarm.identity.clone(), false),
        Subject::New(raise) => (raise.alarm.identity.clone(), true),
    };
    let fingerprint = identity.fingerprint();
    let group_key = GroupKey::of(&identity, &rules.settings);
    let keys = [RecordKey::new(ALARM, fingerprint.as_str()), group::key(&group_key)];
    let read = records.read(&keys).await.map_err(|error| store(&error))?;
    let standing = read[0].as_ref().map(alarm::read).transpose().map_err(|error| store(&error))?;
    let known_group =
        read[1].as_ref().map(group::read).transpose().map_err(|error| store(&error))?;
    let Some(kind) = rules.find(&identity.alarm_type) else {
        stages.add("TYPE", false, "its type was removed");
        return Ok(stages.answer());
    };
    if kind.status == TypeStatus::Disabled {
        stages.add("TYPE", false, "its type is disabled: it is not taken");
        return Ok(stages.answer());
    }
    let was_firing = standing.as_ref().is_some_and(|alarm| alarm.phase == Phase::Firing);
    let alarm = match subject {
        Subject::Standing(alarm) => *alarm,
        Subject::New(raise) => {
            let event = Event::Raise(*raise);
            let arrival =
                Arrival::new(rules, &muting, now, event, standing, known_group.clone()).run();
            match arrival.alarm {
                Some(alarm) => alarm,
                None => return Ok(stages.answer()),
            }
        }
    };
    let counted = format!("{fingerprint} stands already; it would be counted, not told anew");
    let fresh = format!("{fingerprint} is new");
    stages.add("DEDUPLICATE", !(is_new && was_firing), if was_firing { counted } else { fresh });
    stages.add_phase(alarm.phase);
    stages.add("GROUP", true, group_message(known_group.as_ref(), &group_key, rules));
    stages.add_mutes(&alarm, MuteQuestion { rules, kind: &kind, muting: &muting, now });
    let severity = alarm.severity;
    let lane = if is_urgent(severity) { Lane::Critical } else { Lane::Normal };
    let stopped = stages.0.iter().find(|one| !one.passed).cloned();
    let recipients = recipients(api, rules, &kind, lane, stopped.as_ref()).await?;
    let has_any = !recipients.is_empty();
    let message = if rules.settings.is_enabled {
        format!("{} recipients", recipients.len())
    } else {
        "mails about alarms are switched off in the settings".to_owned()
    };
    stages.add("ROUTE", has_any && rules.settings.is_enabled, message);
    Ok(v1::ExplainRouteResponse {
        recipients,
        second_route: kind.is_mail_path && stopped.is_none(),
        severity: v1::AlarmSeverity::from(severity).into(),
        ..stages.answer()
    })
}

struct Stages(Vec<v1::AlarmStageResult>);

impl Stages {
    fn add(&mut self, stage: &str, passed: bool, message: impl AsRef<str>) {
        let (stage, message) = (stage.to_owned(), message.as_ref().to_owned());
        self.0.push(v1::AlarmStageResult { stage, passed, message });
    }

    fn add_phase(&mut self, phase: Phase) {
        let (passed, message) = match phase {
            Phase::Firing => (true, "its condition holds, or it has none"),
            Phase::BelowThreshold => (false, "the condition of its type does not hold yet"),
            Phase::Resolved => (false, "it is over"),
        };
        self.add("THRESHOLD", passed, message);
    }

    fn add_mutes(&mut self, alarm: &StandingAlarm, question: MuteQuestion<'_>) {
        for (name, stage) in MUTE_STAGES {
            let mute = stage(alarm, question);
            let message = mute.as_ref().map_or_else(|| "lets it pass".to_owned(), Mute::message);
            self.add(name, mute.is_none(), message);
        }
    }

    fn answer(self) -> v1::ExplainRouteResponse {
        v1::ExplainRouteResponse { stages: self.0, ..v1::ExplainRouteResponse::default() }
    }
}

fn group_message(group: Option<&Group>, key: &GroupKey, rules: &AlarmRules) -> String {
    match group {
        Some(group) => format!("in group {}, which is looked at next at {}", key.0, group.due_at),
        None => format!(
            "in the new group {}, whose first mail waits {} s",
            key.0,
            rules.settings.group_wait.as_secs()
        ),
    }
}

async fn recipients(
    api: &AlarmApi,
    rules: &AlarmRules,
    kind: &nuncio_core::alarm::kind::AlarmType,
    lane: Lane,
    stopped: Option<&v1::AlarmStageResult>,
) -> Result<Vec<v1::AlarmRecipientResult>, Status> {
    let now = api.rounds.clock.now();
    let administrators = if rules.settings.include_administrators {
        api.rounds.administrators.told_of_alarms().await.map_err(|error| store(&error))?
    } else {
        Vec::new()
    };
    let mut results = Vec::new();
    for route in routes(&rules.settings, kind, &administrators) {
        let Ok(address) = route.addressee.address.parse() else { continue };
        let key = recipient::key(&address);
        let record = api.rounds.store.read(&[key]).await.map_err(|error| store(&error))?;
        let mut one = match record.into_iter().next().flatten() {
            Some(record) => recipient::read(&record, address).map_err(|error| store(&error))?,
            None => AlarmRecipient::new(address, &rules.settings, now),
        };
        let summary = MailSummary {
            alarm_type: kind.id.clone(),
            alarms: 1,
            resolved: 0,
            lane,
            locale: route.addressee.locale.clone(),
        };
        let (code, message) = match (stopped, one.admit(&summary, &rules.settings, now)) {
            (Some(stage), _) => ("MUTED", format!("{}: {}", stage.stage, stage.message)),
            (None, Admission::Mail) => ("MAIL", "within the limit".to_owned()),
            (None, Admission::Digest(number)) => {
                ("DIGEST", format!("over the limit: counted in digest {number}"))
            }
        };
        results.push(v1::AlarmRecipientResult {
            address: route.addressee.address,
            source: route.source,
            code: code.to_owned(),
            message,
        });
    }
    Ok(results)
}
