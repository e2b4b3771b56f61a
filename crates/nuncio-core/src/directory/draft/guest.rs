//! A guest as a caller gives it.

use jiff::Timestamp;

use super::text::{check_address, check_language, check_line, check_time_zone};
use super::{
    MOBILE_NUMBER_CHARS_MAX, NAME_CHARS_MAX, PLACE_CHARS_MAX, REASON_CHARS_MAX, SSID_OCTETS_MAX,
    TYPE_CHARS_MAX, check_years,
};
use crate::address::EmailAddress;
use crate::directory::guest::{Guest, GuestId, GuestState, Sponsor};
use crate::directory::lifecycle::state_after_return;
use crate::violation::Violations;

/// All that a caller may say of a guest. Fields have the names of [`Guest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestDraft {
    /// Empty means the id.
    pub username: String,
    pub first_name: String,
    pub last_name: String,
    pub company: String,
    pub mobile_number: String,
    pub email: String,
    pub guest_type: String,
    pub sponsor_name: String,
    /// Needed where there is a name.
    pub sponsor_email: String,
    pub location: String,
    /// A name of IANA; empty means UTC.
    pub time_zone: String,
    pub language: String,
    pub person_visited: String,
    pub reason_for_visit: String,
    pub ssid: String,
    /// None means the present one, or `CREATED`; an access that had ended and is extended goes on.
    pub state: Option<GuestState>,
    pub state_reason: String,
    pub has_logged_in: bool,
    /// None means the present one, or now.
    pub valid_from: Option<Timestamp>,
    /// Needed.
    pub valid_to: Option<Timestamp>,
    pub is_password_own: bool,
}

impl GuestDraft {
    /// Makes the guest, or tells everything that is wrong with the draft; `before` is the guest whom it
    /// replaces. An access that is over makes the guest `EXPIRED`.
    pub fn check(
        self,
        id: GuestId,
        before: Option<&Guest>,
        now: Timestamp,
    ) -> Result<Guest, Violations> {
        let mut wrong = Violations::default();
        let validity = self.check_validity(&mut wrong, before, now);
        let sponsor = self.check_sponsor(&mut wrong);
        let mut line = |field: &str, text: &str, max| check_line(&mut wrong, field, text, max);
        let username = line("username", &self.username, NAME_CHARS_MAX);
        let first_name = line("first_name", &self.first_name, NAME_CHARS_MAX);
        let last_name = line("last_name", &self.last_name, NAME_CHARS_MAX);
        let company = line("company", &self.company, PLACE_CHARS_MAX);
        let mobile_number = line("mobile_number", &self.mobile_number, MOBILE_NUMBER_CHARS_MAX);
        let guest_type = line("guest_type", &self.guest_type, TYPE_CHARS_MAX);
        let location = line("location", &self.location, PLACE_CHARS_MAX);
        let person_visited = line("person_visited", &self.person_visited, PLACE_CHARS_MAX);
        let reason_for_visit = line("reason_for_visit", &self.reason_for_visit, REASON_CHARS_MAX);
        let ssid = line("ssid", &self.ssid, SSID_OCTETS_MAX);
        let state_reason = line("state_reason", &self.state_reason, REASON_CHARS_MAX);
        if SSID_OCTETS_MAX < ssid.len() && ssid.chars().count() <= SSID_OCTETS_MAX {
            wrong.add("ssid", format!("is longer than {SSID_OCTETS_MAX} octets in UTF-8"));
        }
        let email = check_address(&mut wrong, "email", &self.email);
        let time_zone = check_time_zone(&mut wrong, "time_zone", &self.time_zone);
        let language = check_language(&mut wrong, "language", &self.language);
        let (Some((valid_from, valid_to)), Some(time_zone), true) =
            (validity, time_zone, wrong.is_empty())
        else {
            return Err(wrong);
        };
        let (state, has_logged_in) = state(self.state, self.has_logged_in, before, valid_to, now);
        Ok(Guest {
            username: if username.is_empty() { id.as_str().to_owned() } else { username },
            id,
            first_name,
            last_name,
            company,
            mobile_number,
            email,
            guest_type,
            sponsor,
            location,
            time_zone,
            language,
            person_visited,
            reason_for_visit,
            ssid,
            state,
            state_reason: if has_reason(state) { state_reason } else { String::new() },
            has_logged_in,
            valid_from,
            valid_to,
            is_password_own: self.is_password_own,
            created_at: before.map_or(now, |guest| guest.created_at),
            updated_at: now,
        })
    }

