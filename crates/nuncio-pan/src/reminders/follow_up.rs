//! What a change of a guest or user means for the reminders.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use nuncio_core::directory::guest::Guest;
use nuncio_core::directory::user::User;
use nuncio_core::reminder::decide::first_look;
use nuncio_core::reminder::rules::ReminderSettings;
use nuncio_core::reminder::{Standing, Subject};
use nuncio_core::settings::document::SavedDocument;
use nuncio_directory::change::{Changed, Followed};
use nuncio_directory::follow_up::FollowUp;
use tokio::sync::watch;

use super::document;
use super::notes::{Noted, NotedMail};

/// Says at each change of the directory when somebody has to look next, and which mails are void.
///
/// A mail is void when its subject is gone, suspended or otherwise closed, expires at another time, or has
/// another address. If it did wait, its place in the ledger is free again: somebody who is reinstated is
/// reminded after all.
pub struct Reminding {
    settings: watch::Receiver<Option<Arc<SavedDocument>>>,
    /// The settings as they were read last: an import asks for each row.
    known: Mutex<Option<Known>>,
}

type Known = (Arc<SavedDocument>, Arc<ReminderSettings>);

impl FollowUp for Reminding {
    fn guest(&self, changed: &Changed<'_, Guest>) -> Followed {
        self.followed(changed, Subject::of_guest)
    }

    fn user(&self, changed: &Changed<'_, User>) -> Followed {
        self.followed(changed, Subject::of_user)
    }
}

impl Reminding {
    pub fn new(settings: watch::Receiver<Option<Arc<SavedDocument>>>) -> Self {
        Self { settings, known: Mutex::default() }
    }

    fn rules(&self) -> Arc<ReminderSettings> {
        let Some(saved) = self.settings.borrow().clone() else { return Arc::default() };
        let mut known = self.known.lock().expect("no code under this lock panics");
        match &*known {
            Some((document, rules)) if Arc::ptr_eq(document, &saved) => Arc::clone(rules),
            Some(_) | None => {
                let rules = Arc::new(document::read(&saved));
                *known = Some((saved, Arc::clone(&rules)));
                rules
            }
        }
    }

    fn followed<S>(&self, changed: &Changed<'_, S>, view: impl Fn(&S) -> Subject) -> Followed {
        let settings = self.rules();
        let (before, after) = (changed.before.map(&view), changed.after.map(&view));
        follow(&settings, before.as_ref(), after.as_ref(), Noted::read(changed.notes), changed.now)
    }
}

fn follow(
    settings: &ReminderSettings,
    before: Option<&Subject>,
    after: Option<&Subject>,
    mut noted: Noted,
    now: Timestamp,
) -> Followed {
    let is_void = |mail: &NotedMail| match (before, after) {
        (Some(before), Some(after)) => {
            after.standing != Standing::Open
                || before.expires_at != after.expires_at
                || before.address(mail.channel()) != after.address(mail.channel())
        }
        (_, None) => true,
        (None, Some(_)) => false,
    };
    let (void, open) = noted.open.into_iter().partition(is_void);
    noted.open = open;
    let void: Vec<NotedMail> = void;
    let cancel = void.iter().map(NotedMail::job).collect();
    noted.recheck.extend(void);
    let Some(after) = after else { return Followed { due_at: None, notes: None, cancel } };
    let looks = after.standing == Standing::Open && !noted.recheck.is_empty();
    let due_at = if looks { Some(now) } else { first_look(after, settings) };
    Followed { due_at, notes: noted.write(), cancel }
}
