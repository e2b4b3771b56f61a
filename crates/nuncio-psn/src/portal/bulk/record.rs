//! How bulks are written down: one record for the bulk, one for each of its guests.

use jiff::Timestamp;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Expected, Record, RecordKey, RecordKind, RecordQuery, RecordStore, Write,
};
use serde::{Deserialize, Serialize};

use crate::portal::notice::ToldMail;
use crate::portal::service::to_json;

/// One record for each bulk.
pub(crate) const BULK: RecordKind = RecordKind("portal-bulk");
/// One record for each guest of a bulk; the bulk is its owner.
pub(crate) const BULK_GUEST: RecordKind = RecordKind("portal-bulk-guest");
/// The most guests of a bulk.
pub(crate) const GUESTS_MAX: usize = 1000;
/// How long a bulk is kept.
pub(crate) const KEPT: std::time::Duration = std::time::Duration::from_hours(30 * 24);

/// A bulk.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct BulkV1 {
    /// The name of the event.
    pub(crate) event: String,
    pub(crate) total: usize,
    pub(crate) created_at: Timestamp,
    /// When the summary is made at the latest.
    pub(crate) deadline: Timestamp,
    /// Whether all guests were accepted or refused; if not, the call broke off.
    pub(crate) is_complete: bool,
    /// The guests before this one need no more looking at.
    pub(crate) ended: usize,
    /// How often it was looked at.
    pub(crate) looks: u32,
    pub(crate) summary_to: Option<SummaryTo>,
    pub(crate) summary_job: Option<String>,
    pub(crate) is_over: bool,
    pub(crate) locale: String,
    pub(crate) portal: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SummaryTo {
    pub(crate) address: String,
    pub(crate) name: String,
}

/// A guest of a bulk.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct BulkGuestV1 {
    pub(crate) username: String,
    pub(crate) mails: Vec<ToldMail>,
    pub(crate) refusal: Option<RefusalV1>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RefusalV1 {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

pub(crate) fn bulk_key(id: &str) -> RecordKey {
    RecordKey::new(BULK, id)
}

/// In the order of the guests.
pub(crate) fn guest_key(id: &str, index: usize) -> RecordKey {
    RecordKey::new(BULK_GUEST, format!("{id}/{index:04}"))
}

pub(crate) fn put_bulk(id: &str, bulk: &BulkV1, expected: Expected, due_at: Timestamp) -> Write {
    let (key, due_at, content) = (bulk_key(id), Some(due_at), to_json(bulk));
    Write::Put { key, expected, owner: None, due_at, content }
}

pub(crate) fn put_guest(id: &str, index: usize, guest: &BulkGuestV1) -> Write {
    let (key, owner, content) = (guest_key(id, index), Some(id.to_owned()), to_json(guest));
    Write::Put { key, expected: Expected::Absent, owner, due_at: None, content }
}

pub(crate) async fn find(
    records: &dyn RecordStore,
    id: &str,
) -> Result<Option<(i64, BulkV1)>, StoreError> {
    let found = records.read(&[bulk_key(id)]).await?.into_iter().flatten().next();
    Ok(found.and_then(|record| Some((record.version, decode(&record)?))))
}

/// The guests of a bulk from the place `from` on, with their places.
pub(crate) async fn guests(
    records: &dyn RecordStore,
    id: &str,
    from: usize,
) -> Result<Vec<(usize, BulkGuestV1)>, StoreError> {
    let after = from.checked_sub(1).map(|before| guest_key(id, before).id);
    let limit = u32::try_from(GUESTS_MAX).expect("it is small");
    let query = RecordQuery { kind: BULK_GUEST, owner: Some(id.to_owned()), after, limit };
    let found = records.list_records(&query).await?;
    Ok(found.iter().filter_map(|record| Some((place(record)?, decode(record)?))).collect())
}

fn place(record: &Record) -> Option<usize> {
    record.key.id.rsplit_once('/')?.1.parse().ok()
}

pub(crate) fn decode<T: for<'de> Deserialize<'de>>(record: &Record) -> Option<T> {
    serde_json::from_str(&record.content).ok()
}
