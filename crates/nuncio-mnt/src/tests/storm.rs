//! Storms: many alarms, few mails, nothing lost.

use std::time::Duration;

use nuncio_api::v1;
use nuncio_core::class::MailClass;

use super::sandbox::{Sandbox, SentMail, alarm};
use crate::records::{ALARM, alarm as alarm_record};

const A: &str = "a@example.com";

/// Alarms of so many types and nodes, in batches. All of them are new.
async fn storm(sandbox: &Sandbox, types: &[&str], nodes: usize) {
    let outcomes = raise_all(sandbox, types, nodes).await;
    assert!(outcomes.iter().all(|one| *one == v1::AlarmOutcome::Firing));
}

async fn raise_all(sandbox: &Sandbox, types: &[&str], nodes: usize) -> Vec<v1::AlarmOutcome> {
    let mut outcomes = Vec::new();
    for alarm_type in types {
        let events: Vec<v1::AlarmEvent> = (0..nodes)
            .map(|node| v1::AlarmEvent {
                event: Some(v1::alarm_event::Event::Raise(alarm(alarm_type, &format!("n{node}")))),
            })
            .collect();
        for batch in events.chunks(500) {
            let batch = v1::RaiseAlarmsRequest { events: batch.to_vec() };
            let results = sandbox.take(batch).await.unwrap().results;
            outcomes.extend(results.iter().map(v1::AlarmResult::outcome));
        }
    }
    outcomes
}

/// Types that are warnings.
fn warnings(sandbox: &Sandbox) -> Vec<String> {
    let types = sandbox.api.rounds.rules.current().rules.types();
    let warnings = types
        .into_iter()
        .filter(|one| one.severity == nuncio_core::alarm::Severity::Warning && !one.is_mail_path);
    warnings.map(|one| one.id).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_limit_stands_in_a_digest_that_counts_it() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    let types = warnings(&sandbox);
    let types: Vec<&str> = types.iter().map(String::as_str).take(30).collect();
    storm(&sandbox, &types, 20).await;
    sandbox.pass(Duration::from_mins(15)).await;

    let mails = sandbox.mails().await;

    let digests: Vec<&SentMail> =
        mails.iter().filter(|mail| mail.template() == "alarm-digest").collect();
    assert_eq!((mails.len(), digests.len()), (11, 1), "ten mails and one digest");
    assert!(digests[0].subject().contains("400 alarms"), "{}", digests[0].subject());
    let counts = digests[0].text().matches("20 × ").count();
    assert_eq!(counts, 20, "each type is counted: {}", digests[0].text());
    assert_eq!(sandbox.records.count_records(ALARM).await.unwrap(), 600, "none is lost");
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_100_000_makes_a_handful_of_mails_and_one_digest_that_counts() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    let types = warnings(&sandbox);
    let types: Vec<&str> = types.iter().map(String::as_str).take(20).collect();
    let mut raised = 0;
    for _time in 0..50 {
        raised += raise_all(&sandbox, &types, 100).await.len();
    }
    sandbox.pass(Duration::from_mins(15)).await;

    let mails = sandbox.mails().await;

    let digests: Vec<&SentMail> =
        mails.iter().filter(|mail| mail.template() == "alarm-digest").collect();
    assert_eq!((raised, mails.len(), digests.len()), (100_000, 11, 1), "ten mails and a digest");
    assert!(digests[0].subject().contains("1,000 alarms"), "{}", digests[0].subject());
    let mut counted = 0;
    for record in sandbox.records_of(ALARM).await {
        counted += alarm_record::read(&record).unwrap().count;
    }
    assert_eq!(counted, 100_000, "none is lost");
}

#[tokio::test(start_paused = true)]
async fn critical_alarms_have_room_while_others_are_limited() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    let types = warnings(&sandbox);
    let types: Vec<&str> = types.iter().map(String::as_str).take(30).collect();
    storm(&sandbox, &types, 2).await;
    sandbox.pass(Duration::from_mins(2)).await;
    sandbox.mails().await;

    sandbox.raise(alarm("process-down", "node-1")).await;
    sandbox.pass(Duration::from_secs(30)).await;

    let mails = sandbox.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].class(), MailClass::AlarmCritical);
    assert!(mails[0].subject().contains("Process Down"));
}

#[tokio::test(start_paused = true)]
async fn a_storm_that_lasts_a_day_makes_bounded_mails_which_count_it_all() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    let types = warnings(&sandbox);
    let types: Vec<&str> = types.iter().map(String::as_str).take(40).collect();
    let mut raised = 0;
    let mut told = 0;
    let mut mails = 0;
    for hour in 0..24 {
        for alarm_type in &types {
            for minute in 0..3 {
                sandbox.raise(alarm(alarm_type, &format!("node-{hour}-{minute}"))).await;
                raised += 1;
            }
        }
        sandbox.pass(Duration::from_hours(1)).await;
        for mail in sandbox.mails().await {
            mails += 1;
            told += usize::from(mail.template() == "alarm-digest");
        }
    }

    assert_eq!(raised, 24 * 40 * 3);
    assert!(mails <= 10 + 24 * 20, "the limit holds: {mails}");
    assert!(24 <= told, "what is beyond it stands in digests: {told}");
}
