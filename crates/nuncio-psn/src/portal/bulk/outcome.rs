//! What became of the guests of a bulk.

use nuncio_core::job::{Job, JobState};
use nuncio_core::ports::job_store::{JobStore, StoreError};

use super::record::BulkGuestV1;

/// What became of a guest of a bulk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    /// For a person.
    Failed(String),
    /// For a person, should nobody wait any longer.
    Waiting(String),
}

/// How the guests of a bulk stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) sent: usize,
    pub(crate) waiting: usize,
    /// Place, user name, why.
    pub(crate) failures: Vec<(usize, String, String)>,
}

/// Looks at the jobs of a guest.
pub(crate) async fn outcome(
    store: &dyn JobStore,
    guest: &BulkGuestV1,
) -> Result<Outcome, StoreError> {
    if let Some(refusal) = &guest.refusal {
        return Ok(Outcome::Failed(refusal.message.clone()));
    }
    let mut outcome = Outcome::Sent;
    for mail in &guest.mails {
        let Ok(id) = mail.job.parse() else { continue };
        let Some(job) = store.get(id).await? else { continue };
        match of_job(&job) {
            Outcome::Sent => {}
            failed @ Outcome::Failed(_) => return Ok(failed),
            waiting @ Outcome::Waiting(_) => outcome = waiting,
        }
    }
    Ok(outcome)
}

fn of_job(job: &Job) -> Outcome {
    let why = || {
        let reply = job.reason.as_ref().and_then(|reason| reason.reply.as_ref());
        let reply = reply.map(|reply| format!(": {reply}")).unwrap_or_default();
        let message = job.reason.as_ref().map_or("", |reason| reason.message.as_str());
        if message.contains(reply.trim_start_matches(": ")) {
            message.to_owned()
        } else {
            format!("{message}{reply}")
        }
    };
    match job.state {
        JobState::Sent => Outcome::Sent,
        JobState::Failed => Outcome::Failed(why()),
        JobState::Expired | JobState::Cancelled => {
            Outcome::Failed(format!("{}: {}", job.state.name().to_lowercase(), why()))
        }
        JobState::Unknown => Outcome::Failed("it may have arrived: the answer was lost".to_owned()),
        JobState::Queued | JobState::Sending => Outcome::Waiting("not sent yet".to_owned()),
        JobState::Deferred | JobState::Held => Outcome::Waiting(format!("not sent yet: {}", why())),
    }
}

impl Tally {
    /// `total` guests were asked for; those who are missing were never accepted.
    pub(crate) async fn of(
        store: &dyn JobStore,
        guests: &[(usize, BulkGuestV1)],
        total: usize,
        is_last: bool,
    ) -> Result<Self, StoreError> {
        let mut tally = Self::default();
        for (index, guest) in guests {
            let failure = match outcome(store, guest).await? {
                Outcome::Sent => {
                    tally.sent += 1;
                    continue;
                }
                Outcome::Waiting(_) if !is_last => {
                    tally.waiting += 1;
                    continue;
                }
                Outcome::Failed(why) | Outcome::Waiting(why) => why,
            };
            tally.failures.push((*index, guest.username.clone(), failure));
        }
        if is_last {
            let known: std::collections::HashSet<_> = guests.iter().map(|(at, _)| *at).collect();
            let missing = (0..total).filter(|index| !known.contains(index));
            let why = "was not accepted: the call broke off";
            tally.failures.extend(missing.map(|index| (index, String::new(), why.to_owned())));
        }
        Ok(tally)
    }

    /// One line for each failure, as many as `chars_max` has room for.
    pub(crate) fn lines(&self, chars_max: usize) -> String {
        let mut lines = String::new();
        for (told, (index, username, why)) in self.failures.iter().enumerate() {
            let who = if username.is_empty() { String::new() } else { format!(" {username}") };
            let line = format!("{}.{who}: {why}\n", index + 1);
            let rest = self.failures.len() - told;
            let more = format!("and {rest} more");
            if chars_max < lines.chars().count() + line.chars().count() + more.chars().count() {
                lines.push_str(&more);
                return lines;
            }
            lines.push_str(&line);
        }
        lines.trim_end().to_owned()
    }
}
