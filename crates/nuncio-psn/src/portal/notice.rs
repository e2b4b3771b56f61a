//! Notices to one guest: from the request to the jobs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use nuncio_api::convert::directory::{guest_draft, guest_id};
use nuncio_api::convert::time::{duration_from, timestamp_from};
use nuncio_api::v1;
use nuncio_core::directory::guest::{Guest, GuestId};
use nuncio_core::job::NewJob;
use nuncio_core::portal::PortalEvent;
use nuncio_core::portal::plan::{Notice, NoticeOptions, PlannedMail, Refused, plan};
use nuncio_core::ports::records::{Expected, Write};
use nuncio_core::secret::Sensitive;
use nuncio_core::settings::guest_mail::GuestMailSettings;
use nuncio_core::trace::TraceParent;
use nuncio_core::violation::Violations;
use nuncio_delivery::intake::IntakeError;
use nuncio_directory::change::Entry;
use nuncio_directory::directory::DirectoryError;
use nuncio_directory::mails::AccessMail;
use nuncio_directory::subject::Subject as _;
use serde::{Deserialize, Serialize};

use super::Portal;
use super::mailer::{self, Wording};

/// The longest password, in characters.
pub(crate) const PASSWORD_CHARS_MAX: usize = 256;
/// The longest reason, in characters (as in the directory).
pub(crate) const REASON_CHARS_MAX: usize = 1000;
/// The most labels of a caller: `guest`, `portal-event` and two more are added.
const LABELS_MAX: usize = 12;
/// The id of a guest that was given without a name.
const NAMELESS: &str = "inline";

/// Whom a notice is about.
#[derive(Clone)]
pub(crate) enum Target {
    Known(GuestId),
    /// Given with the call.
    Given(Box<v1::Guest>),
}

/// A notice as a caller gives it, read.
#[derive(Clone)]
pub(crate) struct NoticeRequest {
    pub(crate) event: PortalEvent,
    pub(crate) target: Target,
    pub(crate) password: Option<Sensitive>,
    pub(crate) reason: String,
    pub(crate) options: Options,
    pub(crate) trace: Option<TraceParent>,
}

/// How the mails are made and sent.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) locale: String,
    pub(crate) portal: String,
    pub(crate) notice: NoticeOptions,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) time_to_live: Option<std::time::Duration>,
}

/// Mails that are ready to be stored.
pub(crate) struct Made {
    pub(crate) guest: Guest,
    /// The guest as the directory keeps him, if he was named.
    pub(crate) known: Option<Entry<Guest>>,
    /// Whether the mails tell of an access.
    pub(crate) tells_of_access: bool,
    pub(crate) mails: Vec<(PlannedMail, NewJob)>,
}

/// Why a notice makes no mails.
pub(crate) enum NotMade {
    Invalid(Violations),
    GuestNotFound(GuestId),
    Refused(Refused),
    Mail(IntakeError),
    Directory(DirectoryError),
}

/// A mail as it is told and remembered.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ToldMail {
    pub(crate) template: String,
    pub(crate) to: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) cc: String,
    pub(crate) job: String,
}

impl Portal {
    /// Makes the mails of a notice. Nothing is stored.
    pub(crate) async fn make(
        &self,
        request: &NoticeRequest,
        settings: &GuestMailSettings,
    ) -> Result<Made, NotMade> {
        let now = self.now();
        let (guest, known) = self.guest(&request.target, now).await?;
        let has_password = request.password.is_some();
        let options = request.options.notice;
        let notice = Notice { event: request.event, guest: &guest, has_password, options };
        let planned = plan(&notice, settings).map_err(NotMade::Refused)?;
        let mut wording = Wording::of_guest(&guest, request.event.name(), now);
        wording.password.clone_from(&request.password);
        wording.trace.clone_from(&request.trace);
        let given = Some(request.reason.clone()).filter(|reason| !reason.is_empty());
        wording.tell("reason", given.unwrap_or_else(|| guest.state_reason.clone()));
        request.options.apply(&mut wording);
        let mut mails = Vec::with_capacity(planned.len());
        for mail in planned {
            let job = mailer::job(&self.intake, settings, &mail, &wording);
            mails.push((mail, job.map_err(NotMade::Mail)?));
        }
        let tells_of_access = request.event.tells_of_access();
        Ok(Made { guest, known, tells_of_access, mails })
    }

    async fn guest(
        &self,
        target: &Target,
        now: Timestamp,
    ) -> Result<(Guest, Option<Entry<Guest>>), NotMade> {
        match target {
            Target::Known(id) => {
                let found = self.directory.get::<Guest>(id).await.map_err(NotMade::Directory)?;
                let entry = found.ok_or_else(|| NotMade::GuestNotFound(id.clone()))?;
                Ok((entry.subject.clone(), Some(entry)))
            }
            Target::Given(guest) => {
                let guest = given_guest((**guest).clone(), now).map_err(NotMade::Invalid)?;
                Ok((guest, None))
            }
        }
    }
}

