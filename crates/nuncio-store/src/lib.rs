//! Stores of mail jobs and of records: adapters of the ports `JobStore` and `RecordStore`.
//!
//! `life` and `rows` say how a job changes and how it is written down, `records` what changesets are taken, `seal` how mails are encrypted,
//! `write` how many writes share a commit, `ports` what is asked of both databases, whatever the engine. Each engine has a module: `memory` for tests, `sqlite` for a node with a disk of its own,
//! `postgres` for nodes that share a database. All pass the same suite.

mod backlog;
mod life;
mod ports;
mod records;
mod rows;
mod seal;
mod write;

pub mod memory;
pub mod postgres;
pub mod sqlite;

pub use seal::KeyError;
