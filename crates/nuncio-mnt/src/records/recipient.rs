//! Recipients: what is left of their limits, and their digests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::alarm::recipient::{AlarmRecipient, Bucket, Digest};
use nuncio_core::alarm::settings::AlarmSettings;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Expected, Record, RecordKey, Write};
use serde::{Deserialize, Serialize};

use crate::records::{RECIPIENT, decode, encode};

#[derive(Serialize, Deserialize)]
struct StoredRecipient {
    normal: (f64, Timestamp),
    critical: (f64, Timestamp),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<StoredDigest>,
    digests: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredDigest {
    since: Timestamp,
    until: Timestamp,
    mails: u64,
    alarms: u64,
    resolved: u64,
    types: BTreeMap<String, u64>,
    is_critical: bool,
    locale: String,
}

pub(crate) fn key(address: &EmailAddress) -> RecordKey {
    RecordKey::new(RECIPIENT, address.as_str())
}

pub(crate) fn write(one: &AlarmRecipient, settings: &AlarmSettings, expected: Expected) -> Write {
    let stored = StoredRecipient {
        normal: (one.normal.mails, one.normal.at),
        critical: (one.critical.mails, one.critical.at),
        digest: one.digest.clone().map(StoredDigest::from),
        digests: one.digests,
    };
    Write::Put {
        key: key(&one.address),
        expected,
        owner: None,
        due_at: Some(one.due_at(settings)),
        content: encode(&stored),
    }
}

pub(crate) fn read(record: &Record, address: EmailAddress) -> Result<AlarmRecipient, StoreError> {
    let stored: StoredRecipient = decode(record)?;
    let bucket = |(mails, at)| Bucket { mails, at };
    Ok(AlarmRecipient {
        address,
        normal: bucket(stored.normal),
        critical: bucket(stored.critical),
        digest: stored.digest.map(Digest::from),
        digests: stored.digests,
    })
}

impl From<Digest> for StoredDigest {
    fn from(digest: Digest) -> Self {
        Self {
            since: digest.since,
            until: digest.until,
            mails: digest.mails,
            alarms: digest.alarms,
            resolved: digest.resolved,
            types: digest.types,
            is_critical: digest.is_critical,
            locale: digest.locale,
        }
    }
}

impl From<StoredDigest> for Digest {
    fn from(digest: StoredDigest) -> Self {
        Self {
            since: digest.since,
            until: digest.until,
            mails: digest.mails,
            alarms: digest.alarms,
            resolved: digest.resolved,
            types: digest.types,
            is_critical: digest.is_critical,
            locale: digest.locale,
        }
    }
}
