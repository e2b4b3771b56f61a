//! Who calls, and what a caller may do.

use std::collections::BTreeSet;
use std::fmt;

use crate::job::CallerId;

pub mod certificate_name;
pub mod known;
pub mod limits;

/// The caller of a node that asks nobody who calls: in the clear, on this machine. No caller may be named so.
pub const LOCAL: &str = "local";
/// Under these names nuncio itself makes mails, so no caller may be named so.
const OWN: [&str; 3] = ["mnt", "portal", "reminders"];
/// The longest name of a caller, in characters.
pub const NAME_CHARS_MAX: usize = 64;

/// What a caller may do. None of them holds another: who administers and also looks needs both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Hand in: mail jobs, alarms, events of guests.
    Submit,
    /// Look at jobs, people, alarms, settings (never their secrets).
    Read,
    /// Change what goes on: jobs, alarms and silences, guests and users, approvals.
    Operate,
    /// Change settings, templates, the trust store and callers.
    Administer,
}

/// Whoever makes a call, as the node found out before the call was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Scopes request ids, and stands in histories.
    pub id: CallerId,
    pub permissions: BTreeSet<Permission>,
    /// A node may also do what nodes need of each other.
    pub is_node: bool,
}

impl Permission {
    pub const ALL: [Self; 4] = [Self::Submit, Self::Read, Self::Operate, Self::Administer];

    /// The name that people write: `submit`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Administer => "administer",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Caller {
    /// May do everything, as whoever is on the machine of a node can.
    pub fn local() -> Self {
        let permissions = BTreeSet::from(Permission::ALL);
        Self { id: CallerId(LOCAL.to_owned()), permissions, is_node: false }
    }
}

/// Whether somebody may be made a caller of this name.
pub fn is_free(name: &str) -> bool {
    is_name(name) && name != LOCAL && !OWN.contains(&name)
}

/// Whether a caller or a node may have this name: 1 to 64 letters, digits, `-`, `_` and `.`, as a path of SPIFFE has them
/// between its slashes.
pub fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=NAME_CHARS_MAX).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.bytes().all(|b| b == b'.')
}
