//! The names of the API's enumerations, as people read and write them.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use nuncio_api::v1::{
    AlarmCategory, AlarmOutcome, AlarmSeverity, AlarmState, AlarmTypeStatus, ChannelState,
    ClientSecretUse, GuestState, LogSeverity, MailClass, MailJobState, NodeRole, PortalEvent,
    RecipientState, SmtpTestStageKind, TemplateVariableKind, UserKind,
};

use crate::output::Tone;

const CLASSES: [&str; 6] =
    ["alarm-critical", "credentials", "approval", "alarm", "reminder", "bulk"];
const PORTAL_EVENTS: [&str; 10] = [
    "credentials-created",
    "credentials-resent",
    "password-reset",
    "self-registration",
    "approved",
    "denied",
    "extended",
    "suspended",
    "reinstated",
    "deleted",
];
const STATES: [&str; 9] =
    ["queued", "sending", "deferred", "held", "sent", "failed", "expired", "cancelled", "unknown"];

/// Which client secret is in use.
pub(crate) fn secret_use(usage: ClientSecretUse) -> &'static str {
    match usage {
        ClientSecretUse::Unspecified => "not known",
        ClientSecretUse::First => "the first one",
        ClientSecretUse::Next => "the next one",
        ClientSecretUse::None => "none is good",
    }
}

/// Reads a mail class: `alarm-critical`.
pub(crate) fn class_parser() -> impl TypedValueParser<Value = MailClass> {
    PossibleValuesParser::new(CLASSES).map(|name| {
        let name = format!("MAIL_CLASS_{}", name.to_uppercase().replace('-', "_"));
        MailClass::from_str_name(&name).expect("each possible value is one of the API")
    })
}

/// Reads an event of portal mail: `credentials-created`.
pub(crate) fn portal_event_parser() -> impl TypedValueParser<Value = PortalEvent> {
    PossibleValuesParser::new(PORTAL_EVENTS).map(|name| {
        let name = format!("PORTAL_EVENT_{}", name.to_uppercase().replace('-', "_"));
        PortalEvent::from_str_name(&name).expect("each possible value is one of the API")
    })
}

/// Reads a state of a mail job: `queued`.
pub(crate) fn state_parser() -> impl TypedValueParser<Value = MailJobState> {
    PossibleValuesParser::new(STATES).map(|name| {
        let name = format!("MAIL_JOB_STATE_{}", name.to_uppercase());
        MailJobState::from_str_name(&name).expect("each possible value is one of the API")
    })
}

const GUEST_STATES: [&str; 6] =
    ["pending-approval", "created", "active", "suspended", "expired", "denied"];
const USER_KINDS: [&str; 2] = ["administrator", "network-user"];

/// Reads a state of a guest: `pending-approval`.
pub(crate) fn guest_state_parser() -> impl TypedValueParser<Value = GuestState> {
    PossibleValuesParser::new(GUEST_STATES).map(|name| {
        let name = format!("GUEST_STATE_{}", name.to_uppercase().replace('-', "_"));
        GuestState::from_str_name(&name).expect("each possible value is one of the API")
    })
}

/// Reads a kind of users: `network-user`.
pub(crate) fn user_kind_parser() -> impl TypedValueParser<Value = UserKind> {
    PossibleValuesParser::new(USER_KINDS).map(|name| {
        let name = format!("USER_KIND_{}", name.to_uppercase().replace('-', "_"));
        UserKind::from_str_name(&name).expect("each possible value is one of the API")
    })
}

pub(crate) fn guest_state(state: GuestState) -> &'static str {
    state.as_str_name().trim_start_matches("GUEST_STATE_")
}

/// Reads a severity of an alarm: `critical`.
pub(crate) fn severity_parser() -> impl TypedValueParser<Value = AlarmSeverity> {
    PossibleValuesParser::new(["info", "warning", "critical"]).map(|name| {
        let name = format!("ALARM_SEVERITY_{}", name.to_uppercase());
        AlarmSeverity::from_str_name(&name).expect("each possible value is one of the API")
    })
}

/// Reads a severity of log messages: `debug`.
pub(crate) fn log_severity_parser() -> impl TypedValueParser<Value = LogSeverity> {
    PossibleValuesParser::new(["error", "warn", "info", "debug"]).map(|name| {
        let name = format!("LOG_SEVERITY_{}", name.to_uppercase());
        LogSeverity::from_str_name(&name).expect("each possible value is one of the API")
    })
}

pub(crate) fn log_severity(severity: LogSeverity) -> &'static str {
    severity.as_str_name().trim_start_matches("LOG_SEVERITY_")
}

