//! Mails about alarms whose end is not known yet.

use jiff::Timestamp;
use nuncio_core::alarm::late::AlarmMail;
use nuncio_core::alarm::recipient::Lane;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Expected, Record, RecordKey, Write};
use serde::{Deserialize, Serialize};

use crate::records::{ALARM_MAIL, LATE, decode, encode};

#[derive(Serialize, Deserialize)]
struct StoredMail {
    #[serde(rename = "type")]
    alarm_type: String,
    subject: String,
    text: String,
    is_critical: bool,
    alarms: u64,
    made_at: Timestamp,
    is_known: bool,
    is_late: bool,
}

pub(crate) fn key(job: MailJobId) -> RecordKey {
    RecordKey::new(ALARM_MAIL, job.as_uuid().to_string())
}

/// `look_at` does not matter for one that is late.
pub(crate) fn write(mail: &AlarmMail, expected: Expected, look_at: Timestamp) -> Write {
    let stored = StoredMail {
        alarm_type: mail.alarm_type.clone(),
        subject: mail.subject.clone(),
        text: mail.text.clone(),
        is_critical: mail.lane == Lane::Critical,
        alarms: mail.alarms,
        made_at: mail.made_at,
        is_known: mail.is_known,
        is_late: mail.is_late,
    };
    Write::Put {
        key: key(mail.job),
        expected,
        owner: mail.is_late.then(|| LATE.to_owned()),
        due_at: (!mail.is_late).then_some(look_at),
        content: encode(&stored),
    }
}

/// None where the id is that of no job.
pub(crate) fn read(record: &Record) -> Result<Option<AlarmMail>, StoreError> {
    let stored: StoredMail = decode(record)?;
    let Ok(job) = record.key.id.parse::<uuid::Uuid>() else { return Ok(None) };
    Ok(Some(AlarmMail {
        job: MailJobId::from(job),
        alarm_type: stored.alarm_type,
        subject: stored.subject,
        text: stored.text,
        lane: if stored.is_critical { Lane::Critical } else { Lane::Normal },
        alarms: stored.alarms,
        made_at: stored.made_at,
        is_known: stored.is_known,
        is_late: stored.is_late,
    }))
}
