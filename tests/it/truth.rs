//! What the jobs say, compared with what the provider knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::AddAssign;

use nuncio_api::v1;
use nuncio_api::v1::{MailClass, MailJobState, RecipientState};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::Caller;

/// The reason of a job whose node died again and again.
const GIVEN_UP: &str = "NODE_DIED_REPEATEDLY";

/// What became of jobs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) sent: u64,
    pub(crate) unknown: u64,
    /// Given up, as their node died again and again: `NODE_DIED_REPEATEDLY`.
    pub(crate) given_up: u64,
    /// Attempts of unknown outcome.
    pub(crate) unknown_attempts: u64,
    /// Recipients whom a mail has reached.
    pub(crate) deliveries: u64,
    /// Copies beyond the first, of each recipient.
    pub(crate) duplicates: u64,
}

/// Where the truth is to be had.
pub(crate) struct Truth<'a> {
    pub(crate) simulator: &'a Simulator,
    pub(crate) caller: &'a Caller,
    /// What has happened, for messages.
    pub(crate) story: String,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.sent += more.sent;
        self.unknown += more.unknown;
        self.given_up += more.given_up;
        self.unknown_attempts += more.unknown_attempts;
        self.deliveries += more.deliveries;
        self.duplicates += more.duplicates;
    }
}

/// Only what has been compared is counted, so none is lost, and each duplicate was told as possible.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} jobs accepted, {} sent, {} unknown, {} given up, 0 lost, {} attempts of unknown outcome, {} recipients \
             reached, {} duplicates (all allowed)",
            self.accepted,
            self.sent,
            self.unknown,
            self.given_up,
            self.unknown_attempts,
            self.deliveries,
            self.duplicates,
        )
    }
}

impl Truth<'_> {
    /// Panics where a job is lost, lies about its end, or was sent twice without having said that it might be.
    pub(crate) async fn compare(&self, names: &[String], jobs: Vec<v1::MailJob>) -> Counts {
        let stored: BTreeSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        let lost: Vec<_> = names.iter().filter(|name| !stored.contains(name.as_str())).collect();
        assert!(lost.is_empty(), "{}: lost: {lost:?}", self.story);
        assert_eq!(stored.len(), names.len(), "{}: a job was stored twice", self.story);
        let mut counts =
            Counts { accepted: u64::try_from(names.len()).expect("it fits"), ..Counts::default() };
        let mut arrived = self.simulator.message_ids();
        for job in jobs {
            self.judge(&job, &mut arrived, &mut counts).await;
        }
        assert!(arrived.is_empty(), "{}: mails of no job arrived: {arrived:?}", self.story);
        counts
    }

    async fn judge(
        &self,
        job: &v1::MailJob,
        arrived: &mut BTreeMap<String, u64>,
        counts: &mut Counts,
    ) {
        let id = job.message_id.trim_matches(['<', '>']);
        arrived.remove(id);
        let (_, attempts) = self.caller.job(&job.name).await;
        let unknown = attempts.iter().filter(|one| is_unknown(one)).count();
        let unknown = u64::try_from(unknown).expect("they are few");
        let seen = format!("{}: {job:#?} {attempts:#?}", self.story);
        let is_given_up = reason(job) == GIVEN_UP;
        counts.unknown_attempts += unknown;
        match job.state() {
            MailJobState::Sent => {
                counts.sent += 1;
                let is_accepted =
                    |one: &v1::RecipientResult| one.state() == RecipientState::Accepted;
                assert!(job.recipients.iter().any(is_accepted), "sent to nobody: {seen}");
            }
            MailJobState::Unknown => {
                counts.unknown += 1;
                assert!(0 < unknown, "unknown without such an attempt: {seen}");
            }
            MailJobState::Failed => {
                counts.given_up += 1;
                assert!(is_given_up, "{seen}");
            }
            other @ (MailJobState::Unspecified
            | MailJobState::Queued
            | MailJobState::Sending
            | MailJobState::Deferred
            | MailJobState::Held
            | MailJobState::Expired
            | MailJobState::Cancelled) => panic!("{other:?} is no end for it: {seen}"),
        }
        for one in &job.recipients {
            let times = self.simulator.delivered(id, &one.address);
            let seen = format!("{} got it {times} times: {seen}", one.address);
            judge_recipient(one.state(), times, unknown, is_given_up, &seen);
            if job.class() == MailClass::Bulk {
                assert!(times <= 1, "arrived twice: {seen}");
            }
            counts.deliveries += times.min(1);
            counts.duplicates += times.saturating_sub(1);
        }
    }
}

/// Compares what a job says of a recipient with how often the mail arrived there.
fn judge_recipient(state: RecipientState, times: u64, unknown: u64, is_given_up: bool, seen: &str) {
    match state {
        RecipientState::Accepted => assert!(0 < times, "accepted, but never arrived: {seen}"),
        RecipientState::Refused => assert_eq!(times, 0, "refused, but arrived: {seen}"),
        RecipientState::Unknown => assert!(0 < unknown, "no such attempt: {seen}"),
        RecipientState::Pending => assert!(is_given_up, "still pending: {seen}"),
        RecipientState::Unspecified => panic!("in no state: {seen}"),
    }
    let known = u64::from(state == RecipientState::Accepted);
    assert!(times <= known + unknown, "a copy that no attempt explains: {seen}");
}

fn reason(job: &v1::MailJob) -> &str {
    job.reason.as_ref().map_or("", |reason| reason.code.as_str())
}

/// Whether the provider may have taken the mail by this attempt, for all that the node knows.
fn is_unknown(attempt: &v1::MailAttempt) -> bool {
    let is_given_up = attempt.outcome == GIVEN_UP && attempt.counted;
    attempt.outcome == "OUTCOME_UNKNOWN" || is_given_up
}
