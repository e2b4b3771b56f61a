//! How many mails about alarms somebody gets, and what became of those beyond it: they are counted.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::address::EmailAddress;
use crate::alarm::settings::{AlarmSettings, Limit};

/// How many types a digest counts one by one; the others together.
pub const DIGEST_TYPES_MAX: usize = 50;
/// The name under which a digest counts the other types.
pub const OTHER_TYPES: &str = "other";

const HOUR_MS: f64 = 3_600_000.0;

/// A recipient of alarm mails as it stands in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmRecipient {
    pub address: EmailAddress,
    pub normal: Bucket,
    /// Of critical alarms, which do not use up the other.
    pub critical: Bucket,
    /// What waits to be told in one mail.
    pub digest: Option<Digest>,
    /// How many digests were made.
    pub digests: u64,
}

/// How many mails may go out at once, and since when that was so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    pub mails: f64,
    pub at: Timestamp,
}

/// What a digest replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    pub since: Timestamp,
    pub until: Timestamp,
    /// How many mails.
    pub mails: u64,
    /// How many alarms stood in them.
    pub alarms: u64,
    /// How many ends of alarms stood in them.
    pub resolved: u64,
    /// How many alarms of which type.
    pub types: BTreeMap<String, u64>,
    /// Whether critical alarms are among them.
    pub is_critical: bool,
    pub locale: String,
}

/// Which limit a mail counts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    Normal,
    Critical,
}

/// What becomes of a mail for a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Admission {
    Mail,
    /// It is counted in the digest with this number.
    Digest(u64),
}

/// What a mail says, for a digest that replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailSummary {
    pub alarm_type: String,
    pub alarms: u64,
    pub resolved: u64,
    pub lane: Lane,
    pub locale: String,
}

impl AlarmRecipient {
    /// Somebody who has got no mails yet.
    pub fn new(address: EmailAddress, settings: &AlarmSettings, now: Timestamp) -> Self {
        let full = |limit: Limit| Bucket { mails: f64::from(limit.burst), at: now };
        Self {
            address,
            normal: full(settings.limit),
            critical: full(settings.critical_limit),
            digest: None,
            digests: 0,
        }
    }

    /// Lets a mail through, or counts it in the digest. While a digest of the same lane waits, it takes all, so
    /// that it cannot be overtaken for ever.
    pub fn admit(
        &mut self,
        mail: &MailSummary,
        settings: &AlarmSettings,
        now: Timestamp,
    ) -> Admission {
        let waits = self.digest.as_ref().is_some_and(|digest| match mail.lane {
            Lane::Normal => true,
            Lane::Critical => digest.is_critical,
        });
        if !waits && self.bucket(mail.lane).take(limit(settings, mail.lane), now) {
            return Admission::Mail;
        }
        let digest = self.digest.get_or_insert_with(|| Digest::new(now, mail.locale.clone()));
        digest.take(mail, now);
        Admission::Digest(self.digests + 1)
    }

    /// When its digest may go out.
    pub fn digest_due_at(&self, settings: &AlarmSettings) -> Option<Timestamp> {
        let digest = self.digest.as_ref()?;
        let lane = digest.lane();
        let bucket = match lane {
            Lane::Normal => &self.normal,
            Lane::Critical => &self.critical,
        };
        let room = bucket.full_at(1.0, limit(settings, lane));
        let gathered = match lane {
            Lane::Normal => digest.since + settings.digest_interval,
            Lane::Critical => digest.since,
        };
        Some(room.max(gathered))
    }

    /// Takes the digest out, if it may go out now.
    pub fn take_digest(&mut self, settings: &AlarmSettings, now: Timestamp) -> Option<Digest> {
        if self.digest_due_at(settings)? > now {
            return None;
        }
        let lane = self.digest.as_ref()?.lane();
        if !self.bucket(lane).take(limit(settings, lane), now) {
            return None;
        }
        self.digests += 1;
        self.digest.take()
    }

    /// When somebody must look at it: for its digest, or to forget it.
    pub fn due_at(&self, settings: &AlarmSettings) -> Timestamp {
        self.digest_due_at(settings).unwrap_or_else(|| {
            let normal = self.normal.full_at(f64::from(settings.limit.burst), settings.limit);
            let limit = settings.critical_limit;
            normal.max(self.critical.full_at(f64::from(limit.burst), limit))
        })
    }

    /// Whether it says no more than one that is not there.
    pub fn is_forgettable(&self, settings: &AlarmSettings, now: Timestamp) -> bool {
        self.digest.is_none() && self.due_at(settings) <= now
    }

    fn bucket(&mut self, lane: Lane) -> &mut Bucket {
        match lane {
            Lane::Normal => &mut self.normal,
            Lane::Critical => &mut self.critical,
        }
    }
}

impl Bucket {
    /// Takes a mail out, if there is one in it.
    pub(super) fn take(&mut self, limit: Limit, now: Timestamp) -> bool {
        // A clock that was set back fills nothing, and empties nothing.
        let elapsed = now.as_millisecond().saturating_sub(self.at.as_millisecond()).max(0);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit into 2^52")]
        let filled = elapsed as f64 * f64::from(limit.mails_per_hour) / HOUR_MS;
        self.mails = (self.mails + filled).min(f64::from(limit.burst));
        self.at = self.at.max(now);
        let takes = self.mails >= 1.0 - ROUNDING;
        if takes {
            self.mails -= 1.0;
        }
        takes
    }

    /// When so many are in it.
    pub(super) fn full_at(&self, mails: f64, limit: Limit) -> Timestamp {
        let missing = (mails - self.mails).max(0.0);
        let wait_s = missing * HOUR_MS / 1000.0 / f64::from(limit.mails_per_hour.max(1));
        // A millisecond more, so that it is certainly there when the time has come.
        self.at + Duration::from_secs_f64(wait_s) + Duration::from_millis(1)
    }
}

/// What a sum of parts may lack to a whole by rounding.
const ROUNDING: f64 = 1e-6;

impl Digest {
    /// One that counts nothing yet.
    pub(super) fn new(now: Timestamp, locale: String) -> Self {
        Self {
            since: now,
            until: now,
            mails: 0,
            alarms: 0,
            resolved: 0,
            types: BTreeMap::new(),
            is_critical: false,
            locale,
        }
    }

    pub fn lane(&self) -> Lane {
        if self.is_critical { Lane::Critical } else { Lane::Normal }
    }

    pub(super) fn take(&mut self, mail: &MailSummary, now: Timestamp) {
        self.until = now;
        self.mails += 1;
        self.alarms += mail.alarms;
        self.resolved += mail.resolved;
        self.is_critical |= mail.lane == Lane::Critical;
        let is_known = self.types.contains_key(&mail.alarm_type);
        let name = if is_known || self.types.len() < DIGEST_TYPES_MAX {
            mail.alarm_type.clone()
        } else {
            OTHER_TYPES.to_owned()
        };
        *self.types.entry(name).or_default() += mail.alarms;
    }
}

fn limit(settings: &AlarmSettings, lane: Lane) -> Limit {
    match lane {
        Lane::Normal => settings.limit,
        Lane::Critical => settings.critical_limit,
    }
}

#[cfg(test)]
mod tests;
