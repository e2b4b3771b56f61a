//! Settings of the roles beside the SMTP settings: documents whose content is the business of their role.

use jiff::Timestamp;

use crate::secret::Sensitive;

/// How many changes of a document are kept to be told.
pub const HISTORY_MAX: usize = 100;

/// A settings document of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SettingsDocument {
    /// How portals send mail to guests: switched on, default sender, choice of the sender.
    GuestMail,
    /// How alarms are told: types, recipients, senders, limits, routes.
    Alarms,
    /// When guests and users are reminded of an expiry.
    Reminders,
    /// Where alarms about the way of mail go past the mail.
    AlarmRoutes,
    /// The key that signs links and fingerprints requests of portals. No person edits it, and it is never exported.
    PortalKeys,
    /// Certificate authorities that are trusted beside the system's.
    TrustStore,
    /// Which components log more or less for a while.
    LogLevels,
    /// Who may call, and what each caller may do: digests of tokens, never a token.
    Callers,
}

impl SettingsDocument {
    pub const ALL: [Self; 8] = [
        Self::GuestMail,
        Self::Alarms,
        Self::Reminders,
        Self::AlarmRoutes,
        Self::PortalKeys,
        Self::TrustStore,
        Self::LogLevels,
        Self::Callers,
    ];

    /// The name under which it is kept: `guest-mail`.
    pub fn name(self) -> &'static str {
        match self {
            Self::GuestMail => "guest-mail",
            Self::Alarms => "alarms",
            Self::Reminders => "reminders",
            Self::AlarmRoutes => "alarm-routes",
            Self::PortalKeys => "portal-keys",
            Self::TrustStore => "trust-store",
            Self::LogLevels => "log-levels",
            Self::Callers => "callers",
        }
    }
}

/// A document as it was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedDocument {
    /// JSON in the shape of its role. It may hold secrets.
    pub content: Sensitive,
    /// Counts the saves, from 1.
    pub generation: i64,
    /// The last [`HISTORY_MAX`] changes, the newest first: the first one made this generation.
    pub history: Vec<DocumentChange>,
}

/// Who changed a document, when and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentChange {
    pub caller: String,
    pub at: Timestamp,
    /// What changed, for a person, for example `repeat_interval: 4h -> 1h`. Never a secret.
    pub summary: String,
}

/// The names of the fields that have changed, for the history.
pub fn changed_fields(fields: impl IntoIterator<Item = (&'static str, bool)>) -> String {
    let changed = fields.into_iter().filter(|(_, has_changed)| *has_changed);
    let names: Vec<_> = changed.map(|(name, _)| name).collect();
    if names.is_empty() { "nothing changed".to_owned() } else { names.join(", ") }
}

impl SavedDocument {
    /// Changes with each save (AIP-154).
    pub fn etag(&self) -> String {
        format!("g{}", self.generation)
    }
}
