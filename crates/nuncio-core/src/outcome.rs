//! What came of an attempt to send.

use std::time::Duration;

use crate::job::Reason;
use crate::reply::SmtpReply;

/// What came of an attempt to send one mail.
///
/// It says whose matter it is: only [`Judged`](Self::Judged), [`SenderRefused`](Self::SenderRefused) and
/// [`Unknown`](Self::Unknown) are about the mail, all else is about the way to the provider, and the mail has certainly not been taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The provider answered for each recipient; verdicts in the order of the recipients given.
    Judged(Vec<Verdict>),
    /// The provider does not let its mailbox send as the sender that this one mail names; the verdicts are as
    /// in [`Judged`](Self::Judged), and nobody has got the mail.
    SenderRefused { verdicts: Vec<Verdict>, reason: Reason },
    /// The answer was lost after the mail was handed over: the provider may have taken it.
    ///
    /// The verdicts hold those recipients that were refused before; `None` may have been taken.
    Unknown { verdicts: Vec<Option<Verdict>>, reason: Reason },
    /// The mailbox sends too fast or over too many connections; slow down.
    Throttled { reason: Reason, retry_after: Option<Duration> },
    /// The provider, the token endpoint or the network is in trouble; try again later.
    Unavailable { reason: Reason, retry_after: Option<Duration> },
    /// The provider refuses this client or mailbox, or the settings are wrong; a person must act.
    Closed { reason: Reason },
    /// The lease was lost before the body went out; somebody else has the job now.
    Abandoned,
}

/// The provider's word on one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It took the mail for this recipient.
    Accepted(SmtpReply),
    /// Not now; another attempt may succeed, after so long if that is known.
    Deferred { reason: Reason, retry_after: Option<Duration> },
    /// Not together with so many others; in a mail of its own or with fewer, at once.
    InAnotherMail(Reason),
    /// Never.
    Refused(Reason),
}
