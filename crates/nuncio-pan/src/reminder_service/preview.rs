//! Who would get which reminder, and why others would not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use nuncio_api::convert::reminder::reminder_settings;
use nuncio_api::convert::time::{duration, duration_from, timestamp, timestamp_from};
use nuncio_api::error::invalid;
use nuncio_api::v1;
use nuncio_core::directory::guest::Guest;
use nuncio_core::directory::user::User;
use nuncio_core::ports::records::{Record, RecordKey, RecordQuery};
use nuncio_core::reminder::decide::{Due, all_places, channels, forecast, why_not};
use nuncio_core::reminder::ledger::LedgerKey;
use nuncio_core::reminder::{Channel, Subject, WhyNot};
use nuncio_core::violation::Violations;
use nuncio_delivery::guest_mail;
use nuncio_directory::subject::{GUESTS, Subject as _, USERS};
use tonic::Status;

use crate::errors::no_store;
use crate::paging::{next_token, page_size, start};
use crate::reminder_service::{ReminderApi, check_subject, not_valid};
use crate::reminders::InForce;
use crate::reminders::remindable::Remindable;
use crate::reminders::round::read_all;

/// How far a preview looks ahead where the caller says nothing.
const HORIZON: Duration = Duration::from_hours(7 * 24);
/// How far it looks ahead at most.
const HORIZON_MAX: Duration = Duration::from_hours(366 * 24);

/// What a preview looks at.
struct Look {
    in_force: InForce,
    now: Timestamp,
    from: Timestamp,
    until: Timestamp,
    include_not_reminded: bool,
}

impl ReminderApi {
    pub(super) async fn preview(
        &self,
        request: v1::PreviewRemindersRequest,
    ) -> Result<v1::PreviewRemindersResponse, Status> {
        let look = self.look(&request)?;
        let limit = page_size(request.page_size)?;
        let (is_user, after) = place(&start(&request.page_token)?.unwrap_or_default())?;
        if !request.subject.is_empty() {
            return self.preview_one(&request.subject, &look).await;
        }
        let kind = if is_user { USERS } else { GUESTS };
        let query = RecordQuery { kind, owner: None, after, limit };
        let page = self.reminders.records.list_records(&query).await;
        let page = page.map_err(|error| no_store(&error))?;
        let mut response = self.preview_page(&page, is_user, &look).await?;
        let full = page.len() == limit as usize;
        response.next_page_token = match page.last().filter(|_| full) {
            Some(last) => next_token(&format!("{}{}", mark(is_user), last.key.id)),
            None if is_user => String::new(),
            // After the guests the users.
            None => next_token(mark(true)),
        };
        Ok(response)
    }

    fn look(&self, request: &v1::PreviewRemindersRequest) -> Result<Look, Status> {
        let settings = match request.reminder_settings.clone() {
            Some(given) => reminder_settings(given).map_err(not_valid)?,
            None => self.present()?,
        };
        let guest_mail = guest_mail::present(&self.reminders.guest_mail);
        let in_force = InForce { reminders: settings, guest_mail };
        let now = self.reminders.intake.clock.now();
        let mut violations = Violations::default();
        let from = timestamp_from(&mut violations, "as_of_time", request.as_of_time);
        let horizon = duration_from(&mut violations, "horizon", request.horizon);
        let (from, horizon) = (from.unwrap_or(now), horizon.unwrap_or(HORIZON));
        if HORIZON_MAX < horizon {
            violations.add("horizon", "must be at most 366 days");
        }
        let until = from.checked_add(horizon).unwrap_or(Timestamp::MAX);
        let include_not_reminded = request.include_not_reminded;
        // What lies between now and then counts as sent.
        let look = Look { in_force, now: now.min(from), from, until, include_not_reminded };
        let message = "the preview cannot be made so";
        violations.none_or(|| look).map_err(|wrong| invalid("INVALID_PREVIEW", message, wrong))
    }

    async fn preview_one(
        &self,
        name: &str,
        look: &Look,
    ) -> Result<v1::PreviewRemindersResponse, Status> {
        check_subject(name)?;
        let (kind, id) = match name.split_once('/') {
            Some(("users", id)) => (USERS, id),
            Some((_, id)) => (GUESTS, id),
            None => (GUESTS, name),
        };
        let found = self.reminders.records.read(&[RecordKey::new(kind, id)]).await;
        let found: Vec<_> =
            found.map_err(|error| no_store(&error))?.into_iter().flatten().collect();
        self.preview_page(&found, kind == USERS, look).await
    }

