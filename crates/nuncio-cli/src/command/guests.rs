//! `nuncio guests`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use nuncio_api::v1;
use nuncio_api::v1::{Guest, GuestState};

use crate::command::people::delete::{self, DeleteArgs};
use crate::command::people::{self, Save, export, import};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::input::parse_pair;
use crate::names;
use crate::rows::columns::full_name;
use crate::run::Context;
use crate::time::{now, parse_moment};

/// What a file may have, for `--help`.
const FILE_HELP: &str = "\
The file is CSV in UTF-8 with a head (RFC 4180); `;` and tabulators separate cells too. Its columns:
  id (else `username` is taken), username, first_name, last_name, company, mobile_number, email,
  guest_type, sponsor_name, sponsor_email, location, time_zone, language, person_visited,
  reason_for_visit, ssid, state, state_reason, has_logged_in, valid_from_time, valid_to_time,
  is_password_own
Only the columns that are there are changed; an empty cell empties its field. Times are such as
`2027-03-15T08:00:00+01:00`; without an offset they are local times of the row's `time_zone`, or of
`--time-zone`. States: PENDING_APPROVAL CREATED ACTIVE SUSPENDED EXPIRED DENIED. Passwords are never
kept: a column of them is refused.";

#[derive(Subcommand)]
pub enum GuestsCommand {
    /// List guests in the order of their ids
    #[command(after_long_help = exit::HELP)]
    List {
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a guest
    #[command(after_long_help = exit::HELP)]
    Get {
        /// The id, or `guests/{id}`
        id: String,
    },
    /// Change fields of a guest, or make one
    #[command(after_long_help = exit::HELP)]
    Save(SaveArgs),
    /// Remove a guest, or those of a file; repeated it changes nothing
    #[command(after_long_help = exit::HELP)]
    Delete(DeleteArgs),
    /// Let a guest in who waits for approval
    #[command(after_long_help = exit::HELP)]
    Approve(NameArgs),
    /// Turn a guest away who waits for approval
    #[command(after_long_help = exit::HELP)]
    Deny {
        #[command(flatten)]
        name: NameArgs,
        /// Why
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Note the first login of a guest
    #[command(after_long_help = exit::HELP)]
    Activate(NameArgs),
    /// Shut a guest out
    #[command(after_long_help = exit::HELP)]
    Suspend {
        #[command(flatten)]
        name: NameArgs,
        /// Why
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// End the suspension of a guest
    #[command(after_long_help = exit::HELP)]
    Reinstate(NameArgs),
    /// Move the end of a guest's access further away
    #[command(after_long_help = exit::HELP)]
    Extend {
        #[command(flatten)]
        name: NameArgs,
        /// The new end: `2027-03-15T08:00:00Z`, or `+7d` from now
        #[arg(long, value_parser = |text: &str| parse_moment(text, now()), value_name = "TIME")]
        until: prost_types::Timestamp,
    },
    /// Make and change guests from a file; repeated it changes nothing
    #[command(after_help = FILE_HELP, after_long_help = FILE_HELP)]
    Import(ImportArgs),
    /// Write guests as a file that `import` reads
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
    /// Only guests in this state; may be given several times
    #[arg(long = "state", value_parser = names::guest_state_parser(), ignore_case = true)]
    states: Vec<GuestState>,
    /// Only guests of this type
    #[arg(long = "type", default_value = "", hide_default_value = true)]
    guest_type: String,
    /// Only guests of the sponsor with this address
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ADDRESS")]
    sponsor: String,
    /// Only guests of this place
    #[arg(long, default_value = "", hide_default_value = true)]
    location: String,
    /// Only guests whose access ends before then: `2027-03-15T08:00:00Z`, or `+7d` from now
    #[arg(long, value_parser = |text: &str| parse_moment(text, now()), value_name = "TIME")]
    expiring_before: Option<prost_types::Timestamp>,
    /// Only guests with this text in their id, user name, names, company or address
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
}

/// Which part of a list is asked for.
#[derive(Args)]
pub struct PageArgs {
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1000), value_name = "N")]
    pub(crate) limit: i32,
    /// The next page, as the page before told it
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TOKEN")]
    pub(crate) page_token: String,
}

/// Who is meant.
#[derive(Args)]
pub struct NameArgs {
    /// The id, or the whole name
    pub(crate) id: String,
    /// Only if nobody made a change since this etag was told
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) etag: String,
}

