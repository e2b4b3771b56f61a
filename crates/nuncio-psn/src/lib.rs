//! nuncio-psn
