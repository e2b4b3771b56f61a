//! Settings as a file: all documents of a node without their secrets.
//!
//! The same settings make the same file, so that files can be compared and kept under version control.

use std::io;

use nuncio_api::v1::alarm_route::Target;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::{
    AlarmRoute, AlarmSettings, AlarmType, GuestMailSettings, ReminderSettings, SmtpSettings,
    Template, TrustStore,
};
use prost::Name;
use serde_json::{Map, Value, json};

use crate::output::Output;

pub(crate) mod file;
pub(super) mod node;

/// What the file says of itself.
pub(super) const FORMAT: &str = "nuncio-settings";
/// The version of the format that is written, and the newest one that is read.
pub(super) const VERSION: i64 = 1;

/// What a file has none of: it only goes out, or counts for one node alone.
const OUTPUT_ONLY: [&str; 14] = [
    "etag",
    "generation",
    "update_time",
    "password_set",
    "client_secret_set",
    "private_key_set",
    "value_set",
    "client_secret_status",
    "promote_next_client_secret",
    "user_defined",
    "changed",
    "waiting_messages",
    "last_attempt",
    "source",
];
/// The same of the texts of templates and of trusted certificates, where other messages have fields of these names
/// that count.
const OUTPUT_ONLY_OF_TEXTS: [&str; 4] = ["description", "class", "variables", "custom"];
const OUTPUT_ONLY_OF_CERTIFICATES: [&str; 7] = [
    "subject",
    "issuer",
    "sha256_fingerprint",
    "not_before_time",
    "not_after_time",
    "days_left",
    "warnings",
];
/// Texts that are secret, wherever they stand.
const SECRETS: [&str; 5] = ["password", "client_secret", "private_key_pem", "value", "secret"];

/// A part of the file, in the order in which it is imported: what others name goes first, what sends mail last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    TrustStore,
    Smtp,
    GuestMail,
    Alarms,
    AlarmTypes,
    AlarmRoutes,
    Templates,
    Reminders,
}

/// The parts of a file, or of a node. A part that is none is not there, and no matter of an import.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bundle {
    pub(super) trust_store: Option<TrustStore>,
    pub(super) smtp: Option<SmtpSettings>,
    pub(super) guest_mail: Option<GuestMailSettings>,
    pub(super) alarms: Option<AlarmSettings>,
    /// The user-defined ones, and those that came with nuncio and were changed.
    pub(super) alarm_types: Option<Vec<AlarmType>>,
    pub(super) alarm_routes: Option<Vec<AlarmRoute>>,
    /// The portals' own texts.
    pub(super) templates: Option<Vec<Template>>,
    pub(super) reminders: Option<ReminderSettings>,
}

/// A secret that belongs to settings and is in no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecretField {
    pub(super) part: Part,
    pub(super) field: String,
    /// The option of the import that gives it.
    pub(super) option: String,
}

impl Part {
    pub(super) const ALL: [Self; 8] = [
        Self::TrustStore,
        Self::Smtp,
        Self::GuestMail,
        Self::Alarms,
        Self::AlarmTypes,
        Self::AlarmRoutes,
        Self::Templates,
        Self::Reminders,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TrustStore => "trust-store",
            Self::Smtp => "smtp",
            Self::GuestMail => "guest-mail",
            Self::Alarms => "alarms",
            Self::AlarmTypes => "alarm-types",
            Self::AlarmRoutes => "alarm-routes",
            Self::Templates => "templates",
            Self::Reminders => "reminders",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }
}

impl Bundle {
    /// A part as it stands in a file: nothing of it is secret, empty, or the node's own.
    pub(super) fn value(&self, part: Part, out: &Output) -> io::Result<Option<Value>> {
        match part {
            Part::TrustStore => {
                let mut value = one(self.trust_store.as_ref(), out)?;
                let certificates = value.as_mut().and_then(|store| store.get_mut("certificates"));
                remove_from_each(certificates, &OUTPUT_ONLY_OF_CERTIFICATES);
                Ok(value)
            }
            Part::Smtp => one(self.smtp.as_ref(), out),
            Part::GuestMail => one(self.guest_mail.as_ref(), out),
            Part::Alarms => one(self.alarms.as_ref(), out),
            Part::AlarmTypes => many(self.alarm_types.as_ref(), out),
            Part::AlarmRoutes => many(self.alarm_routes.as_ref(), out),
            Part::Templates => {
                let mut value = many(self.templates.as_ref(), out)?;
                remove_from_each(value.as_mut(), &OUTPUT_ONLY_OF_TEXTS);
                Ok(value)
            }
            Part::Reminders => one(self.reminders.as_ref(), out),
        }
    }

