//! What waits, as both databases count it.

use nuncio_core::job::JobState;
use nuncio_core::ports::job_store::Backlog;

use crate::rows::{class_from, time_from};

/// How many jobs of a class are in a state, and when the first of them is due.
pub(crate) type CountRow = (String, String, i64, Option<i64>);

pub(crate) fn backlog_from(rows: &[CountRow]) -> Backlog {
    let count = |state: JobState| {
        let of_state = rows.iter().filter(|(name, ..)| name == state.name());
        of_state.map(|(.., count, _due)| u64::try_from(*count).unwrap_or_default()).sum()
    };
    let due_at = |is_patient: bool| {
        let waits = |state: &str| {
            [JobState::Queued, JobState::Deferred].map(JobState::name).contains(&state)
        };
        let of_class = rows.iter().filter(|(state, class, ..)| {
            waits(state) && class_from(class).is_ok_and(|class| class.is_patient() == is_patient)
        });
        let due_at_us = of_class.filter_map(|(.., due_at_us)| *due_at_us).min();
        due_at_us.and_then(|us| time_from("due_at_us", us).ok())
    };
    Backlog {
        queued: count(JobState::Queued),
        sending: count(JobState::Sending),
        deferred: count(JobState::Deferred),
        held: count(JobState::Held),
        urgent_due_at: due_at(false),
        patient_due_at: due_at(true),
    }
}
