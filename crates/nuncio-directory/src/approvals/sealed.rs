//! The passwords that wait in requests for approval, and the keys that have sealed them.

use jiff::Timestamp;
use nuncio_core::portal::approval::{Approval, ApprovalId, WaitingCredentials};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, Record, RecordQuery, RecordStore, Write,
};
use nuncio_core::ports::sealer::{Sealer, Sealers, UnsealError};

use crate::approvals::{APPROVAL, Stored, content, decode};

/// How many records are looked at at once.
const PAGE: u32 = 200;

/// What the password of a request is sealed for.
pub fn password_context(id: ApprovalId) -> Vec<u8> {
    format!("password of {id}").into_bytes()
}

/// How many passwords are sealed by this key. The cost grows with the requests of the last weeks.
pub async fn count(
    records: &dyn RecordStore,
    sealer: &dyn Sealer,
    key_id: &str,
) -> Result<u64, StoreError> {
    let (mark, mut count, mut after) = (sealer.mark(key_id), 0, None);
    while let Some(page) = page(records, &mut after).await? {
        let passwords = page.iter().filter_map(decode).filter_map(|one| one.approval.credentials);
        count += passwords.filter(|one| one.sealed_password.starts_with(&mark)).count() as u64;
    }
    Ok(count)
}

/// Seals every password by the key that seals now, where another one has sealed it, and tells how many. A request that somebody
/// else changes meanwhile, or whose password cannot be opened, is left as it is.
pub async fn reseal(
    records: &dyn RecordStore,
    keys: &dyn Sealers,
    now: Timestamp,
) -> Result<u64, CommitError> {
    let (mut count, mut after) = (0, None);
    while let Some(page) = page(records, &mut after).await? {
        for record in page {
            // Until it is stored.
            let sealer = keys.current();
            let Some(write) = resealed(&record, &*sealer) else { continue };
            let mut changes = Changeset { is_quiet: true, ..Changeset::new(now) };
            changes.writes.push(write);
            match records.commit(changes).await {
                Ok(_) => count += 1,
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(count)
}

/// The record with its password under the present key; nothing if there is none to change.
fn resealed(record: &Record, sealer: &dyn Sealer) -> Option<Write> {
    let Stored { approval, version } = decode(record)?;
    let credentials = approval.credentials?;
    if credentials.sealed_password.starts_with(&sealer.mark(sealer.key_id())) {
        return None;
    }
    let context = password_context(approval.id);
    let clear: Result<_, UnsealError> = sealer.open(&context, &credentials.sealed_password);
    let sealed_password = sealer.seal(&context, &clear.ok()?);
    let credentials = Some(WaitingCredentials { sealed_password, ..credentials });
    Some(Write::Put {
        key: record.key.clone(),
        expected: Expected::Version(version),
        owner: record.owner.clone(),
        due_at: record.due_at,
        content: content(&Approval { credentials, ..approval }),
    })
}

async fn page(
    records: &dyn RecordStore,
    after: &mut Option<String>,
) -> Result<Option<Vec<Record>>, StoreError> {
    let query = RecordQuery { kind: APPROVAL, owner: None, after: after.clone(), limit: PAGE };
    let page = records.list_records(&query).await?;
    let Some(last) = page.last() else { return Ok(None) };
    *after = Some(last.key.id.clone());
    Ok(Some(page))
}

#[cfg(test)]
mod tests;
