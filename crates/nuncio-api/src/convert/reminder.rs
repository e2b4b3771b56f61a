//! The settings of reminders, both ways.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Time;
use nuncio_core::reminder::quiet::QuietHours;
use nuncio_core::reminder::rules::{ReminderSettings, Rule, STAGE_MAX, Stage};
use nuncio_core::violation::Violations;

use crate::convert::time::{duration, duration_from};
use crate::v1;

/// Reads settings, or tells everything that is wrong with them. A rule that is left out is off.
pub fn reminder_settings(settings: v1::ReminderSettings) -> Result<ReminderSettings, Violations> {
    let mut violations = Violations::default();
    let field = "reminder_settings";
    let guest_types = settings.guest_types.into_iter().map(|(name, rule)| {
        let shown: String = name.chars().take(NAME_CHARS_SHOWN).collect();
        let rule =
            read_rule(&mut violations, &format!("{field}.guest_types[{shown:?}]"), Some(rule));
        (name, rule)
    });
    let guest_types: BTreeMap<String, Rule> = guest_types.collect();
    let mut read =
        |name: &str, given| read_rule(&mut violations, &format!("{field}.{name}"), given);
    let guests = read("guests", settings.guests);
    let administrators = read("administrators", settings.administrators);
    let network_users = read("network_users", settings.network_users);
    let quiet_hours =
        read_quiet(&mut violations, &format!("{field}.quiet_hours"), settings.quiet_hours);
    let read = ReminderSettings { guests, guest_types, administrators, network_users, quiet_hours };
    match read.check() {
        Ok(settings) => violations.none_or(|| settings),
        Err(more) => {
            violations.append(more);
            Err(violations)
        }
    }
}

/// How much of a name is shown that may be much too long, in characters.
const NAME_CHARS_SHOWN: usize = 100;
fn read_rule(violations: &mut Violations, field: &str, rule: Option<v1::ReminderRule>) -> Rule {
    let Some(rule) = rule else { return Rule::default() };
    let mut stages = Vec::with_capacity(rule.stages.len());
    for (index, stage) in rule.stages.into_iter().enumerate() {
        let field = format!("{field}.stages[{index}].before");
        if stage.before.is_none() {
            let problem = "is missing; say how long before the expiry, for example 3 days";
            violations.add(&field, problem);
        }
        let before = duration_from(violations, &field, stage.before);
        // Like no other, so that no further violation is made of one that could not be read.
        let unread = STAGE_MAX.saturating_sub(Duration::from_secs(index as u64 + 1));
        let portal = Some(stage.portal).filter(|portal| !portal.is_empty());
        stages.push(Stage { before: before.unwrap_or(unread), portal });
    }
    Rule { is_enabled: rule.enabled, stages, copy_to_sponsor: rule.copy_to_sponsor }
}

fn read_quiet(
    violations: &mut Violations,
    field: &str,
    quiet: Option<v1::QuietHours>,
) -> Option<QuietHours> {
    let quiet = quiet?;
    let mut read = |name: &str, text: &str| {
        let problem = "is no time of the day; give one such as `21:00`";
        violations.check(format!("{field}.{name}"), text.parse::<Time>().map_err(|_| problem))
    };
    let (start, end) = (read("start", &quiet.start), read("end", &quiet.end));
    let (start, end) = start.zip(end)?;
    violations.check(format!("{field}.end"), QuietHours::new(start, end))
}

impl From<&ReminderSettings> for v1::ReminderSettings {
    fn from(settings: &ReminderSettings) -> Self {
        let time = |time: Time| time.strftime("%H:%M:%S").to_string();
        Self {
            guests: Some((&settings.guests).into()),
            guest_types: settings
                .guest_types
                .iter()
                .map(|(name, rule)| (name.clone(), rule.into()))
                .collect(),
            administrators: Some((&settings.administrators).into()),
            network_users: Some((&settings.network_users).into()),
            quiet_hours: settings
                .quiet_hours
                .map(|quiet| v1::QuietHours { start: time(quiet.start()), end: time(quiet.end()) }),
            etag: String::new(),
            generation: 0,
            update_time: None,
        }
    }
}

impl From<&Rule> for v1::ReminderRule {
    fn from(rule: &Rule) -> Self {
        let stages = rule.stages.iter().map(|stage| v1::ReminderStage {
            before: Some(duration(stage.before)),
            portal: stage.portal.clone().unwrap_or_default(),
        });
        Self {
            enabled: rule.is_enabled,
            stages: stages.collect(),
            copy_to_sponsor: rule.copy_to_sponsor,
        }
    }
}

#[cfg(test)]
mod tests;
