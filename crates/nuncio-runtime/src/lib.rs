//! nuncio-runtime
