//! Lists of guests and users.

use jiff::Timestamp;
use nuncio_core::directory::guest::{Guest, GuestState};
use nuncio_core::directory::user::{User, UserKind};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::RecordQuery;

use crate::change::Entry;
use crate::codec::Broken;
use crate::directory::Directory;
use crate::subject::{Subject, owner_of};

/// The most records that one call looks at to find those that fit its filter.
pub const EXAMINED_MAX: u32 = 10_000;
/// How many records are read at once.
const CHUNK: u32 = 1000;

/// Who is to be listed.
pub trait Filter<S> {
    fn fits(&self, subject: &S) -> bool;

    /// The owner to whom all belong who fit, if that is known.
    fn owner(&self) -> Option<String> {
        None
    }
}

/// Which guests to list. What is empty or none restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestFilter {
    pub states: Vec<GuestState>,
    pub guest_type: String,
    pub sponsor_email: String,
    pub location: String,
    pub valid_to_before: Option<Timestamp>,
    /// Stands in one of their texts, whatever its capitals.
    pub text: String,
}

/// Which users to list. What is empty, false or none restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    pub kinds: Vec<UserKind>,
    pub password_expires_before: Option<Timestamp>,
    pub include_system_alarms_in_emails: bool,
    pub text: String,
}

/// A part of a list.
#[derive(Debug)]
pub struct Page<S> {
    pub entries: Vec<Entry<S>>,
    /// The id behind which the next page begins; none on the last one.
    pub next: Option<String>,
    /// Records that cannot be read; they are left out.
    pub broken: Vec<Broken>,
}

impl Directory {
    /// Up to `limit` that fit, in the order of their ids and behind `after`. It looks at [`EXAMINED_MAX`]
    /// records at most, so a page may have fewer, or none.
    pub async fn list<S: Subject>(
        &self,
        filter: &(dyn Filter<S> + Sync),
        after: Option<String>,
        limit: u32,
    ) -> Result<Page<S>, StoreError> {
        let mut page = Page { entries: Vec::new(), next: after, broken: Vec::new() };
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut examined = 0;
        while examined < EXAMINED_MAX {
            let chunk = CHUNK.min(limit.max(100)).min(EXAMINED_MAX - examined);
            let query = RecordQuery {
                kind: S::KIND,
                owner: filter.owner(),
                after: page.next.take(),
                limit: chunk,
            };
            let records = self.records.list_records(&query).await?;
            let count = records.len();
            for (index, record) in records.into_iter().enumerate() {
                match Entry::read(&record) {
                    Ok(entry) if filter.fits(&entry.subject) => page.entries.push(entry),
                    Ok(_) => {}
                    Err(broken) => page.broken.push(broken),
                }
                let is_last = index + 1 == count;
                if page.entries.len() == wanted && !is_last || is_last && is_full(count, chunk) {
                    page.next = Some(record.key.id);
                }
                if page.entries.len() == wanted {
                    return Ok(page);
                }
            }
            if !is_full(count, chunk) {
                return Ok(page);
            }
            examined += chunk;
        }
        Ok(page)
    }
}

/// Whether there may be more records than the chunk had room for.
fn is_full(count: usize, chunk: u32) -> bool {
    usize::try_from(chunk).is_ok_and(|chunk| chunk <= count)
}

impl Filter<Guest> for GuestFilter {
    fn fits(&self, guest: &Guest) -> bool {
        let sponsor = guest.sponsor.as_ref().map(|sponsor| sponsor.email.as_str());
        let sponsor =
            || sponsor.is_some_and(|email| owner_of(email) == owner_of(&self.sponsor_email));
        (self.states.is_empty() || self.states.contains(&guest.state))
            && (self.guest_type.is_empty() || self.guest_type == guest.guest_type)
            && (self.sponsor_email.is_empty() || sponsor())
            && (self.location.is_empty() || self.location == guest.location)
            && self.valid_to_before.is_none_or(|before| guest.valid_to < before)
            && stands_in(&self.text, guest)
    }

    fn owner(&self) -> Option<String> {
        Some(owner_of(&self.sponsor_email)).filter(|owner| !owner.is_empty())
    }
}

impl Filter<User> for UserFilter {
    fn fits(&self, user: &User) -> bool {
        let expires = user.password_expires_at.filter(|_| !user.password_never_expires);
        let expires_before = |before| expires.is_some_and(|at| at < before);
        (self.kinds.is_empty() || self.kinds.contains(&user.kind))
            && self.password_expires_before.is_none_or(expires_before)
            && (!self.include_system_alarms_in_emails || user.include_system_alarms_in_emails)
            && stands_in(&self.text, user)
    }
}

fn stands_in(text: &str, subject: &impl Subject) -> bool {
    let text = text.to_lowercase();
    text.is_empty() || subject.texts().iter().any(|one| one.to_lowercase().contains(&text))
}

#[cfg(test)]
mod tests;
