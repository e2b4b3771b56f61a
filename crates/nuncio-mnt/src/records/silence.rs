//! Silences.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::alarm::silence::{Matcher, Silence};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{Expected, Record, RecordKey, Write};
use serde::{Deserialize, Serialize};

use crate::records::{SILENCE, decode, encode};

/// How long an ended silence can still be seen.
const KEPT: Duration = Duration::from_hours(7 * 24);

#[derive(Serialize, Deserialize)]
struct StoredSilence {
    #[serde(rename = "type")]
    alarm_type: String,
    node: String,
    labels: BTreeMap<String, String>,
    starts: Timestamp,
    ends: Timestamp,
    comment: String,
    by: String,
}

pub(crate) fn write(silence: &Silence, expected: Expected) -> Write {
    let Silence { id, matcher, starts_at, ends_at, comment, created_by } = silence.clone();
    let stored = StoredSilence {
        alarm_type: matcher.alarm_type,
        node: matcher.node,
        labels: matcher.labels,
        starts: starts_at,
        ends: ends_at,
        comment,
        by: created_by,
    };
    Write::Put {
        key: RecordKey::new(SILENCE, id),
        expected,
        owner: None,
        due_at: Some(ends_at + KEPT),
        content: encode(&stored),
    }
}

pub(crate) fn read(record: &Record) -> Result<Silence, StoreError> {
    let stored: StoredSilence = decode(record)?;
    let StoredSilence { alarm_type, node, labels, .. } = stored;
    Ok(Silence {
        id: record.key.id.clone(),
        matcher: Matcher { alarm_type, node, labels },
        starts_at: stored.starts,
        ends_at: stored.ends,
        comment: stored.comment,
        created_by: stored.by,
    })
}
