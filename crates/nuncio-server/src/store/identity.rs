//! What a store is known by: an id that it is given once and keeps, wherever its database is moved or restored.

use jiff::Timestamp;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{
    Changeset, CommitError, Expected, RecordKey, RecordKind, RecordStore, Write,
};

const STORE: RecordKind = RecordKind("store");
/// The only record of its kind.
const ID: &str = "id";

/// The id of the store; it becomes `new` if it has none yet.
pub(crate) async fn identity(
    records: &dyn RecordStore,
    new: String,
    now: Timestamp,
) -> Result<String, StoreError> {
    let key = RecordKey::new(STORE, ID.to_owned());
    let known = async || -> Result<Option<String>, StoreError> {
        let found = records.read(std::slice::from_ref(&key)).await?;
        Ok(found.into_iter().flatten().next().map(|record| record.content))
    };
    if let Some(id) = known().await? {
        return Ok(id);
    }
    let put = Write::Put {
        key: key.clone(),
        expected: Expected::Absent,
        owner: None,
        due_at: None,
        content: new.clone(),
    };
    let changes = Changeset { writes: vec![put], is_quiet: true, ..Changeset::new(now) };
    match records.commit(changes).await {
        Ok(_) => Ok(new),
        // Another node was faster.
        Err(CommitError::Conflict { .. }) => Ok(known().await?.unwrap_or(new)),
        Err(CommitError::Store(error)) => Err(error),
        Err(error @ CommitError::RequestIdReused { .. }) => {
            Err(StoreError::Unusable(Box::new(error)))
        }
    }
}

#[cfg(test)]
mod tests {
    use nuncio_store::memory::MemoryJobStore;

    use super::*;

    #[tokio::test]
    async fn a_store_keeps_the_first_id_that_it_is_given() {
        let store = MemoryJobStore::default();
        for new in ["one", "two"] {
            let id = identity(&store, new.to_owned(), Timestamp::UNIX_EPOCH).await.unwrap();
            assert_eq!(id, "one");
        }
    }
}
