//! The role dies at any step, or runs twice: nothing is lost and nothing doubled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::alarm::settings::AlarmSettings;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::*;
use nuncio_store::memory::MemoryJobStore;
use tokio::sync::watch;

use super::sandbox::{Sandbox, alarm, templates_of};

const A: &str = "a@example.com";
const LOAD: &str = "high-load-average";

/// A store that breaks at one commit, and works no more until it is told to: before the commit is done, or
/// after it, so that nobody learns that it was.
struct CutStore {
    inner: Arc<MemoryJobStore>,
    commits: AtomicUsize,
    cut_at: usize,
    after: bool,
    is_cut: watch::Sender<bool>,
}

#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct Cut;

impl CutStore {
    fn broken() -> StoreError {
        StoreError::Unusable(Box::new(Cut))
    }

    /// Starts the role again if it has died, and gives it much time; says whether it had.
    async fn mend(&self, sandbox: &mut Sandbox) -> bool {
        let was_cut = self.restart(sandbox);
        if was_cut {
            sandbox.pass(Duration::from_mins(10)).await;
        }
        was_cut
    }

    /// Starts the role again if it has died; says whether it had.
    fn restart(&self, sandbox: &mut Sandbox) -> bool {
        let was_cut = self.is_cut.send_replace(false);
        if was_cut {
            sandbox.restart();
        }
        was_cut
    }

    fn check(&self) -> Result<(), StoreError> {
        if *self.is_cut.borrow() { Err(Self::broken()) } else { Ok(()) }
    }
}

#[async_trait]
impl RecordStore for CutStore {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, StoreError> {
        self.check()?;
        self.inner.read(keys).await
    }

    async fn list_records(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
        self.check()?;
        self.inner.list_records(query).await
    }

    async fn due_records(
        &self,
        kind: RecordKind,
        until: Timestamp,
        after: Option<&DuePlace>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        self.check()?;
        self.inner.due_records(kind, until, after, limit).await
    }

    async fn next_due_record(&self, kind: RecordKind) -> Result<Option<Timestamp>, StoreError> {
        self.check()?;
        self.inner.next_due_record(kind).await
    }

    async fn count_records(&self, kind: RecordKind) -> Result<u64, StoreError> {
        self.inner.count_records(kind).await
    }

    async fn commit(&self, changes: Changeset) -> Result<Committed, CommitError> {
        self.check()?;
        if self.commits.fetch_add(1, Ordering::SeqCst) != self.cut_at {
            return self.inner.commit(changes).await;
        }
        if self.after {
            self.inner.commit(changes).await?;
        }
        self.is_cut.send_replace(true);
        Err(Self::broken().into())
    }

    fn records_changed(&self) -> watch::Receiver<()> {
        self.inner.records_changed()
    }
}

/// A role whose store is cut at this commit.
fn sandbox_cut(cut_at: usize, after: bool) -> (Sandbox, Arc<CutStore>) {
    let inner = Arc::new(MemoryJobStore::default());
    let cut = Arc::new(CutStore {
        inner: Arc::clone(&inner),
        commits: AtomicUsize::new(0),
        cut_at,
        after,
        is_cut: watch::Sender::new(false),
    });
    let sandbox = Sandbox::over(inner, Arc::<CutStore>::clone(&cut) as Arc<dyn RecordStore>);
    (sandbox, cut)
}

/// Cuts a story at each of its commits, before and after it: every time it has to come to the same as undisturbed.
async fn cut_everywhere<F>(undisturbed: &[String], story: impl Fn(usize, bool) -> F)
where
    F: Future<Output = (Vec<String>, bool)>,
{
    for after in [false, true] {
        let mut cut_at = 0;
        loop {
            let (told, was_cut) = story(cut_at, after).await;
            if !was_cut {
                break;
            }
            assert_eq!(told, undisturbed, "cut at commit {cut_at}, after it: {after}");
            cut_at += 1;
        }
        assert!(8 <= cut_at, "the story has that many commits: {cut_at}");
    }
}

