//! Types and settings.

use nuncio_api::convert::alarm_type::{TYPE_NAME_PREFIX, alarm_settings, alarm_type};
use nuncio_api::error::{invalid, status};
use nuncio_api::v1;
use nuncio_core::alarm::catalogue;
use nuncio_core::alarm::settings::{AlarmRules, USER_TYPES_MAX};
use nuncio_core::job::CallerId;
use nuncio_core::ports::settings::SaveError;
use nuncio_core::violation::Violations;
use tonic::{Code, Status};
use tracing::info;

use super::AlarmApi;
use super::mask::{merge_settings, merge_type};
use crate::errors::{not_found, not_saved};
use crate::rules::{KnownRules, all_differences, differences};

/// A type as the API tells it.
pub(super) fn type_out(known: &KnownRules, id: &str) -> Option<v1::AlarmType> {
    let is_own = known.rules.own_types.contains_key(id);
    let is_shipped = catalogue::find(id).is_some();
    Some(v1::AlarmType {
        user_defined: !is_shipped,
        changed: is_own && is_shipped,
        etag: known.etag(),
        ..known.rules.find(id)?.into()
    })
}

pub(super) async fn update_type(
    api: &AlarmApi,
    request: v1::UpdateAlarmTypeRequest,
    by: CallerId,
) -> Result<v1::AlarmType, Status> {
    let known = api.rounds.rules.current();
    let mut given = request.alarm_type.unwrap_or_default();
    let id = given.name.strip_prefix(TYPE_NAME_PREFIX).unwrap_or_default().to_owned();
    check_etag(&known, &given.etag)?;
    let present = known.rules.find(&id);
    if present.is_none() && !request.allow_missing && !id.is_empty() {
        return Err(not_found("ALARM_TYPE_NOT_FOUND", &given.name));
    }
    let mut violations = Violations::default();
    if let Some(present) = present {
        let name = given.name.clone();
        let is_mail_path = present.is_mail_path;
        given = merge_type(&mut violations, present.into(), given, request.update_mask.as_ref());
        given.name = name;
        if catalogue::find(&id).is_some() {
            given.mail_path = is_mail_path;
        }
    } else if USER_TYPES_MAX <= known.rules.own_types.len() {
        let message = format!("there are {USER_TYPES_MAX} types of your own; remove one");
        return Err(status(Code::ResourceExhausted, "TOO_MANY_ALARM_TYPES", message, []));
    }
    let read = alarm_type(&mut violations, given, &known.rules);
    let Some(read) = read.filter(|_| violations.is_empty()) else {
        let message = "the alarm type is not valid";
        return Err(invalid("INVALID_ALARM_TYPE", message, violations));
    };
    let mut rules = known.rules.clone();
    rules.own_types.insert(id.clone(), read);
    let summary = format!("alarm type {id} changed");
    let saved = save(api, &rules, &known, (summary, by)).await?;
    type_out(&saved, &id).ok_or_else(|| not_found("ALARM_TYPE_NOT_FOUND", &id))
}

pub(super) async fn delete_type(
    api: &AlarmApi,
    request: v1::DeleteAlarmTypeRequest,
    by: CallerId,
) -> Result<Option<v1::AlarmType>, Status> {
    let known = api.rounds.rules.current();
    check_etag(&known, &request.etag)?;
    let id = request.name.strip_prefix(TYPE_NAME_PREFIX).unwrap_or_default();
    if known.rules.find(id).is_none() {
        return Err(not_found("ALARM_TYPE_NOT_FOUND", &request.name));
    }
    let mut rules = known.rules.clone();
    if rules.own_types.remove(id).is_none() {
        return Ok(type_out(&known, id));
    }
    let summary = format!("alarm type {id} removed");
    let saved = save(api, &rules, &known, (summary, by)).await?;
    Ok(type_out(&saved, id))
}

pub(super) fn settings_out(known: &KnownRules) -> v1::AlarmSettings {
    v1::AlarmSettings { etag: known.etag(), ..(&known.rules.settings).into() }
}

