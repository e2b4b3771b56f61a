//! When whom is told what.

use std::time::Duration;

use super::sandbox::{Sandbox, SentMail, alarm, templates_of};
use nuncio_api::v1;
use nuncio_core::class::MailClass;
use tonic::Request;

use nuncio_api::v1::alarm_service_server::AlarmService as _;

const DOWN: &str = "process-down";
const LOAD: &str = "high-load-average";
const GROUP_WAIT: Duration = Duration::from_secs(30);
const GROUP_INTERVAL: Duration = Duration::from_mins(5);
const REPEAT: Duration = Duration::from_hours(4);
const A: &str = "a@example.com";
const B: &str = "b@example.com";

#[tokio::test(start_paused = true)]
async fn an_alarm_is_told_after_the_group_wait_and_its_end_to_who_was_told() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;

    let raised = sandbox.raise(alarm(DOWN, "node-1")).await;
    assert_eq!(raised.outcome(), v1::AlarmOutcome::Firing);
    sandbox.pass(Duration::from_secs(29)).await;
    assert!(sandbox.mails().await.is_empty(), "the first mail waits for more of the group");
    sandbox.pass(Duration::from_secs(1)).await;
    let told = sandbox.mails().await;
    assert_eq!(templates_of(&told), ["alarm"]);
    assert_eq!(told[0].subject(), "[CRITICAL] Process Down on node-1");
    assert_eq!((told[0].to(), told[0].class()), (vec![A], MailClass::AlarmCritical));

    sandbox.tell(&[A, B]).await;
    assert_eq!(sandbox.clear(&alarm(DOWN, "node-1")).await, v1::AlarmOutcome::Resolved);
    sandbox.pass(GROUP_INTERVAL).await;
    let ended = sandbox.mails().await;
    assert_eq!(templates_of(&ended), ["alarm-resolved"]);
    assert_eq!(ended[0].to(), [A], "who did not know of it is not told its end");
    sandbox.pass(REPEAT * 20).await;
    assert!(sandbox.mails().await.is_empty(), "what is over does not repeat");
}

#[tokio::test(start_paused = true)]
async fn later_mails_of_a_group_go_on_from_the_first() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox.raise(alarm(DOWN, "node-1")).await;
    sandbox.pass(GROUP_WAIT).await;
    sandbox.raise(alarm(DOWN, "node-2")).await;
    sandbox.pass(GROUP_INTERVAL).await;
    sandbox.clear(&alarm(DOWN, "node-1")).await;
    sandbox.pass(GROUP_INTERVAL).await;

    let mails = sandbox.mails().await;

    assert_eq!(templates_of(&mails), ["alarm", "alarm-group", "alarm-resolved"]);
    let ids: Vec<&str> = mails.iter().map(|one| one.job.message_id.as_str()).collect();
    assert!(mails[0].mail.references.is_empty());
    assert_eq!(mails[1].mail.references, [ids[0]]);
    assert_eq!(mails[2].mail.references, [ids[0], ids[1]]);
}

#[tokio::test(start_paused = true)]
async fn many_alarms_of_a_group_share_a_mail_that_counts_them() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    for number in 0..100 {
        let node = format!("node-{number}");
        sandbox.raise(alarm(LOAD, &node)).await;
        sandbox.raise(alarm(LOAD, &node)).await;
    }
    sandbox.pass(GROUP_WAIT).await;

    let mails = sandbox.mails().await;

    assert_eq!(templates_of(&mails), ["alarm-group"]);
    assert!(mails[0].subject().contains("100 alarms"), "{}", mails[0].subject());
    assert!(mails[0].text().contains("+80"), "20 are shown, 80 counted: {}", mails[0].text());
    assert_eq!(mails[0].class(), MailClass::Alarm);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_stands_repeats_as_long_as_it_lives() {
    let mut sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox.raise(alarm(LOAD, "node-1")).await;
    let mut told = 0;
    // Three weeks, with a restart each day.
    for _day in 0..21 {
        sandbox.pass(Duration::from_hours(24)).await;
        told += sandbox.mails().await.len();
        sandbox.restart();
    }

    assert!((125..=126).contains(&told), "six mails a day, however long it stands: {told}");
}

