//! Records in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_core::job::{MailJobId, NewJob};
use nuncio_core::ports::job_store::{StoreError, SubmitError, Submitted};
use nuncio_core::ports::records::*;
use tokio::sync::watch;

use crate::life;
use crate::memory::{MemoryJobStore, Tables, count};
use crate::records::check;
use crate::rows::whole_us;

/// The records, and where to find them by owner and by due time.
#[derive(Debug, Default)]
pub(super) struct Records {
    all: BTreeMap<RecordKey, Record>,
    owned: BTreeSet<(RecordKind, String, String)>,
    due: BTreeSet<(RecordKind, Timestamp, String)>,
}

#[async_trait]
impl RecordStore for MemoryJobStore {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, StoreError> {
        let tables = self.tables();
        Ok(keys.iter().map(|key| tables.records.all.get(key).cloned()).collect())
    }

    async fn list_records(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
        let RecordQuery { kind, owner, after, limit } = query;
        let after = after.clone().unwrap_or_default();
        let records = &self.tables().records;
        let found: Vec<_> = if let Some(owner) = owner {
            let start = Bound::Excluded((*kind, owner.clone(), after));
            let behind = records.owned.range((start, Bound::Unbounded));
            let of_owner = behind.take_while(|(k, o, _)| k == kind && o == owner);
            of_owner.take(count(*limit)).map(|(_, _, id)| records.get(*kind, id)).collect()
        } else {
            let start = Bound::Excluded(RecordKey::new(*kind, after));
            let behind = records.all.range((start, Bound::Unbounded));
            let of_kind = behind.take_while(|(key, _)| key.kind == *kind);
            of_kind.take(count(*limit)).map(|(_, record)| record.clone()).collect()
        };
        Ok(found)
    }

    async fn due_records(
        &self,
        kind: RecordKind,
        until: Timestamp,
        after: Option<&DuePlace>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        let records = &self.tables().records;
        let behind = records.due_behind(kind, after).take_while(|(_, due_at, _)| *due_at <= until);
        Ok(behind.take(count(limit)).map(|(kind, _, id)| records.get(*kind, id)).collect())
    }

    async fn next_due_record(&self, kind: RecordKind) -> Result<Option<Timestamp>, StoreError> {
        let tables = self.tables();
        Ok(tables.records.due_behind(kind, None).next().map(|(_, due_at, _)| *due_at))
    }

    async fn count_records(&self, kind: RecordKind) -> Result<u64, StoreError> {
        let tables = self.tables();
        Ok(tables.records.all.keys().filter(|key| key.kind == kind).count() as u64)
    }

    async fn commit(&self, changes: Changeset) -> Result<Committed, CommitError> {
        check(&changes)?;
        let mut tables = self.tables();
        tables.records.check(&changes.writes)?;
        tables.check_jobs(&changes.jobs)?;
        // From here on nothing fails.
        let Changeset { writes, jobs, cancel, now, is_quiet } = changes;
        for write in writes {
            tables.records.write(write, whole_us(now));
        }
        let jobs = jobs.into_iter().map(|new| tables.submit(new).map_err(not_committed));
        let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
        let cancelled: Vec<_> = cancel.into_iter().filter(|id| tables.cancel(*id, now)).collect();
        let any_new = jobs.iter().any(|job| matches!(job, Submitted::New(_)));
        self.wake(any_new || !cancelled.is_empty());
        if !is_quiet {
            self.records_changed.send_replace(());
        }
        Ok(Committed { jobs, cancelled })
    }

    fn records_changed(&self) -> watch::Receiver<()> {
        self.records_changed.subscribe()
    }
}

impl Tables {
    /// Whether all of these jobs can be stored.
    fn check_jobs(&self, jobs: &[NewJob]) -> Result<(), CommitError> {
        let (mut ids, mut requests) = (HashSet::new(), HashMap::new());
        for new in jobs {
            if self.known(new).map_err(not_committed)?.is_some() {
                continue;
            }
            if let Some(request) = &new.request {
                let key = (&request.caller, &request.request_id);
                match requests.insert(key, (request.fingerprint, new.id)) {
                    None => {}
                    Some(first) if first.0 == request.fingerprint => {
                        requests.insert(key, first);
                        continue;
                    }
                    Some((_, existing)) => return Err(CommitError::RequestIdReused { existing }),
                }
            }
            if !ids.insert(new.id) || self.jobs.contains_key(&new.id) {
                let cause = format!("the job id `{}` is taken", new.id);
                return Err(StoreError::Unusable(cause.into()).into());
            }
        }
        Ok(())
    }

    /// Whether the job waited.
    fn cancel(&mut self, id: MailJobId, now: Timestamp) -> bool {
        let job = self.jobs.get(&id).map(|row| row.job.clone());
        let Some(Ok(cancelled)) = job.map(|job| life::cancelled(job, now)) else { return false };
        self.change(id, |_| cancelled);
        true
    }
}

impl Records {
    fn get(&self, kind: RecordKind, id: &str) -> Record {
        self.all[&RecordKey::new(kind, id)].clone()
    }

    fn due_behind(
        &self,
        kind: RecordKind,
        after: Option<&DuePlace>,
    ) -> impl Iterator<Item = &(RecordKind, Timestamp, String)> {
        let start = match after {
            Some(place) => Bound::Excluded((kind, place.due_at, place.id.clone())),
            None => Bound::Included((kind, Timestamp::MIN, String::new())),
        };
        self.due.range((start, Bound::Unbounded)).take_while(move |(k, _, _)| *k == kind)
    }

    fn check(&self, writes: &[Write]) -> Result<(), CommitError> {
        for write in writes {
            let present = self.all.get(write.key()).map(|record| record.version);
            if !write.expected().fits(present) {
                return Err(CommitError::Conflict { key: write.key().clone(), present });
            }
        }
        Ok(())
    }

    fn write(&mut self, write: Write, now: Timestamp) {
        match write {
            Write::Put { key, owner, due_at, content, expected: _ } => {
                let before = self.remove(&key).map_or(0, |record| record.version);
                let due_at = due_at.map(whole_us);
                self.owned.extend(owner.iter().map(|o| (key.kind, o.clone(), key.id.clone())));
                self.due.extend(due_at.map(|due_at| (key.kind, due_at, key.id.clone())));
                let version = before + 1;
                let key_of_record = key.clone();
                let record =
                    Record { key: key_of_record, version, owner, due_at, updated_at: now, content };
                self.all.insert(key, record);
            }
            Write::Delete { key, expected: _ } => drop(self.remove(&key)),
            Write::Require { .. } => {}
        }
    }

    fn remove(&mut self, key: &RecordKey) -> Option<Record> {
        let record = self.all.remove(key)?;
        if let Some(owner) = &record.owner {
            self.owned.remove(&(key.kind, owner.clone(), key.id.clone()));
        }
        if let Some(due_at) = record.due_at {
            self.due.remove(&(key.kind, due_at, key.id.clone()));
        }
        Some(record)
    }
}

fn not_committed(error: SubmitError) -> CommitError {
    match error {
        SubmitError::RequestIdReused { existing } => CommitError::RequestIdReused { existing },
        SubmitError::Store(error) => error.into(),
    }
}
