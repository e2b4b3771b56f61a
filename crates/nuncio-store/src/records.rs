//! What every engine asks of a changeset before it looks at the store.

use std::collections::HashSet;

use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    CHANGES_MAX, Changeset, RECORD_CONTENT_BYTES_MAX, RECORD_ID_BYTES_MAX, RecordKey, Write,
};

/// A changeset that no store takes: its maker has a fault.
#[derive(Debug, thiserror::Error)]
enum MalformedError {
    #[error("a changeset holds {count} {what}, and at most {CHANGES_MAX} are taken")]
    TooMany { what: &'static str, count: usize },
    #[error("{} `{}` stands in more than one write of a changeset", key.kind.0, key.id)]
    Twice { key: RecordKey },
    #[error("the id of a {} has {bytes} bytes: 1 to {RECORD_ID_BYTES_MAX} are taken", key.kind.0)]
    Id { key: RecordKey, bytes: usize },
    #[error("the owner of {} `{}` has more than {RECORD_ID_BYTES_MAX} bytes", key.kind.0, key.id)]
    Owner { key: RecordKey },
    #[error(
        "the content of {} `{}` has {bytes} bytes: at most {RECORD_CONTENT_BYTES_MAX} are taken",
        key.kind.0, key.id
    )]
    Content { key: RecordKey, bytes: usize },
    #[error("{} `{}` has a NUL in its id, owner or content", key.kind.0, key.id)]
    Nul { key: RecordKey },
}

/// Refuses a changeset that breaks the limits of the port.
pub(crate) fn check(changes: &Changeset) -> Result<(), StoreError> {
    check_all(changes).map_err(|error| StoreError::Unusable(Box::new(error)))
}

fn check_all(changes: &Changeset) -> Result<(), MalformedError> {
    let Changeset { writes, jobs, cancel, now: _, is_quiet: _ } = changes;
    for (what, count) in
        [("writes", writes.len()), ("jobs", jobs.len()), ("cancellations", cancel.len())]
    {
        if CHANGES_MAX < count {
            return Err(MalformedError::TooMany { what, count });
        }
    }
    let mut seen = HashSet::with_capacity(writes.len());
    for write in writes {
        let key = write.key();
        if !seen.insert(key) {
            return Err(MalformedError::Twice { key: key.clone() });
        }
        check_one(write)?;
    }
    Ok(())
}

fn check_one(write: &Write) -> Result<(), MalformedError> {
    let key = write.key();
    let bytes = key.id.len();
    if !(1..=RECORD_ID_BYTES_MAX).contains(&bytes) {
        return Err(MalformedError::Id { key: key.clone(), bytes });
    }
    let (owner, content) = match write {
        Write::Put { owner, content, .. } => (owner.as_deref().unwrap_or_default(), &**content),
        Write::Delete { .. } | Write::Require { .. } => ("", ""),
    };
    if RECORD_ID_BYTES_MAX < owner.len() {
        return Err(MalformedError::Owner { key: key.clone() });
    }
    if RECORD_CONTENT_BYTES_MAX < content.len() {
        return Err(MalformedError::Content { key: key.clone(), bytes: content.len() });
    }
    // PostgreSQL cannot hold it, and JSON has it escaped.
    if [&key.id, owner, content].iter().any(|text| text.contains('\0')) {
        return Err(MalformedError::Nul { key: key.clone() });
    }
    Ok(())
}
