//! The templates that come with nuncio: names, classes, variables.

use crate::class::MailClass;
use crate::template::Variables;
use crate::template::variable::{Variable, VariableKind};

/// A template: what it is called, what it is for and what it can say.
#[derive(Debug)]
pub struct Template {
    /// Its name without the collection: `guest-credentials`.
    pub id: &'static str,
    /// Whom it tells what, for the person who writes a text for it.
    pub description: &'static str,
    /// The class of a mail made from it, if the caller names none.
    pub class: MailClass,
    /// What a caller must give and each text must show.
    pub required: &'static [&'static str],
    /// What a caller may give.
    pub optional: &'static [&'static [&'static str]],
}

impl Template {
    /// The template with this id.
    pub fn find(id: &str) -> Option<&'static Self> {
        TEMPLATES.iter().find(|one| one.id == id)
    }

    /// The template with this resource name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::find(name.strip_prefix(NAME_PREFIX)?)
    }

    /// All templates, in the order in which they are listed.
    pub fn all() -> &'static [Self] {
        TEMPLATES
    }

    /// The resource name: `templates/guest-credentials`.
    pub fn name(&self) -> String {
        format!("{NAME_PREFIX}{}", self.id)
    }

    /// Its variables, the required ones first.
    pub fn variables(&self) -> impl Iterator<Item = &'static Variable> {
        let optional = self.optional.iter().flat_map(|group| group.iter().copied());
        let optional = optional.filter(|name| !self.required.contains(name));
        let names = self.required.iter().copied().chain(optional);
        names.map(|name| {
            let known = VARIABLES.iter().find(|one| one.name == name);
            known.expect("every name in the catalogue is a variable of it, which a test tells")
        })
    }

    /// The variable with this name.
    pub fn variable(&self, name: &str) -> Option<&'static Variable> {
        self.variables().find(|one| one.name == name)
    }

    /// Values for a preview.
    pub fn samples(&self) -> Variables {
        let sample = |one: &Variable| (one.name.to_owned(), one.sample.to_owned().into());
        self.variables().map(sample).collect()
    }

    pub fn requires(&self, variable: &str) -> bool {
        self.required.contains(&variable)
    }
}

/// The collection that a template's resource name begins with.
pub const NAME_PREFIX: &str = "templates/";

const fn variable(
    name: &'static str,
    kind: VariableKind,
    description: &'static str,
    sample: &'static str,
) -> Variable {
    Variable { name, kind, description, sample }
}

use VariableKind::{Credential, DateTime, Duration, Lines, Number, Text, Url};

