//! Which permission each method needs: here and nowhere else.

use nuncio_core::caller::{Caller, Permission};

use Need::{Nodes, Only, Open};
use Permission::{Administer, Operate, Read, Submit};

/// What a caller must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: probes and tools ask before they can say who they are.
    Open,
    /// This permission.
    Only(Permission),
    /// This permission, or to be a node: nodes need it of each other.
    Nodes(Permission),
}

impl Need {
    /// What this caller lacks.
    pub(super) fn missing(self, caller: &Caller) -> Option<Permission> {
        match self {
            Open => None,
            Nodes(_) if caller.is_node => None,
            Only(permission) | Nodes(permission) => {
                (!caller.permissions.contains(&permission)).then_some(permission)
            }
        }
    }
}

/// What the method at this path needs, such as `/nuncio.v1.MailJobService/CreateMailJob`; none if there is no such method.
pub(super) fn need(path: &str) -> Option<Need> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let (_, methods) = TABLE.iter().find(|(name, _)| *name == service)?;
    methods.iter().find(|(name, _)| *name == method).map(|(_, need)| *need)
}

type Methods = &'static [(&'static str, Need)];

const TABLE: &[(&str, Methods)] = &[
    ("grpc.health.v1.Health", &[("Check", Open), ("Watch", Open)]),
    ("grpc.reflection.v1.ServerReflection", &[("ServerReflectionInfo", Open)]),
    ("nuncio.v1.AlarmRouteService", ALARM_ROUTES),
    ("nuncio.v1.AlarmService", ALARMS),
    ("nuncio.v1.CallerService", CALLERS),
    ("nuncio.v1.DirectoryService", DIRECTORY),
    ("nuncio.v1.GuestMailSettingsService", GUEST_MAIL),
    ("nuncio.v1.KeyService", KEYS),
    ("nuncio.v1.LogLevelService", LOG_LEVELS),
    ("nuncio.v1.MailJobService", MAIL_JOBS),
    ("nuncio.v1.NodeService", NODES),
    ("nuncio.v1.PortalService", PORTAL),
    ("nuncio.v1.ReminderService", REMINDERS),
    ("nuncio.v1.SettingsService", SETTINGS),
    ("nuncio.v1.SmtpSettingsService", SMTP_SETTINGS),
    ("nuncio.v1.TemplateService", TEMPLATES),
    ("nuncio.v1.TrustStoreService", TRUST_STORE),
];

const ALARM_ROUTES: Methods = &[
    ("ListAlarmRoutes", Only(Read)),
    ("ListAlarmRouteAttempts", Only(Read)),
    ("UpdateAlarmRoute", Only(Administer)),
    ("DeleteAlarmRoute", Only(Administer)),
    ("TestAlarmRoute", Only(Administer)),
];

const ALARMS: Methods = &[
    ("RaiseAlarm", Only(Submit)),
    ("RaiseAlarms", Nodes(Submit)),
    ("ClearAlarm", Only(Submit)),
    ("GetAlarm", Only(Read)),
    ("ListAlarms", Only(Read)),
    ("ListSilences", Only(Read)),
    ("ListAlarmTypes", Only(Read)),
    ("GetAlarmSettings", Only(Read)),
    ("ExplainRoute", Only(Read)),
    ("AcknowledgeAlarm", Only(Operate)),
    ("CreateSilence", Only(Operate)),
    ("DeleteSilence", Only(Operate)),
    ("UpdateAlarmType", Only(Administer)),
    ("DeleteAlarmType", Only(Administer)),
    ("UpdateAlarmSettings", Only(Administer)),
    ("ReplaceAlarmRules", Only(Administer)),
];

const CALLERS: Methods = &[
    ("ListCallers", Only(Administer)),
    ("CreateCaller", Only(Administer)),
    ("DeleteCaller", Only(Administer)),
];

const DIRECTORY: Methods = &[
    ("GetGuest", Only(Read)),
    ("ListGuests", Only(Read)),
    ("UpdateGuest", Only(Operate)),
    ("DeleteGuest", Only(Operate)),
    ("ApproveGuest", Only(Operate)),
    ("DenyGuest", Only(Operate)),
    ("ActivateGuest", Only(Operate)),
    ("ExtendGuest", Only(Operate)),
    ("SuspendGuest", Only(Operate)),
    ("ReinstateGuest", Only(Operate)),
    ("ImportGuests", Only(Operate)),
    ("DeleteGuests", Only(Operate)),
    ("GetUser", Only(Read)),
    ("ListUsers", Only(Read)),
    ("UpdateUser", Only(Operate)),
    ("DeleteUser", Only(Operate)),
    ("ImportUsers", Only(Operate)),
    ("DeleteUsers", Only(Operate)),
];

const GUEST_MAIL: Methods =
    &[("GetGuestMailSettings", Only(Read)), ("UpdateGuestMailSettings", Only(Administer))];

const KEYS: Methods = &[("ListKeys", Only(Read)), ("RotateKeys", Only(Administer))];

const LOG_LEVELS: Methods = &[("ListLogLevels", Only(Read)), ("SetLogLevel", Only(Administer))];

const MAIL_JOBS: Methods = &[
    ("CreateMailJob", Only(Submit)),
    ("GetMailJob", Only(Read)),
    ("ListMailJobs", Only(Read)),
    ("WatchMailJobs", Only(Read)),
    ("CancelMailJob", Only(Operate)),
    ("HoldMailJob", Only(Operate)),
    ("ReleaseMailJob", Only(Operate)),
    ("RetryMailJob", Only(Operate)),
];

// A test takes saved secrets to whatever server its draft names.
const NODES: Methods = &[("ListNodes", Nodes(Read)), ("TestSmtpFromNode", Nodes(Administer))];

const PORTAL: Methods = &[
    ("NotifyGuest", Only(Submit)),
    ("BulkNotifyGuests", Only(Submit)),
    ("RequestApproval", Only(Submit)),
    ("GetBulk", Only(Read)),
    ("GetApproval", Only(Read)),
    ("ListApprovals", Only(Read)),
    ("ListSenders", Only(Read)),
    ("DecideApproval", Only(Operate)),
    ("ResendApproval", Only(Operate)),
    ("CancelApproval", Only(Operate)),
    ("RetrySender", Only(Operate)),
];

const REMINDERS: Methods = &[
    ("GetReminderSettings", Only(Read)),
    ("PreviewReminders", Only(Read)),
    ("ListReminders", Only(Read)),
    ("UpdateReminderSettings", Only(Administer)),
];

const SETTINGS: Methods = &[("ListSettingsChanges", Only(Read))];

const SMTP_SETTINGS: Methods = &[
    ("GetSmtpSettings", Only(Read)),
    ("TestSmtpSettings", Only(Administer)),
    ("UpdateSmtpSettings", Only(Administer)),
];

const TEMPLATES: Methods = &[
    ("ListTemplates", Only(Read)),
    ("GetTemplate", Only(Read)),
    ("PreviewTemplate", Only(Read)),
    ("ListTemplateChanges", Only(Read)),
    ("SendTestEmail", Only(Operate)),
    ("UpdateTemplate", Only(Administer)),
    ("DeleteTemplate", Only(Administer)),
];

const TRUST_STORE: Methods =
    &[("GetTrustStore", Only(Read)), ("UpdateTrustStore", Only(Administer))];

#[cfg(test)]
mod tests;
