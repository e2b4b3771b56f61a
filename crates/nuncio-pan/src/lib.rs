//! The role PAN: settings, which are proved before they are saved, the directory of guests and users, and reminders
//! of what expires.

pub mod pan;
pub mod reminders;
pub mod secret_watch;
pub mod smtp_test;

mod directory;
mod errors;
mod paging;
mod proofs;
mod reminder_service;
mod service;

#[cfg(test)]
mod tests;
