//! Messages of the API as tables and lines for people.

pub(crate) mod alarm;
pub(crate) mod guest_mail;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod node;
pub(crate) mod people;
pub(crate) mod portal;
pub(crate) mod reminder;
pub(crate) mod route;
pub(crate) mod settings_change;
pub(crate) mod smtp_settings;
pub(crate) mod smtp_test;
pub(crate) mod template;
pub(crate) mod trust_store;
