//! What follows from a change for those who look at guests and users when time has come.

use nuncio_core::directory::guest::Guest;
use nuncio_core::directory::user::User;

use crate::change::{Changed, Followed};

/// Says what follows from a change: when somebody has to look at the guest or user next, and which mails the
/// change voids. It is asked with each change, before it is written, and must only decide.
pub trait FollowUp: Send + Sync {
    fn guest(&self, changed: &Changed<'_, Guest>) -> Followed;
    fn user(&self, changed: &Changed<'_, User>) -> Followed;
}

/// Somebody has to look when the access or the password has ended, and no mails wait.
pub struct AtExpiry;

impl FollowUp for AtExpiry {
    fn guest(&self, changed: &Changed<'_, Guest>) -> Followed {
        let due_at = changed.after.filter(|guest| guest.state.can_expire());
        Followed {
            due_at: due_at.map(|guest| guest.valid_to),
            notes: changed.notes.cloned(),
            cancel: Vec::new(),
        }
    }

    fn user(&self, changed: &Changed<'_, User>) -> Followed {
        let due_at = changed.after.filter(|user| user.is_enabled && !user.password_never_expires);
        Followed {
            due_at: due_at.and_then(|user| user.password_expires_at),
            notes: changed.notes.cloned(),
            cancel: Vec::new(),
        }
    }
}
