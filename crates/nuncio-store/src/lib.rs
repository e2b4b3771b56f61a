//! nuncio-store
