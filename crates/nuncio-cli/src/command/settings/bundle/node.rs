//! The settings of a node, as its services tell them.

use nuncio_api::client::Clients;
use nuncio_api::v1::{
    AlarmSettings, AlarmType, GetAlarmSettingsRequest, GetGuestMailSettingsRequest,
    GetReminderSettingsRequest, GetSmtpSettingsRequest, GetTemplateRequest, GetTrustStoreRequest,
    ListAlarmRoutesRequest, ListAlarmTypesRequest, ListTemplatesRequest, Template,
};
use tonic::{Code, Response, Status};

use crate::command::settings::bundle::Bundle;
use crate::failure::Failure;

/// How many entries a page has that is read for a whole list.
const PAGE: i32 = 1000;

/// Reads everything; a part that the roles of the node do not serve, or that nobody has saved, is none.
pub(in crate::command::settings) async fn read(clients: &mut Clients) -> Result<Bundle, Failure> {
    let trust_store = clients.trust_store.get_trust_store(GetTrustStoreRequest {}).await;
    let smtp = clients.smtp_settings.get_smtp_settings(GetSmtpSettingsRequest {}).await;
    let guest_mail =
        clients.guest_mail.get_guest_mail_settings(GetGuestMailSettingsRequest {}).await;
    let reminders = clients.reminders.get_reminder_settings(GetReminderSettingsRequest {}).await;
    let routes = clients.alarm_routes.list_alarm_routes(ListAlarmRoutesRequest {}).await;
    let alarms = alarms(clients).await?;
    let (alarms, alarm_types) = alarms.unzip();
    Ok(Bundle {
        trust_store: served(trust_store)?.and_then(|got| got.trust_store),
        smtp: served(smtp)?.and_then(|got| got.smtp_settings),
        guest_mail: served(guest_mail)?.and_then(|got| got.guest_mail_settings),
        alarms,
        alarm_types,
        alarm_routes: served(routes)?.map(|got| got.alarm_routes),
        templates: templates(clients).await?,
        reminders: served(reminders)?.and_then(|got| got.reminder_settings),
    })
}

async fn alarms(clients: &mut Clients) -> Result<Option<(AlarmSettings, Vec<AlarmType>)>, Failure> {
    let got = clients.alarms.get_alarm_settings(GetAlarmSettingsRequest {}).await;
    let Some(settings) = served(got)?.and_then(|got| got.alarm_settings) else { return Ok(None) };
    let mut request = ListAlarmTypesRequest { page_size: PAGE, page_token: String::new() };
    let mut types = Vec::new();
    loop {
        let page = clients.alarms.list_alarm_types(request.clone()).await?.into_inner();
        types.extend(page.alarm_types.into_iter().filter(|one| one.user_defined || one.changed));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(Some((settings, types)));
        }
    }
}

async fn templates(clients: &mut Clients) -> Result<Option<Vec<Template>>, Failure> {
    let mut request =
        ListTemplatesRequest { page_size: PAGE, custom_only: true, ..Default::default() };
    let mut templates = Vec::new();
    loop {
        let page = clients.templates.list_templates(request.clone()).await;
        let Some(page) = served(page)? else { return Ok(None) };
        for listed in page.templates {
            // Lists have no bodies.
            let got = clients.templates.get_template(GetTemplateRequest { name: listed.name });
            templates.extend(got.await?.into_inner().template);
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(Some(templates));
        }
    }
}

/// The answer; none where the node has no such role, or nothing is saved yet.
fn served<T>(answer: Result<Response<T>, Status>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if [Code::Unimplemented, Code::NotFound].contains(&status.code()) => Ok(None),
        Err(status) => Err(status.into()),
    }
}
