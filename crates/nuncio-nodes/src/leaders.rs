//! Who leads what, for people.

use jiff::Timestamp;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{RecordQuery, RecordStore};

use crate::lease::{Duty, LEASE, Lease};

/// How many leases are told at most: three roles and some mailboxes.
const LEADERS_MAX: u32 = 200;

/// Who leads something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    pub duty: Duty,
    /// The name of the node.
    pub node: String,
    /// The life of the node.
    pub incarnation: String,
    pub since: Timestamp,
}

/// Those who lead now, in the order of what they lead. Of a store with one node nothing is known: it leads all.
pub async fn leaders(records: &dyn RecordStore, now: Timestamp) -> Result<Vec<Leader>, StoreError> {
    let query = RecordQuery { kind: LEASE, owner: None, after: None, limit: LEADERS_MAX };
    let found = records.list_records(&query).await?;
    let leader = found.iter().filter_map(|record| {
        let lease = Lease::read(record).filter(|lease| now < lease.until)?;
        let duty = Duty::from_name(&record.key.id)?;
        let Lease { holder, node, acquire_time, until: _ } = lease;
        Some(Leader { duty, node, incarnation: holder, since: acquire_time })
    });
    Ok(leader.collect())
}
