//! nuncio-delivery