#[tokio::test(start_paused = true)]
async fn a_silence_keeps_alarms_back_and_they_are_told_when_it_has_ended() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox.silence("high-*", Duration::from_hours(1)).await;
    let raised = sandbox.raise(alarm(LOAD, "node-1")).await.alarm.unwrap();
    sandbox.raise(alarm(DOWN, "node-1")).await;
    sandbox.pass(Duration::from_mins(30)).await;

    let told = sandbox.mails().await;
    assert_eq!(templates_of(&told), ["alarm"]);
    assert!(told[0].subject().contains("Process Down"));
    let got = sandbox.get(&raised.name).await;
    assert_eq!(got.alarm.unwrap().mute_reason, "SILENCED");
    assert_eq!(got.decisions.last().unwrap().code, "SILENCED");

    sandbox.pass(Duration::from_mins(31)).await;
    let told = sandbox.mails().await;
    assert_eq!(templates_of(&told), ["alarm"]);
    assert!(told[0].subject().contains("High Load Average"));
    assert_eq!(sandbox.get(&raised.name).await.decisions.last().unwrap().code, "TOLD");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_silence_holds_back_no_longer_than_the_group_interval() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    let name = sandbox.silence("high-*", Duration::from_hours(100)).await;
    sandbox.raise(alarm(LOAD, "node-1")).await;
    sandbox.pass(Duration::from_hours(1)).await;
    assert!(sandbox.mails().await.is_empty());

    let request = v1::DeleteSilenceRequest { name };
    sandbox.api.delete_silence(Request::new(request)).await.unwrap();
    sandbox.pass(GROUP_INTERVAL).await;

    assert_eq!(sandbox.mails().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_alarm_stops_to_repeat_and_its_end_is_told() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    let raised = sandbox.raise(alarm(LOAD, "node-1")).await.alarm.unwrap();
    sandbox.pass(GROUP_WAIT).await;
    assert_eq!(sandbox.mails().await.len(), 1);
    let request = v1::AcknowledgeAlarmRequest {
        name: raised.name.clone(),
        comment: "on it".to_owned(),
        withdraw: false,
    };
    sandbox.api.acknowledge_alarm(Request::new(request)).await.unwrap();

    sandbox.pass(REPEAT * 10).await;
    assert!(sandbox.mails().await.is_empty());
    assert_eq!(sandbox.get(&raised.name).await.alarm.unwrap().mute_reason, "ACKNOWLEDGED");
    sandbox.clear(&alarm(LOAD, "node-1")).await;
    sandbox.pass(GROUP_INTERVAL).await;
    assert_eq!(templates_of(&sandbox.mails().await), ["alarm-resolved"]);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_muted_while_its_cause_stands() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox
        .configure(|settings| {
            settings.inhibitions = vec![v1::AlarmInhibition {
                source_type: "health-status-unavailable".to_owned(),
                target_types: vec![LOAD.to_owned()],
                equal: vec!["node".to_owned()],
            }];
        })
        .await;
    sandbox.raise(alarm("health-status-unavailable", "node-1")).await;
    sandbox.raise(alarm(LOAD, "node-1")).await;
    sandbox.raise(alarm(LOAD, "node-2")).await;
    sandbox.pass(GROUP_WAIT).await;

    let mut subjects: Vec<String> =
        sandbox.mails().await.iter().map(|mail| mail.subject().to_owned()).collect();
    subjects.sort();
    assert_eq!(
        subjects,
        ["[CRITICAL] Health Status Unavailable on node-1", "[WARNING] High Load Average on node-2"]
    );
    sandbox.clear(&alarm("health-status-unavailable", "node-1")).await;
    sandbox.pass(GROUP_INTERVAL * 2).await;
    let mails = sandbox.mails().await;
    let told: Vec<&str> = mails.iter().map(SentMail::template).collect();
    assert!(told.contains(&"alarm-group"), "the other load is told with the first: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_flaps_is_told_when_it_is_quiet_again() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    for _turn in 0..200 {
        sandbox.raise(alarm(LOAD, "node-1")).await;
        sandbox.pass(Duration::from_secs(20)).await;
        sandbox.clear(&alarm(LOAD, "node-1")).await;
        sandbox.pass(Duration::from_secs(20)).await;
    }
    sandbox.raise(alarm(LOAD, "node-1")).await;
    sandbox.pass(Duration::from_mins(11)).await;
    let told = sandbox.mails().await;
    assert!(told.len() <= 4, "two hours of changes make few mails: {:?}", templates_of(&told));
    assert_eq!(told.last().unwrap().template(), "alarm", "it stands, and people know it");

    sandbox.clear(&alarm(LOAD, "node-1")).await;
    sandbox.pass(Duration::from_mins(20)).await;
    assert_eq!(templates_of(&sandbox.mails().await), ["alarm-resolved"], "it is quiet again");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_below_its_threshold_is_not_told() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox
        .change_type(LOAD, |one| {
            one.condition = Some(v1::AlarmCondition {
                measure: v1::AlarmMeasure::Value.into(),
                operator: v1::AlarmOperator::Greater.into(),
                value: 80.0,
                window: Some(nuncio_api::convert::time::duration(Duration::from_mins(10))),
            });
        })
        .await;
    let load = |value| v1::NewAlarm { value: Some(value), ..alarm(LOAD, "node-1") };

    let low = sandbox.raise(load(70.0)).await;
    assert_eq!(low.outcome(), v1::AlarmOutcome::BelowThreshold);
    sandbox.pass(GROUP_WAIT).await;
    assert!(sandbox.mails().await.is_empty());
    let high = sandbox.raise(load(95.0)).await;
    assert_eq!(high.outcome(), v1::AlarmOutcome::Firing, "the mean is 82.5");
    sandbox.pass(GROUP_WAIT).await;
    assert_eq!(sandbox.mails().await.len(), 1);
    sandbox.pass(Duration::from_mins(11)).await;
    let well = sandbox.raise(load(10.0)).await;
    assert_eq!(well.outcome(), v1::AlarmOutcome::Resolved, "who measures does not have to clear");
    sandbox.pass(GROUP_INTERVAL).await;
    assert_eq!(templates_of(&sandbox.mails().await), ["alarm-resolved"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_before_its_mail_is_not_told() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox.raise(alarm(LOAD, "node-1")).await;
    sandbox.pass(Duration::from_secs(5)).await;
    sandbox.clear(&alarm(LOAD, "node-1")).await;

    sandbox.pass(Duration::from_hours(1)).await;

    assert!(sandbox.mails().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_comes_too_late_does_not_undo_its_end() {
    let sandbox = Sandbox::new();
    let at = |seconds: i64| {
        let moment = jiff::Timestamp::from_second(1_799_999_000 + seconds).unwrap();
        Some(nuncio_api::convert::time::timestamp(moment))
    };
    let raise = |seconds| v1::NewAlarm { raise_time: at(seconds), ..alarm(LOAD, "node-1") };
    sandbox.raise(raise(10)).await;
    let end =
        v1::AlarmEnd { identity: raise(0).identity, clear_time: at(20), request_id: String::new() };
    let clear = v1::ClearAlarmRequest { end: Some(end), name: String::new() };
    sandbox.api.clear_alarm(Request::new(clear)).await.unwrap();

    assert_eq!(sandbox.raise(raise(15)).await.outcome(), v1::AlarmOutcome::Stale);
    assert_eq!(sandbox.raise(raise(25)).await.outcome(), v1::AlarmOutcome::Firing);
}

/// An alarm that was raised in this trace.
fn traced(node: &str, number: u8) -> v1::NewAlarm {
    let traceparent = format!("00-{:032x}-{:016x}-01", 7, number);
    v1::NewAlarm { traceparent, ..alarm(DOWN, node) }
}

#[tokio::test(start_paused = true)]
async fn a_mail_is_part_of_the_trace_in_which_its_first_alarm_began() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    let trace_of = |mail: &SentMail| mail.job.trace.as_ref().map(|one| one.as_str().to_owned());

    sandbox.raise(traced("node-1", 1)).await;
    // Raised again it is the same alarm, and what began it has not changed.
    sandbox.raise(traced("node-1", 2)).await;
    sandbox.pass(GROUP_WAIT).await;
    sandbox.raise(traced("node-2", 3)).await;
    sandbox.pass(GROUP_INTERVAL).await;
    sandbox.raise(alarm(LOAD, "node-1")).await;
    sandbox.pass(GROUP_WAIT).await;

    let mails = sandbox.mails().await;
    let traces: Vec<_> = mails.iter().map(trace_of).collect();
    let of = |number| Some(traced("", number).traceparent);
    assert_eq!(traces, [of(1), of(3), None]);
}

#[tokio::test(start_paused = true)]
async fn a_raise_that_is_repeated_in_another_trace_is_the_same() {
    let sandbox = Sandbox::new();
    let with_id =
        |number| v1::NewAlarm { request_id: "r-1".to_owned(), ..traced("node-1", number) };

    assert_eq!(sandbox.raise(with_id(1)).await.outcome(), v1::AlarmOutcome::Firing);

    assert_eq!(sandbox.raise(with_id(2)).await.outcome(), v1::AlarmOutcome::Repeated);
}
