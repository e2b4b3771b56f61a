//! The options of `nuncio send`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nuncio_api::v1::{MailClass, Mailbox};

use crate::input::{parse_mailbox, parse_pair, parse_pair_file};
use crate::names;
use crate::time::{now, parse_duration, parse_moment};

/// The most jobs that one call hands in.
const COUNT_MAX: i64 = 1_000_000;

/// A mail job, as the command line tells it. Values may be secret, so there is no `Debug`.
#[derive(Args)]
pub struct SendArgs {
    /// A recipient: `guest@example.com` or `Erika Mustermann <guest@example.com>`; may be repeated
    #[arg(long, value_parser = parse_mailbox, value_name = "MAILBOX")]
    pub(super) to: Vec<Mailbox>,
    /// A recipient of a copy; may be repeated
    #[arg(long, value_parser = parse_mailbox, value_name = "MAILBOX")]
    pub(super) cc: Vec<Mailbox>,
    /// A recipient whom no header names; may be repeated
    #[arg(long, value_parser = parse_mailbox, value_name = "MAILBOX")]
    pub(super) bcc: Vec<Mailbox>,
    /// The sender, if it is not the mailbox of the SMTP settings
    #[arg(long, value_parser = parse_mailbox, value_name = "MAILBOX")]
    pub(super) from: Option<Mailbox>,
    /// Where answers go
    #[arg(long, value_parser = parse_mailbox, value_name = "MAILBOX")]
    pub(super) reply_to: Option<Mailbox>,

    /// The subject
    #[arg(long, conflicts_with = "template", help_heading = "Content")]
    pub(super) subject: Option<String>,
    /// The plain text
    #[arg(long, conflicts_with_all = ["template", "text_file"], help_heading = "Content")]
    pub(super) text: Option<String>,
    /// A file with the plain text; `-` is the standard input
    #[arg(long, conflicts_with = "template", value_name = "FILE", help_heading = "Content")]
    pub(super) text_file: Option<PathBuf>,
    /// A file with the HTML; `-` is the standard input
    #[arg(long, conflicts_with = "template", value_name = "FILE", help_heading = "Content")]
    pub(super) html_file: Option<PathBuf>,
    /// A file to attach: `map.pdf`, or `application/pdf=map.bin` with its media type; may be repeated
    #[arg(long, value_name = "[TYPE=]FILE", help_heading = "Content")]
    pub(super) attach: Vec<String>,
    /// A template that makes subject and bodies: `guest-credentials`
    #[arg(long, value_name = "NAME", help_heading = "Content")]
    pub(super) template: Option<String>,
    /// A value of a variable of the template; may be repeated
    #[arg(long = "var", value_parser = parse_pair, requires = "template", value_name = "NAME=VALUE", help_heading = "Content")]
    pub(super) vars: Vec<(String, String)>,
    /// The same, with the value in a file: a password would show in the list of processes
    #[arg(long = "var-file", value_parser = parse_pair_file, requires = "template", value_name = "NAME=FILE", help_heading = "Content")]
    pub(super) var_files: Vec<(String, PathBuf)>,
    /// The language of the template: `en`
    #[arg(long, requires = "template", value_name = "TAG", help_heading = "Content")]
    pub(super) locale: Option<String>,
    /// The portal whose own texts are preferred
    #[arg(long, requires = "template", value_name = "ID", help_heading = "Content")]
    pub(super) portal: Option<String>,

    /// What kind of mail it is; it sets the priority
    #[arg(long, value_parser = names::class_parser(), ignore_case = true, help_heading = "Job")]
    pub(super) class: Option<MailClass>,
    /// Makes the call safe to repeat: the same id with the same content is the same job
    #[arg(long, value_name = "ID", help_heading = "Job")]
    pub(super) request_id: Option<String>,
    /// Send it not before: `2027-03-15T08:00:00Z`, or `+10m` from now
    #[arg(long, value_parser = |text: &str| parse_moment(text, now()), value_name = "TIME", help_heading = "Job")]
    pub(super) not_before: Option<prost_types::Timestamp>,
    /// Give up if it has not been sent after: `2h`
    #[arg(long, value_parser = parse_duration, value_name = "DURATION", help_heading = "Job")]
    pub(super) ttl: Option<Duration>,
    /// A label to find the job by; may be repeated
    #[arg(long = "label", value_parser = parse_pair, value_name = "KEY=VALUE", help_heading = "Job")]
    pub(super) labels: Vec<(String, String)>,
    /// Only check the mail job; nothing is stored or sent
    #[arg(long, help_heading = "Job", conflicts_with = "wait")]
    pub(super) validate_only: bool,
    /// Hand in so many equal jobs
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=COUNT_MAX), value_name = "N", help_heading = "Job")]
    pub(super) count: u32,
    /// Wait until it has ended; the exit code tells how
    #[arg(long, help_heading = "Job")]
    pub(super) wait: bool,
}
