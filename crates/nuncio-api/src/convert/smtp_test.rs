//! What a test of SMTP settings tells, both ways: a node tells it to the PAN, and the PAN to its caller.

use nuncio_core::smtp_test::{
    NodeTest, PresentedCertificate, StageError, StageKind, StageOutcome, StageResult,
};

use crate::convert::time::duration;
use crate::v1;

/// A stage of a node's test, as the API tells it.
pub fn stage(node: &str, stage: StageResult) -> v1::SmtpTestStage {
    let mut told = v1::SmtpTestStage {
        node: node.to_owned(),
        kind: v1::SmtpTestStageKind::from(stage.kind).into(),
        elapsed: Some(duration(stage.elapsed)),
        mailbox: stage.mailbox.map(|mailbox| mailbox.to_string()).unwrap_or_default(),
        ..v1::SmtpTestStage::default()
    };
    match stage.outcome {
        StageOutcome::Passed { detail } => {
            told.set_outcome(v1::SmtpTestOutcome::Passed);
            told.detail = detail;
        }
        StageOutcome::Failed(StageError { code, cause, remedy, presented_chain }) => {
            told.set_outcome(v1::SmtpTestOutcome::Failed);
            told.error_code = code;
            told.cause = cause;
            told.remedy = remedy;
            told.presented_chain =
                presented_chain.into_iter().map(v1::PresentedCertificate::from).collect();
        }
        StageOutcome::Skipped { why } => {
            told.set_outcome(v1::SmtpTestOutcome::Skipped);
            told.detail = why;
        }
    }
    told
}

/// The message of another node is none that this version understands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAStage {
    #[error("stage {0} is not known; the nodes run different versions")]
    Kind(i32),
    #[error("outcome {0} of a stage is not known; the nodes run different versions")]
    Outcome(i32),
    #[error("`{0}` is no mailbox")]
    Mailbox(String),
}

impl TryFrom<v1::SmtpTestStage> for StageResult {
    type Error = NotAStage;

    fn try_from(told: v1::SmtpTestStage) -> Result<Self, NotAStage> {
        let kind =
            v1::SmtpTestStageKind::try_from(told.kind).ok().and_then(Option::<StageKind>::from);
        let kind = kind.ok_or(NotAStage::Kind(told.kind))?;
        let outcome = match v1::SmtpTestOutcome::try_from(told.outcome) {
            Ok(v1::SmtpTestOutcome::Passed) => StageOutcome::Passed { detail: told.detail },
            Ok(v1::SmtpTestOutcome::Failed) => StageOutcome::Failed(StageError {
                code: told.error_code,
                cause: told.cause,
                remedy: told.remedy,
                presented_chain: told
                    .presented_chain
                    .into_iter()
                    .map(PresentedCertificate::from)
                    .collect(),
            }),
            Ok(v1::SmtpTestOutcome::Skipped) => StageOutcome::Skipped { why: told.detail },
            Ok(v1::SmtpTestOutcome::Unspecified) | Err(_) => {
                return Err(NotAStage::Outcome(told.outcome));
            }
        };
        let elapsed = told.elapsed.and_then(|span| span.try_into().ok()).unwrap_or_default();
        let mailbox = match told.mailbox {
            none if none.is_empty() => None,
            text => Some(text.parse().map_err(|_| NotAStage::Mailbox(text))?),
        };
        Ok(Self { kind, mailbox, outcome, elapsed })
    }
}

impl From<NodeTest> for v1::SmtpNodeTest {
    fn from(test: NodeTest) -> Self {
        let passed = test.passed();
        let stages = test.stages.into_iter().map(|result| stage(&test.node, result)).collect();
        Self { node: test.node, passed, stages }
    }
}

impl TryFrom<v1::SmtpNodeTest> for NodeTest {
    type Error = NotAStage;

    fn try_from(
        v1::SmtpNodeTest { node, passed: _, stages }: v1::SmtpNodeTest,
    ) -> Result<Self, NotAStage> {
        let stages = stages.into_iter().map(StageResult::try_from).collect::<Result<_, _>>()?;
        Ok(Self { node, stages })
    }
}

/// The end of a test over all nodes but `except_nodes`. Without any node nothing was proved, so it has not passed.
pub fn report(tests: Vec<NodeTest>, except_nodes: Vec<String>) -> v1::SmtpTestReport {
    let passed = !tests.is_empty() && tests.iter().all(NodeTest::passed);
    let nodes = tests.into_iter().map(v1::SmtpNodeTest::from).collect();
    v1::SmtpTestReport { passed, nodes, except_nodes }
}

impl From<PresentedCertificate> for v1::PresentedCertificate {
    fn from(certificate: PresentedCertificate) -> Self {
        let PresentedCertificate { subject, issuer, not_before, not_after, sha256_fingerprint } =
            certificate;
        Self { subject, issuer, not_before, not_after, sha256_fingerprint }
    }
}

impl From<v1::PresentedCertificate> for PresentedCertificate {
    fn from(certificate: v1::PresentedCertificate) -> Self {
        let v1::PresentedCertificate { subject, issuer, not_before, not_after, sha256_fingerprint } =
            certificate;
        Self { subject, issuer, not_before, not_after, sha256_fingerprint }
    }
}

#[cfg(test)]
mod tests;
