//! Conversions between the messages of the API and the domain.
//!
//! What comes in may be wrong: such conversions note everything that is wrong as violations, with the
//! fields named as in the API, and go on. What goes out is always right, so it is plain `From`.

pub mod enums;
pub mod field_mask;
pub mod template;
pub mod time;

pub mod alarm;
pub mod alarm_event;
pub mod alarm_route;
pub mod alarm_type;
pub mod caller;
pub mod directory;
pub mod guest_mail;
pub mod job;
pub mod mail;
pub mod node;
pub mod portal;
pub mod reminder;
pub mod settings;
pub mod smtp_test;
pub mod trust_store;
