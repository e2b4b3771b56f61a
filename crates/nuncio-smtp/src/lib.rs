//! nuncio-smtp
