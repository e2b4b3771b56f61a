//! How much components log, for a while, whatever the configuration of their node says.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

/// For how long a level is set, where nothing else is said: who looks for a fault forgets to turn it off.
pub const TTL: Duration = Duration::from_hours(1);
/// The longest that a level may be set. What is to stay belongs into the configuration.
pub const TTL_MAX: Duration = Duration::from_hours(7 * 24);

/// A part of the program that logs: the crate `nuncio-smtp` is `smtp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Component(&'static str);

/// Those that log, by name. A test compares them with the crates.
const COMPONENTS: [&str; 13] = [
    "alarms",
    "cluster",
    "delivery",
    "mnt",
    "nodes",
    "oauth",
    "pan",
    "psn",
    "runtime",
    "server",
    "smtp",
    "store",
    "templates",
];

/// How severe a message must be to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogSeverity {
    Error,
    Warn,
    Info,
    Debug,
}

/// The levels that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLevels(BTreeMap<Component, TimedLevel>);

/// A level, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedLevel {
    pub severity: LogSeverity,
    pub until: Timestamp,
}

impl Component {
    pub fn all() -> impl Iterator<Item = Self> {
        COMPONENTS.into_iter().map(Self)
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|one| one.0 == name)
    }

    pub fn name(self) -> &'static str {
        self.0
    }
}

impl LogSeverity {
    pub const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// The name that a log filter has for it: `debug`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl LogLevels {
    /// Sets a level, or gives a component back its configured one.
    pub fn set(&mut self, component: Component, level: Option<TimedLevel>) {
        match level {
            Some(level) => drop(self.0.insert(component, level)),
            None => drop(self.0.remove(&component)),
        }
    }

    /// Forgets those that have ended.
    pub fn forget_ended(&mut self, now: Timestamp) {
        self.0.retain(|_component, level| now < level.until);
    }

    pub fn iter(&self) -> impl Iterator<Item = (Component, TimedLevel)> {
        self.0.iter().map(|(component, level)| (*component, *level))
    }

    /// When the next one ends.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.0.values().map(|level| level.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn smtp() -> Component {
        Component::from_name("smtp").unwrap()
    }

    #[test]
    fn a_level_ends_at_its_time_and_not_before() {
        let mut levels = LogLevels::default();
        let until = NOON + TTL;
        levels.set(smtp(), Some(TimedLevel { severity: LogSeverity::Debug, until }));
        assert_eq!(levels.next_end(), Some(until));

        levels.forget_ended(until - Duration::from_secs(1));
        assert_eq!(levels.iter().count(), 1);
        levels.forget_ended(until);
        assert_eq!(levels, LogLevels::default());
    }

    #[test]
    fn a_component_gets_its_configured_level_back() {
        let mut levels = LogLevels::default();
        let level = TimedLevel { severity: LogSeverity::Debug, until: NOON };
        levels.set(smtp(), Some(level));

        levels.set(smtp(), None);

        assert_eq!(levels, LogLevels::default());
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for severity in LogSeverity::ALL {
            assert_eq!(LogSeverity::from_name(severity.name()), Some(severity));
        }
        assert_eq!(LogSeverity::from_name("trace"), None, "nuncio does not use it");
        assert_eq!(Component::from_name("hyper"), None);
    }
}