impl Made {
    /// The mails that must not go out once the access of the guest is gone.
    pub(crate) fn access_mails(&self) -> Vec<AccessMail> {
        let jobs = self.mails.iter().filter(|_| self.tells_of_access).map(|(_, job)| job);
        jobs.map(|job| AccessMail { job: job.id, until: job.expires_at }).collect()
    }
}

/// Holds if the guest is as he was when the mails were made, and notes them in his record.
pub(crate) fn noted(entry: &Entry<Guest>, mails: Vec<AccessMail>, now: Timestamp) -> Write {
    if mails.is_empty() {
        let expected = Expected::Version(entry.version);
        return Write::Require { key: Guest::key(&entry.subject.id), expected };
    }
    entry.told(mails, now)
}

impl Options {
    /// Takes the options apart; what is wrong is noted.
    pub(crate) fn read(violations: &mut Violations, given: Option<v1::NoticeOptions>) -> Self {
        let given = given.unwrap_or_default();
        let field = |name: &str| format!("options.{name}");
        if LABELS_MAX < given.labels.len() {
            let problem = format!("{} labels; at most {LABELS_MAX}", given.labels.len());
            violations.add(field("labels"), problem);
        }
        if given.copy_password && !given.copy_me {
            violations.add(field("copy_password"), "needs `copy_me`");
        }
        let not_before =
            timestamp_from(violations, &field("not_before_time"), given.not_before_time);
        let time_to_live = duration_from(violations, &field("time_to_live"), given.time_to_live);
        Self {
            locale: given.locale,
            portal: given.portal,
            notice: NoticeOptions {
                separate_mails: given.separate_mails,
                copy_me: given.copy_me,
                copy_password: given.copy_password,
            },
            labels: given.labels,
            not_before,
            time_to_live,
        }
    }

    pub(crate) fn apply(&self, wording: &mut Wording) {
        if !self.locale.is_empty() {
            wording.locale.clone_from(&self.locale);
        }
        wording.portal.clone_from(&self.portal);
        for (key, value) in &self.labels {
            wording.labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
        wording.not_before = self.not_before;
        wording.time_to_live = self.time_to_live;
    }
}

impl Target {
    /// Reads whom a request is about; what is wrong is noted.
    pub(crate) fn read(
        violations: &mut Violations,
        name: Option<String>,
        guest: Option<v1::Guest>,
    ) -> Option<Self> {
        match (name, guest) {
            (Some(name), _) => violations.check("name", guest_id(&name)).map(Self::Known),
            (None, Some(guest)) => Some(Self::Given(Box::new(guest))),
            (None, None) => {
                violations.add("name", "is missing; give the name of a guest, or a guest");
                None
            }
        }
    }
}

impl ToldMail {
    pub(crate) fn of(mail: &PlannedMail, job: &NewJob) -> Self {
        Self {
            template: format!("templates/{}", mail.kind.name()),
            to: mail.to.address.to_string(),
            cc: mail.cc.as_ref().map(|cc| cc.address.to_string()).unwrap_or_default(),
            job: job.id.to_string(),
        }
    }
}

impl From<ToldMail> for v1::NoticeMail {
    fn from(ToldMail { template, to, cc, job }: ToldMail) -> Self {
        Self { template, to, cc, mail_job: job }
    }
}

/// The guest that a request describes. Where no end is given the access ends a day later.
pub(crate) fn given_guest(guest: v1::Guest, now: Timestamp) -> Result<Guest, Violations> {
    let mut violations = Violations::default();
    let id = if guest.name.is_empty() {
        Some(GuestId::parse(NAMELESS).expect("it has letters only"))
    } else {
        violations.check("guest.name", guest_id(&guest.name))
    };
    if guest.username.is_empty() && guest.name.is_empty() {
        violations.add("guest.username", "is missing; a guest without a name needs one");
    }
    let mut unreadable = Violations::default();
    let draft = guest_draft(&mut unreadable, guest);
    violations.append(unreadable.under("guest."));
    let id = match id {
        Some(id) if violations.is_empty() => id,
        Some(_) | None => return Err(violations),
    };
    draft.check(id, None, now).map_err(|wrong| wrong.under("guest."))
}

/// The password of a request, if it has one.
pub(crate) fn read_password(
    violations: &mut Violations,
    field: &str,
    password: String,
) -> Option<Sensitive> {
    if PASSWORD_CHARS_MAX < password.chars().count() {
        violations.add(field, format!("is longer than {PASSWORD_CHARS_MAX} characters"));
    }
    if password.chars().any(char::is_control) {
        violations.add(field, "has a line break or control character");
    }
    Some(password).filter(|password| !password.is_empty()).map(Sensitive::from)
}

/// The reason of a request.
pub(crate) fn read_reason(
    violations: &mut Violations,
    field: &str,
    reason: String,
    chars_max: usize,
) -> String {
    if chars_max < reason.chars().count() || reason.chars().any(char::is_control) {
        violations.add(field, format!("must be one line of at most {chars_max} characters"));
    }
    reason
}
