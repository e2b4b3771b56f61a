//! Options that every client command has.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::time::parse_duration;

/// Options that every client command has.
#[derive(Args, Clone, Debug)]
pub struct Globals {
    /// The gRPC address of a node: `https://…` where it has a certificate
    #[arg(
        long,
        global = true,
        env = "NUNCIO_SERVER",
        default_value = "http://127.0.0.1:7587",
        value_name = "URL",
        help_heading = "Client options"
    )]
    pub server: String,
    /// Certificate authorities in PEM that sign the nodes' certificates, and no others
    /// [default: those of the system]
    #[arg(
        long,
        global = true,
        env = "NUNCIO_SERVER_CA_FILE",
        value_name = "FILE",
        help_heading = "Client options"
    )]
    pub server_ca_file: Option<PathBuf>,
    /// Client certificate in PEM, for a node that asks who calls
    #[arg(
        long,
        global = true,
        env = "NUNCIO_CERT_FILE",
        value_name = "FILE",
        help_heading = "Client options"
    )]
    pub cert_file: Option<PathBuf>,
    /// Private key of the client certificate in PEM, without a passphrase
    #[arg(
        long,
        global = true,
        env = "NUNCIO_KEY_FILE",
        value_name = "FILE",
        help_heading = "Client options"
    )]
    pub key_file: Option<PathBuf>,
    /// File with an API token, for a node that asks who calls
    #[arg(
        long,
        global = true,
        env = "NUNCIO_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Client options"
    )]
    pub token_file: Option<PathBuf>,
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

impl Globals {
    /// The same for a node of this program's own, which asks nobody who calls.
    #[must_use]
    pub fn of_own_node(&self, server: String) -> Self {
        Self {
            server,
            server_ca_file: None,
            cert_file: None,
            key_file: None,
            token_file: None,
            ..self.clone()
        }
    }
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