    async fn preview_page(
        &self,
        page: &[Record],
        is_user: bool,
        look: &Look,
    ) -> Result<v1::PreviewRemindersResponse, Status> {
        let subjects = if is_user {
            views::<User>(page, &look.in_force)
        } else {
            views::<Guest>(page, &look.in_force)
        };
        let taken = self.taken(&subjects, &look.in_force).await?;
        let mut response = v1::PreviewRemindersResponse {
            subject_count: i64::try_from(page.len()).unwrap_or(i64::MAX),
            ..Default::default()
        };
        for (subject, taken) in subjects.iter().zip(&taken) {
            preview_subject(&mut response, subject, taken, look);
        }
        Ok(response)
    }

    async fn taken(
        &self,
        subjects: &[Subject],
        in_force: &InForce,
    ) -> Result<Vec<BTreeSet<LedgerKey>>, Status> {
        let places = subjects.iter().map(|subject| all_places(subject, &in_force.reminders));
        let places: Vec<Vec<_>> = places.collect();
        let taken = self.reminders.taken_of(places).await;
        taken.map_err(|error| no_store(&error))
    }
}

fn preview_subject(
    response: &mut v1::PreviewRemindersResponse,
    subject: &Subject,
    taken: &BTreeSet<LedgerKey>,
    look: &Look,
) {
    let Look { in_force, now, from, until, include_not_reminded } = look;
    let settings = &in_force.reminders;
    let coming = forecast(subject, settings, taken, *now, *until);
    let coming: Vec<_> = coming.into_iter().filter(|(at, _)| from <= at).collect();
    for channel in channels(settings.rule(&subject.group)) {
        let mut sent = coming.iter().filter(|(_, due)| due.key.channel == channel).peekable();
        if sent.peek().is_none() {
            let why = why_not(subject, settings, taken, channel, *now);
            *count(&mut response.not_reminded_counts, why) += 1;
            if *include_not_reminded {
                response.forecasts.push(not_reminded(subject, channel, why));
            }
        }
        for (at, due) in sent {
            response.reminder_count += 1;
            response.forecasts.push(reminded(subject, *at, due, *now));
        }
    }
}

fn reminded(subject: &Subject, at: Timestamp, due: &Due, now: Timestamp) -> v1::ReminderForecast {
    let address = subject.address(due.key.channel);
    v1::ReminderForecast {
        send_time: Some(timestamp(at)),
        before: Some(duration(due.key.before)),
        put_off: due.since.max(now) < at,
        address: address.map(ToString::to_string).unwrap_or_default(),
        ..bare(subject, due.key.channel)
    }
}

fn not_reminded(subject: &Subject, channel: Channel, why: WhyNot) -> v1::ReminderForecast {
    let not_reminded = v1::NotReminded::from(why).into();
    v1::ReminderForecast { not_reminded, ..bare(subject, channel) }
}

fn bare(subject: &Subject, channel: Channel) -> v1::ReminderForecast {
    v1::ReminderForecast {
        subject: subject.name.clone(),
        channel: v1::ReminderChannel::from(channel).into(),
        expire_time: subject.expires_at.map(timestamp),
        ..Default::default()
    }
}

fn count(counts: &mut BTreeMap<String, i64>, why: WhyNot) -> &mut i64 {
    counts.entry(why.name().to_owned()).or_default()
}

fn views<S: Remindable>(page: &[Record], in_force: &InForce) -> Vec<Subject> {
    read_all::<S>(page).iter().map(|entry| in_force.view(&entry.subject)).collect()
}

/// What stands before the id in a page token.
fn mark(is_user: bool) -> &'static str {
    if is_user { "u" } else { "g" }
}

/// Whether a page is one of users, and behind whom it begins.
fn place(text: &str) -> Result<(bool, Option<String>), Status> {
    let after = |id: &str| Some(id.to_owned()).filter(|id| !id.is_empty());
    match text.split_at_checked(1) {
        None => Ok((false, None)),
        Some(("u", id)) if id.is_empty() || User::parse_id(id).is_ok() => Ok((true, after(id))),
        Some(("g", id)) if Guest::parse_id(id).is_ok() => Ok((false, after(id))),
        Some(_) => Err(crate::paging::no_token()),
    }
}
