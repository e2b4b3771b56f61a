//! The role MnT: takes alarms, and tells people without flooding them.
//!
//! What is decided stands in `nuncio_core::alarm`; here it is stored and done. `intake` takes events, many in one
//! transaction; `notifier` looks at the groups that are due and makes their mails; `late` sees what becomes of these.

pub mod mnt;

pub mod notice;

mod intake;
mod late;
mod mails;
mod muting;
mod notifier;
mod recipients;
mod records;
mod rounds;
mod rules;

mod errors;
mod service;

#[cfg(test)]
mod tests;
