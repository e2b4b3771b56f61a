//! What the nodes say of the keys that encrypt settings and mails.

use crate::membership::report::NodeReport;
use crate::membership::{Life, Member};

/// Why a key is not the one that all nodes write with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotShared {
    /// These cannot read it, or are of a version that does not say.
    Unreadable(Vec<String>),
    /// These write with another one too, or have another one first in their file.
    Differs(Vec<String>),
}

/// The names of the live nodes that do not say that they can read a key.
pub fn without_key(members: &[Member], key_id: &str) -> Vec<String> {
    names(members, |report| !report.keys.iter().any(|one| one == key_id))
}

/// Whether all live nodes read a key and write with it alone.
pub fn check_shared(members: &[Member], key_id: &str) -> Result<(), NotShared> {
    let unreadable = without_key(members, key_id);
    if !unreadable.is_empty() {
        return Err(NotShared::Unreadable(unreadable));
    }
    let others =
        names(members, |report| report.first_key != key_id || report.writing_keys != [key_id]);
    if others.is_empty() { Ok(()) } else { Err(NotShared::Differs(others)) }
}

/// The names of the live nodes of which this holds.
pub fn names(members: &[Member], holds: impl Fn(&NodeReport) -> bool) -> Vec<String> {
    let silent = NodeReport::default();
    let live = members.iter().filter(|member| member.life == Life::Live);
    let held = live.filter(|member| holds(member.report.as_ref().unwrap_or(&silent)));
    held.map(|member| member.name.clone()).collect()
}

#[cfg(test)]
mod tests;
