//! The role PAN: settings, which are proved before they are saved, the directory of guests and users, and reminders
//! of what expires.

pub mod callers;
pub mod pan;
pub mod reminders;
pub mod secret_watch;
pub mod smtp_test;
pub mod trust_store;

mod directory;
mod errors;
mod every_node;
mod guest_mail_service;
mod paging;
mod proofs;
mod reminder_service;
mod service;
mod standing;

#[cfg(test)]
mod tests;
