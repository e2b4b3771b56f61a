//! Stores of mail jobs: adapters of the port `JobStore`.
//!
//! `life` and `rows` say how a job changes and how it is written down, `write` how many writes share a commit,
//! whatever the engine. Each engine has a module: `memory` for tests, `sqlite` for a node with a disk of its own,
//! `postgres` for nodes that share a database. All pass the same suite.

mod life;
mod records;
mod rows;
mod write;

pub mod memory;
pub mod postgres;
pub mod sqlite;
