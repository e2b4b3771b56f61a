//! Mails that came back over the way of one mailbox without a word of the provider about them.

use std::collections::BTreeMap;
use std::time::Duration;

use nuncio_core::job::MailJobId;

/// How many are remembered; the one whose time ends first is forgotten for another.
const MAILS_MAX: usize = 64;
/// How often the way may break at a mail while it carries others, until that is laid to the mail.
const BREAKS_MIN: u32 = 2;
/// How long such a mail lets others pass at first, and at most; it doubles with each break.
const WAIT: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_mins(1);

/// Keeps a mail at which the server breaks off from stopping all others for ever.
///
/// The trouble is the channel's and costs the job no time: it stays due, for another mailbox at once. Here it lets
/// others pass: a probe goes with a mail that has not failed yet, if there is one, and where the way breaks at the
/// same mail again and again, it carries others between.
#[derive(Clone, Debug, Default)]
pub(crate) struct Avoided {
    mails: BTreeMap<MailJobId, Avoidance>,
    /// Whether there was no other mail to probe the way with.
    nothing_else: bool,
}

/// `until` is monotonic, since any fixed moment.
#[derive(Clone, Copy, Debug, Default)]
struct Avoidance {
    until: Duration,
    breaks: u32,
}

impl Avoided {
    /// A mail came back; `was_open` tells whether others were let through until then.
    pub(crate) fn came_back(&mut self, job: MailJobId, was_open: bool, now: Duration) {
        if MAILS_MAX <= self.mails.len() && !self.mails.contains_key(&job) {
            let first = self.mails.iter().min_by_key(|(_, one)| one.until).map(|(job, _)| *job);
            self.mails.remove(&first.expect("there are some"));
        }
        let one = self.mails.entry(job).or_default();
        one.breaks += u32::from(was_open);
        let wait = match one.breaks.checked_sub(BREAKS_MIN) {
            None => Duration::ZERO,
            Some(more) => WAIT.saturating_mul(2_u32.pow(more.min(16))).min(WAIT_MAX),
        };
        one.until = now + wait;
    }

    /// The provider has answered about a mail, or nobody knows whether it has it.
    pub(crate) fn got_through(&mut self, job: MailJobId) {
        self.mails.remove(&job);
    }

    /// The mails with which the way is not probed while there are others.
    pub(crate) fn by_probe(&self) -> Vec<MailJobId> {
        if self.nothing_else { Vec::new() } else { self.mails.keys().copied().collect() }
    }

    /// Without these mails there is none for a probe: the next one goes with any.
    pub(crate) fn found_nothing_else(&mut self) {
        self.nothing_else = true;
    }

    /// Mails are claimed, with what was said last.
    pub(crate) fn claims(&mut self) {
        self.nothing_else = false;
    }

    /// The mails that an open way leaves alone now.
    pub(crate) fn by_open_way(&self, now: Duration) -> Vec<MailJobId> {
        self.mails.iter().filter(|(_, one)| now < one.until).map(|(job, _)| *job).collect()
    }

    /// The channel has opened: only what was laid to the mails themselves stays.
    pub(crate) fn opened(&mut self) {
        self.mails.retain(|_, one| 0 < one.breaks);
    }

    /// New settings: whatever was wrong may be right now.
    pub(crate) fn reset(&mut self) {
        self.mails.clear();
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn job(number: u8) -> MailJobId {
        MailJobId::new(Timestamp::UNIX_EPOCH, [number; 10])
    }

    #[test]
    fn a_probe_goes_with_a_mail_that_has_not_failed() {
        let mut avoided = Avoided::default();

        avoided.came_back(job(1), true, s(0));
        avoided.came_back(job(2), false, s(0));

        assert_eq!(avoided.by_probe(), [1, 2].map(job));
        avoided.got_through(job(1));
        assert_eq!(avoided.by_probe(), [job(2)]);
    }

    #[test]
    fn a_probe_goes_with_any_mail_if_there_is_no_other() {
        let mut avoided = Avoided::default();
        avoided.came_back(job(1), true, s(0));

        avoided.found_nothing_else();
        assert_eq!(avoided.by_probe(), []);

        avoided.claims();
        assert_eq!(avoided.by_probe(), [job(1)]);
    }

    #[test]
    fn one_break_is_not_laid_to_the_mail() {
        let mut avoided = Avoided::default();

        avoided.came_back(job(1), true, s(0));
        for at in 1..50 {
            avoided.came_back(job(1), false, s(at));
            avoided.opened();
        }

        assert_eq!(avoided.by_open_way(s(49)), []);
        assert_eq!(avoided.by_probe(), [job(1)]);
    }

    #[test]
    fn a_mail_at_which_the_way_breaks_again_lets_others_pass_ever_longer() {
        let mut avoided = Avoided::default();
        let mut waits = Vec::new();
        for _ in 0..10 {
            avoided.came_back(job(1), true, s(100));
            avoided.opened();
            let is_avoided = |at: &u64| avoided.by_open_way(s(100 + at)) == [job(1)];
            waits.push((0..100).take_while(is_avoided).count());
        }

        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn new_settings_forget_everything() {
        let mut avoided = Avoided::default();
        for _ in 0..3 {
            avoided.came_back(job(1), true, s(0));
        }

        avoided.reset();

        assert_eq!((avoided.by_probe(), avoided.by_open_way(s(0))), (vec![], vec![]));
    }

    #[test]
    fn no_more_mails_are_remembered_than_a_claim_may_name() {
        let mut avoided = Avoided::default();
        for (at, number) in (0..100).zip(0..) {
            avoided.came_back(job(number), false, s(at));
        }

        let known = avoided.by_probe();
        assert_eq!(known.len(), MAILS_MAX);
        assert!((36..100).all(|number| known.contains(&job(number))), "the last ones stay");
    }
}
