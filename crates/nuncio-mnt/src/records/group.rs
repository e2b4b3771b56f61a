//! Groups.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use nuncio_core::alarm::group::{Epoch, Group, GroupClaim, GroupDecision, GroupKey, Thread};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Expected, Record, RecordKey, Write};
use serde::{Deserialize, Serialize};

use crate::records::{GROUP, decode, encode};

#[derive(Serialize, Deserialize)]
struct StoredGroup {
    #[serde(rename = "type")]
    alarm_type: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    epoch: u64,
    told: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<(String, Timestamp)>,
    is_dirty: bool,
    is_empty: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_mail: Option<Timestamp>,
    /// First and last `Message-ID` by language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    threads: BTreeMap<String, (String, String)>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    told_to: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    decisions: Vec<StoredDecision>,
}

#[derive(Serialize, Deserialize)]
struct StoredDecision {
    at: Timestamp,
    epoch: u64,
    code: String,
    message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mail_jobs: Vec<String>,
    alarms: u64,
}

pub(crate) fn key(group: &GroupKey) -> RecordKey {
    RecordKey::new(GROUP, group.0.as_str())
}

pub(crate) fn write(group: &Group, expected: Expected) -> Write {
    let stored = StoredGroup {
        alarm_type: group.alarm_type.clone(),
        labels: group.labels.clone(),
        epoch: group.epoch.0,
        told: group.told.0,
        claim: group.claim.as_ref().map(|claim| (claim.token.clone(), claim.until)),
        is_dirty: group.is_dirty,
        is_empty: group.is_empty,
        last_mail: group.last_mail_at,
        threads: group
            .threads
            .iter()
            .map(|(locale, thread)| (locale.clone(), (thread.first.clone(), thread.last.clone())))
            .collect(),
        told_to: group.told_to.clone(),
        decisions: group.decisions.iter().map(stored_decision).collect(),
    };
    Write::Put {
        key: key(&group.key),
        expected,
        owner: Some(group.alarm_type.clone()),
        due_at: Some(group.due_at),
        content: encode(&stored),
    }
}

pub(crate) fn read(record: &Record) -> Result<Group, StoreError> {
    let stored: StoredGroup = decode(record)?;
    Ok(Group {
        key: GroupKey(record.key.id.clone()),
        alarm_type: stored.alarm_type,
        labels: stored.labels,
        epoch: Epoch(stored.epoch),
        told: Epoch(stored.told),
        claim: stored.claim.map(|(token, until)| GroupClaim { token, until }),
        is_dirty: stored.is_dirty,
        is_empty: stored.is_empty,
        last_mail_at: stored.last_mail,
        threads: stored
            .threads
            .into_iter()
            .map(|(locale, (first, last))| (locale, Thread { first, last }))
            .collect(),
        told_to: stored.told_to,
        decisions: stored.decisions.into_iter().map(decision).collect(),
        due_at: record.due_at.unwrap_or(record.updated_at),
    })
}

fn stored_decision(one: &GroupDecision) -> StoredDecision {
    StoredDecision {
        at: one.at,
        epoch: one.epoch.0,
        code: one.code.clone(),
        message: one.message.clone(),
        mail_jobs: one.mail_jobs.clone(),
        alarms: one.alarms,
    }
}

fn decision(one: StoredDecision) -> GroupDecision {
    GroupDecision {
        at: one.at,
        epoch: Epoch(one.epoch),
        code: one.code,
        message: one.message,
        mail_jobs: one.mail_jobs,
        alarms: one.alarms,
    }
}
