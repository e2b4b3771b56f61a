//! The role MnT: takes alarms, and tells people without flooding them.

pub mod mnt;

mod service;
