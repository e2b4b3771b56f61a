//! The client part of the program `nuncio`: commands that talk to a node over the API, as any client does.

pub mod command;
pub mod exit;
pub mod globals;
pub mod run;

pub mod environment;
pub mod names;
pub mod output;

mod credentials;
mod failure;
mod input;
mod rows;
mod time;
mod view;
