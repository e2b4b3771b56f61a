//! The columns of a file and the fields of guests and users, which have the same names.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use nuncio_api::v1::{Guest, GuestState, User, UserKind};

/// The column of the last part of the name.
pub(crate) const ID: &str = "id";

/// Somebody whose fields are columns of a file.
pub(crate) trait Columns: Clone + Default + Send + Sync + 'static {
    /// What the names begin with: `guests/`.
    const COLLECTION: &'static str;
    /// All columns but that of the id, in their order.
    const COLUMNS: &'static [&'static str];

    fn name_mut(&mut self) -> &mut String;

    fn name(&self) -> &str;

    fn username(&self) -> &str;

    /// Sets a field from its cell, or says what is wrong with the cell. A local time is one of `zone`.
    fn set(&mut self, column: &str, cell: &str, zone: Option<&TimeZone>) -> Result<(), String>;

    /// The cell of a field.
    fn cell(&self, column: &str) -> String;

    fn id(&self) -> &str {
        self.name().strip_prefix(Self::COLLECTION).unwrap_or(self.name())
    }

    /// Takes an id, or a whole name.
    fn set_id(&mut self, id: &str) {
        *self.name_mut() = full_name::<Self>(id);
    }
}

/// The resource name: the id alone is enough for a person.
pub(crate) fn full_name<P: Columns>(id: &str) -> String {
    if id.starts_with(P::COLLECTION) { id.to_owned() } else { format!("{}{id}", P::COLLECTION) }
}

/// Says which fields of a message are columns, and of what kind they are.
macro_rules! columns {
    ($message:ident in $collection:literal:
        text $($text:ident)+; flag $($flag:ident)+; time $($time:ident)+;
        value $value:ident: $kind:ident as $prefix:literal;
        order $($column:ident)+;
    ) => {
        impl Columns for $message {
            const COLLECTION: &'static str = $collection;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),+];

            fn name_mut(&mut self) -> &mut String {
                &mut self.name
            }

            fn name(&self) -> &str {
                &self.name
            }

            fn username(&self) -> &str {
                &self.username
            }

            fn set(
                &mut self,
                column: &str,
                cell: &str,
                zone: Option<&TimeZone>,
            ) -> Result<(), String> {
                let cell = cell.trim();
                match column {
                    $(stringify!($text) => cell.clone_into(&mut self.$text),)+
                    $(stringify!($flag) => self.$flag = flag(cell)?,)+
                    $(stringify!($time) => self.$time = time(cell, zone)?,)+
                    stringify!($value) => {
                        self.$value = value(cell, $prefix, $kind::from_str_name)?.into();
                    }
                    _other => {}
                }
                Ok(())
            }

            fn cell(&self, column: &str) -> String {
                match column {
                    ID => self.id().to_owned(),
                    $(stringify!($text) => self.$text.clone(),)+
                    $(stringify!($flag) => self.$flag.to_string(),)+
                    $(stringify!($time) => time_cell(self.$time),)+
                    stringify!($value) => {
                        self.$value().as_str_name().trim_start_matches($prefix).to_owned()
                    }
                    _other => String::new(),
                }
            }
        }
    };
}

columns!(Guest in "guests/":
    text username first_name last_name company mobile_number email guest_type sponsor_name
        sponsor_email location time_zone language person_visited reason_for_visit ssid state_reason;
    flag has_logged_in is_password_own;
    time valid_from_time valid_to_time;
    value state: GuestState as "GUEST_STATE_";
    order username first_name last_name company mobile_number email guest_type sponsor_name
        sponsor_email location time_zone language person_visited reason_for_visit ssid state
        state_reason has_logged_in valid_from_time valid_to_time is_password_own;
);

columns!(User in "users/":
    text username display_name email alias_email language time_zone;
    flag disabled password_never_expires include_system_alarms_in_emails;
    time password_change_time password_expire_time;
    value kind: UserKind as "USER_KIND_";
    order username kind display_name email alias_email language time_zone disabled
        password_change_time password_expire_time password_never_expires
        include_system_alarms_in_emails;
);

fn flag(cell: &str) -> Result<bool, String> {
    match cell.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" | "" => Ok(false),
        _ => Err(format!("`{}` is neither `true` nor `false`", shown(cell))),
    }
}

fn value<T>(cell: &str, prefix: &str, of: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    let written = if cell.is_empty() { "UNSPECIFIED" } else { cell };
    let name = format!("{prefix}{}", written.to_ascii_uppercase().replace([' ', '-'], "_"));
    of(&name).ok_or_else(|| {
        format!("`{}` is no value of this column; see `nuncio guests import --help`", shown(cell))
    })
}

/// A moment: RFC 3339, or a local time of a time zone that is known.
fn time(cell: &str, zone: Option<&TimeZone>) -> Result<Option<prost_types::Timestamp>, String> {
    if cell.is_empty() {
        return Ok(None);
    }
    if let Some(moment) = cell.parse::<Timestamp>().ok().or_else(|| zoned(cell)) {
        return Ok(Some(wire(moment)));
    }
    let wrong = || {
        let shown = shown(cell);
        format!("`{shown}` is no moment; give one such as `2027-03-15T08:00:00+01:00`")
    };
    if cell.parse::<Date>().is_ok() && cell.len() <= "2027-03-15".len() {
        return Err(format!("{}: the time of the day is needed too", wrong()));
    }
    let local: DateTime = cell.parse().map_err(|_| wrong())?;
    let Some(zone) = zone else {
        return Err(format!(
            "`{}` has no offset such as `+01:00`; add one, or a time zone in the column `time_zone` \
             or with `--time-zone`",
            shown(cell)
        ));
    };
    let moment = zone.to_timestamp(local).map_err(|_| wrong())?;
    Ok(Some(wire(moment)))
}

/// With the name of its time zone behind it, as in RFC 9557.
fn zoned(cell: &str) -> Option<Timestamp> {
    cell.parse::<ZonedDateTime>().ok().map(|zoned| zoned.timestamp())
}

fn wire(moment: Timestamp) -> prost_types::Timestamp {
    let nanos = moment.as_nanosecond();
    prost_types::Timestamp {
        seconds: i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or_default(),
        nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default(),
    }
}

fn time_cell(time: Option<prost_types::Timestamp>) -> String {
    let moment = time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok());
    moment.map(|moment| moment.to_string()).unwrap_or_default()
}

/// A cell in an error: its beginning.
fn shown(cell: &str) -> String {
    cell.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests;
