//! Measures the SQLite store: durable submits by many callers at once, then claims and settlements.
//!
//! `cargo run --release -p nuncio-store --example throughput -- 20000 512` submits 20,000 mails of 4 KB by
//! 512 callers.
#![expect(clippy::print_stdout, reason = "its figures are its purpose")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use nuncio_cluster::embedded::load_keys;
use nuncio_core::address::{EmailAddress, Mailbox};
use nuncio_core::class::MailClass;
use nuncio_core::job::{Attempt, BudgetUse, JobState, MailJobId, NewJob};
use nuncio_core::mail::{Mail, Recipient, RecipientKind};
use nuncio_core::ports::job_store::*;
use nuncio_core::retry::Decision;
use nuncio_store::sqlite::SqliteJobStore;
use tokio::task::JoinSet;
use tokio::time::Instant;

type BoxError = Box<dyn Error + Send + Sync>;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), BoxError> {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let mails = numbers.next().transpose()?.unwrap_or(20_000);
    let callers = numbers.next().transpose()?.unwrap_or(512);
    let folder = tempfile::tempdir_in(".")?;
    let sealer = load_keys(folder.path(), None)?;
    let store = Arc::new(SqliteJobStore::open(&folder.path().join("jobs.db"), sealer).await?);
    let next = Arc::new(AtomicU64::new(0));

    let started = Instant::now();
    let mut tasks: JoinSet<Result<(), BoxError>> = JoinSet::new();
    for _ in 0..callers {
        let (store, next) = (store.clone(), next.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if mails <= number {
                    return Ok(());
                }
                store.submit(job(number)?).await?;
            }
        });
    }
    join(tasks).await?;
    show("submits", mails, started.elapsed());

    let started = Instant::now();
    let mut tasks: JoinSet<Result<(), BoxError>> = JoinSet::new();
    for _ in 0..4 {
        tasks.spawn(send_all(store.clone()));
    }
    join(tasks).await?;
    show("claims, bodies and settlements", mails, started.elapsed());
    store.close().await;
    Ok(())
}

fn show(what: &str, count: u64, elapsed: Duration) {
    let each_us = elapsed.as_micros() / u128::from(count.max(1));
    println!("{count} {what} in {elapsed:.2?}: {each_us} µs each");
}

async fn join(mut tasks: JoinSet<Result<(), BoxError>>) -> Result<(), BoxError> {
    while let Some(end) = tasks.join_next().await {
        end??;
    }
    Ok(())
}

async fn send_all(store: Arc<SqliteJobStore>) -> Result<(), BoxError> {
    let holder = Incarnation("node".to_owned());
    loop {
        let until = START + Duration::from_mins(1);
        let claim = Claim {
            holder: holder.clone(),
            now: START,
            until,
            limit: 64,
            patient_max: 64,
            into_body: false,
            except: Vec::new(),
        };
        let claimed = store.claim(claim).await?;
        if claimed.is_empty() {
            return Ok(());
        }
        let mut tasks: JoinSet<Result<(), BoxError>> = JoinSet::new();
        for Claimed { lease, job, .. } in claimed {
            let store = store.clone();
            tasks.spawn(async move {
                store.enter_body(&lease).await?;
                let (state, recipients) = (JobState::Sent, job.recipients);
                let decision =
                    Decision { state, reason: None, due_at: START, recipients, counted: true };
                let (outcome, detail) = ("SENT".to_owned(), "250 2.0.0 taken".to_owned());
                let (started_at, ended_at, counted) = (START, START, true);
                let mailbox = Some("sender@example.com".parse()?);
                let used = Some(BudgetUse { mailbox, recipients: 1 });
                let attempt = Attempt { started_at, ended_at, outcome, detail, counted, used };
                let settings_generation = Some(1);
                let now = START;
                let settlement =
                    Settlement { decision, attempt: Some(attempt), settings_generation, now };
                store.settle(lease, settlement).await?;
                Ok(())
            });
        }
        join(tasks).await?;
    }
}

fn job(number: u64) -> Result<NewJob, BoxError> {
    let mut random = [7; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    let id = MailJobId::new(START, random);
    let address: EmailAddress = format!("guest-{number}@example.com").parse()?;
    let mail = Mail {
        from: None,
        reply_to: None,
        other_senders: Vec::new(),
        references: Vec::new(),
        recipients: vec![Recipient { mailbox: Mailbox::from(address), kind: RecipientKind::To }],
        subject: "Your guest account".to_owned(),
        text: Some("0123456789abcde\n".repeat(256).into()),
        html: None,
        attachments: Vec::new(),
        template: None,
    };
    Ok(NewJob {
        id,
        request: Some(nuncio_core::job::RequestKey {
            caller: nuncio_core::job::CallerId("bench".to_owned()),
            request_id: format!("request-{number}"),
            fingerprint: [1; 32],
        }),
        class: MailClass::Bulk,
        mail,
        message_id: format!("<{number}@nuncio.example>"),
        created_at: START,
        due_at: START,
        expires_at: START + Duration::from_hours(1),
        labels: BTreeMap::new(),
        trace: None,
    })
}
