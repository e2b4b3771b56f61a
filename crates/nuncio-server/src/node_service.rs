//! `NodeService`: how the nodes are, and tests from where one stands.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use nuncio_api::convert::smtp_test::stage;
use nuncio_api::error::{Precondition, failed_precondition};
use nuncio_api::v1;
use nuncio_api::v1::node_service_server::NodeService;
use nuncio_core::ports::mail::SmtpTester;
use nuncio_nodes::membership::Membership;
use nuncio_pan::smtp_test::{read_settings, test_stream};
use nuncio_runtime::progress::Progress;
use tonic::{Request, Response, Status};

mod listing;

use crate::errors::no_store;
use crate::node_service::listing::nodes;
use crate::status::NodeStatus;

pub(crate) struct Nodes {
    pub(crate) status: NodeStatus,
    pub(crate) membership: Membership,
    pub(crate) tester: Arc<dyn SmtpTester>,
}

impl Nodes {
    /// Refuses what is meant for another node.
    fn check_uid(&self, uid: &str) -> Result<(), Status> {
        let own = &self.membership.incarnation().0;
        if uid.is_empty() || uid == own {
            return Ok(());
        }
        let name = &self.status.name;
        let remedy = "give each node an address of its own by `grpc.advertise`";
        let precondition = Precondition { kind: "NODE", subject: "uid", remedy };
        let message = format!("this is node `{name}` with the uid `{own}`, not `{uid}`");
        let metadata = [("node", name.clone()), ("uid", own.clone())];
        Err(failed_precondition("OTHER_NODE", message, metadata, &precondition))
    }
}

#[tonic::async_trait]
impl NodeService for Nodes {
    async fn list_nodes(
        &self,
        _request: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesResponse>, Status> {
        let members = self.membership.members().await.map_err(|error| no_store(&error))?;
        let backlog = self.status.store.backlog().await.map_err(|error| no_store(&error))?;
        let nodes = nodes(members, self.status.clock.now());
        Ok(Response::new(v1::ListNodesResponse { nodes, backlog: Some(backlog.into()) }))
    }

    type TestSmtpFromNodeStream =
        Pin<Box<dyn Stream<Item = Result<v1::TestSmtpFromNodeResponse, Status>> + Send>>;

    async fn test_smtp_from_node(
        &self,
        request: Request<v1::TestSmtpFromNodeRequest>,
    ) -> Result<Response<Self::TestSmtpFromNodeStream>, Status> {
        let v1::TestSmtpFromNodeRequest { smtp_settings, uid } = request.into_inner();
        self.check_uid(&uid)?;
        let saved = self.status.settings.borrow().clone();
        let settings = read_settings(smtp_settings, saved.as_deref())?;
        let node = self.status.name.clone();
        let told = test_stream(Arc::clone(&self.tester), settings).map(move |progress| {
            let event = match progress {
                Progress::Step(result) => {
                    v1::test_smtp_from_node_response::Event::Stage(stage(&node, result))
                }
                Progress::Done(test) => {
                    v1::test_smtp_from_node_response::Event::Result(test.into())
                }
            };
            Ok(v1::TestSmtpFromNodeResponse { event: Some(event) })
        });
        Ok(Response::new(Box::pin(told)))
    }
}
