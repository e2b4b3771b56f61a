//! nuncio-cli
