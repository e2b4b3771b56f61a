//! Tests of settings from the other nodes, each by its `NodeService`.

use std::error::Error as _;
use std::sync::Arc;

use async_trait::async_trait;
use nuncio_api::convert::settings::secrets::with_secrets;
use nuncio_api::convert::smtp_test::NotAStage;
use nuncio_api::v1;
use nuncio_api::v1::test_smtp_from_node_response::Event;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::mail::{NodeTesters, SmtpTester, TestingNode};
use nuncio_core::settings::SmtpSettings;
use nuncio_core::smtp_test::{NodeTest, StageError, StageKind, StageOutcome, StageResult};
use nuncio_nodes::membership::{Life, Member, Membership};
use nuncio_runtime::chain::Chain;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::peers::{Peers, ReachError};

/// The testers of the nodes with the settings of this one.
pub(crate) struct OtherNodes {
    pub(crate) membership: Membership,
    /// Tests from here.
    pub(crate) own: Arc<dyn SmtpTester>,
    /// What nodes with the same settings have in common; none where nobody else has them.
    pub(crate) settings_home: Option<String>,
    pub(crate) peers: Peers,
}

/// Why a node could not be had to test.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("it does not answer at {address}: {cause}")]
    Unreachable { address: String, cause: String },
    #[error("another node answers at {address}")]
    OtherNode { address: String },
    #[error("it refuses to test: {message}")]
    Refused { message: String },
    #[error("its answer cannot be read")]
    Answer(#[from] NotAStage),
}

#[async_trait]
impl NodeTesters for OtherNodes {
    async fn nodes(&self) -> Result<Vec<TestingNode>, StoreError> {
        let members = self.membership.members().await?;
        let members = members.into_iter().filter(|member| self.has_these_settings(member));
        Ok(members.map(testing_node).collect())
    }

    async fn test(
        &self,
        node: &TestingNode,
        settings: &SmtpSettings,
        stages: mpsc::Sender<StageResult>,
    ) -> NodeTest {
        if node.incarnation == *self.membership.incarnation() {
            return self.own.test(settings, stages).await;
        }
        let begun = Instant::now();
        match self.ask(node, settings, &stages).await {
            Ok(test) => test,
            Err(error) => {
                let outcome = StageOutcome::Failed(error.explain(&node.name));
                let (kind, elapsed) = (StageKind::Node, begun.elapsed());
                let stage = StageResult { kind, mailbox: None, outcome, elapsed };
                // Whoever listened may have gone; the whole is returned as well.
                drop(stages.send(stage.clone()).await);
                NodeTest { node: node.name.clone(), stages: vec![stage] }
            }
        }
    }
}

impl OtherNodes {
    fn has_these_settings(&self, member: &Member) -> bool {
        let is_own = member.incarnation == *self.membership.incarnation();
        let shares = self.settings_home.is_some()
            && match &member.report {
                Some(report) => report.settings_home == self.settings_home,
                // It may well use them.
                None => true,
            };
        is_own || member.life == Life::Live && shares
    }

    async fn ask(
        &self,
        node: &TestingNode,
        settings: &SmtpSettings,
        stages: &mpsc::Sender<StageResult>,
    ) -> Result<NodeTest, AskError> {
        let address = &node.address;
        let failed = |status: Status| AskError::of(address, &status);
        let clients = self.peers.connect(address)?;
        let request = v1::TestSmtpFromNodeRequest {
            smtp_settings: Some(with_secrets(settings)),
            uid: node.incarnation.0.clone(),
        };
        let mut nodes = clients.nodes.clone();
        let mut events = nodes.test_smtp_from_node(request).await.map_err(failed)?.into_inner();
        while let Some(event) = events.message().await.map_err(failed)? {
            match event.event {
                // Whoever listened may have gone; the whole is returned as well.
                Some(Event::Stage(stage)) => drop(stages.send(stage.try_into()?).await),
                Some(Event::Result(test)) if test.node == node.name => return Ok(test.try_into()?),
                Some(Event::Result(_)) => {
                    return Err(AskError::OtherNode { address: address.clone() });
                }
                None => {}
            }
        }
        let cause = "it broke off before the test had ended".to_owned();
        Err(AskError::Unreachable { address: address.clone(), cause })
    }
}

fn testing_node(member: Member) -> TestingNode {
    let address = member.report.map(|report| report.address).unwrap_or_default();
    TestingNode { incarnation: member.incarnation, name: member.name, address }
}

/// What a status says, with what is behind it: `tcp connect error` alone explains little.
fn cause(status: &Status) -> String {
    match status.source() {
        Some(source) => format!("{}: {}", status.message(), Chain(source)),
        None => status.message().to_owned(),
    }
}

impl AskError {
    fn of(address: &str, status: &Status) -> Self {
        let address = address.to_owned();
        match status.code() {
            Code::FailedPrecondition => Self::OtherNode { address },
            Code::Ok
            | Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::Aborted
            | Code::DataLoss => Self::Unreachable { address, cause: cause(status) },
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => Self::Refused { message: status.message().to_owned() },
        }
    }

    /// For whoever has the settings tested.
    fn explain(&self, name: &str) -> StageError {
        let (code, remedy) = match self {
            Self::Reach(ReachError::NoAddress) | Self::Answer(_) => {
                ("NODE_VERSION", "bring all nodes to one version".to_owned())
            }
            Self::Reach(ReachError::NotProtected { .. }) => (
                "NODE_NOT_PROTECTED",
                "give the nodes certificates by `grpc.tls.cert_file`, or set `grpc.insecure` on this node where something else \
                 protects the way between them"
                    .to_owned(),
            ),
            Self::Reach(ReachError::Address(_)) | Self::Unreachable { .. } => (
                "NODE_UNREACHABLE",
                format!(
                    "start `{name}` or correct its `grpc.listen` and `grpc.advertise`; if it has ended it is \
                     passed over in some seconds, and `--except-node {name}` does so now"
                ),
            ),
            Self::OtherNode { .. } => (
                "NODE_IS_ANOTHER",
                format!("give `{name}` an address of its own by `grpc.advertise`"),
            ),
            Self::Refused { .. } => (
                "NODE_REFUSED",
                format!("look at the log of `{name}`; nodes of different versions may not know all settings"),
            ),
        };
        let cause = format!("node `{name}` could not test: {}", Chain(self));
        StageError { code: code.to_owned(), cause, remedy, presented_chain: Vec::new() }
    }
}