pub(super) async fn update_settings(
    api: &AlarmApi,
    request: v1::UpdateAlarmSettingsRequest,
    by: CallerId,
) -> Result<v1::AlarmSettings, Status> {
    let known = api.rounds.rules.current();
    let given = request.alarm_settings.unwrap_or_default();
    check_etag(&known, &given.etag)?;
    let mut violations = Violations::default();
    let present = settings_out(&known);
    let given = merge_settings(&mut violations, present, given, request.update_mask.as_ref());
    let read = alarm_settings(given, &known.rules);
    let read = read.map_err(|more| violations.append(more)).ok();
    let Some(settings) = read.filter(|_| violations.is_empty()) else {
        let message = "the alarm settings are not valid";
        return Err(invalid("INVALID_ALARM_SETTINGS", message, violations));
    };
    let rules = AlarmRules { settings, own_types: known.rules.own_types.clone() };
    if request.validate_only {
        return Ok(v1::AlarmSettings { etag: known.etag(), ..(&rules.settings).into() });
    }
    let summary = differences(&known.rules, &rules);
    let saved = save(api, &rules, &known, (summary, by)).await?;
    Ok(settings_out(&saved))
}

pub(super) async fn replace_rules(
    api: &AlarmApi,
    request: v1::ReplaceAlarmRulesRequest,
    by: CallerId,
) -> Result<v1::ReplaceAlarmRulesResponse, Status> {
    let known = api.rounds.rules.current();
    let given = request.alarm_settings.unwrap_or_default();
    check_etag(&known, &given.etag)?;
    if USER_TYPES_MAX < request.alarm_types.len() {
        let message = format!("there can be {USER_TYPES_MAX} types of your own at most");
        return Err(status(Code::ResourceExhausted, "TOO_MANY_ALARM_TYPES", message, []));
    }
    let rules = read_rules(given, request.alarm_types).map_err(|violations| {
        let message = "the alarm settings are not valid";
        invalid("INVALID_ALARM_SETTINGS", message, violations)
    })?;
    if request.validate_only {
        return Ok(rules_out(&rules, &known.etag()));
    }
    let summary = all_differences(&known.rules, &rules);
    let saved = save(api, &rules, &known, (summary, by)).await?;
    Ok(rules_out(&saved.rules, &saved.etag()))
}

fn rules_out(rules: &AlarmRules, etag: &str) -> v1::ReplaceAlarmRulesResponse {
    let types = rules.own_types.iter().map(|(id, one)| {
        let is_shipped = catalogue::find(id).is_some();
        v1::AlarmType {
            user_defined: !is_shipped,
            changed: is_shipped,
            etag: etag.to_owned(),
            ..one.clone().into()
        }
    });
    v1::ReplaceAlarmRulesResponse {
        alarm_types: types.collect(),
        alarm_settings: Some(v1::AlarmSettings {
            etag: etag.to_owned(),
            ..(&rules.settings).into()
        }),
    }
}

/// Settings and types that may name each other.
fn read_rules(
    settings: v1::AlarmSettings,
    types: Vec<v1::AlarmType>,
) -> Result<AlarmRules, Violations> {
    let mut violations = Violations::default();
    // The types are held against the groups that are given with them, whether these are right or not.
    let mut rules = AlarmRules::default();
    let groups = settings.recipient_groups.iter();
    let groups = groups.map(|group| (group.display_name.clone(), Vec::new()));
    rules.settings.recipient_groups = groups.collect();
    for (index, mut given) in types.into_iter().enumerate() {
        let id = given.name.strip_prefix(TYPE_NAME_PREFIX).unwrap_or_default().to_owned();
        if let Some(shipped) = catalogue::find(&id) {
            given.mail_path = shipped.is_mail_path;
        }
        let mut found = Violations::default();
        let read = alarm_type(&mut found, given, &rules);
        for one in found {
            let field = one.field.trim_start_matches("alarm_type.");
            violations.add(format!("alarm_types[{index}].{field}"), one.problem);
        }
        rules.own_types.extend(read.map(|read| (id, read)));
    }
    match alarm_settings(settings, &rules) {
        Ok(settings) => violations.none_or(|| AlarmRules { settings, ..rules }),
        Err(more) => {
            violations.append(more);
            Err(violations)
        }
    }
}

fn check_etag(known: &KnownRules, given: &str) -> Result<(), Status> {
    let present = known.etag();
    if given.is_empty() || given == present {
        return Ok(());
    }
    Err(not_saved(SaveError::EtagMismatch { present }))
}

async fn save(
    api: &AlarmApi,
    rules: &AlarmRules,
    known: &KnownRules,
    (summary, by): (String, CallerId),
) -> Result<std::sync::Arc<KnownRules>, Status> {
    let now = api.rounds.clock.now();
    let saved = api.rounds.rules.save(rules, known, &by.0, summary.clone(), now).await;
    let saved = saved.map_err(not_saved)?;
    info!(settings.generation = saved.generation(), "alarm settings were saved: {summary}");
    Ok(saved)
}