/// The role dies at this commit of a story: an alarm is told, another one follows, one ends. Then it starts
/// again and the story goes on. Gives the templates of the mails, and whether the commit was reached.
async fn story(cut_at: usize, after: bool) -> (Vec<String>, bool) {
    let (mut sandbox, cut) = sandbox_cut(cut_at, after);
    sandbox.tell(&[A]).await;
    let mut was_cut = false;
    for step in 0..4 {
        loop {
            let taken = match step {
                0 => sandbox.try_raise(alarm(LOAD, "node-1")).await,
                1 => sandbox.try_raise(alarm(LOAD, "node-2")).await,
                2 => sandbox.try_clear(&alarm(LOAD, "node-1")).await,
                _ => true,
            };
            // Half of the way: a claim that died needs its time to be taken over.
            sandbox.pass(Duration::from_mins(10)).await;
            was_cut |= cut.mend(&mut sandbox).await;
            // Who got no OK tells it again.
            if taken {
                break;
            }
        }
    }
    let mails = sandbox.mails().await;
    (templates_of(&mails).into_iter().map(str::to_owned).collect(), was_cut)
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_commit_loses_no_mail_and_doubles_none() {
    let (undisturbed, _) = story(usize::MAX, false).await;
    assert_eq!(undisturbed, ["alarm", "alarm-group", "alarm-resolved"]);
    cut_everywhere(&undisturbed, story).await;
}

#[tokio::test(start_paused = true)]
async fn a_round_whose_maker_has_died_is_made_within_seconds_of_its_restart() {
    for cut_at in 0.. {
        let (mut sandbox, cut) = sandbox_cut(cut_at, true);
        sandbox.tell(&[A]).await;
        sandbox.try_raise(alarm(LOAD, "node-1")).await;
        sandbox.pass(AlarmSettings::default().group_wait).await;
        let was_cut = cut.restart(&mut sandbox);
        sandbox.pass(Duration::from_secs(11)).await;

        assert_eq!(sandbox.mails().await.len(), 1, "cut at commit {cut_at}");
        if !was_cut {
            assert!(3 <= cut_at, "the story has that many commits: {cut_at}");
            break;
        }
    }
}

/// Mail is broken and comes back, with a cut at this commit: what the second route has got to tell, and whether the
/// story was cut.
async fn story_of_late_mail(cut_at: usize, after: bool) -> (Vec<String>, bool) {
    let (mut sandbox, cut) = sandbox_cut(cut_at, after);
    sandbox.tell(&[A]).await;
    let mut was_cut = false;
    for step in 0..4 {
        loop {
            let taken = match step {
                0 => sandbox.try_raise(alarm("mailbox-closed", "psn-1")).await,
                1 => sandbox.try_raise(alarm("process-down", "node-1")).await,
                2 => 2 <= sandbox.send_all(true).await,
                _ => true,
            };
            sandbox.pass(Duration::from_mins(10)).await;
            was_cut |= cut.mend(&mut sandbox).await;
            if taken {
                break;
            }
        }
    }
    let told = sandbox.notices().await.into_iter().map(|(kind, _)| kind);
    let mut told: Vec<String> = told.collect();
    told.sort();
    (told, was_cut)
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_commit_has_late_mail_and_its_end_told_once() {
    let (undisturbed, _) = story_of_late_mail(usize::MAX, false).await;
    assert_eq!(undisturbed, ["mail.back", "mail.late", "raised"]);
    cut_everywhere(&undisturbed, story_of_late_mail).await;
}

#[tokio::test(start_paused = true)]
async fn two_roles_at_once_double_no_mail() {
    let mut sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox.start_another();
    sandbox.start_another();
    for number in 0..50 {
        sandbox.raise(alarm(LOAD, &format!("node-{number}"))).await;
        sandbox.raise(alarm("process-down", &format!("node-{number}"))).await;
    }
    sandbox.pass(Duration::from_mins(3)).await;
    let told = sandbox.mails().await;
    assert_eq!(told.len(), 2, "one mail for each group: {:?}", templates_of(&told));

    sandbox.pass(Duration::from_hours(5)).await;
    assert_eq!(sandbox.mails().await.len(), 2, "one repeat for each group");
}
