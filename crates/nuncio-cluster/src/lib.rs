//! nuncio-cluster
