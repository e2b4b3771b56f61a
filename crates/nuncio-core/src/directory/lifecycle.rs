//! What may be done with a guest in which state.

use jiff::Timestamp;

use super::draft::text::breaks_line;
use super::draft::{REASON_CHARS_MAX, is_in_years};
use super::guest::{Guest, GuestState};

/// Something that happens to a guest. Making and removing one are possible always, and not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestAction {
    /// The sponsor lets a guest in who registered himself.
    Approve,
    Deny {
        reason: String,
    },
    /// The first login; later ones change nothing.
    Activate,
    Extend {
        valid_to: Timestamp,
    },
    Suspend {
        reason: String,
    },
    /// The end of a suspension.
    Reinstate,
    /// The access has come to its end.
    Expire,
}

/// Why an action is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("a guest who is {} cannot be {done}; only one who is {}", state.name(), names(possible))]
    State { done: &'static str, state: GuestState, possible: &'static [GuestState] },
    #[error("the access begins at {valid_from}")]
    NotYetValid { valid_from: Timestamp },
    #[error("the access has ended at {valid_to}; extend it")]
    NoLongerValid { valid_to: Timestamp },
    #[error("the access ends at {valid_to}, which is still to come")]
    StillValid { valid_to: Timestamp },
    #[error("the new end {given} must be later than {earliest}, and in the year 8999 or before")]
    End { given: Timestamp, earliest: Timestamp },
    #[error("the reason must be one line of at most {REASON_CHARS_MAX} characters")]
    Reason,
}

impl Refused {
    /// A stable name in upper case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::State { .. } => "GUEST_STATE",
            Self::NotYetValid { .. } => "GUEST_NOT_YET_VALID",
            Self::NoLongerValid { .. } => "GUEST_NO_LONGER_VALID",
            Self::StillValid { .. } => "GUEST_STILL_VALID",
            Self::End { .. } => "INVALID_VALID_TO",
            Self::Reason => "INVALID_REASON",
        }
    }
}

impl GuestAction {
    /// The states in which it is possible.
    pub fn possible_in(&self) -> &'static [GuestState] {
        use GuestState::{Active, Created, Expired, PendingApproval, Suspended};
        match self {
            Self::Approve | Self::Deny { .. } => &[PendingApproval],
            Self::Activate | Self::Suspend { .. } => &[Created, Active],
            Self::Extend { .. } => &[PendingApproval, Created, Active, Suspended, Expired],
            Self::Reinstate => &[Suspended],
            Self::Expire => &[PendingApproval, Created, Active, Suspended],
        }
    }

    fn done(&self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Deny { .. } => "denied",
            Self::Activate => "activated",
            Self::Extend { .. } => "extended",
            Self::Suspend { .. } => "suspended",
            Self::Reinstate => "reinstated",
            Self::Expire => "expired",
        }
    }
}

impl Guest {
    /// The guest after the action, or why it is not possible.
    pub fn after(&self, action: &GuestAction, now: Timestamp) -> Result<Self, Refused> {
        let (state, possible) = (self.state, action.possible_in());
        if !possible.contains(&state) {
            return Err(Refused::State { done: action.done(), state, possible });
        }
        let mut guest = Self { updated_at: now, ..self.clone() };
        match action {
            GuestAction::Approve => {
                self.check_not_over(now)?;
                guest.state = GuestState::Created;
            }
            GuestAction::Deny { reason } => guest.turn_away(GuestState::Denied, reason)?,
            GuestAction::Activate => {
                self.check_not_over(now)?;
                if now < self.valid_from {
                    return Err(Refused::NotYetValid { valid_from: self.valid_from });
                }
                guest.state = GuestState::Active;
                guest.has_logged_in = true;
            }
            GuestAction::Extend { valid_to } => guest.extend(*valid_to, now)?,
            GuestAction::Suspend { reason } => guest.turn_away(GuestState::Suspended, reason)?,
            GuestAction::Reinstate => {
                self.check_not_over(now)?;
                guest.state = state_after_return(self.has_logged_in);
                guest.state_reason.clear();
            }
            GuestAction::Expire => {
                if now < self.valid_to {
                    return Err(Refused::StillValid { valid_to: self.valid_to });
                }
                guest.state = GuestState::Expired;
                guest.state_reason.clear();
            }
        }
        Ok(guest)
    }

    /// An extension of an access that has ended lets the guest in again.
    fn extend(&mut self, valid_to: Timestamp, now: Timestamp) -> Result<(), Refused> {
        let earliest = self.valid_to.max(now);
        if valid_to <= earliest || !is_in_years(valid_to) {
            return Err(Refused::End { given: valid_to, earliest });
        }
        self.valid_to = valid_to;
        if self.state == GuestState::Expired {
            self.state = state_after_return(self.has_logged_in);
        }
        Ok(())
    }

    fn turn_away(&mut self, state: GuestState, reason: &str) -> Result<(), Refused> {
        let reason = reason.trim();
        if REASON_CHARS_MAX < reason.chars().count() || reason.contains(breaks_line) {
            return Err(Refused::Reason);
        }
        self.state = state;
        reason.clone_into(&mut self.state_reason);
        Ok(())
    }

    fn check_not_over(&self, now: Timestamp) -> Result<(), Refused> {
        if self.valid_to <= now {
            return Err(Refused::NoLongerValid { valid_to: self.valid_to });
        }
        Ok(())
    }
}

/// The state of a guest who may use the network again.
pub(super) fn state_after_return(has_logged_in: bool) -> GuestState {
    if has_logged_in { GuestState::Active } else { GuestState::Created }
}

fn names(states: &[GuestState]) -> String {
    let names: Vec<_> = states.iter().map(|state| state.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