    /// Keeps these parts alone; all if none is named.
    pub(super) fn retain(&mut self, wanted: &[Part]) {
        let is_wanted = |part: Part| wanted.is_empty() || wanted.contains(&part);
        self.trust_store = self.trust_store.take().filter(|_| is_wanted(Part::TrustStore));
        self.smtp = self.smtp.take().filter(|_| is_wanted(Part::Smtp));
        self.guest_mail = self.guest_mail.take().filter(|_| is_wanted(Part::GuestMail));
        self.alarms = self.alarms.take().filter(|_| is_wanted(Part::Alarms));
        self.alarm_types = self.alarm_types.take().filter(|_| is_wanted(Part::AlarmTypes));
        self.alarm_routes = self.alarm_routes.take().filter(|_| is_wanted(Part::AlarmRoutes));
        self.templates = self.templates.take().filter(|_| is_wanted(Part::Templates));
        self.reminders = self.reminders.take().filter(|_| is_wanted(Part::Reminders));
    }

    /// The secrets that belong to these settings.
    pub(super) fn secrets(&self) -> Vec<SecretField> {
        let smtp = self.smtp.as_ref().map(smtp_secrets).unwrap_or_default();
        let smtp = smtp.into_iter().map(|(field, option)| SecretField {
            part: Part::Smtp,
            field: field.to_owned(),
            option: format!("{option} FILE"),
        });
        let routes = self.alarm_routes.iter().flatten().filter_map(|route| {
            let id = route.name.strip_prefix("alarmRoutes/").unwrap_or(&route.name);
            let (field, option) = match route.target.as_ref()? {
                Target::Webhook(_) => ("webhook.secret", "--webhook-secret-file"),
                Target::Smtp(smtp) => {
                    smtp.password.as_ref()?;
                    ("smtp.password.password", "--route-password-file")
                }
                Target::Syslog(_) => return None,
            };
            let field = format!("{}.{field}", route.name);
            let option = format!("{option} {id}=FILE");
            Some(SecretField { part: Part::AlarmRoutes, field, option })
        });
        smtp.chain(routes).collect()
    }
}

fn smtp_secrets(settings: &SmtpSettings) -> Vec<(&'static str, &'static str)> {
    let mut secrets = Vec::new();
    match &settings.authentication {
        None => {}
        Some(Authentication::Password(_)) => {
            secrets.push(("password.password", "--password-file"));
        }
        Some(Authentication::Oauth(oauth)) if oauth.certificate_pem.is_empty() => {
            secrets.push(("oauth.client_secret", "--client-secret-file"));
            if oauth.next_client_secret.is_some() {
                let field = "oauth.next_client_secret.value";
                secrets.push((field, "--next-client-secret-file"));
            }
        }
        Some(Authentication::Oauth(_)) => {
            secrets.push(("oauth.private_key_pem", "--private-key-file"));
        }
    }
    if settings.proxy.as_ref().is_some_and(|proxy| !proxy.username.is_empty()) {
        secrets.push(("proxy.password", "--proxy-password-file"));
    }
    secrets
}

fn remove_from_each(list: Option<&mut Value>, names: &[&str]) {
    let entries = list.into_iter().filter_map(Value::as_array_mut).flatten();
    for entry in entries.filter_map(Value::as_object_mut) {
        entry.retain(|name, _| !names.contains(&name.as_str()));
    }
}

fn one<M: Name>(message: Option<&M>, out: &Output) -> io::Result<Option<Value>> {
    message.map(|message| plain(message, out)).transpose()
}

fn many<M: Name>(messages: Option<&Vec<M>>, out: &Output) -> io::Result<Option<Value>> {
    let all = messages.map(|messages| {
        messages.iter().map(|message| plain(message, out)).collect::<io::Result<Vec<_>>>()
    });
    Ok(all.transpose()?.map(Value::Array))
}

fn plain<M: Name>(message: &M, out: &Output) -> io::Result<Value> {
    let mut value = out.api_names(message)?;
    strip(&mut value);
    Ok(value)
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| !is_left_out(name, value));
            fields.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_left_out(name: &str, value: &Value) -> bool {
    let is_empty = match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        // That a message is there may say something, even if nothing is in it.
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    is_empty || OUTPUT_ONLY.contains(&name) || is_secret(name, value)
}

fn is_secret(name: &str, value: &Value) -> bool {
    value.is_string() && SECRETS.contains(&name)
}

/// The file as a program reads it, with the secrets that are missing.
pub(super) fn document(bundle: &Bundle, out: &Output) -> io::Result<Map<String, Value>> {
    let mut all = Map::new();
    all.insert("format".to_owned(), json!(FORMAT));
    all.insert("version".to_owned(), json!(VERSION));
    for part in Part::ALL {
        all.extend(bundle.value(part, out)?.map(|value| (part.name().to_owned(), value)));
    }
    let secrets = bundle
        .secrets()
        .into_iter()
        .map(|one| json!({ "part": one.part.name(), "field": one.field, "option": one.option }));
    all.insert(file::SECRETS_KEY.to_owned(), secrets.collect());
    Ok(all)
}
