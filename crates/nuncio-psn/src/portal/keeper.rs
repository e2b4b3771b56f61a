//! Looks after what is due: approvals that end, credentials of guests who were approved in the directory, summaries, and old records.

use std::time::Duration;

use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, CommitError, DuePlace, Expected, Record, RecordKind, Write,
};
use nuncio_directory::approvals::APPROVAL;
use nuncio_runtime::chain::Chain;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Portal;
use super::bulk::record::BULK;
use super::bulk::summary;
use super::requests::REQUEST;
use crate::approvals::act;

/// The kinds of records that come due.
const KINDS: [RecordKind; 3] = [APPROVAL, BULK, REQUEST];
/// How many due records are read at once.
const CHUNK: u32 = 100;
/// How long it sleeps at most, so that a wake-up that is lost or a clock that is set costs no more.
const SLEEP_MAX: Duration = Duration::from_secs(10);
/// How long it sleeps at least: a record that cannot be settled must not keep the node busy.
const SLEEP_MIN: Duration = Duration::from_millis(200);

/// Does what is due until `stop` is cancelled. Several nodes may do so: each step is checked by its version.
pub(crate) async fn run(portal: Portal, stop: CancellationToken) {
    let mut changed = portal.records().records_changed();
    while !stop.is_cancelled() {
        changed.borrow_and_update();
        let pause = match work(&portal).await {
            Ok(pause) => pause,
            Err(error) => {
                warn!("portal records not looked after: {}", Chain(&error));
                SLEEP_MAX
            }
        };
        let sleeping = async {
            sleep(SLEEP_MIN).await;
            tokio::select! {
                () = sleep(pause.saturating_sub(SLEEP_MIN)) => {}
                Ok(()) = changed.changed() => {}
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleeping => {}
        }
    }
}

/// Does what is due now; tells how long there is nothing else to do.
pub(crate) async fn work(portal: &Portal) -> Result<Duration, StoreError> {
    let mut pause = SLEEP_MAX;
    for kind in KINDS {
        let mut after = None;
        loop {
            let now = portal.now();
            let due = portal.records().due_records(kind, now, after.as_ref(), CHUNK).await?;
            let Some(last) = due.last() else { break };
            after = last.due_at.map(|due_at| DuePlace { due_at, id: last.key.id.clone() });
            for record in &due {
                match look(portal, record).await {
                    // Somebody else was faster.
                    Ok(()) | Err(CommitError::Conflict { .. }) => {}
                    Err(CommitError::Store(error)) => return Err(error),
                    Err(error @ CommitError::RequestIdReused { .. }) => {
                        warn!("a due record was not settled: {}", Chain(&error));
                    }
                }
            }
            if after.is_none() {
                break;
            }
        }
        if let Some(next) = portal.records().next_due_record(kind).await? {
            let until = Duration::try_from(next.duration_since(portal.now()));
            pause = pause.min(until.unwrap_or_default());
        }
    }
    Ok(pause)
}

async fn look(portal: &Portal, record: &Record) -> Result<(), CommitError> {
    if record.key.kind == APPROVAL {
        act::look(portal, record).await
    } else if record.key.kind == BULK {
        summary::look(portal, record).await
    } else {
        let mut changes = Changeset::new(portal.now());
        let expected = Expected::Version(record.version);
        changes.writes.push(Write::Delete { key: record.key.clone(), expected });
        portal.commit(changes).await
    }
}
