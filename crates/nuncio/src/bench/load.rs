//! Hands mail jobs in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nuncio_api::client::{Clients, Transport};
use nuncio_api::v1;
use nuncio_api::v1::mail_job_service_client::MailJobServiceClient;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::bench::Failure;
use crate::bench::tracker::Tracker;

/// Characters in a line of a mail.
const LINE: usize = 72;

/// What is handed in.
pub(super) struct Plan {
    /// How many jobs; without it as many as fit into `time`.
    pub(super) jobs: Option<u64>,
    pub(super) time: Option<Duration>,
    /// Jobs a second; without it as many as are taken.
    pub(super) rate: Option<u32>,
    /// Calls at once.
    pub(super) concurrency: u32,
    /// Bytes of each mail's text.
    pub(super) size: usize,
    /// The jobs take turns.
    pub(super) classes: Vec<v1::MailClass>,
}

/// Callers that are about to begin.
pub(super) struct Load {
    plan: Arc<Plan>,
    clients: Vec<MailJobServiceClient<Transport>>,
    tracker: Arc<Tracker>,
}

impl Load {
    pub(super) fn new(plan: Plan, channels: &[Clients], tracker: Arc<Tracker>) -> Self {
        let clients = channels.iter().map(|clients| clients.mail_jobs.clone()).collect();
        Self { plan: Arc::new(plan), clients, tracker }
    }

    /// Hands everything in. Returns how long each call took; the first that fails ends all.
    pub(super) async fn run(self) -> Result<Vec<Duration>, Failure> {
        let next = Arc::new(AtomicU64::new(0));
        let started = Instant::now();
        let mut callers = JoinSet::new();
        for (_caller, client) in (0..self.plan.concurrency).zip(self.clients.iter().cycle()) {
            let caller = Caller {
                plan: Arc::clone(&self.plan),
                client: client.clone(),
                tracker: Arc::clone(&self.tracker),
                next: Arc::clone(&next),
                started,
            };
            callers.spawn(caller.run());
        }
        let mut spans = Vec::new();
        while let Some(end) = callers.join_next().await {
            spans.extend(end.expect("callers do not panic")?);
        }
        Ok(spans)
    }
}

/// One of those that call at the same time.
struct Caller {
    plan: Arc<Plan>,
    client: MailJobServiceClient<Transport>,
    tracker: Arc<Tracker>,
    next: Arc<AtomicU64>,
    started: Instant,
}

impl Caller {
    async fn run(mut self) -> Result<Vec<Duration>, tonic::Status> {
        let text = text(self.plan.size);
        let mut spans = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if self.plan.jobs.is_some_and(|jobs| jobs <= number) {
                break;
            }
            let due = due(self.plan.rate, number).map(|after| self.started + after);
            let begun = due.unwrap_or_else(Instant::now);
            if self.plan.time.is_some_and(|time| self.started + time <= begun) {
                break;
            }
            sleep_until(begun).await;
            let request = request(&self.plan.classes, number, &text);
            let answer = self.client.create_mail_job(request).await?;
            spans.push(begun.elapsed());
            let name = answer.into_inner().mail_job.unwrap_or_default().name;
            self.tracker.accept(name, begun);
        }
        Ok(spans)
    }
}

/// When a job is due, from the start on. A late answer does not make the next job late.
fn due(rate: Option<u32>, number: u64) -> Option<Duration> {
    let rate = u64::from(rate?);
    let nanos = number % rate * 1_000_000_000 / rate;
    Some(Duration::from_secs(number / rate) + Duration::from_nanos(nanos))
}

/// Jobs without end, all different.
pub(super) fn requests(
    size: usize,
    classes: &[v1::MailClass],
) -> impl Iterator<Item = v1::CreateMailJobRequest> {
    let text = text(size);
    (0..).map(move |number| request(classes, number, &text))
}

fn request(classes: &[v1::MailClass], number: u64, text: &str) -> v1::CreateMailJobRequest {
    let turn = usize::try_from(number).unwrap_or_default() % classes.len();
    let to = v1::Mailbox {
        address: format!("guest{:04}@example.com", number % 10_000),
        display_name: String::new(),
    };
    let content = v1::mail::Content::Raw(v1::RawContent {
        subject: format!("Load of nuncio bench, mail {number}"),
        text: text.to_owned(),
        html: String::new(),
    });
    let mail = v1::Mail { to: vec![to], content: Some(content), ..v1::Mail::default() };
    v1::CreateMailJobRequest {
        mail: Some(mail),
        class: classes[turn].into(),
        ..v1::CreateMailJobRequest::default()
    }
}

/// A text of lines as people write them.
fn text(bytes: usize) -> String {
    let letters = ('a'..='z').cycle().enumerate();
    letters.take(bytes).map(|(at, c)| if at % LINE == LINE - 1 { '\n' } else { c }).collect()
}

#[cfg(test)]
mod tests;