const VARIABLES: &[Variable] = &[
    variable("username", Credential, "the user name of the account", "jdoe01"),
    variable("password", Credential, "the password of the account", "k7!pQ-3vXw"),
    variable("first_name", Text, "the person's first name", "Erika"),
    variable("last_name", Text, "the person's last name", "Mustermann"),
    variable("display_name", Text, "how the user is addressed", "Erika Mustermann"),
    variable("email", Text, "the guest's address", "erika@example.com"),
    variable("company", Text, "the guest's company", "Example Ltd."),
    variable("mobile_number", Text, "the guest's mobile number", "+49 170 1234567"),
    variable("person_visited", Text, "whom the guest visits", "Max Beispiel"),
    variable("reason_for_visit", Text, "why the guest comes", "Workshop"),
    variable("ssid", Text, "the name of the wireless network", "Guest-WiFi"),
    variable("location", Text, "where the account is valid", "Berlin"),
    variable("sponsor_name", Text, "who vouches for the guest", "Max Beispiel"),
    variable("sponsor_email", Text, "the sponsor's address", "max@example.com"),
    variable(
        "valid_from",
        DateTime,
        "from when the account can be used",
        "2026-03-01T08:00:00+01:00[Europe/Berlin]",
    ),
    variable(
        "valid_to",
        DateTime,
        "until when the account can be used",
        "2026-03-04T18:30:00+01:00[Europe/Berlin]",
    ),
    variable("duration", Duration, "for how long the account is valid", "P3D"),
    variable("time_left", Duration, "how long until the account or password expires", "P3D"),
    variable(
        "unused_expires",
        DateTime,
        "when an account expires that nobody has used",
        "2026-03-02T18:30:00+01:00[Europe/Berlin]",
    ),
    variable("reason", Text, "why it was done", "The visit was moved to another site"),
    variable("approve_url", Url, "the link that approves", "https://guest.example.com/a/approve"),
    variable("deny_url", Url, "the link that denies", "https://guest.example.com/a/deny"),
    variable(
        "links_expire",
        DateTime,
        "until when the links can be used",
        "2026-03-02T10:25:00+01:00[Europe/Berlin]",
    ),
    variable("total", Number, "how many guests were to be told", "1250"),
    variable("created", Number, "how many guests were told", "1248"),
    variable("failed", Number, "how many guests were not told", "2"),
    variable(
        "event",
        Text,
        "what the guests were told of, as in the API: `credentials-created`, `credentials-resent`, \
         `password-reset`, `self-registration`, `approved`, `denied`, `extended`, `suspended`, \
         `reinstated`, `deleted`",
        "credentials-created",
    ),
    variable(
        "failures",
        Lines,
        "which guests were not told, and why, one on a line",
        "row 17: no e-mail address\nrow 903: the account exists",
    ),
    variable(
        "expires_at",
        DateTime,
        "when the password expires",
        "2026-03-04T18:30:00+01:00[Europe/Berlin]",
    ),
    variable("alarm_name", Text, "the name of the alarm", "SMTP OAuth client secret has expired"),
    variable("severity", Text, "how bad it is", "CRITICAL"),
    variable("node", Text, "the node that it is about", "node-1"),
    variable("description", Lines, "what happened", "The token endpoint refused the secret."),
    variable("details", Lines, "more about it", "AADSTS7000222: the secret keys are expired."),
    variable("suggested_action", Lines, "what to do about it", "Make a new client secret."),
    variable("raised_at", DateTime, "when it was raised", "2026-03-01T09:25:00+00:00[UTC]"),
    variable("resolved_at", DateTime, "when it was over", "2026-03-01T11:40:00+00:00[UTC]"),
    variable("count", Number, "how many there were", "1250"),
    variable("labels", Lines, "what else it is about, one on a line", "mailbox=guest@example.com"),
    variable("custom_text", Lines, "the text of the operator for this alarm", "Call the desk."),
    variable(
        "alarms",
        Lines,
        "the alarms, one on a line",
        "CRITICAL node-1: secret has expired\nWARNING node-2: disk is 90 % full",
    ),
    variable("since", DateTime, "where the time span begins", "2026-03-01T09:00:00+00:00[UTC]"),
    variable("until", DateTime, "where the time span ends", "2026-03-01T10:00:00+00:00[UTC]"),
    variable("sent_at", DateTime, "when the test was asked for", "2026-03-01T09:25:00+00:00[UTC]"),
    variable("sent_by", Text, "who asked for the test", "admin@example.com"),
];

/// What is known of a guest: every template for or about a guest may show it.
const GUEST: &[&str] = &[
    "username",
    "password",
    "valid_from",
    "valid_to",
    "first_name",
    "last_name",
    "company",
    "mobile_number",
    "duration",
    "person_visited",
    "reason_for_visit",
    "unused_expires",
    "ssid",
    "email",
    "location",
    "sponsor_name",
    "sponsor_email",
    "time_left",
];

const ALARM: &[&str] = &[
    "alarm_name",
    "severity",
    "node",
    "description",
    "details",
    "suggested_action",
    "raised_at",
    "resolved_at",
    "count",
    "labels",
    "custom_text",
];

