//! Enumerations, both ways. Every pair is told once, without wildcard.

use nuncio_core::alarm::Severity;
use nuncio_core::alarm::kind::{Category, Measure, Operator, TypeStatus};
use nuncio_core::alarm::standing::Phase;
use nuncio_core::caller::Permission;
use nuncio_core::class::MailClass;
use nuncio_core::directory::guest::GuestState;
use nuncio_core::directory::user::UserKind;
use nuncio_core::job::{JobState, RecipientState};
use nuncio_core::mail::RecipientKind;
use nuncio_core::portal::PortalEvent;
use nuncio_core::portal::approval::{ApprovalState, Verdict};
use nuncio_core::reminder::{Channel, WhyNot};
use nuncio_core::settings::guest_mail::SenderChoice;
use nuncio_core::settings::log_levels::LogSeverity;
use nuncio_core::settings::trust_store::TrustUse;
use nuncio_core::settings::{Encryption, Provider};
use nuncio_core::smtp_test::StageKind;
use nuncio_core::template::variable::VariableKind;
use nuncio_core::violation::{Fault, Violations};

use crate::v1;

/// The value of an enumeration that a caller gave; `UNSPECIFIED` is none.
///
/// A number that this version does not know becomes a violation: to take it for `UNSPECIFIED` would
/// silently do something else than the caller asked for.
pub fn known<Wire, Core>(violations: &mut Violations, field: &str, number: i32) -> Option<Core>
where
    Wire: TryFrom<i32>,
    Option<Core>: From<Wire>,
{
    let problem = || format!("{number} is no value that this version knows");
    let wire = Wire::try_from(number).map_err(|_| problem());
    violations.check_as(Fault::Unknown, field, wire)?.into()
}

/// The values of a filter that a caller gave. `UNSPECIFIED` is no value to look for.
pub fn known_all<Wire, Core>(violations: &mut Violations, field: &str, numbers: &[i32]) -> Vec<Core>
where
    Wire: TryFrom<i32>,
    Option<Core>: From<Wire>,
{
    let mut values = Vec::with_capacity(numbers.len());
    for (index, number) in numbers.iter().enumerate() {
        let value = Wire::try_from(*number).ok().and_then(Option::<Core>::from);
        let problem = || format!("{number} is no value to look for");
        let (field, value) = (format!("{field}[{index}]"), value.ok_or_else(problem));
        values.extend(violations.check_as(Fault::Unknown, field, value));
    }
    values
}

/// Pairs the values of an enumeration of the API with those of the domain.
macro_rules! pairs {
    ($wire:ident, $core:ident: $($wire_value:ident = $core_value:ident),+ $(,)?) => {
        impl From<$core> for v1::$wire {
            fn from(value: $core) -> Self {
                match value {
                    $($core::$core_value => Self::$wire_value,)+
                }
            }
        }

        impl From<v1::$wire> for Option<$core> {
            fn from(value: v1::$wire) -> Self {
                match value {
                    v1::$wire::Unspecified => None,
                    $(v1::$wire::$wire_value => Some($core::$core_value),)+
                }
            }
        }
    };
}

pairs!(LogSeverity, LogSeverity:
    Error = Error,
    Warn = Warn,
    Info = Info,
    Debug = Debug,
);

pairs!(ReminderChannel, Channel:
    Subject = Subject,
    Sponsor = Sponsor,
);

pairs!(NotReminded, WhyNot:
    PendingApproval = PendingApproval,
    Suspended = Suspended,
    Expired = Expired,
    Denied = Denied,
    Disabled = Disabled,
    NeverExpires = NeverExpires,
    ExpiryUnknown = ExpiryUnknown,
    SwitchedOff = SwitchedOff,
    TooShort = TooShort,
    NoAddress = NoAddress,
    NoSponsor = NoSponsor,
    AlreadySent = AlreadySent,
    Later = Later,
    GuestMailOff = GuestMailOff,
);

pairs!(GuestMailSender, SenderChoice:
    SponsorIfSponsored = SponsorIfSponsored,
    AlwaysDefault = AlwaysDefault,
);

