//! Nodes for tests.

use jiff::Timestamp;
use nuncio_core::ports::job_store::Incarnation;

use crate::membership::report::NodeReport;
use crate::membership::{Life, Member};

/// A node that says this of itself. Its name is also that of its incarnation.
pub fn member(name: &str, life: Life, report: NodeReport) -> Member {
    Member {
        incarnation: Incarnation(name.to_owned()),
        name: name.to_owned(),
        life,
        heard_at: Timestamp::UNIX_EPOCH,
        shares_name: false,
        report: Some(NodeReport { name: name.to_owned(), ..report }),
    }
}
