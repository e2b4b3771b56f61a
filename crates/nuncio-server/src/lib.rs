//! nuncio-server