pairs!(MailClass, MailClass:
    AlarmCritical = AlarmCritical,
    Credentials = Credentials,
    Approval = Approval,
    Alarm = Alarm,
    Reminder = Reminder,
    Bulk = Bulk,
);

pairs!(TemplateVariableKind, VariableKind:
    Text = Text,
    Credential = Credential,
    Lines = Lines,
    DateTime = DateTime,
    Duration = Duration,
    Number = Number,
    Url = Url,
);

pairs!(MailJobState, JobState:
    Queued = Queued,
    Sending = Sending,
    Deferred = Deferred,
    Held = Held,
    Sent = Sent,
    Failed = Failed,
    Expired = Expired,
    Cancelled = Cancelled,
    Unknown = Unknown,
);

pairs!(RecipientState, RecipientState:
    Pending = Pending,
    Accepted = Accepted,
    Refused = Refused,
    Unknown = Unknown,
);

pairs!(RecipientKind, RecipientKind:
    To = To,
    Cc = Cc,
    Bcc = Bcc,
);

pairs!(SmtpProvider, Provider:
    Generic = Generic,
    ExchangeOnline = ExchangeOnline,
);

pairs!(SmtpEncryption, Encryption:
    None = None,
    Starttls = StartTls,
    Tls = Tls,
);

pairs!(SmtpTestStageKind, StageKind:
    Proxy = Proxy,
    Dns = Dns,
    Tcp = Tcp,
    Tls = Tls,
    Token = Token,
    Ehlo = Ehlo,
    Auth = Auth,
    Mail = Mail,
    Node = Node,
);

pairs!(AlarmSeverity, Severity:
    Info = Info,
    Warning = Warning,
    Critical = Critical,
);

pairs!(AlarmState, Phase:
    BelowThreshold = BelowThreshold,
    Firing = Firing,
    Resolved = Resolved,
);

pairs!(AlarmCategory, Category:
    Audit = Audit,
    Services = Services,
    SystemHealth = SystemHealth,
    Licensing = Licensing,
    SystemError = SystemError,
    Trustsec = TrustSec,
    MailPath = MailPath,
    Other = Other,
);

pairs!(AlarmTypeStatus, TypeStatus:
    Enabled = Enabled,
    Disabled = Disabled,
    Suppressed = Suppressed,
);

pairs!(AlarmMeasure, Measure:
    Occurrences = Occurrences,
    Value = Value,
);

pairs!(AlarmOperator, Operator:
    GreaterOrEqual = GreaterOrEqual,
    Greater = Greater,
    LessOrEqual = LessOrEqual,
    Less = Less,
);

pairs!(PortalEvent, PortalEvent:
    CredentialsCreated = CredentialsCreated,
    CredentialsResent = CredentialsResent,
    PasswordReset = PasswordReset,
    SelfRegistration = SelfRegistration,
    Approved = Approved,
    Denied = Denied,
    Extended = Extended,
    Suspended = Suspended,
    Reinstated = Reinstated,
    Deleted = Deleted,
);

pairs!(ApprovalState, ApprovalState:
    Pending = Pending,
    Approved = Approved,
    Denied = Denied,
    Expired = Expired,
    Cancelled = Cancelled,
);

pairs!(ApprovalVerdict, Verdict:
    Approve = Approve,
    Deny = Deny,
);

pairs!(GuestState, GuestState:
    PendingApproval = PendingApproval,
    Created = Created,
    Active = Active,
    Suspended = Suspended,
    Expired = Expired,
    Denied = Denied,
);

pairs!(UserKind, UserKind:
    Administrator = Administrator,
    NetworkUser = NetworkUser,
);

pairs!(TrustUse, TrustUse:
    Smtp = Smtp,
    TokenEndpoint = TokenEndpoint,
    AlarmRoutes = AlarmRoutes,
);

pairs!(CallerPermission, Permission:
    Submit = Submit,
    Read = Read,
    Operate = Operate,
    Administer = Administer,
);

#[cfg(test)]
mod tests;
