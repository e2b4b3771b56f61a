//! What a client sees.

use nuncio_api::v1;
use nuncio_api::v1::AlarmOutcome::{Counted, Firing, Invalid};
use nuncio_api::v1::alarm_service_server::AlarmService as _;
use nuncio_core::caller::Caller;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::sandbox::{Sandbox, alarm};

const LOAD: &str = "high-load-average";

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let found = details.bad_request().map(|one| one.field_violations.clone()).unwrap_or_default();
    found.into_iter().map(|one| one.field).collect()
}

async fn refused(sandbox: &Sandbox, alarm: v1::NewAlarm) -> Status {
    let request = v1::RaiseAlarmRequest { alarm: Some(alarm), validate_only: false };
    sandbox.api.raise_alarm(Request::new(request)).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_wrong_with_an_alarm_is_told_at_once() {
    let sandbox = Sandbox::new();
    let mut bad = alarm("no-such-type", "node\r\nX-Evil: 1");
    bad.description = "x".repeat(1024 * 1024);
    bad.details = "\0".to_owned();
    bad.severity = 99;
    bad.request_id = "with blank".to_owned();
    bad.value = Some(f64::NAN);
    let identity = bad.identity.as_mut().unwrap();
    identity.labels = (0..10_000).map(|n| (format!("key {n}"), "v\nw".to_owned())).collect();

    let status = refused(&sandbox, bad).await;

    assert_eq!(status.code(), Code::InvalidArgument);
    let fields = fields(&status);
    for field in [
        "severity",
        "identity.type",
        "identity.node",
        "identity.labels",
        "description",
        "details",
        "request_id",
        "value",
    ] {
        assert!(fields.contains(&field.to_owned()), "{field} in {fields:?}");
    }
    assert!(fields.len() <= 100, "an answer stays small");
}

#[tokio::test(start_paused = true)]
async fn a_bad_event_in_a_batch_keeps_no_other_one_back() {
    let sandbox = Sandbox::new();
    let event = |alarm| v1::AlarmEvent { event: Some(v1::alarm_event::Event::Raise(alarm)) };
    let events = vec![
        event(alarm(LOAD, "node-1")),
        event(alarm("no-such-type", "node-1")),
        v1::AlarmEvent { event: None },
        event(alarm(LOAD, "node-2")),
        event(alarm(LOAD, "node-1")),
    ];

    let results = sandbox.take(v1::RaiseAlarmsRequest { events }).await.unwrap().results;

    let outcomes: Vec<v1::AlarmOutcome> = results.iter().map(v1::AlarmResult::outcome).collect();
    assert_eq!(outcomes, [Firing, Invalid, Invalid, Firing, Counted]);
    assert_eq!(results[1].violations[0].field, "identity.type");
}

#[tokio::test(start_paused = true)]
async fn a_raise_that_is_handed_in_again_is_taken_once() {
    let sandbox = Sandbox::new();
    let first = v1::NewAlarm { request_id: "r-1".to_owned(), ..alarm(LOAD, "node-1") };

    assert_eq!(sandbox.raise(first.clone()).await.outcome(), v1::AlarmOutcome::Firing);
    let again = sandbox.raise(first.clone()).await;
    assert_eq!(again.outcome(), v1::AlarmOutcome::Repeated);
    assert_eq!(again.alarm.unwrap().count, 1);
    let other = v1::NewAlarm { description: "other".to_owned(), ..first };
    let status = refused(&sandbox, other).await;
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(nuncio_api::error::reason(&status).as_deref(), Some("REQUEST_ID_REUSED"));
}

#[tokio::test(start_paused = true)]
async fn the_request_ids_of_two_callers_do_not_meet() {
    let sandbox = Sandbox::new();
    let raise = async |caller: &str, node: &str| {
        let raised = v1::NewAlarm { request_id: "r-1".to_owned(), ..alarm(LOAD, node) };
        let request = v1::RaiseAlarmRequest { alarm: Some(raised), validate_only: false };
        let mut request = Request::new(request);
        let id = nuncio_core::job::CallerId(caller.to_owned());
        request.extensions_mut().insert(Caller { id, ..Caller::local() });
        sandbox.api.raise_alarm(request).await.map(|raised| raised.into_inner().outcome())
    };

    assert_eq!(raise("node:psn-1", "node-1").await.unwrap(), v1::AlarmOutcome::Firing);
    assert!(raise("node:psn-2", "node-2").await.is_ok());
    assert_eq!(raise("node:psn-1", "node-1").await.unwrap(), v1::AlarmOutcome::Repeated);
    assert!(raise("node:psn-1", "node-3").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_route_is_explained_before_anything_is_raised() {
    let sandbox = Sandbox::new();
    sandbox.tell(&["a@example.com"]).await;
    sandbox.silence(LOAD, std::time::Duration::from_hours(1)).await;
    let ask = |alarm| v1::ExplainRouteRequest {
        subject: Some(v1::explain_route_request::Subject::Alarm(alarm)),
    };

    let muted = sandbox.api.explain_route(Request::new(ask(alarm(LOAD, "n")))).await.unwrap();
    let muted = muted.into_inner();
    let stopped: Vec<&str> =
        muted.stages.iter().filter(|one| !one.passed).map(|one| one.stage.as_str()).collect();
    assert_eq!(stopped, ["SILENCE"]);
    assert_eq!(muted.recipients[0].code, "MUTED");
    let told = ask(alarm("mailbox-closed", "n"));
    let told = sandbox.api.explain_route(Request::new(told)).await.unwrap().into_inner();
    assert!(told.stages.iter().all(|one| one.passed), "{told:?}");
    assert_eq!(told.recipients[0].code, "MAIL");
    assert!(told.second_route);
    sandbox.pass(std::time::Duration::from_hours(2)).await;
    assert!(sandbox.mails().await.is_empty(), "explaining raises nothing");
}

#[tokio::test(start_paused = true)]
async fn types_are_changed_made_and_removed() {
    let sandbox = Sandbox::new();
    let own = v1::AlarmType {
        name: "alarmTypes/door-open".to_owned(),
        display_name: "Door Open".to_owned(),
        severity: v1::AlarmSeverity::Critical.into(),
        ..v1::AlarmType::default()
    };
    let update = |alarm_type, allow_missing| v1::UpdateAlarmTypeRequest {
        alarm_type: Some(alarm_type),
        update_mask: None,
        allow_missing,
    };
    let api = &sandbox.api;
    let missing = api.update_alarm_type(Request::new(update(own.clone(), false))).await;
    assert_eq!(missing.unwrap_err().code(), Code::NotFound);
    let made = api.update_alarm_type(Request::new(update(own, true))).await.unwrap();
    assert!(made.into_inner().alarm_type.unwrap().user_defined);
    assert_eq!(sandbox.raise(alarm("door-open", "n")).await.outcome(), v1::AlarmOutcome::Firing);

    let only_severity = v1::UpdateAlarmTypeRequest {
        alarm_type: Some(v1::AlarmType {
            name: format!("alarmTypes/{LOAD}"),
            severity: v1::AlarmSeverity::Info.into(),
            ..v1::AlarmType::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["severity".to_owned()] }),
        allow_missing: false,
    };
    let changed = api.update_alarm_type(Request::new(only_severity)).await.unwrap();
    let changed = changed.into_inner().alarm_type.unwrap();
    assert_eq!((changed.severity(), changed.changed), (v1::AlarmSeverity::Info, true));
    assert_eq!(changed.display_name, "High Load Average", "what is not named stays");

    let delete = v1::DeleteAlarmTypeRequest { name: changed.name, etag: String::new() };
    let reset = api.delete_alarm_type(Request::new(delete)).await.unwrap().into_inner();
    assert_eq!(reset.alarm_type.unwrap().severity(), v1::AlarmSeverity::Warning);
}

#[tokio::test(start_paused = true)]
async fn wrong_settings_are_not_saved_and_everything_wrong_is_told() {
    let sandbox = Sandbox::new();
    let known = sandbox.api.get_alarm_settings(Request::new(v1::GetAlarmSettingsRequest {})).await;
    let mut settings = known.unwrap().into_inner().alarm_settings.unwrap();
    settings.recipients = vec!["a@example.com".to_owned(), "no address".to_owned()];
    settings.time_zone = "Mars/Base".to_owned();
    settings.group_interval = None;
    settings.limit = Some(v1::AlarmLimit { burst: 0, mails_per_hour: 1_000_000 });
    settings.inhibitions = vec![v1::AlarmInhibition::default()];
    let request = v1::UpdateAlarmSettingsRequest {
        alarm_settings: Some(settings),
        ..v1::UpdateAlarmSettingsRequest::default()
    };

    let status = sandbox.api.update_alarm_settings(Request::new(request)).await.unwrap_err();

    let fields = fields(&status);
    for field in [
        "alarm_settings.recipients[1]",
        "alarm_settings.time_zone",
        "alarm_settings.group_interval",
        "alarm_settings.limit.burst",
        "alarm_settings.limit.mails_per_hour",
        "alarm_settings.inhibitions[0].source_type",
        "alarm_settings.inhibitions[0].target_types",
    ] {
        assert!(fields.contains(&field.to_owned()), "{field} in {fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_that_somebody_else_has_changed_are_not_overwritten() {
    let sandbox = Sandbox::new();
    let known = sandbox.api.get_alarm_settings(Request::new(v1::GetAlarmSettingsRequest {})).await;
    let old = known.unwrap().into_inner().alarm_settings.unwrap();
    sandbox.tell(&["a@example.com"]).await;
    let request = v1::UpdateAlarmSettingsRequest {
        alarm_settings: Some(old),
        ..v1::UpdateAlarmSettingsRequest::default()
    };

    let status = sandbox.api.update_alarm_settings(Request::new(request)).await.unwrap_err();

    assert_eq!(nuncio_api::error::reason(&status).as_deref(), Some("ETAG_MISMATCH"));
    let known = sandbox.api.get_alarm_settings(Request::new(v1::GetAlarmSettingsRequest {})).await;
    let changes = known.unwrap().into_inner().changes;
    assert_eq!(changes.len(), 1);
    assert!(changes[0].summary.contains("recipients"), "{}", changes[0].summary);
}

#[tokio::test(start_paused = true)]
async fn alarms_are_listed_page_by_page_with_a_filter() {
    let sandbox = Sandbox::new();
    for number in 0..30 {
        sandbox.raise(alarm(LOAD, &format!("node-{number}"))).await;
    }
    sandbox.raise(alarm("process-down", "node-1")).await;
    let mut request = v1::ListAlarmsRequest {
        page_size: 7,
        r#type: LOAD.to_owned(),
        ..v1::ListAlarmsRequest::default()
    };
    let mut names = std::collections::BTreeSet::new();
    loop {
        let page = sandbox.api.list_alarms(Request::new(request.clone())).await.unwrap();
        let page = page.into_inner();
        assert!(page.alarms.len() <= 7);
        names.extend(page.alarms.into_iter().map(|alarm| alarm.name));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }

    assert_eq!(names.len(), 30);
}

/// Settings that name a type and a type that names a group of the settings: neither could be saved first.
async fn rules_that_name_each_other(sandbox: &Sandbox) -> v1::ReplaceAlarmRulesRequest {
    let known = sandbox.api.get_alarm_settings(Request::new(v1::GetAlarmSettingsRequest {})).await;
    let settings = known.unwrap().into_inner().alarm_settings.unwrap();
    let door = v1::AlarmType {
        name: "alarmTypes/door-open".to_owned(),
        display_name: "Door open".to_owned(),
        severity: v1::AlarmSeverity::Critical.into(),
        recipient_groups: vec!["guards".to_owned()],
        ..v1::AlarmType::default()
    };
    let guards = v1::AlarmRecipientGroup {
        display_name: "guards".to_owned(),
        addresses: vec!["guard@example.com".to_owned()],
    };
    let inhibition = v1::AlarmInhibition {
        source_type: "door-open".to_owned(),
        target_types: vec![LOAD.to_owned()],
        ..v1::AlarmInhibition::default()
    };
    v1::ReplaceAlarmRulesRequest {
        alarm_settings: Some(v1::AlarmSettings {
            recipient_groups: vec![guards],
            inhibitions: vec![inhibition],
            ..settings
        }),
        alarm_types: vec![door],
        validate_only: false,
    }
}

#[tokio::test(start_paused = true)]
async fn settings_and_types_that_name_each_other_are_saved_together() {
    let sandbox = Sandbox::new();
    let request = rules_that_name_each_other(&sandbox).await;

    let checked = v1::ReplaceAlarmRulesRequest { validate_only: true, ..request.clone() };
    sandbox.api.replace_alarm_rules(Request::new(checked)).await.unwrap();
    let not_yet = sandbox.api.rounds.rules.current().generation();
    let saved = sandbox.api.replace_alarm_rules(Request::new(request.clone())).await.unwrap();
    let again = sandbox.api.replace_alarm_rules(Request::new(request)).await.unwrap_err();

    let saved = saved.into_inner();
    assert_eq!(not_yet, 0);
    assert_eq!(saved.alarm_types.len(), 1);
    assert!(saved.alarm_types[0].user_defined);
    assert_eq!(saved.alarm_settings.unwrap().etag, "g1");
    let known = sandbox.api.rounds.rules.current();
    assert!(known.rules.is_target(LOAD));
    let summary = &known.history[0].summary;
    assert!(summary.contains("inhibitions") && summary.contains("alarm type door-open changed"));
    assert_eq!(nuncio_api::error::reason(&again).as_deref(), Some("ETAG_MISMATCH"));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_settings_and_types_is_told_at_once_and_nothing_is_saved() {
    let sandbox = Sandbox::new();
    let mut request = rules_that_name_each_other(&sandbox).await;
    request.alarm_types[0].recipient_groups.push("nobody".to_owned());
    request.alarm_settings.as_mut().unwrap().time_zone = "Mars/Base".to_owned();

    let status = sandbox.api.replace_alarm_rules(Request::new(request)).await.unwrap_err();

    let fields = fields(&status);
    for field in ["alarm_types[0].recipient_groups[1]", "alarm_settings.time_zone"] {
        assert!(fields.contains(&field.to_owned()), "{field} in {fields:?}");
    }
    assert_eq!(sandbox.api.rounds.rules.current().generation(), 0);
}
