//! How alarms are told: recipients, waits, limits, and what mutes what.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::address::EmailAddress;
use crate::alarm::catalogue;
use crate::alarm::kind::AlarmType;

/// The most groups of recipients.
pub const GROUPS_MAX: usize = 100;
/// The most inhibitions.
pub const INHIBITIONS_MAX: usize = 100;
/// The most labels by which alarms are grouped.
pub const GROUP_BY_MAX: usize = 8;
/// The most types that somebody makes.
pub const USER_TYPES_MAX: usize = 500;
/// The name of the node where labels are named.
pub const NODE_LABEL: &str = "node";

/// The settings of alarm notification. Every value of this type is valid.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmSettings {
    /// Whether alarms are told by mail at all.
    pub is_enabled: bool,
    /// None means the mailbox of the SMTP settings.
    pub from: Option<EmailAddress>,
    /// Who gets the mails of all types.
    pub recipients: Vec<EmailAddress>,
    pub recipient_groups: BTreeMap<String, Vec<EmailAddress>>,
    /// Whether users with `include_system_alarms_in_emails` get all mails.
    pub include_administrators: bool,
    /// A BCP 47 tag, or empty for the default.
    pub locale: String,
    /// Of the times in mails.
    pub time_zone: TimeZone,
    /// Labels, or [`NODE_LABEL`]; empty means one group a type.
    pub group_by: Vec<String>,
    /// How long the first mail of a group waits for more of it.
    pub group_wait: Duration,
    /// How long the next mail of a group waits after the one before.
    pub group_interval: Duration,
    /// How often a mail repeats while an alarm stands; zero means never.
    pub repeat_interval: Duration,
    /// Whether those who got an alarm are told its end.
    pub sends_resolved: bool,
    pub limit: Limit,
    /// Of critical alarms, beside the other.
    pub critical_limit: Limit,
    /// How long a digest gathers at least.
    pub digest_interval: Duration,
    pub flapping: Flapping,
    pub inhibitions: Vec<Inhibition>,
    /// How long resolved alarms are kept.
    pub retention: Duration,
}

/// How many mails a recipient gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// After a quiet time, at once.
    pub burst: u32,
    pub mails_per_hour: u32,
}

/// When an alarm changes so often that nobody wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flapping {
    /// So many changes between firing and resolved; 0 means that none is held back.
    pub changes: u32,
    /// Within this time.
    pub window: Duration,
    /// How long it must be quiet until it is told again.
    pub hold: Duration,
}

/// An alarm of one type, the cause, mutes those of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inhibition {
    pub source_type: String,
    pub target_types: Vec<String>,
    /// Only where these labels, or [`NODE_LABEL`], are equal; what neither has is equal.
    pub equal: Vec<String>,
}

impl Default for AlarmSettings {
    fn default() -> Self {
        Self {
            is_enabled: true,
            from: None,
            recipients: Vec::new(),
            recipient_groups: BTreeMap::new(),
            include_administrators: true,
            locale: String::new(),
            time_zone: TimeZone::UTC,
            group_by: Vec::new(),
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_mins(5),
            repeat_interval: Duration::from_hours(4),
            sends_resolved: true,
            limit: Limit { burst: 10, mails_per_hour: 20 },
            critical_limit: Limit { burst: 20, mails_per_hour: 60 },
            digest_interval: Duration::from_mins(10),
            flapping: Flapping {
                changes: 6,
                window: Duration::from_mins(10),
                hold: Duration::from_mins(10),
            },
            inhibitions: Vec::new(),
            retention: Duration::from_hours(30 * 24),
        }
    }
}

/// The settings with all types as they are in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlarmRules {
    pub settings: AlarmSettings,
    /// The types that somebody made, or that came with nuncio and were changed, by id.
    pub own_types: BTreeMap<String, AlarmType>,
}

impl AlarmRules {
    /// The type with this id, as it is in force.
    pub fn find(&self, id: &str) -> Option<AlarmType> {
        self.own_types.get(id).cloned().or_else(|| catalogue::find(id))
    }

    /// All types as they are in force, in the order of their ids.
    pub fn types(&self) -> Vec<AlarmType> {
        let shipped = catalogue::shipped().map(|one| (one.id.clone(), one));
        let mut all: BTreeMap<String, AlarmType> = shipped.collect();
        all.extend(self.own_types.clone());
        all.into_values().collect()
    }

    /// How often a mail about this type repeats; none means never.
    pub fn repeat_interval(&self, kind: &AlarmType) -> Option<Duration> {
        let interval = kind.repeat_interval.unwrap_or(self.settings.repeat_interval);
        (!interval.is_zero()).then(|| interval.max(self.settings.group_interval))
    }

    /// Whether some type is muted by others.
    pub fn is_target(&self, alarm_type: &str) -> bool {
        let mut rules = self.settings.inhibitions.iter();
        rules.any(|rule| rule.target_types.iter().any(|target| target == alarm_type))
    }
}
