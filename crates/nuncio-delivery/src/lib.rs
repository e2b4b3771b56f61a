//! The path of a mail: accept, store, dispatch, send, settle. All roles use it; none owns it.

pub mod guest_mail;
pub mod intake;
pub mod senders;

pub mod channel;
pub mod observer;

pub mod delivery;

mod alarms;
mod attempt;
mod avoided;
mod budget;
mod dispatcher;
mod history;
mod housekeeping;
mod mailboxes;
mod reach;

#[cfg(test)]
mod tests;
