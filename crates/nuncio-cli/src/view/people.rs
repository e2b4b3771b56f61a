//! Guests and users for people.

use nuncio_api::v1::{Guest, GuestState, User};

use crate::names;
use crate::output::{Cell, Table};
use crate::rows::columns::{Columns, ID};
use crate::time::moment;

/// A list of guests, one on a line.
pub(crate) fn guests(guests: &[Guest]) -> Table {
    let mut table = Table::with_head([
        "ID",
        "STATE",
        "TYPE",
        "FIRST NAME",
        "LAST NAME",
        "EMAIL",
        "SPONSOR",
        "LOCATION",
        "VALID TO",
    ]);
    for guest in guests {
        table.row([
            Cell::from(guest.id()),
            state_cell(guest.state()),
            Cell::from(&guest.guest_type),
            Cell::from(&guest.first_name),
            Cell::from(&guest.last_name),
            Cell::from(&guest.email),
            Cell::from(&guest.sponsor_email),
            Cell::from(&guest.location),
            Cell::from(moment(guest.valid_to_time.as_ref())),
        ]);
    }
    table
}

/// A list of users, one on a line.
pub(crate) fn users(users: &[User]) -> Table {
    let mut table =
        Table::with_head(["ID", "KIND", "NAME", "EMAIL", "ENABLED", "ALARMS", "PASSWORD EXPIRES"]);
    for user in users {
        let expires = if user.password_never_expires {
            "never".to_owned()
        } else {
            moment(user.password_expire_time.as_ref())
        };
        table.row([
            Cell::from(user.id()),
            Cell::from(user.cell("kind")),
            Cell::from(&user.display_name),
            Cell::from(&user.email),
            Cell::from(if user.disabled { "no" } else { "yes" }),
            Cell::from(if user.include_system_alarms_in_emails { "yes" } else { "no" }),
            Cell::from(expires),
        ]);
    }
    table
}

/// All that is known of somebody.
pub(crate) fn one<P: Columns>(person: &P) -> Table {
    let mut table = Table::list();
    for column in [ID].into_iter().chain(P::COLUMNS.iter().copied()) {
        table.value(column, person.cell(column));
    }
    table
}

fn state_cell(state: GuestState) -> Cell {
    Cell::toned(names::guest_tone(state), names::guest_state(state))
}
