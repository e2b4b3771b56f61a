//! nuncio-pan
