use super::*;

nuncio_core::job_store_conformance!(async {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteJobStore::open(&folder.path().join("jobs.db")).await.unwrap();
    (store, folder)
});
