//! What is asked of a cluster while its hosts are broken, by callers that know all nodes of a role.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::MailClass;
use nuncio_tests::caller::Caller;
use nuncio_tests::mails::raw;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::transport::Error as TransportError;
use tonic::{Code, Status};

use crate::asked;

/// What a caller does between two requests.
const BETWEEN: Duration = Duration::from_millis(400);
const BETWEEN_SUBJECTS: Duration = Duration::from_secs(2);
/// Before it asks another node.
const PAUSE: Duration = Duration::from_millis(100);
/// How long all nodes of a role may refuse.
const CALL_MAX: Duration = Duration::from_mins(2);

/// Mails, guests and alarms that are handed in until it is enough.
pub(super) struct Load {
    counts: Arc<Counts>,
    tasks: JoinSet<Vec<String>>,
}

#[derive(Default)]
struct Counts {
    enough: AtomicBool,
    /// Calls that asked another node.
    again: AtomicU64,
    slowest_ms: AtomicU64,
}

/// What was handed in.
pub(super) struct HandedIn {
    /// The names of the mail jobs.
    pub(super) mails: Vec<String>,
    /// So many guests, and so many alarms.
    pub(super) subjects: u64,
    pub(super) again: u64,
    pub(super) slowest: Duration,
}

impl Load {
    /// With the nodes of each role.
    pub(super) fn begin(psn: &[Caller], pan: &[Caller], mnt: &[Caller]) -> Self {
        let counts = Arc::<Counts>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(mails(Arc::clone(&counts), psn.to_vec()));
        tasks.spawn(subjects(Arc::clone(&counts), pan.to_vec(), mnt.to_vec()));
        Self { counts, tasks }
    }

    pub(super) async fn end(mut self) -> HandedIn {
        self.counts.enough.store(true, Ordering::Relaxed);
        let (mut mails, mut subjects) = (Vec::new(), 0);
        while let Some(names) = self.tasks.join_next().await {
            let (jobs, others): (Vec<_>, Vec<_>) = names
                .expect("a caller does not give up")
                .into_iter()
                .partition(|name| name.starts_with("mailJobs/"));
            mails.extend(jobs);
            subjects += u64::try_from(others.len()).expect("it fits");
        }
        let slowest = Duration::from_millis(self.counts.slowest_ms.load(Ordering::Relaxed));
        HandedIn { mails, subjects, again: self.counts.again.load(Ordering::Relaxed), slowest }
    }
}

impl Counts {
    /// Asks one node after the other until one has done it.
    async fn ask<T, F>(&self, nodes: &[Caller], number: u64, what: impl Fn(Caller) -> F) -> T
    where
        F: Future<Output = Result<T, Status>>,
    {
        let begun = Instant::now();
        let first = usize::try_from(number).expect("it fits");
        for node in nodes.iter().cycle().skip(first % nodes.len()) {
            let status = match what(node.clone()).await {
                Ok(done) => {
                    let took = u64::try_from(begun.elapsed().as_millis()).expect("it fits");
                    self.slowest_ms.fetch_max(took, Ordering::Relaxed);
                    return done;
                }
                Err(status) => status,
            };
            assert!(is_passing(&status), "{status:?}");
            assert!(begun.elapsed() < CALL_MAX, "no node does it: {status:?}");
            self.again.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
        unreachable!("a cycle does not end")
    }

    fn is_enough(&self) -> bool {
        self.enough.load(Ordering::Relaxed)
    }
}

/// Whether another node may do better. A client in Rust says `Cancelled` of a call that met the end of its connection, and
/// `Unknown` where it got none.
fn is_passing(status: &Status) -> bool {
    let passing = [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled];
    let has_no_connection = status.source().is_some_and(<dyn Error>::is::<TransportError>);
    passing.contains(&status.code()) || has_no_connection
}

/// Returns the names of the jobs.
async fn mails(counts: Arc<Counts>, psn: Vec<Caller>) -> Vec<String> {
    let mut names = Vec::new();
    while !counts.is_enough() {
        let number = u64::try_from(names.len()).expect("it fits");
        // One is rather sent twice than not at all, the other one never twice.
        let class = if number % 2 == 0 { MailClass::Credentials } else { MailClass::Bulk };
        let mail = raw(class, &format!("mail {number}"), &["guest@example.com"]);
        let request = v1::CreateMailJobRequest { request_id: format!("mail-{number}"), ..mail };
        let submit = |psn: Caller| {
            let request = request.clone();
            async move { psn.try_submit(request).await }
        };
        names.push(counts.ask(&psn, number, submit).await.name);
        sleep(BETWEEN).await;
    }
    names
}

/// Returns a name for each guest and alarm.
async fn subjects(counts: Arc<Counts>, pan: Vec<Caller>, mnt: Vec<Caller>) -> Vec<String> {
    let mut names = Vec::new();
    while !counts.is_enough() {
        let number = u64::try_from(names.len()).expect("it fits");
        counts.ask(&pan, number, |node| async move { asked::guest(&node, number).await }).await;
        counts.ask(&mnt, number, |node| async move { asked::alarm(&node, number).await }).await;
        names.push(number.to_string());
        sleep(BETWEEN_SUBJECTS).await;
    }
    names
}
