//! What long-running parts of nuncio need: supervision, clocks, retry, traces.

pub mod chain;
pub mod clock;
pub mod progress;
pub mod retry;
pub mod tasks;
pub mod trace;
