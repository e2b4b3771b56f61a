//! A change as it is kept with its document.

use jiff::Timestamp;
use nuncio_core::settings::document::DocumentChange;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeV1 {
    caller: String,
    at: Timestamp,
    summary: String,
}

impl From<&DocumentChange> for ChangeV1 {
    fn from(change: &DocumentChange) -> Self {
        let DocumentChange { caller, at, summary } = change.clone();
        Self { caller, at, summary }
    }
}

impl From<ChangeV1> for DocumentChange {
    fn from(change: ChangeV1) -> Self {
        let ChangeV1 { caller, at, summary } = change;
        Self { caller, at, summary }
    }
}
