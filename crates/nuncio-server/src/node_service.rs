//! `NodeService`: how the nodes are, and tests from where one stands.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use nuncio_api::convert::smtp_test::stage;
use nuncio_api::convert::time::{duration, timestamp};
use nuncio_api::error::unavailable;
use nuncio_api::v1;
use nuncio_api::v1::node_service_server::NodeService;
use nuncio_cluster::etcd::EtcdState;
use nuncio_core::ports::mail::SmtpTester;
use nuncio_delivery::channel::ChannelStatus;
use nuncio_pan::smtp_test::{read_settings, test_stream};
use nuncio_runtime::chain::Chain;
use nuncio_runtime::progress::Progress;
use tonic::{Request, Response, Status};
use tracing::error;

use crate::VERSION;
use crate::config::Role;
use crate::status::{NodeSnapshot, NodeStatus};

/// When a client may try again while the store is down.
const STORE_RETRY: Duration = Duration::from_secs(2);

pub(crate) struct Nodes {
    pub(crate) status: NodeStatus,
    pub(crate) tester: Arc<dyn SmtpTester>,
}

#[tonic::async_trait]
impl NodeService for Nodes {
    async fn list_nodes(
        &self,
        _request: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesResponse>, Status> {
        let snapshot = self.status.snapshot().await.map_err(|source| {
            error!("the client is told to try again: {}", Chain(&source));
            let message = "the job store cannot be used at the moment";
            unavailable("STORE_UNAVAILABLE", message, STORE_RETRY)
        })?;
        let nodes = vec![node(&self.status, &snapshot)];
        Ok(Response::new(v1::ListNodesResponse { nodes }))
    }

    type TestSmtpFromNodeStream =
        Pin<Box<dyn Stream<Item = Result<v1::TestSmtpFromNodeResponse, Status>> + Send>>;

    async fn test_smtp_from_node(
        &self,
        request: Request<v1::TestSmtpFromNodeRequest>,
    ) -> Result<Response<Self::TestSmtpFromNodeStream>, Status> {
        let saved = self.status.settings.borrow().clone();
        let settings = read_settings(request.into_inner().smtp_settings, saved.as_deref())?;
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

fn node(status: &NodeStatus, snapshot: &NodeSnapshot) -> v1::Node {
    let roles = status.roles.iter().map(|role| match role {
        Role::Pan => v1::NodeRole::Pan.into(),
        Role::Mnt => v1::NodeRole::Mnt.into(),
        Role::Psn => v1::NodeRole::Psn.into(),
    });
    let uptime = snapshot.at.duration_since(status.started_at);
    let generation = snapshot.settings.as_ref().map_or(0, |saved| saved.generation);
    v1::Node {
        name: format!("nodes/{}", status.name),
        roles: roles.collect(),
        version: VERSION.to_owned(),
        address: status.address.to_string(),
        start_time: Some(timestamp(status.started_at)),
        uptime: Some(duration(Duration::try_from(uptime).unwrap_or_default())),
        settings_generation: generation,
        channel: Some(channel(snapshot)),
        backlog: Some(snapshot.backlog.into()),
        waiting_alarms: i64::try_from(snapshot.waiting_alarms).unwrap_or(i64::MAX),
        settings_trouble: settings_trouble(snapshot.etcd.as_ref()),
    }
}

fn settings_trouble(etcd: Option<&EtcdState>) -> String {
    match etcd {
        None | Some(EtcdState::Connected) => String::new(),
        Some(EtcdState::Connecting) => "etcd has not answered yet".to_owned(),
        Some(EtcdState::Away(problem)) => problem.clone(),
    }
}

fn channel(snapshot: &NodeSnapshot) -> v1::Channel {
    let overall = mailbox_channel(String::new(), &snapshot.channels.overall());
    let mailboxes = snapshot.channels.0.iter();
    v1::Channel {
        state: overall.state,
        reason: overall.reason,
        remedy: overall.remedy,
        retry_time: overall.retry_time,
        connections: i32::try_from(snapshot.connections).unwrap_or(i32::MAX),
        token_expire_time: snapshot.token_expires_at.map(timestamp),
        mailboxes: mailboxes
            .map(|(one, status)| mailbox_channel(one.to_string(), status))
            .collect(),
    }
}

fn mailbox_channel(email_address: String, status: &ChannelStatus) -> v1::MailboxChannel {
    let (state, trouble) = match status {
        ChannelStatus::NotConfigured => (v1::ChannelState::NotConfigured, None),
        ChannelStatus::Standby => (v1::ChannelState::Standby, None),
        ChannelStatus::Open => (v1::ChannelState::Open, None),
        ChannelStatus::Paused { reason, retry_at } => {
            (v1::ChannelState::Paused, Some((reason, retry_at)))
        }
        ChannelStatus::Closed { reason, retry_at } => {
            (v1::ChannelState::Closed, Some((reason, retry_at)))
        }
    };
    v1::MailboxChannel {
        email_address,
        state: state.into(),
        reason: trouble
            .map(|(reason, _)| format!("{}: {}", reason.code, reason.message))
            .unwrap_or_default(),
        remedy: trouble.map(|(reason, _)| reason.remedy.clone()).unwrap_or_default(),
        retry_time: trouble.map(|(_, retry_at)| timestamp(*retry_at)),
    }
}
