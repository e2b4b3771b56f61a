//! Decides who lives.

use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::ports::job_store::Incarnation;

use crate::membership::report::NodeReport;
use crate::membership::{DEAD_LISTED_FOR, Life, Member};

/// What two nodes may differ by in telling the time of the store, and then some.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_secs(2);

/// What was heard of one run of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) incarnation: Incarnation,
    /// Whether it is that of the node that looks. It lives, whatever others of its name do.
    pub(super) is_own: bool,
    /// Of its record.
    pub(super) version: i64,
    pub(super) name: String,
    pub(super) heard_at: Timestamp,
    pub(super) alive_until: Timestamp,
    pub(super) report: Option<NodeReport>,
}

impl Run {
    fn lives(&self, now: Timestamp) -> bool {
        now < self.alive_until
    }

    /// Unknown of a node that cannot be read; then it is as if it had always been there.
    fn started_at(&self) -> Timestamp {
        self.report.as_ref().map_or(Timestamp::MIN, |report| report.started_at)
    }

    /// Whether `other` is a later run of this node: it began when nothing was heard of this one any more. So a node that
    /// was killed and started again is not taken for two.
    fn is_followed_by(&self, other: &Self) -> bool {
        let began = other.started_at();
        !self.is_own
            && self.name == other.name
            && self.started_at() < began
            && self.heard_at < began + CLOCKS_DIFFER_MAX
    }
}

/// The nodes by name, without the runs that were followed by others.
pub(super) fn members(heard: &[Run], now: Timestamp) -> Vec<Member> {
    let standing: Vec<&Run> = heard.iter().filter(|one| !is_followed(one, heard)).collect();
    let named =
        |name: &str| standing.iter().filter(|one| one.name == name && one.lives(now)).count();
    let mut members: Vec<Member> = standing
        .iter()
        .map(|one| {
            let life = if one.lives(now) { Life::Live } else { Life::Dead };
            Member {
                incarnation: one.incarnation.clone(),
                name: one.name.clone(),
                life,
                heard_at: one.heard_at,
                shares_name: life == Life::Live && 1 < named(&one.name),
                report: one.report.clone(),
            }
        })
        .collect();
    members.sort_by(|a, b| (&a.name, a.heard_at).cmp(&(&b.name, b.heard_at)));
    members
}

/// Those that nobody needs to see any more.
pub(super) fn over(heard: &[Run], now: Timestamp) -> impl Iterator<Item = &Run> {
    heard
        .iter()
        .filter(move |one| one.alive_until + DEAD_LISTED_FOR <= now || is_followed(one, heard))
}

fn is_followed(one: &Run, heard: &[Run]) -> bool {
    heard.iter().any(|other| one.is_followed_by(other))
}
