//! The commands, as the command line tells them.

use clap::Subcommand;
use clap_complete::Shell;

use crate::exit;

pub(crate) mod alarms;
pub(crate) mod callers;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod guests;
pub(crate) mod jobs;
pub mod keys;
pub(crate) mod log_levels;
pub(crate) mod nodes;
pub(crate) mod people;
pub(crate) mod portal;
pub(crate) mod reminders;
pub(crate) mod send;
pub(crate) mod settings;
pub(crate) mod templates;
pub(crate) mod users;

/// The commands that talk to a node. The program flattens them into its own.
#[derive(Subcommand)]
pub enum ClientCommand {
    /// Hand in a mail job
    #[command(after_long_help = exit::HELP)]
    Send(Box<send::SendArgs>),
    /// Look at mail jobs, watch and cancel them
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// Keep the directory of guests
    #[command(subcommand)]
    Guests(Box<guests::GuestsCommand>),
    /// Keep the directory of internal users
    #[command(subcommand)]
    Users(Box<users::UsersCommand>),
    /// Raise alarms, look at them, silence them, and say who is told
    #[command(subcommand)]
    Alarms(alarms::AlarmsCommand),
    /// Say who may call, and what each caller may do
    #[command(subcommand)]
    Callers(callers::CallersCommand),
    /// Look at the keys of the nodes, and rotate them. The program adds commands for the key file, and parses them together.
    #[command(skip)]
    Keys(keys::KeysCommand),
    /// Look at the settings, test and save them
    #[command(subcommand)]
    Settings(settings::SettingsCommand),
    /// Tell guests, sponsors and approvers what happens
    #[command(subcommand)]
    Portal(portal::PortalCommand),
    /// Say when who is reminded of what expires, and see beforehand who would get what
    #[command(subcommand)]
    Reminders(reminders::RemindersCommand),
    /// Look at what mails say, change it, and try it
    #[command(subcommand)]
    Templates(templates::TemplatesCommand),
    /// Have components log more or less for a while
    #[command(subcommand)]
    LogLevels(log_levels::LogLevelsCommand),
    /// Find out what keeps mail from going out
    #[command(after_long_help = exit::HELP)]
    Doctor(doctor::DoctorArgs),
    /// List the nodes that share a store, and how they are
    #[command(after_long_help = exit::HELP)]
    Nodes,
    /// Print the completions of a shell
    Completions {
        /// For which shell
        shell: Shell,
    },
}

#[cfg(test)]
mod tests;
