//! The tests of the product as a whole: a node, the API, and a provider, simulated or real.

mod alarms;
mod bad_input;
mod bench;
mod budget;
mod clock;
mod database_away;
mod directions;
mod disk_full;
mod faults;
mod journey;
mod kill;
mod many_recipients;
mod portal;
mod postgres;
mod process;
mod python_client;
mod real;
mod roles;
mod routes;
mod secret_expiry;
mod secrets;
mod settings;
mod telemetry;
mod templates;
mod trust_store;
mod truth;
