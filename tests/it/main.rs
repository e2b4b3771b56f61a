//! The tests of the product as a whole: a node, the API, and a provider, simulated or real.

mod bad_input;
mod faults;
mod journey;
mod kill;
mod real;
mod settings;
