//! Options that every client command has.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::time::parse_duration;

/// Options that every client command has.
#[derive(Args, Clone, Debug)]
pub struct Globals {
    /// The gRPC address of a node
    #[arg(
        long,
        global = true,
        env = "NUNCIO_SERVER",
        default_value = "http://127.0.0.1:7587",
        value_name = "URL",
        help_heading = "Client options"
    )]
    pub server: String,
    /// Tables for people, or JSON for programs
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = Format::Table,
        value_name = "FORMAT",
        help_heading = "Client options"
    )]
    pub output: Format,
    /// When to use colours; `auto` means on a terminal, unless `NO_COLOR` is set
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = Color::Auto,
        value_name = "WHEN",
        help_heading = "Client options"
    )]
    pub color: Color,
    /// How long to wait for a connection, and for each answer
    #[arg(
        long,
        global = true,
        default_value = "30s",
        value_parser = parse_duration,
        value_name = "DURATION",
        help_heading = "Client options"
    )]
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people; it may change with any version
    Table,
    /// For programs; fields are named as in the API's JSON mapping
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}
