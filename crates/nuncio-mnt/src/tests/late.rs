//! Mails that do not go out, and what the second route is given to tell.

use std::time::Duration;

use nuncio_api::v1;
use nuncio_core::alarm::late::{
    CRITICAL_LATE_AFTER, FIRST_LOOK, LATE_AFTER, LOOK_PERIOD, LOOK_PERIOD_MAX,
};
use nuncio_core::alarm::standing::Phase;
use nuncio_core::ports::job_store::{JobQuery, JobStore as _};

use super::sandbox::{Sandbox, alarm};
use crate::records::{ALARM, alarm as stored};

const A: &str = "a@example.com";
const DOWN: &str = "process-down";
const LOAD: &str = "high-load-average";
const CLOSED: &str = "mailbox-closed";
const GROUP_WAIT: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn a_critical_alarm_takes_the_second_route_at_once_while_mail_is_broken_and_is_told_once() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox.raise(alarm(CLOSED, "psn-1")).await;
    sandbox.pass(Duration::from_mins(10)).await;
    assert_eq!(sandbox.notices_of("raised").await.len(), 1);
    assert!(sandbox.notices_of("mail.late").await.is_empty(), "its own alarm is known already");

    sandbox.raise(alarm(DOWN, "node-1")).await;
    sandbox.pass(GROUP_WAIT + FIRST_LOOK).await;
    let late = sandbox.notices_of("mail.late").await;
    sandbox.pass(Duration::from_hours(1)).await;

    assert_eq!(late.len(), 1);
    assert_eq!(late[0]["severity"], "critical");
    let summary = late[0]["summary"].as_str().unwrap();
    assert!(summary.starts_with("[CRITICAL] Process Down on node-1"), "{summary}");
    assert!(late[0]["fields"]["text"].as_str().unwrap().contains("node-1 is in trouble"));
    assert_eq!(sandbox.notices_of("mail.late").await.len(), 1, "once");
    assert!(sandbox.notices_of("mail.back").await.is_empty());

    assert_eq!(sandbox.send_all(true).await, 2);
    sandbox.pass(LOOK_PERIOD_MAX).await;

    let back = sandbox.notices_of("mail.back").await;
    assert_eq!(back.len(), 1);
    assert_eq!(back[0]["fields"]["mails_late"], "2");
    assert_eq!(back[0]["fields"]["mails_sent"], "2");
    sandbox.pass(Duration::from_hours(1)).await;
    assert_eq!(sandbox.notices_of("mail.back").await.len(), 1, "once");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_while_mails_go_out() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    for alarm_type in [DOWN, LOAD] {
        sandbox.raise(alarm(alarm_type, "node-1")).await;
    }
    sandbox.pass(GROUP_WAIT).await;
    assert_eq!(sandbox.send_all(true).await, 2);

    sandbox.pass(Duration::from_hours(1)).await;

    assert!(sandbox.notices().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn other_alarms_wait_for_minutes_and_are_told_together() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    for alarm_type in [LOAD, "unknown-nad", "radius-request-dropped"] {
        sandbox.raise(alarm(alarm_type, "node-1")).await;
    }
    sandbox.pass(LATE_AFTER + Duration::from_secs(20)).await;
    assert!(sandbox.notices().await.is_empty(), "mail may be slow");

    sandbox.pass(LOOK_PERIOD).await;

    let late = sandbox.notices_of("mail.late").await;
    assert_eq!(late.len(), 1, "{late:?}");
    assert_eq!(
        (&late[0]["fields"]["mails"], &late[0]["severity"]),
        (&"3".into(), &"warning".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_critical_alarm_waits_a_minute_where_nobody_knows_that_mail_is_broken() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox.raise(alarm(DOWN, "node-1")).await;

    sandbox.pass(CRITICAL_LATE_AFTER + Duration::from_secs(25)).await;
    assert!(sandbox.notices().await.is_empty());
    sandbox.pass(Duration::from_secs(15)).await;

    assert_eq!(sandbox.notices_of("mail.late").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_storm_while_mail_is_dead_makes_few_messages_that_count_it_all() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox.raise(alarm(CLOSED, "psn-1")).await;
    let types = sandbox.api.rounds.rules.current().rules.types();
    let critical = types
        .into_iter()
        .filter(|one| one.severity == nuncio_core::alarm::Severity::Critical && !one.is_mail_path);
    let critical: Vec<String> = critical.map(|one| one.id).take(30).collect();
    for alarm_type in &critical {
        sandbox.raise(alarm(alarm_type, "node-1")).await;
    }

    sandbox.pass(Duration::from_mins(55)).await;

    let late = sandbox.notices_of("mail.late").await;
    let one_by_one = late.iter().filter(|one| one["fields"]["mail_job"].is_string()).count();
    assert!(one_by_one <= 20 + 55, "the limit holds: {one_by_one}");
    let alarms = |one: &serde_json::Value| -> u64 {
        one["fields"]["alarms"].as_str().unwrap().parse().unwrap()
    };
    let told: u64 = late.iter().map(alarms).sum();
    assert_eq!(told, 30, "each is told or counted, and once: {late:?}");
    assert!(late.len() < 30, "{}", late.len());
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_everybody_refuses_is_an_alarm_until_one_gets_through() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox.raise(alarm(LOAD, "node-1")).await;
    sandbox.pass(GROUP_WAIT).await;
    assert_eq!(sandbox.send_all(false).await, 1);

    sandbox.pass(FIRST_LOOK).await;
    let raised = sandbox.notices_of("raised").await;
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!(
        (&raised[0]["type"], &raised[0]["labels"]["alarm_type"]),
        (&"alarm-mail-failed".into(), &LOAD.into())
    );
    let description = raised[0]["description"].as_str().unwrap();
    assert!(description.contains("said the provider"), "{description}");

    // The mail about it fails too: that is no further alarm.
    sandbox.pass(GROUP_WAIT).await;
    assert_eq!(sandbox.send_all(false).await, 1);
    sandbox.pass(Duration::from_mins(5)).await;
    assert_eq!(sandbox.notices_of("raised").await.len(), 1);

    sandbox.raise(alarm(LOAD, "node-2")).await;
    sandbox.pass(Duration::from_mins(5)).await;
    assert!(1 <= sandbox.send_all(true).await);
    sandbox.pass(LOOK_PERIOD).await;

    assert_eq!(sandbox.notices_of("resolved").await.len(), 1);
    let alarms = sandbox.records_of(ALARM).await;
    let standing = alarms.iter().map(|record| stored::read(record).unwrap());
    let failed = standing.filter(|one| one.identity.alarm_type == "alarm-mail-failed");
    assert!(failed.into_iter().all(|one| one.phase == Phase::Resolved));
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_a_person_cancels_is_no_alarm() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox.raise(alarm(LOAD, "node-1")).await;
    sandbox.pass(GROUP_WAIT).await;
    let query = JobQuery { limit: 10, ..JobQuery::default() };
    let job = sandbox.store.list(&query).await.unwrap().jobs.remove(0);
    sandbox.store.cancel(job.id, job.created_at).await.unwrap();

    sandbox.pass(Duration::from_hours(1)).await;

    assert!(sandbox.notices().await.is_empty());
    let raised = sandbox.raise(alarm(LOAD, "node-1")).await;
    assert_eq!(raised.outcome(), v1::AlarmOutcome::Counted);
}
