//! The suites that every implementation of a port passes.
