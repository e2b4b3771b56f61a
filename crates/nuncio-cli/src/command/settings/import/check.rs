//! Holds a file against the rules of the node, before anything is saved.

use nuncio_api::client::Clients;
use nuncio_api::v1::{
    AlarmSettings, ReplaceAlarmRulesRequest, UpdateAlarmRouteRequest,
    UpdateGuestMailSettingsRequest, UpdateReminderSettingsRequest, UpdateSmtpSettingsRequest,
    UpdateTemplateRequest, UpdateTrustStoreRequest,
};
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

use crate::command::settings::bundle::file::Finding;
use crate::command::settings::bundle::{Bundle, Part, SecretField};
use crate::failure::Failure;

/// A file that can be imported.
pub(super) struct Checked {
    /// What is to be saved, with the etags of what is there now.
    pub(super) request: Bundle,
    /// The settings as they would be.
    pub(super) would_be: Bundle,
}

/// Checks everything, and tells all that is wrong at once.
pub(super) async fn check(
    clients: &mut Clients,
    wanted: Bundle,
    present: &Bundle,
    max_due: i64,
) -> Result<Checked, Failure> {
    let request = with_etags(wanted, present);
    let types = request.alarm_types.iter().flatten().map(|one| one.name.clone()).collect();
    let secrets = request.secrets();
    let mut checker = Checker { clients, secrets, types, findings: Vec::new() };
    let would_be = checker.all(&request, present, max_due).await?;
    let findings = checker.findings;
    if findings.is_empty() {
        Ok(Checked { request, would_be })
    } else {
        Err(Failure::Findings(findings))
    }
}

/// With the etags nobody's change is lost who saves between the check and the end.
fn with_etags(mut wanted: Bundle, present: &Bundle) -> Bundle {
    if let (Some(wanted), Some(present)) = (&mut wanted.trust_store, &present.trust_store) {
        let certificates = std::mem::take(&mut wanted.certificates);
        wanted.certificates = over(&present.certificates, certificates, |one| &one.name);
        wanted.etag.clone_from(&present.etag);
    }
    if let (Some(wanted), Some(present)) = (&mut wanted.smtp, &present.smtp) {
        wanted.etag.clone_from(&present.etag);
    }
    if let (Some(wanted), Some(present)) = (&mut wanted.guest_mail, &present.guest_mail) {
        wanted.etag.clone_from(&present.etag);
    }
    if let (Some(wanted), Some(present)) = (&mut wanted.reminders, &present.reminders) {
        wanted.etag.clone_from(&present.etag);
    }
    // Settings and types of alarms are saved together: what the file has none of stays.
    if wanted.alarms.is_some() || wanted.alarm_types.is_some() {
        let settings = wanted.alarms.take().or_else(|| present.alarms.clone());
        let etag = present.alarms.as_ref().map(|present| present.etag.clone());
        let etag = etag.unwrap_or_default();
        wanted.alarms = Some(AlarmSettings { etag, ..settings.unwrap_or_default() });
        let types = wanted.alarm_types.take().unwrap_or_default();
        let known = present.alarm_types.as_deref().unwrap_or_default();
        wanted.alarm_types = Some(over(known, types, |one| &one.name));
    }
    let routes = present.alarm_routes.iter().flatten();
    let routes_etag = routes.map(|route| route.etag.clone()).next().unwrap_or_default();
    for route in wanted.alarm_routes.iter_mut().flatten() {
        route.etag.clone_from(&routes_etag);
    }
    for texts in wanted.templates.iter_mut().flatten() {
        let mut known = present.templates.iter().flatten();
        let known = known.find(|known| known.name == texts.name);
        texts.etag = known.map(|known| known.etag.clone()).unwrap_or_default();
    }
    wanted
}

