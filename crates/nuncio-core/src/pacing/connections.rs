//! Connections for what somebody waits for.

use crate::settings::MailboxLimits;

/// From so many connections on, one of them is kept. With fewer, what is patient would lose half of them or all.
const TO_SHARE_MIN: u32 = 3;
/// How many are kept.
const KEPT_FOR_URGENT: u32 = 1;

/// How many connections of a mailbox mails of patient classes may use at once.
///
/// Where messages a minute are limited, connections are not what is scarce: two of three carry thirty messages a
/// minute while one takes no longer than four seconds. So one is kept for a mail that somebody waits for, which
/// would else wait until a slow one has ended. Without such a limit connections are all that there is, and bulk
/// uses every one: keeping one would slow it down by a third.
pub fn for_patient(limits: &MailboxLimits) -> u32 {
    let max = limits.connections_max;
    let is_kept = limits.messages_per_minute_max.is_some() && TO_SHARE_MIN <= max;
    if is_kept { max - KEPT_FOR_URGENT } else { max }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(connections_max: u32, messages_per_minute_max: Option<u32>, expect: u32) {
        let limits = MailboxLimits {
            connections_max,
            messages_per_minute_max,
            recipients_per_day_max: None,
        };
        assert_eq!(for_patient(&limits), expect, "{limits:?}");
    }

    #[test]
    fn one_of_three_connections_is_kept_where_messages_are_limited() {
        check(3, Some(30), 2);
        check(20, Some(30), 19);
    }

    #[test]
    fn of_few_connections_and_where_they_are_all_there_is_none_is_kept() {
        check(1, Some(30), 1);
        check(2, Some(30), 2);
        check(3, None, 3);
    }
}
