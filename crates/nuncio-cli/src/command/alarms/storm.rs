//! Many alarms at once.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use nuncio_api::v1::{
    AlarmEvent, AlarmOutcome, NewAlarm, RaiseAlarmsRequest, RaiseAlarmsResponse, alarm_event,
};
use tokio::time::Instant;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;
use crate::run::Context;

/// How many events a batch has: as many as the server takes.
const BATCH: u64 = 500;

/// Raises `count` alarms of `distinct` nodes by stream, and tells what became of them.
pub(super) async fn raise_many(
    context: &mut Context<'_>,
    alarm: &NewAlarm,
    count: u64,
    distinct: u64,
) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let template = alarm.clone();
    let starts = (0..count.div_ceil(BATCH)).map(|batch| batch * BATCH);
    let batches = starts.map(move |start| {
        let numbers = start..count.min(start + BATCH);
        let events = numbers.map(|number| event(&template, number % distinct.max(1)));
        RaiseAlarmsRequest { events: events.collect() }
    });
    let began = Instant::now();
    let mut answers =
        clients.alarms.raise_alarms(futures::stream::iter(batches)).await?.into_inner();
    let mut outcomes: BTreeMap<i32, u64> = BTreeMap::new();
    let mut problem = None;
    while let Some(answer) = answers.next().await {
        let RaiseAlarmsResponse { results } = answer?;
        for result in results {
            *outcomes.entry(result.outcome).or_default() += 1;
            problem = problem.or_else(|| result.violations.into_iter().next());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let told: u64 = outcomes.values().sum();
    for (outcome, count) in &outcomes {
        let outcome = AlarmOutcome::try_from(*outcome).unwrap_or_default();
        context.out.line(format!("{:<16}{count}", names::alarm_outcome(outcome)))?;
    }
    #[expect(clippy::cast_precision_loss, reason = "it is a figure for people")]
    let rate = told as f64 / seconds.max(0.001);
    context.out.note(format!("{told} alarms in {seconds:.1} s, {rate:.0} a second"))?;
    match problem {
        None => Ok(Exit::Ok),
        Some(problem) => {
            let text = format!("{}: {}", problem.field, problem.description);
            Err(Failure::input(text, "correct it; the others were taken"))
        }
    }
}

fn event(template: &NewAlarm, number: u64) -> AlarmEvent {
    let mut alarm = template.clone();
    let identity = alarm.identity.get_or_insert_default();
    let node = if identity.node.is_empty() { "node" } else { identity.node.as_str() };
    identity.node = format!("{node}-{number}");
    AlarmEvent { event: Some(alarm_event::Event::Raise(alarm)) }
}