/// What is to be saved.
#[derive(Args)]
pub struct SaveArgs {
    #[command(flatten)]
    name: NameArgs,
    /// Fields and their values, as in the columns of an import: `email=erika@example.com`
    #[arg(value_parser = parse_pair, value_name = "FIELD=VALUE")]
    fields: Vec<(String, String)>,
    /// Fail if there is none, in place of making one
    #[arg(long)]
    must_exist: bool,
    /// Only check; nothing is stored
    #[arg(long)]
    validate_only: bool,
}

/// What is to be imported.
#[derive(Args)]
pub struct ImportArgs {
    /// The file, or `-` for the standard input
    file: PathBuf,
    /// Write the rows that were rejected to this file, to be corrected and imported again
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
    /// The time zone of times without an offset, for rows without a `time_zone`
    #[arg(long, value_parser = parse_time_zone, value_name = "NAME")]
    time_zone: Option<TimeZone>,
    /// Only check; nothing is stored
    #[arg(long)]
    validate_only: bool,
}

impl From<SaveArgs> for Save {
    fn from(args: SaveArgs) -> Self {
        let SaveArgs { name: NameArgs { id, etag }, fields, must_exist, validate_only } = args;
        Self { id, fields, etag, must_exist, validate_only }
    }
}

impl From<ImportArgs> for import::Import {
    fn from(ImportArgs { file, rejected, time_zone, validate_only }: ImportArgs) -> Self {
        Self { file, rejected, time_zone, validate_only }
    }
}

fn parse_time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .map_err(|_| "is no time zone; give a name of IANA such as `Europe/Berlin`".to_owned())
}

impl From<FilterArgs> for v1::ListGuestsRequest {
    fn from(args: FilterArgs) -> Self {
        Self {
            states: args.states.into_iter().map(i32::from).collect(),
            guest_type: args.guest_type,
            sponsor_email: args.sponsor,
            location: args.location,
            valid_to_before_time: args.expiring_before,
            text: args.text,
            page_size: 0,
            page_token: String::new(),
        }
    }
}

pub(crate) async fn run(
    context: &mut Context<'_>,
    command: GuestsCommand,
) -> Result<Exit, Failure> {
    let action = match command {
        GuestsCommand::List { filter, page } => {
            let PageArgs { limit, page_token } = page;
            return people::list::<Guest>(context, filter.into(), limit, page_token).await;
        }
        GuestsCommand::Get { id } => return people::get::<Guest>(context, &id).await,
        GuestsCommand::Save(args) => return people::save::<Guest>(context, args.into()).await,
        GuestsCommand::Delete(args) => return delete::run::<Guest>(context, args).await,
        GuestsCommand::Import(args) => return import::run::<Guest>(context, args.into()).await,
        GuestsCommand::Export { filter, to } => {
            return export::run::<Guest>(context, filter.into(), to).await;
        }
        GuestsCommand::Approve(name) => (name, Action::Approve),
        GuestsCommand::Deny { name, reason } => (name, Action::Deny { reason }),
        GuestsCommand::Activate(name) => (name, Action::Activate),
        GuestsCommand::Suspend { name, reason } => (name, Action::Suspend { reason }),
        GuestsCommand::Reinstate(name) => (name, Action::Reinstate),
        GuestsCommand::Extend { name, until } => (name, Action::Extend { until }),
    };
    let (NameArgs { id, etag }, action) = action;
    act(context, full_name::<Guest>(&id), etag, action).await
}

/// What is done with a guest.
enum Action {
    Approve,
    Deny { reason: String },
    Activate,
    Suspend { reason: String },
    Reinstate,
    Extend { until: prost_types::Timestamp },
}

async fn act(
    context: &mut Context<'_>,
    name: String,
    etag: String,
    action: Action,
) -> Result<Exit, Failure> {
    let mut directory = context.connect().await?.directory;
    let guest = match action {
        Action::Approve => {
            let request = v1::ApproveGuestRequest { name, etag };
            directory.approve_guest(request).await?.into_inner().guest
        }
        Action::Deny { reason } => {
            let request = v1::DenyGuestRequest { name, etag, reason };
            directory.deny_guest(request).await?.into_inner().guest
        }
        Action::Activate => {
            let request = v1::ActivateGuestRequest { name, etag };
            directory.activate_guest(request).await?.into_inner().guest
        }
        Action::Suspend { reason } => {
            let request = v1::SuspendGuestRequest { name, etag, reason };
            directory.suspend_guest(request).await?.into_inner().guest
        }
        Action::Reinstate => {
            let request = v1::ReinstateGuestRequest { name, etag };
            directory.reinstate_guest(request).await?.into_inner().guest
        }
        Action::Extend { until } => {
            let request = v1::ExtendGuestRequest { name, etag, valid_to_time: Some(until) };
            directory.extend_guest(request).await?.into_inner().guest
        }
    };
    people::tell(context, guest)
}
