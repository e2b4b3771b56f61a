//! `nuncio users`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nuncio_api::v1;
use nuncio_api::v1::{User, UserKind};

use crate::command::guests::{ImportArgs, PageArgs, SaveArgs};
use crate::command::people::delete::{self, DeleteArgs};
use crate::command::people::{self, export, import};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::names;
use crate::run::Context;
use crate::time::{now, parse_moment};

/// What a file may have, for `--help`.
const FILE_HELP: &str = "\
The file is CSV in UTF-8 with a head (RFC 4180); `;` and tabulators separate cells too. Its columns:
  id (else `username` is taken), username, kind, display_name, email, alias_email, language,
  time_zone, disabled, password_change_time, password_expire_time, password_never_expires,
  include_system_alarms_in_emails
Only the columns that are there are changed; an empty cell empties its field. Times are such as
`2027-03-15T08:00:00+01:00`; without an offset they are local times of the row's `time_zone`, or of
`--time-zone`. Kinds: ADMINISTRATOR NETWORK_USER. Passwords are never kept: a column of them is
refused.";

#[derive(Subcommand)]
pub enum UsersCommand {
    /// List internal users in the order of their ids
    #[command(after_long_help = exit::HELP)]
    List {
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show an internal user
    #[command(after_long_help = exit::HELP)]
    Get {
        /// The id, or `users/{id}`
        id: String,
    },
    /// Change fields of an internal user, or make one
    #[command(after_long_help = exit::HELP)]
    Save(SaveArgs),
    /// Remove an internal user, or those of a file; repeated it changes nothing
    #[command(after_long_help = exit::HELP)]
    Delete(DeleteArgs),
    /// Make and change internal users from a file; repeated it changes nothing
    #[command(after_help = FILE_HELP, after_long_help = FILE_HELP)]
    Import(ImportArgs),
    /// Write internal users as a file that `import` reads
    #[command(after_long_help = exit::HELP)]
    Export {
        #[command(flatten)]
        filter: FilterArgs,
        /// The file; without it they go to the standard output
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

#[derive(Args)]
pub struct FilterArgs {
    /// Only users of this kind; may be given several times
    #[arg(long = "kind", value_parser = names::user_kind_parser(), ignore_case = true)]
    kinds: Vec<UserKind>,
    /// Only users whose password expires before then: `2027-03-15T08:00:00Z`, or `+7d` from now
    #[arg(long, value_parser = |text: &str| parse_moment(text, now()), value_name = "TIME")]
    expiring_before: Option<prost_types::Timestamp>,
    /// Only users who get system alarms too
    #[arg(long)]
    system_alarms: bool,
    /// Only users with this text in their id, user name, name or addresses
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
}

impl From<FilterArgs> for v1::ListUsersRequest {
    fn from(args: FilterArgs) -> Self {
        Self {
            kinds: args.kinds.into_iter().map(i32::from).collect(),
            password_expire_before_time: args.expiring_before,
            include_system_alarms_in_emails: args.system_alarms,
            text: args.text,
            page_size: 0,
            page_token: String::new(),
        }
    }
}

pub(crate) async fn run(context: &mut Context<'_>, command: UsersCommand) -> Result<Exit, Failure> {
    match command {
        UsersCommand::List { filter, page: PageArgs { limit, page_token } } => {
            people::list::<User>(context, filter.into(), limit, page_token).await
        }
        UsersCommand::Get { id } => people::get::<User>(context, &id).await,
        UsersCommand::Save(args) => people::save::<User>(context, args.into()).await,
        UsersCommand::Delete(args) => delete::run::<User>(context, args).await,
        UsersCommand::Import(args) => import::run::<User>(context, args.into()).await,
        UsersCommand::Export { filter, to } => {
            export::run::<User>(context, filter.into(), to).await
        }
    }
}
