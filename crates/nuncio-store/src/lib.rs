//! Stores of mail jobs: adapters of the port `JobStore`.
//!
//! `life` and `rows` say how a job changes and how it is written down, whatever the engine. Each engine
//! has a module: `memory` for tests, `sqlite` for a node with a disk of its own. All pass the same suite.

mod life;
mod rows;

pub mod memory;
pub mod sqlite;