/// Reads a state of an alarm: `firing`.
pub(crate) fn alarm_state_parser() -> impl TypedValueParser<Value = AlarmState> {
    PossibleValuesParser::new(["below-threshold", "firing", "resolved"]).map(|name| {
        let name = format!("ALARM_STATE_{}", name.to_uppercase().replace('-', "_"));
        AlarmState::from_str_name(&name).expect("each possible value is one of the API")
    })
}

pub(crate) fn severity(severity: AlarmSeverity) -> &'static str {
    severity.as_str_name().trim_start_matches("ALARM_SEVERITY_")
}

pub(crate) fn severity_tone(severity: AlarmSeverity) -> Tone {
    match severity {
        AlarmSeverity::Critical => Tone::Bad,
        AlarmSeverity::Warning => Tone::Warning,
        AlarmSeverity::Info | AlarmSeverity::Unspecified => Tone::Plain,
    }
}

pub(crate) fn alarm_state(state: AlarmState) -> &'static str {
    state.as_str_name().trim_start_matches("ALARM_STATE_")
}

pub(crate) fn alarm_outcome(outcome: AlarmOutcome) -> &'static str {
    outcome.as_str_name().trim_start_matches("ALARM_OUTCOME_")
}

pub(crate) fn alarm_type_status(status: AlarmTypeStatus) -> &'static str {
    status.as_str_name().trim_start_matches("ALARM_TYPE_STATUS_")
}

pub(crate) fn alarm_category(category: AlarmCategory) -> &'static str {
    category.as_str_name().trim_start_matches("ALARM_CATEGORY_")
}

pub(crate) fn class(class: MailClass) -> String {
    class.as_str_name().trim_start_matches("MAIL_CLASS_").to_lowercase().replace('_', "-")
}

pub(crate) fn state(state: MailJobState) -> &'static str {
    state.as_str_name().trim_start_matches("MAIL_JOB_STATE_")
}

pub(crate) fn recipient_state(state: RecipientState) -> &'static str {
    state.as_str_name().trim_start_matches("RECIPIENT_STATE_")
}

pub(crate) fn channel_state(state: ChannelState) -> &'static str {
    state.as_str_name().trim_start_matches("CHANNEL_STATE_")
}

pub(crate) fn role(role: NodeRole) -> String {
    role.as_str_name().trim_start_matches("NODE_ROLE_").to_lowercase()
}

pub(crate) fn variable_kind(kind: TemplateVariableKind) -> String {
    kind.as_str_name()
        .trim_start_matches("TEMPLATE_VARIABLE_KIND_")
        .to_lowercase()
        .replace('_', "-")
}

pub(crate) fn stage(kind: SmtpTestStageKind) -> &'static str {
    kind.as_str_name().trim_start_matches("SMTP_TEST_STAGE_KIND_")
}

/// Whether a state is one that a job never leaves.
pub fn is_final(state: MailJobState) -> bool {
    match state {
        MailJobState::Sent
        | MailJobState::Failed
        | MailJobState::Expired
        | MailJobState::Cancelled
        | MailJobState::Unknown => true,
        MailJobState::Unspecified
        | MailJobState::Queued
        | MailJobState::Sending
        | MailJobState::Deferred
        | MailJobState::Held => false,
    }
}

pub(crate) fn state_tone(state: MailJobState) -> Tone {
    match state {
        MailJobState::Sent => Tone::Good,
        MailJobState::Deferred | MailJobState::Held => Tone::Warning,
        MailJobState::Failed | MailJobState::Expired | MailJobState::Unknown => Tone::Bad,
        MailJobState::Cancelled => Tone::Dim,
        MailJobState::Unspecified | MailJobState::Queued | MailJobState::Sending => Tone::Plain,
    }
}

pub(crate) fn recipient_tone(state: RecipientState) -> Tone {
    match state {
        RecipientState::Accepted => Tone::Good,
        RecipientState::Refused | RecipientState::Unknown => Tone::Bad,
        RecipientState::Pending | RecipientState::Unspecified => Tone::Plain,
    }
}

pub(crate) fn guest_tone(state: GuestState) -> Tone {
    match state {
        GuestState::Created | GuestState::Active => Tone::Good,
        GuestState::PendingApproval | GuestState::Suspended => Tone::Warning,
        GuestState::Expired | GuestState::Denied => Tone::Dim,
        GuestState::Unspecified => Tone::Plain,
    }
}

pub(crate) fn channel_tone(state: ChannelState) -> Tone {
    match state {
        ChannelState::Open | ChannelState::Standby => Tone::Good,
        ChannelState::Paused | ChannelState::NotConfigured => Tone::Warning,
        ChannelState::Closed => Tone::Bad,
        ChannelState::Unspecified => Tone::Plain,
    }
}

#[cfg(test)]
mod tests;
