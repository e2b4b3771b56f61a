use super::*;

nuncio_core::job_store_conformance!(async { (MemoryJobStore::default(), ()) });
nuncio_core::record_store_conformance!(async { (MemoryJobStore::default(), ()) });
