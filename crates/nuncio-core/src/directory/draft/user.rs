//! An internal user as a caller gives it.

use jiff::Timestamp;

use super::text::{check_address, check_language, check_line, check_time_zone};
use super::{NAME_CHARS_MAX, check_years};
use crate::directory::user::{User, UserId, UserKind};
use crate::violation::Violations;

/// All that a caller may say of a user. Fields have the names of [`User`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserDraft {
    /// Empty means the id.
    pub username: String,
    /// Needed.
    pub kind: Option<UserKind>,
    pub display_name: String,
    pub email: String,
    pub alias_email: String,
    pub language: String,
    /// A name of IANA; empty means UTC.
    pub time_zone: String,
    pub is_disabled: bool,
    pub password_changed_at: Option<Timestamp>,
    pub password_expires_at: Option<Timestamp>,
    pub password_never_expires: bool,
    pub include_system_alarms_in_emails: bool,
}

impl UserDraft {
    /// Makes the user, or tells everything that is wrong with the draft; `before` is the user whom it
    /// replaces.
    pub fn check(
        self,
        id: UserId,
        before: Option<&User>,
        now: Timestamp,
    ) -> Result<User, Violations> {
        let mut wrong = Violations::default();
        let username = check_line(&mut wrong, "username", &self.username, NAME_CHARS_MAX);
        let display_name =
            check_line(&mut wrong, "display_name", &self.display_name, NAME_CHARS_MAX);
        let email = check_address(&mut wrong, "email", &self.email);
        let alias_email = check_address(&mut wrong, "alias_email", &self.alias_email);
        let language = check_language(&mut wrong, "language", &self.language);
        let time_zone = check_time_zone(&mut wrong, "time_zone", &self.time_zone);
        let missing = "is missing; give `ADMINISTRATOR` or `NETWORK_USER`";
        let kind = wrong.check("kind", self.kind.ok_or(missing));
        self.check_password(&mut wrong);
        if self.include_system_alarms_in_emails && self.email.trim().is_empty() {
            let problem = "is missing; a user who gets system alarms needs an address";
            wrong.add("email", problem);
        }
        let (Some(kind), Some(time_zone), true) = (kind, time_zone, wrong.is_empty()) else {
            return Err(wrong);
        };
        Ok(User {
            username: if username.is_empty() { id.as_str().to_owned() } else { username },
            id,
            kind,
            display_name,
            email,
            alias_email,
            language,
            time_zone,
            is_enabled: !self.is_disabled,
            password_changed_at: self.password_changed_at,
            password_expires_at: self.password_expires_at,
            password_never_expires: self.password_never_expires,
            include_system_alarms_in_emails: self.include_system_alarms_in_emails,
            created_at: before.map_or(now, |user| user.created_at),
            updated_at: now,
        })
    }

    fn check_password(&self, wrong: &mut Violations) {
        let (changed, expires) = (self.password_changed_at, self.password_expires_at);
        if let Some(changed) = changed {
            check_years(wrong, "password_change_time", changed);
        }
        if let Some(expires) = expires {
            check_years(wrong, "password_expire_time", expires);
        }
        if let Some((changed, _)) = changed.zip(expires).filter(|(changed, at)| at <= changed) {
            let problem = format!("must be later than `password_change_time`, which is {changed}");
            wrong.add("password_expire_time", problem);
        }
    }
}

impl From<&User> for UserDraft {
    fn from(user: &User) -> Self {
        let text = |address: &Option<crate::address::EmailAddress>| {
            address.as_ref().map(ToString::to_string).unwrap_or_default()
        };
        Self {
            username: user.username.clone(),
            kind: Some(user.kind),
            display_name: user.display_name.clone(),
            email: text(&user.email),
            alias_email: text(&user.alias_email),
            language: user.language.clone(),
            time_zone: user.time_zone.iana_name().unwrap_or("UTC").to_owned(),
            is_disabled: !user.is_enabled,
            password_changed_at: user.password_changed_at,
            password_expires_at: user.password_expires_at,
            password_never_expires: user.password_never_expires,
            include_system_alarms_in_emails: user.include_system_alarms_in_emails,
        }
    }
}
