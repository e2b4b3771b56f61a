//! Guests who are due and alarms, and what has become of them.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_api::convert::time::timestamp;
use nuncio_api::v1;
use nuncio_tests::caller::Caller;
use tonic::Status;

const HOUR: Duration = Duration::from_hours(1);
/// When the first guest was asked for.
#[expect(clippy::disallowed_methods, reason = "the nodes under test live by the real clock")]
static BEGUN: LazyLock<Timestamp> = LazyLock::new(Timestamp::now);
/// The type of the alarms.
const ALARM_TYPE: &str = "high-load-average";

/// Makes a guest who is due at once. To ask twice is to ask once, also where the first call comes last: a node that stood
/// still does then what nobody waits for any more. A guest with another end would be another reminder.
pub(crate) async fn guest(caller: &Caller, number: u64) -> Result<(), Status> {
    let guest = v1::Guest {
        name: format!("guests/g{number}"),
        email: format!("g{number}@example.com"),
        valid_from_time: Some(timestamp(*BEGUN - 240 * HOUR)),
        valid_to_time: Some(timestamp(*BEGUN + 48 * HOUR)),
        ..v1::Guest::default()
    };
    let request = v1::UpdateGuestRequest {
        guest: Some(guest),
        allow_missing: true,
        ..v1::UpdateGuestRequest::default()
    };
    caller.clients.directory.clone().update_guest(request).await.map(|_answer| ())
}

/// Raises an alarm. To ask twice is to ask once.
pub(crate) async fn alarm(caller: &Caller, number: u64) -> Result<(), Status> {
    let identity = v1::AlarmIdentity {
        r#type: ALARM_TYPE.to_owned(),
        node: format!("node-{number}"),
        ..v1::AlarmIdentity::default()
    };
    let alarm = v1::NewAlarm {
        identity: Some(identity),
        description: "it has too much to do".to_owned(),
        ..v1::NewAlarm::default()
    };
    let request = v1::RaiseAlarmRequest { alarm: Some(alarm), validate_only: false };
    caller.clients.alarms.clone().raise_alarm(request).await.map(|_answer| ())
}

/// How many jobs of reminders each guest has.
pub(crate) async fn reminders(caller: &Caller) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for job in caller.jobs().await {
        if let Some(subject) = job.labels.get("reminder") {
            *counts.entry(subject.clone()).or_insert(0) += 1;
        }
    }
    counts
}

/// How many mails have told of each of the alarms.
pub(crate) async fn alarms(caller: &Caller) -> BTreeMap<String, usize> {
    let mut clients = caller.clients.alarms.clone();
    let (mut counts, mut page_token) = (BTreeMap::new(), String::new());
    loop {
        let request = v1::ListAlarmsRequest { page_token, ..v1::ListAlarmsRequest::default() };
        let page = clients.list_alarms(request).await.expect("they are told").into_inner();
        let is_ours = |alarm: &v1::Alarm| {
            alarm.identity.as_ref().is_some_and(|identity| identity.r#type == ALARM_TYPE)
        };
        for alarm in page.alarms.into_iter().filter(is_ours) {
            let request = v1::GetAlarmRequest { name: alarm.name.clone() };
            let answer = clients.get_alarm(request).await.expect("it is told").into_inner();
            counts.insert(alarm.name, answer.decisions.iter().map(|one| one.mail_jobs.len()).sum());
        }
        if page.next_page_token.is_empty() {
            return counts;
        }
        page_token = page.next_page_token;
    }
}

/// Each alarm in a mail of its own, without a wait and without a limit that matters.
pub(crate) async fn tell_each_alarm_at_once(caller: &Caller) {
    let settings = v1::AlarmSettings {
        recipients: vec!["ops@example.com".to_owned()],
        group_by: vec!["node".to_owned()],
        group_wait: Some(prost_types::Duration::default()),
        limit: Some(v1::AlarmLimit { burst: 1000, mails_per_hour: 3600 }),
        ..v1::AlarmSettings::default()
    };
    let paths = ["recipients", "group_by", "group_wait", "limit"].map(str::to_owned).to_vec();
    let request = v1::UpdateAlarmSettingsRequest {
        alarm_settings: Some(settings),
        update_mask: Some(prost_types::FieldMask { paths }),
        validate_only: false,
    };
    caller.clients.alarms.clone().update_alarm_settings(request).await.expect("it is answered");
}
