//! Stores of mail jobs: adapters of the port `JobStore`.

mod life;

pub mod memory;
