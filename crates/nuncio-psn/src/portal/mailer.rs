//! Makes mail jobs of planned mails.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::directory::guest::{Guest, Sponsor};
use nuncio_core::job::{CallerId, JobOptionsDraft, NewJob};
use nuncio_core::mail::{ContentDraft, MailDraft, MailboxDraft};
use nuncio_core::portal::plan::PlannedMail;
use nuncio_core::portal::sender::senders;
use nuncio_core::portal::variables::guest_variables;
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::guest_mail::GuestMailSettings;
use nuncio_core::template::Variables;
use nuncio_core::template::catalogue::Template;
use nuncio_core::trace::TraceParent;
use nuncio_core::violation::Violations;
use nuncio_delivery::intake::{Intake, IntakeError, Submission};

/// Who asks for portal mail: it has request ids of its own.
const CALLER: &str = "portal";

/// What the mails of one notice have in common.
#[derive(Clone)]
pub(crate) struct Wording {
    /// About the guest, and what else is to be told; of it each template gets what it knows.
    pub(crate) variables: Variables,
    pub(crate) password: Option<Sensitive>,
    pub(crate) locale: String,
    /// The portal whose texts the mails have; empty means the default.
    pub(crate) portal: String,
    pub(crate) sponsor: Option<Sponsor>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) time_to_live: Option<Duration>,
    pub(crate) trace: Option<TraceParent>,
}

impl Wording {
    pub(crate) fn of_guest(guest: &Guest, event: &str, now: Timestamp) -> Self {
        let labels = [("guest", guest.id.as_str()), ("portal-event", event)];
        Self {
            variables: guest_variables(guest, now),
            password: None,
            locale: guest.language.clone(),
            portal: String::new(),
            sponsor: guest.sponsor.clone(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            not_before: None,
            time_to_live: None,
            trace: None,
        }
    }

    pub(crate) fn tell(&mut self, variable: &str, value: impl Into<String>) {
        let value: String = value.into();
        if !value.is_empty() {
            self.variables.insert(variable.to_owned(), Sensitive::from(value));
        }
    }
}

/// Makes the job of a mail, or tells what is wrong with it.
pub(crate) fn job(
    intake: &Intake,
    settings: &GuestMailSettings,
    mail: &PlannedMail,
    wording: &Wording,
) -> Result<NewJob, IntakeError> {
    let name = format!("templates/{}", mail.kind.name());
    let mut variables = wording.variables.clone();
    if let Some(password) = wording.password.clone().filter(|_| mail.tells_password) {
        variables.insert("password".to_owned(), password);
    }
    if let Some(template) = Template::find(mail.kind.name()) {
        variables.retain(|variable, _| template.variable(variable).is_some());
    }
    let mut senders = senders(settings, wording.sponsor.as_ref()).into_iter();
    let first = senders.next();
    let (from, reply_to) = first.map_or((None, None), |first| (first.from, first.reply_to));
    let submission = Submission {
        mail: MailDraft {
            from: from.map(MailboxDraft::from),
            reply_to: reply_to.map(MailboxDraft::from),
            other_senders: senders.collect(),
            to: vec![mail.to.clone().into()],
            cc: mail.cc.clone().map(MailboxDraft::from).into_iter().collect(),
            bcc: Vec::new(),
            content: Some(ContentDraft::Template {
                name,
                variables,
                locale: wording.locale.clone(),
                portal: wording.portal.clone(),
            }),
            attachments: Vec::new(),
            references: Vec::new(),
        },
        class: Some(mail.class),
        options: JobOptionsDraft {
            request_id: String::new(),
            not_before: wording.not_before,
            time_to_live: wording.time_to_live,
            labels: wording.labels.clone(),
        },
        caller: CallerId(CALLER.to_owned()),
        fingerprint: [0; 32],
        trace: wording.trace.clone(),
        violations: Violations::default(),
    };
    intake.check(submission)
}
