//! The time in which mails about alarms do not go out.

use jiff::Timestamp;
use nuncio_core::alarm::late::MailOutage;
use nuncio_core::alarm::recipient::{Bucket, Digest};
use nuncio_core::alarm::settings::AlarmSettings;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Expected, Record, RecordKey, Write};
use serde::{Deserialize, Serialize};

use crate::records::recipient::StoredDigest;
use crate::records::{MAIL_OUTAGE, decode, encode};

/// There is one at most.
const ID: &str = "present";

#[derive(Serialize, Deserialize)]
struct StoredOutage {
    since: Timestamp,
    waiting: u64,
    mails: u64,
    alarms: u64,
    sent: u64,
    lost: u64,
    is_proven: bool,
    messages: u64,
    room: (f64, Timestamp),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<StoredDigest>,
    digested_at: Option<Timestamp>,
}

pub(crate) fn key() -> RecordKey {
    RecordKey::new(MAIL_OUTAGE, ID)
}

pub(crate) fn write(
    outage: &MailOutage,
    settings: &AlarmSettings,
    expected: Expected,
    now: Timestamp,
) -> Write {
    let stored = StoredOutage {
        since: outage.since,
        waiting: outage.waiting,
        mails: outage.mails,
        alarms: outage.alarms,
        sent: outage.sent,
        lost: outage.lost,
        is_proven: outage.is_proven,
        messages: outage.messages,
        room: (outage.room.mails, outage.room.at),
        digest: outage.digest.clone().map(StoredDigest::from),
        digested_at: outage.digested_at,
    };
    Write::Put {
        key: key(),
        expected,
        owner: None,
        due_at: Some(outage.look_at(settings, now)),
        content: encode(&stored),
    }
}

pub(crate) fn read(record: &Record) -> Result<MailOutage, StoreError> {
    let stored: StoredOutage = decode(record)?;
    let (mails, at) = stored.room;
    Ok(MailOutage {
        since: stored.since,
        waiting: stored.waiting,
        mails: stored.mails,
        alarms: stored.alarms,
        sent: stored.sent,
        lost: stored.lost,
        is_proven: stored.is_proven,
        messages: stored.messages,
        room: Bucket { mails, at },
        digest: stored.digest.map(Digest::from),
        digested_at: stored.digested_at,
    })
}
