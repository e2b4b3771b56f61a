//! Saves what was checked, one part after the other.

use nuncio_api::client::Clients;
use nuncio_api::v1::{
    ReplaceAlarmRulesRequest, TrustStore, UpdateAlarmRouteRequest, UpdateGuestMailSettingsRequest,
    UpdateReminderSettingsRequest, UpdateSmtpSettingsRequest, UpdateTemplateRequest,
    UpdateTrustStoreRequest,
};

use crate::command::settings::bundle::{Bundle, Part};
use crate::command::settings::import::diff::PartChange;
use crate::failure::Failure;
use crate::globals::Format;
use crate::output::{Line, Tone};
use crate::run::Context;

impl Bundle {
    /// Leaves out what is as in the file already: whole parts, and of lists each entry.
    pub(super) fn keep_changed(&mut self, changes: &[PartChange]) {
        let touched: Vec<_> = changes.iter().map(|one| one.part).collect();
        let rules = [Part::Alarms, Part::AlarmTypes];
        let saves_rules = rules.iter().any(|part| touched.contains(part));
        let parts = touched.iter().copied().chain(rules.into_iter().filter(|_| saves_rules));
        // An empty list would mean all.
        self.retain(&parts.collect::<Vec<_>>());
        let is_changed = |part: Part, name: &str| {
            let mut fields =
                changes.iter().filter(|one| one.part == part).flat_map(|one| &one.fields);
            fields.any(|field| {
                field.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ']))
            })
        };
        if let Some(routes) = &mut self.alarm_routes {
            routes.retain(|route| is_changed(Part::AlarmRoutes, &route.name));
        }
        if let Some(templates) = &mut self.templates {
            templates.retain(|texts| is_changed(Part::Templates, &texts.name));
        }
    }
}

/// Saves the certificates that are trusted.
pub(super) async fn apply_trust(
    context: &mut Context<'_>,
    clients: &mut Clients,
    trust_store: TrustStore,
    done: &mut Vec<&'static str>,
) -> Result<(), Failure> {
    let request = UpdateTrustStoreRequest { trust_store: Some(trust_store), validate_only: false };
    clients.trust_store.update_trust_store(request).await?;
    saved(context, Part::TrustStore, done)
}

/// What the operator lets pass.
pub(super) struct Allowed {
    /// The most reminders that may be due at once.
    pub(super) max_due: i64,
    /// The nodes from which the SMTP settings need not have passed.
    pub(super) except_nodes: Vec<String>,
}

/// Saves everything else that is in `request`. Whatever breaks it off, what is `done` is told and stays.
pub(super) async fn apply(
    context: &mut Context<'_>,
    clients: &mut Clients,
    request: Bundle,
    allowed: Allowed,
    mut done: Vec<&'static str>,
) -> Result<(), Failure> {
    let ended = save_all(context, clients, request, allowed, &mut done).await;
    ended.map_err(|failure| Failure::HalfImported { done, failure: Box::new(failure) })
}

async fn save_all(
    context: &mut Context<'_>,
    clients: &mut Clients,
    request: Bundle,
    Allowed { max_due: max_due_count, except_nodes }: Allowed,
    done: &mut Vec<&'static str>,
) -> Result<(), Failure> {
    if let Some(smtp) = request.smtp {
        let smtp_settings = Some(smtp);
        let request =
            UpdateSmtpSettingsRequest { smtp_settings, validate_only: false, except_nodes };
        clients.smtp_settings.update_smtp_settings(request).await?;
        saved(context, Part::Smtp, done)?;
    }
    if let Some(guest_mail) = request.guest_mail {
        let request = UpdateGuestMailSettingsRequest {
            guest_mail_settings: Some(guest_mail),
            max_due_count,
            validate_only: false,
        };
        clients.guest_mail.update_guest_mail_settings(request).await?;
        saved(context, Part::GuestMail, done)?;
    }
    if let Some(alarm_settings) = request.alarms {
        let request = ReplaceAlarmRulesRequest {
            alarm_settings: Some(alarm_settings),
            alarm_types: request.alarm_types.unwrap_or_default(),
            validate_only: false,
        };
        clients.alarms.replace_alarm_rules(request).await?;
        saved(context, Part::Alarms, done)?;
    }
    if let Some(routes) = request.alarm_routes {
        let mut etag = None;
        for mut route in routes {
            // Each save changes the etag of all.
            route.etag = etag.unwrap_or(route.etag);
            let request = UpdateAlarmRouteRequest {
                alarm_route: Some(route),
                allow_missing: true,
                validate_only: false,
            };
            let answer = clients.alarm_routes.update_alarm_route(request).await?.into_inner();
            etag = answer.alarm_route.map(|route| route.etag);
        }
        saved(context, Part::AlarmRoutes, done)?;
    }
    if let Some(templates) = request.templates {
        for texts in templates {
            let request = UpdateTemplateRequest {
                template: Some(texts),
                allow_missing: true,
                validate_only: false,
            };
            clients.templates.update_template(request).await?;
        }
        saved(context, Part::Templates, done)?;
    }
    if let Some(reminders) = request.reminders {
        let request = UpdateReminderSettingsRequest {
            reminder_settings: Some(reminders),
            max_due_count,
            validate_only: false,
        };
        clients.reminders.update_reminder_settings(request).await?;
        saved(context, Part::Reminders, done)?;
    }
    Ok(())
}

fn saved(
    context: &mut Context<'_>,
    part: Part,
    done: &mut Vec<&'static str>,
) -> Result<(), Failure> {
    done.push(part.name());
    if context.out.format() == Format::Table {
        context
            .out
            .line(Line::new().push(Tone::Good, "saved").plain(format!(" {}", part.name())))?;
    }
    Ok(())
}
