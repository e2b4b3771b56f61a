//! When who is reminded: the settings document of reminders.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Group;
use super::quiet::QuietHours;
use crate::directory::draft::TYPE_CHARS_MAX;
use crate::template::custom::check_portal;
use crate::violation::Violations;

/// The most stages of a rule.
pub const STAGES_MAX: usize = 10;
/// The most guest types with a rule of their own.
pub const GUEST_TYPES_MAX: usize = 200;
/// The earliest stage: a year before the expiry.
pub const STAGE_MAX: Duration = Duration::from_hours(366 * 24);
/// The latest stage: a mail takes its time too.
pub const STAGE_MIN: Duration = Duration::from_mins(1);
/// The stage where the operator says nothing: that of ISE's guest types.
pub const STAGE_DEFAULT: Duration = Duration::from_hours(3 * 24);

/// When who is reminded. Every value of this type is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReminderSettings {
    /// Guests whose type has no rule of its own.
    pub guests: Rule,
    pub guest_types: BTreeMap<String, Rule>,
    pub administrators: Rule,
    pub network_users: Rule,
    pub quiet_hours: Option<QuietHours>,
}

/// When those of one group are reminded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub is_enabled: bool,
    /// The longest before the expiry first; no two alike.
    pub stages: Vec<Stage>,
    /// Whether the sponsor of a guest is told too.
    pub copy_to_sponsor: bool,
}

/// One reminder before the expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// In whole seconds. A day has 24 hours, whatever the clocks do.
    pub before: Duration,
    /// The portal whose texts are preferred, so that each stage can have its own; none means the default one.
    pub portal: Option<String>,
}

impl Default for ReminderSettings {
    /// As in ISE: everything off, one stage of three days where it is switched on.
    fn default() -> Self {
        Self {
            guests: Rule::default(),
            guest_types: BTreeMap::new(),
            administrators: Rule::default(),
            network_users: Rule::default(),
            quiet_hours: None,
        }
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self { is_enabled: false, stages: vec![Stage::at(STAGE_DEFAULT)], copy_to_sponsor: false }
    }
}

impl Stage {
    /// With the shipped texts.
    pub fn at(before: Duration) -> Self {
        Self { before, portal: None }
    }
}

impl ReminderSettings {
    /// Makes the settings, stages in their order, or tells everything that is wrong. Fields are named as in the API.
    pub fn check(mut self) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        check_rule(&mut violations, "reminder_settings.guests", &mut self.guests);
        if GUEST_TYPES_MAX < self.guest_types.len() {
            let problem =
                format!("{} guest types; at most {GUEST_TYPES_MAX}", self.guest_types.len());
            violations.add("reminder_settings.guest_types", problem);
        }
        for (name, rule) in &mut self.guest_types {
            let shown: String = name.chars().take(TYPE_CHARS_MAX).collect();
            let field = format!("reminder_settings.guest_types[{shown:?}]");
            if name.is_empty()
                || TYPE_CHARS_MAX < name.chars().count()
                || name.chars().any(char::is_control)
            {
                let problem = format!(
                    "the type must have 1 to {TYPE_CHARS_MAX} characters and no line break"
                );
                violations.add(&field, problem);
            }
            check_rule(&mut violations, &field, rule);
        }
        for (name, rule) in [
            ("administrators", &mut self.administrators),
            ("network_users", &mut self.network_users),
        ] {
            let field = format!("reminder_settings.{name}");
            check_rule(&mut violations, &field, rule);
            if rule.copy_to_sponsor {
                let problem = "users have no sponsor; only guests' rules may set it";
                violations.add(format!("{field}.copy_to_sponsor"), problem);
            }
        }
        violations.none_or(|| self)
    }

    /// The rule for a group.
    pub fn rule(&self, group: &Group) -> &Rule {
        match group {
            Group::Guest { guest_type } => self.guest_types.get(guest_type).unwrap_or(&self.guests),
            Group::Administrator => &self.administrators,
            Group::NetworkUser => &self.network_users,
        }
    }

    /// Every rule with the name of its field, for a person.
    pub fn rules(&self) -> impl Iterator<Item = (String, &Rule)> {
        let types =
            self.guest_types.iter().map(|(name, rule)| (format!("guest_types.{name}"), rule));
        [("guests".to_owned(), &self.guests)].into_iter().chain(types).chain([
            ("administrators".to_owned(), &self.administrators),
            ("network_users".to_owned(), &self.network_users),
        ])
    }
}

/// For a person: `on, 7d 3d 2h, copy to sponsor`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_enabled { "on," } else { "off," })?;
        for stage in &self.stages {
            write!(f, " {}", span(stage.before))?;
            if let Some(portal) = &stage.portal {
                write!(f, " (texts of `{portal}`)")?;
            }
        }
        if self.copy_to_sponsor { f.write_str(", copy to sponsor") } else { Ok(()) }
    }
}

/// In the largest unit that leaves nothing over: `3d`, `90m`.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let fits = units.into_iter().find(|(unit, _)| 0 < seconds && seconds.is_multiple_of(*unit));
    fits.map_or(format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

fn check_rule(violations: &mut Violations, field: &str, rule: &mut Rule) {
    if rule.is_enabled && rule.stages.is_empty() {
        let problem = "is empty; give a stage, for example 3 days, or switch the rule off";
        violations.add(format!("{field}.stages"), problem);
    }
    if STAGES_MAX < rule.stages.len() {
        let problem = format!("{} stages; at most {STAGES_MAX}", rule.stages.len());
        violations.add(format!("{field}.stages"), problem);
    }
    for (index, stage) in rule.stages.iter().enumerate() {
        let field = format!("{field}.stages[{index}]");
        if stage.before < STAGE_MIN || STAGE_MAX < stage.before || stage.before.subsec_nanos() != 0
        {
            let problem = "must be whole seconds, from 1 minute to 366 days";
            violations.add(format!("{field}.before"), problem);
        }
        if rule.stages[..index].iter().any(|other| other.before == stage.before) {
            violations.add(format!("{field}.before"), "stands twice; remove one of the stages");
        }
        if let Some(portal) = &stage.portal {
            violations.check(format!("{field}.portal"), check_portal(portal));
        }
    }
    rule.stages.sort_by_key(|stage| std::cmp::Reverse(stage.before));
}

#[cfg(test)]
mod tests;