/// The entries that are there, with those of the file in their places, and behind them the new ones.
fn over<T: Clone>(present: &[T], wanted: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<T> {
    let mut all = present.to_vec();
    for entry in wanted {
        match all.iter_mut().find(|known| name(known) == name(&entry)) {
            Some(known) => *known = entry,
            None => all.push(entry),
        }
    }
    all
}

struct Checker<'a> {
    clients: &'a mut Clients,
    secrets: Vec<SecretField>,
    /// The names of the types, in the order of the request.
    types: Vec<String>,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    async fn all(
        &mut self,
        request: &Bundle,
        present: &Bundle,
        max_due: i64,
    ) -> Result<Bundle, Failure> {
        let mut would_be = Bundle::default();
        self.provider(request, &mut would_be).await?;
        self.rules(request, &mut would_be).await?;
        self.routes(request, &mut would_be).await?;
        self.templates(request, &mut would_be).await?;
        self.mail(request, present, max_due, &mut would_be).await?;
        Ok(would_be)
    }

    async fn provider(&mut self, request: &Bundle, would_be: &mut Bundle) -> Result<(), Failure> {
        if let Some(trust_store) = request.trust_store.clone() {
            let request =
                UpdateTrustStoreRequest { trust_store: Some(trust_store), validate_only: true };
            let answer = self.clients.trust_store.update_trust_store(request).await;
            let answer = self.note(Part::TrustStore, "", answer)?;
            would_be.trust_store = answer.and_then(|answer| answer.trust_store);
        }
        if let Some(smtp) = request.smtp.clone() {
            let request = UpdateSmtpSettingsRequest {
                smtp_settings: Some(smtp),
                validate_only: true,
                except_nodes: Vec::new(),
            };
            let answer = self.clients.smtp_settings.update_smtp_settings(request).await;
            let answer = self.note(Part::Smtp, "", answer)?;
            would_be.smtp = answer.and_then(|answer| answer.smtp_settings);
        }
        Ok(())
    }

    /// What sends mail when it is switched on.
    async fn mail(
        &mut self,
        request: &Bundle,
        present: &Bundle,
        max_due: i64,
        would_be: &mut Bundle,
    ) -> Result<(), Failure> {
        if let Some(guest_mail) = request.guest_mail.clone() {
            let request = UpdateGuestMailSettingsRequest {
                guest_mail_settings: Some(guest_mail),
                max_due_count: 0,
                validate_only: true,
            };
            let answer = self.clients.guest_mail.update_guest_mail_settings(request).await;
            let answer = self.note(Part::GuestMail, "", answer)?;
            let due = answer.as_ref().map_or(0, |answer| answer.due_count);
            self.note_due(Part::GuestMail, due, max_due);
            would_be.guest_mail = answer.and_then(|answer| answer.guest_mail_settings);
        }
        if let Some(reminders) = request.reminders.clone() {
            let request = UpdateReminderSettingsRequest {
                reminder_settings: Some(reminders),
                max_due_count: 0,
                validate_only: true,
            };
            let answer = self.clients.reminders.update_reminder_settings(request).await;
            let answer = self.note(Part::Reminders, "", answer)?;
            let due = answer.as_ref().map_or(0, |answer| answer.due_count);
            would_be.reminders = answer.and_then(|answer| answer.reminder_settings);
            // What stays as it is sends nothing by this import.
            if would_be.reminders != present.reminders {
                self.note_due(Part::Reminders, due, max_due);
            }
        }
        Ok(())
    }

    async fn rules(&mut self, request: &Bundle, would_be: &mut Bundle) -> Result<(), Failure> {
        if let Some(alarm_settings) = request.alarms.clone() {
            let alarm_types = request.alarm_types.clone().unwrap_or_default();
            let request = ReplaceAlarmRulesRequest {
                alarm_settings: Some(alarm_settings),
                alarm_types,
                validate_only: true,
            };
            let answer = self.clients.alarms.replace_alarm_rules(request).await;
            let answer = self.note(Part::Alarms, "", answer)?;
            would_be.alarm_types = answer.as_ref().map(|answer| answer.alarm_types.clone());
            would_be.alarms = answer.and_then(|answer| answer.alarm_settings);
        }
        Ok(())
    }

    async fn routes(&mut self, request: &Bundle, would_be: &mut Bundle) -> Result<(), Failure> {
        let Some(routes) = &request.alarm_routes else { return Ok(()) };
        let mut read = Vec::new();
        for route in routes.iter().cloned() {
            let name = route.name.clone();
            let request = UpdateAlarmRouteRequest {
                alarm_route: Some(route),
                allow_missing: true,
                validate_only: true,
            };
            let answer = self.clients.alarm_routes.update_alarm_route(request).await;
            let answer = self.note(Part::AlarmRoutes, &name, answer)?;
            read.extend(answer.and_then(|answer| answer.alarm_route));
        }
        would_be.alarm_routes = Some(read);
        Ok(())
    }

    async fn templates(&mut self, request: &Bundle, would_be: &mut Bundle) -> Result<(), Failure> {
        let Some(templates) = &request.templates else { return Ok(()) };
        let mut read = Vec::new();
        for texts in templates.iter().cloned() {
            let name = texts.name.clone();
            let request = UpdateTemplateRequest {
                template: Some(texts),
                allow_missing: true,
                validate_only: true,
            };
            let answer = self.clients.templates.update_template(request).await;
            let answer = self.note(Part::Templates, &name, answer)?;
            read.extend(answer.and_then(|answer| answer.template));
        }
        would_be.templates = Some(read);
        Ok(())
    }

    /// Names the type in place of its number: the numbers are not those of the file.
    fn name_types(&self, field: &mut String) {
        let place = field.strip_prefix("alarm_types[").and_then(|rest| rest.split_once("]."));
        if let Some((index, rest)) = place
            && let Some(name) = index.parse().ok().and_then(|index: usize| self.types.get(index))
        {
            *field = format!("{name}.{rest}");
        }
    }

    fn note_due(&mut self, part: Part, due: i64, max_due: i64) {
        if max_due < due {
            let problem = format!(
                "{due} reminders would be sent at once; look at `nuncio reminders preview`, then \
                 give `--max-due {due}`"
            );
            self.findings.push(Finding::new(part, "", problem));
        }
    }

    /// The answer of a check. What it found is noted, so that everything else is checked too.
    fn note<T>(
        &mut self,
        part: Part,
        entry: &str,
        answer: Result<Response<T>, Status>,
    ) -> Result<Option<T>, Failure> {
        let status = match answer {
            Ok(answer) => return Ok(Some(answer.into_inner())),
            Err(status) => status,
        };
        let details = status.get_error_details();
        let found = details.bad_request().map(|one| one.field_violations.clone());
        let found = found.unwrap_or_default();
        match status.code() {
            Code::InvalidArgument if !found.is_empty() => {
                for mut one in found {
                    self.name_types(&mut one.field);
                    let field = [entry, &one.field].join(if entry.is_empty() { "" } else { "." });
                    let secret = self
                        .secrets
                        .iter()
                        .find(|secret| (secret.part, &secret.field) == (part, &field));
                    let how = secret.map(|secret| format!(" (give it by `{}`)", secret.option));
                    let problem = format!("{}{}", one.description, how.unwrap_or_default());
                    self.findings.push(Finding::new(part, &field, problem));
                }
            }
            Code::Unimplemented => {
                let problem = "the node has no role that serves it; name the one that has by \
                               `--server`, and the parts that it serves by `--only`";
                self.findings.push(Finding::new(part, entry, problem));
            }
            Code::InvalidArgument
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::ResourceExhausted => {
                self.findings.push(Finding::new(part, entry, status.message()));
            }
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Aborted
            | Code::OutOfRange
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unauthenticated => return Err(status.into()),
        }
        Ok(None)
    }
}
