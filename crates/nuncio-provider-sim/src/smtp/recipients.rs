//! The scripted recipients.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::config::RecipientRule;

/// The rules about recipients, with how often each has worked.
pub(crate) struct Recipients {
    rules: Vec<RecipientRule>,
    /// Times a rule (by its place) has worked for an address.
    worked: Mutex<HashMap<(usize, String), u32>>,
}

impl Recipients {
    pub(crate) fn new(rules: Vec<RecipientRule>) -> Self {
        Self { rules, worked: Mutex::default() }
    }

    /// The reply to RCPT in place of 250.
    pub(crate) fn rcpt(&self, address: &str) -> Option<String> {
        self.reply(address, |rule| rule.rcpt.as_ref())
    }

    /// The reply to the end of data in place of 250: that of the first recipient with one.
    pub(crate) fn end_of_data(&self, addresses: &[String]) -> Option<String> {
        addresses.iter().find_map(|address| self.reply(address, |rule| rule.end_of_data.as_ref()))
    }

    fn reply(
        &self,
        address: &str,
        of: impl Fn(&RecipientRule) -> Option<&String>,
    ) -> Option<String> {
        let about = self.rules.iter().enumerate().filter(|(_, rule)| rule.matches(address));
        let mut with_reply = about.filter_map(|(place, rule)| Some((place, rule, of(rule)?)));
        with_reply
            .find(|(place, rule, _)| self.works(*place, rule, address))
            .map(|(_, _, reply)| reply.clone())
    }

    fn works(&self, place: usize, rule: &RecipientRule, address: &str) -> bool {
        let Some(times) = rule.times else { return true };
        let mut worked = self.worked.lock().expect("no code under this lock panics");
        let count = worked.entry((place, address.to_ascii_lowercase())).or_default();
        let works = *count < times;
        *count += u32::from(works);
        works
    }
}

#[cfg(test)]
mod tests;
