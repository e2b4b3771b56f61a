//! What a test of SMTP settings tells.

use std::time::Duration;

use crate::address::EmailAddress;

/// The stages of a test, in their order. Those from `Auth` on come for each mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StageKind {
    /// Only where the settings have a proxy.
    Proxy,
    Dns,
    Tcp,
    Tls,
    Token,
    Ehlo,
    Auth,
    Mail,
    /// The node is asked to test. Only where that fails, in place of all others.
    Node,
}

impl StageKind {
    pub const ALL: [Self; 9] = [
        Self::Proxy,
        Self::Dns,
        Self::Tcp,
        Self::Tls,
        Self::Token,
        Self::Ehlo,
        Self::Auth,
        Self::Mail,
        Self::Node,
    ];
}

/// One stage of a test and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageResult {
    pub kind: StageKind,
    /// The mailbox that the stage is about; none where it is about all of them.
    pub mailbox: Option<EmailAddress>,
    pub outcome: StageOutcome,
    pub elapsed: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageOutcome {
    /// It went well; what was seen, for example the address or the server's reply.
    Passed {
        detail: String,
    },
    Failed(StageError),
    /// Not tried, because an earlier stage failed or the settings do not need it.
    Skipped {
        why: String,
    },
}

/// What is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageError {
    /// A stable name in upper case, for example `INVALID_CLIENT_SECRET`.
    pub code: String,
    pub cause: String,
    pub remedy: String,
    /// The certificates that the server presented, if the chain could not be checked.
    pub presented_chain: Vec<PresentedCertificate>,
}

/// A certificate of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedCertificate {
    pub subject: String,
    pub issuer: String,
    /// RFC 3339.
    pub not_before: String,
    /// RFC 3339.
    pub not_after: String,
    /// Of the DER form, in hexadecimal.
    pub sha256_fingerprint: String,
}

/// The test of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTest {
    pub node: String,
    pub stages: Vec<StageResult>,
}

impl NodeTest {
    /// Whether no stage failed.
    pub fn passed(&self) -> bool {
        !self.stages.iter().any(|stage| matches!(stage.outcome, StageOutcome::Failed(_)))
    }
}