const TEMPLATES: &[Template] = &[
    Template {
        id: "guest-credentials",
        description: "tells a guest user name and password of an account",
        class: MailClass::Credentials,
        required: &["username", "password", "valid_from", "valid_to"],
        optional: &[GUEST],
    },
    Template {
        id: "guest-username",
        description: "tells a guest the user name, where the password comes in a mail of its own",
        class: MailClass::Credentials,
        required: &["username"],
        optional: &[GUEST],
    },
    Template {
        id: "guest-password",
        description: "tells a guest the password, where the user name comes in a mail of its own",
        class: MailClass::Credentials,
        required: &["password"],
        optional: &[GUEST],
    },
    Template {
        id: "guest-password-reset",
        description: "tells a guest a new password",
        class: MailClass::Credentials,
        required: &["username", "password"],
        optional: &[GUEST],
    },
    Template {
        id: "guest-self-registration",
        description: "confirms to a guest that the registration has come in, with the account if it is there already",
        class: MailClass::Credentials,
        required: &["username"],
        optional: &[GUEST],
    },
    Template {
        id: "guest-approval-request",
        description: "asks a sponsor to approve or deny a guest",
        class: MailClass::Approval,
        required: &["approve_url", "deny_url"],
        optional: &[&["links_expire"], GUEST],
    },
    Template {
        id: "guest-approved",
        description: "tells a guest that the account was approved, with its credentials",
        class: MailClass::Credentials,
        required: &["username"],
        optional: &[GUEST],
    },
    Template {
        id: "guest-denied",
        description: "tells a guest that the account was denied",
        class: MailClass::Bulk,
        required: &[],
        optional: &[&["reason"], GUEST],
    },
    Template {
        id: "guest-extended",
        description: "tells a guest that the account is valid for longer",
        class: MailClass::Bulk,
        required: &["username", "valid_to"],
        optional: &[GUEST],
    },
    Template {
        id: "guest-suspended",
        description: "tells a guest that the account is suspended",
        class: MailClass::Bulk,
        required: &["username"],
        optional: &[&["reason"], GUEST],
    },
    Template {
        id: "guest-reinstated",
        description: "tells a guest that a suspended account can be used again",
        class: MailClass::Bulk,
        required: &["username"],
        optional: &[GUEST],
    },
    Template {
        id: "guest-deleted",
        description: "tells a guest that the account was deleted",
        class: MailClass::Bulk,
        required: &["username"],
        optional: &[GUEST],
    },
    Template {
        id: "guest-bulk-summary",
        description: "tells a sponsor what became of the mails to many guests at once",
        class: MailClass::Bulk,
        required: &["total", "created", "failed"],
        optional: &[&["event", "failures", "sponsor_name", "sponsor_email", "location", "ssid"]],
    },
    Template {
        id: "guest-expiry",
        description: "reminds a guest that the account expires",
        class: MailClass::Reminder,
        required: &["username", "valid_to"],
        optional: &[GUEST],
    },
    Template {
        id: "guest-expiry-sponsor",
        description: "reminds a sponsor that the account of a guest expires",
        class: MailClass::Reminder,
        required: &["username", "valid_to"],
        optional: &[GUEST],
    },
    Template {
        id: "password-expiry",
        description: "reminds an administrator or network user that the password expires",
        class: MailClass::Reminder,
        required: &["username", "expires_at"],
        optional: &[&["display_name", "time_left"]],
    },
    Template {
        id: "alarm",
        description: "tells of an alarm",
        class: MailClass::Alarm,
        required: &["alarm_name", "severity"],
        optional: &[ALARM],
    },
    Template {
        id: "alarm-resolved",
        description: "tells that an alarm is over",
        class: MailClass::Alarm,
        required: &["alarm_name"],
        optional: &[ALARM],
    },
    Template {
        id: "alarm-group",
        description: "tells of several alarms at once",
        class: MailClass::Alarm,
        required: &["count", "alarms"],
        optional: &[ALARM],
    },
    Template {
        id: "alarm-digest",
        description: "sums up alarms that were too many for mails of their own",
        class: MailClass::Alarm,
        required: &["count", "alarms"],
        optional: &[&["since", "until", "custom_text"]],
    },
    Template {
        id: "test-email",
        description: "shows that mail arrives",
        class: MailClass::Credentials,
        required: &[],
        optional: &[&["sent_at", "sent_by", "node"]],
    },
];
