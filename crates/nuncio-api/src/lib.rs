//! nuncio-api
