//! Records of nodes: JSON in the store.

use nuncio_core::ports::job_store::Incarnation;
use nuncio_core::ports::records::Record;
use serde::{Deserialize, Serialize};

use crate::membership::judge::Run;
use crate::membership::report::NodeReport;

/// The version of the content. A later one is of nodes that this program cannot read.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Content {
    v: u32,
    node: NodeReport,
}

/// Only the version, which every later form keeps.
#[derive(Deserialize)]
struct Form {
    v: u32,
}

pub(super) fn encode(node: NodeReport) -> String {
    serde_json::to_string(&Content { v: VERSION, node }).expect("strings and numbers are JSON")
}

/// What a record tells. A node whose report cannot be read is still there: its name is the owner.
pub(super) fn heard(record: Record) -> Run {
    let form = serde_json::from_str::<Form>(&record.content);
    let report = form
        .is_ok_and(|form| form.v == VERSION)
        .then(|| serde_json::from_str::<Content>(&record.content).map(|content| content.node).ok());
    Run {
        name: record.owner.unwrap_or_else(|| record.key.id.clone()),
        incarnation: Incarnation(record.key.id),
        is_own: false,
        version: record.version,
        heard_at: record.updated_at,
        alive_until: record.due_at.unwrap_or(record.updated_at),
        report: report.flatten(),
    }
}
