//! The role over a store in memory, in virtual time: who is told what, and when.

mod cuts;
mod late;
mod making;
mod pipeline;
mod sandbox;
mod service;
mod storm;
