//! nuncio-oauth