    fn check_sponsor(&self, wrong: &mut Violations) -> Option<Sponsor> {
        let name = check_line(wrong, "sponsor_name", &self.sponsor_name, NAME_CHARS_MAX);
        let email: Option<EmailAddress> =
            check_address(wrong, "sponsor_email", &self.sponsor_email);
        if !name.is_empty() && self.sponsor_email.trim().is_empty() {
            wrong.add("sponsor_email", "is missing; a sponsor with a name needs an address");
        }
        email.map(|email| Sponsor { name, email })
    }

    fn check_validity(
        &self,
        wrong: &mut Violations,
        before: Option<&Guest>,
        now: Timestamp,
    ) -> Option<(Timestamp, Timestamp)> {
        let present = before.map(|guest| guest.valid_from);
        let valid_from = self.valid_from.or(present).unwrap_or(now);
        let Some(valid_to) = self.valid_to else {
            wrong.add("valid_to_time", "is missing; give the moment when the access ends");
            return None;
        };
        check_years(wrong, "valid_from_time", valid_from);
        check_years(wrong, "valid_to_time", valid_to);
        if valid_to <= valid_from {
            let problem = format!("must be later than `valid_from_time`, which is {valid_from}");
            wrong.add("valid_to_time", problem);
        }
        Some((valid_from, valid_to))
    }
}

impl From<&Guest> for GuestDraft {
    fn from(guest: &Guest) -> Self {
        let sponsor = guest.sponsor.as_ref();
        Self {
            username: guest.username.clone(),
            first_name: guest.first_name.clone(),
            last_name: guest.last_name.clone(),
            company: guest.company.clone(),
            mobile_number: guest.mobile_number.clone(),
            email: guest.email.as_ref().map(ToString::to_string).unwrap_or_default(),
            guest_type: guest.guest_type.clone(),
            sponsor_name: sponsor.map(|one| one.name.clone()).unwrap_or_default(),
            sponsor_email: sponsor.map(|one| one.email.to_string()).unwrap_or_default(),
            location: guest.location.clone(),
            time_zone: guest.time_zone.iana_name().unwrap_or("UTC").to_owned(),
            language: guest.language.clone(),
            person_visited: guest.person_visited.clone(),
            reason_for_visit: guest.reason_for_visit.clone(),
            ssid: guest.ssid.clone(),
            state: Some(guest.state),
            state_reason: guest.state_reason.clone(),
            has_logged_in: guest.has_logged_in,
            valid_from: Some(guest.valid_from),
            valid_to: Some(guest.valid_to),
            is_password_own: guest.is_password_own,
        }
    }
}

/// The state that a draft comes to, and whether there was a first login.
fn state(
    given: Option<GuestState>,
    has_logged_in: bool,
    before: Option<&Guest>,
    valid_to: Timestamp,
    now: Timestamp,
) -> (GuestState, bool) {
    let ever = has_logged_in || before.is_some_and(|guest| guest.has_logged_in);
    let has_logged_in = match given {
        Some(GuestState::Active) => true,
        Some(GuestState::Created | GuestState::PendingApproval) => false,
        Some(GuestState::Suspended | GuestState::Expired | GuestState::Denied) | None => ever,
    };
    let kept = || match before.map(|guest| guest.state) {
        Some(
            state @ (GuestState::PendingApproval | GuestState::Suspended | GuestState::Denied),
        ) => state,
        Some(GuestState::Created | GuestState::Active | GuestState::Expired) | None => {
            state_after_return(has_logged_in)
        }
    };
    let state = given.unwrap_or_else(kept);
    if valid_to <= now && state.can_expire() {
        return (GuestState::Expired, has_logged_in);
    }
    (state, has_logged_in)
}

fn has_reason(state: GuestState) -> bool {
    match state {
        GuestState::Suspended | GuestState::Denied => true,
        GuestState::PendingApproval
        | GuestState::Created
        | GuestState::Active
        | GuestState::Expired => false,
    }
}
