//! What the domain needs from the world. Adapters implement these traits; roles get them as `Arc<dyn …>`.

pub mod alarms;
pub mod clock;
pub mod job_store;
pub mod mail;
pub mod records;
pub mod routes;
pub mod sealed;
pub mod sealer;
pub mod settings;
pub mod token;
pub mod trust;
