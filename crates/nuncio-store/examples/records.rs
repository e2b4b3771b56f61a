//! Measures records: a bulk of them written, and those that are due found again.
//!
//! `cargo run --release -p nuncio-store --example records -- fill jobs.sqlite 1000000` writes a million records, one
//! in a hundred due within the next hour, by 4 callers, 1000 to a changeset; then `scan jobs.sqlite` in a process of
//! its own pages through what is due. Instead of a file, `postgres://…` names an empty database.
#![expect(clippy::print_stdout, reason = "its figures are its purpose")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::conformance::sealer::TestSealer;
use nuncio_core::ports::records::*;
use nuncio_store::postgres::PostgresJobStore;
use nuncio_store::sqlite::SqliteJobStore;
use tokio::task::JoinSet;
use tokio::time::Instant;

type BoxError = Box<dyn Error + Send + Sync>;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);
const GUEST: RecordKind = RecordKind("guest");
/// How many callers write at once.
const CALLERS: u64 = 4;
const IN_A_CHANGESET: u64 = 1000;
/// Every so manieth is due within the next hour, all others much later.
const ONE_DUE_IN: u64 = 100;
const PAGE: u32 = 500;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["fill", place, count] => fill(open(place).await?, count.parse()?).await,
        ["scan", place] => scan(&*open(place).await?).await,
        _ => Err("usage: records fill FILE-OR-URL COUNT | records scan FILE-OR-URL".into()),
    }
}

async fn open(place: &str) -> Result<Arc<dyn RecordStore>, BoxError> {
    let sealer = Arc::new(TestSealer("records are not sealed"));
    Ok(if place.contains("://") {
        Arc::new(PostgresJobStore::open(&place.parse()?, sealer).await?)
    } else {
        Arc::new(SqliteJobStore::open(Path::new(place), sealer).await?)
    })
}

async fn fill(store: Arc<dyn RecordStore>, count: u64) -> Result<(), BoxError> {
    let started = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks: JoinSet<Result<(), BoxError>> = JoinSet::new();
    for _ in 0..CALLERS {
        let (store, next) = (store.clone(), next.clone());
        tasks.spawn(async move {
            loop {
                let first = next.fetch_add(IN_A_CHANGESET, Ordering::Relaxed);
                if count <= first {
                    return Ok(());
                }
                let numbers = first..count.min(first + IN_A_CHANGESET);
                let writes = numbers.map(record).collect();
                store.commit(Changeset { writes, ..Changeset::new(START) }).await?;
            }
        });
    }
    while let Some(end) = tasks.join_next().await {
        end??;
    }
    let elapsed = started.elapsed();
    println!("{count} records written in {elapsed:.2?}; memory {}", memory()?);
    Ok(())
}

async fn scan(store: &dyn RecordStore) -> Result<(), BoxError> {
    println!("memory before: {}", memory()?);
    let until = START + Duration::from_hours(1);
    let started = Instant::now();
    let (mut after, mut count): (Option<DuePlace>, usize) = (None, 0);
    loop {
        let page = store.due_records(GUEST, until, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        let due_at = last.due_at.ok_or("a due record has a due time")?;
        after = Some(DuePlace { due_at, id: last.key.id.clone() });
        count += page.len();
    }
    let elapsed = started.elapsed();
    println!("{count} due records in {elapsed:.2?}, {PAGE} to a page");
    println!("memory after: {}", memory()?);
    let started = Instant::now();
    let all = store.count_records(GUEST).await?;
    println!("all {all} counted in {:.2?}", started.elapsed());
    Ok(())
}

/// A guest of some 300 bytes. Ids come in no order.
fn record(number: u64) -> Write {
    // A multiplication by an odd number gives each one another.
    let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let due_in_s =
        if number.is_multiple_of(ONE_DUE_IN) { number % 3600 } else { 1_000_000 + number };
    let content = format!(
        "{{\"username\":\"guest-{number}\",\"first_name\":\"Zoë\",\"last_name\":\"Müller-{number}\",\
         \"email\":\"guest-{number}@example.com\",\"company\":\"Example Ltd\",\"state\":\"ACTIVE\",\
         \"location\":{{\"name\":\"Zürich\",\"time_zone\":\"Europe/Zurich\"}},\"language\":\"de\",\
         \"valid_from\":\"2027-01-15T08:00:00Z\",\"valid_to\":\"2027-02-15T08:00:00Z\"}}"
    );
    Write::Put {
        key: RecordKey::new(GUEST, format!("guests/{id:016x}")),
        expected: Expected::Any,
        owner: Some(format!("sponsor-{}", number % 1000)),
        due_at: Some(START + Duration::from_secs(due_in_s)),
        content,
    }
}

/// What the system says of this process: now, and at most.
fn memory() -> Result<String, BoxError> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).unwrap_or_default().to_owned()
    };
    Ok(format!("{}, at most {}", value("VmRSS:"), value("VmHWM:")))
}
