//! A node that answers as a script says.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::Stream;
use nuncio_api::v1::mail_job_service_server::{MailJobService, MailJobServiceServer};
use nuncio_api::v1::node_service_server::{NodeService, NodeServiceServer};
use nuncio_api::v1::smtp_settings_service_server::{
    SmtpSettingsService, SmtpSettingsServiceServer,
};
use nuncio_api::v1::*;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// What the node answers, and what it was asked.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) create: Option<Status>,
    pub(crate) created: Vec<CreateMailJobRequest>,
    pub(crate) get: Option<Result<GetMailJobResponse, Status>>,
    pub(crate) got: Vec<String>,
    /// The answer to every call.
    pub(crate) list: Option<Result<ListMailJobsResponse, Status>>,
    /// Answers before that, one for each call.
    pub(crate) short_pages: VecDeque<ListMailJobsResponse>,
    pub(crate) listed: Vec<ListMailJobsRequest>,
    /// One entry for each call.
    pub(crate) watches: VecDeque<Vec<Result<WatchMailJobsResponse, Status>>>,
    pub(crate) watched: Vec<WatchMailJobsRequest>,
    pub(crate) cancel: Option<Result<MailJob, Status>>,
    /// The answer to hold, release and retry.
    pub(crate) direct: Option<Result<MailJob, Status>>,
    pub(crate) held: Vec<HoldMailJobRequest>,
    pub(crate) released: Vec<ReleaseMailJobRequest>,
    pub(crate) retried: Vec<RetryMailJobRequest>,
    pub(crate) settings: Option<SmtpSettings>,
    pub(crate) test: Vec<TestSmtpSettingsResponse>,
    pub(crate) tested: Vec<Option<SmtpSettings>>,
    /// The nodes that each test and each save has left out.
    pub(crate) excepted: Vec<Vec<String>>,
    pub(crate) update: Option<Status>,
    pub(crate) updated: Vec<SmtpSettings>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) backlog: Backlog,
    pub(crate) node_test: Vec<TestSmtpFromNodeResponse>,
}

/// A node over a real socket. It ends when it is dropped.
pub(crate) struct Fake {
    pub(crate) address: String,
    script: Arc<Mutex<Script>>,
    _server: JoinSet<()>,
}

impl Fake {
    pub(crate) async fn start(script: Script) -> Self {
        let script = Arc::new(Mutex::new(script));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let services = Services(Arc::clone(&script));
        let mut server = JoinSet::new();
        server.spawn(async move {
            Server::builder()
                .add_service(MailJobServiceServer::new(services.clone()))
                .add_service(SmtpSettingsServiceServer::new(services.clone()))
                .add_service(NodeServiceServer::new(services))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self { address, script, _server: server }
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }
}

/// A job in a state.
pub(crate) fn job(number: u32, state: MailJobState) -> MailJob {
    let time = Some(prost_types::Timestamp { seconds: 1_795_000_000, nanos: 0 });
    MailJob {
        name: format!("mailJobs/0192f0c1-0000-7000-8000-{number:012}"),
        class: MailClass::Bulk.into(),
        state: state.into(),
        recipients: vec![RecipientResult {
            address: "guest@example.com".to_owned(),
            kind: RecipientKind::To.into(),
            state: RecipientState::Pending.into(),
            reply: None,
            reason: None,
        }],
        create_time: time,
        update_time: time,
        expire_time: time,
        subject: "Hello".to_owned(),
        message_id: "<1@nuncio>".to_owned(),
        ..MailJob::default()
    }
}

/// A change of a watch.
pub(crate) fn change(job: MailJob, resume_token: &str) -> WatchMailJobsResponse {
    WatchMailJobsResponse { mail_job: Some(job), resume_token: resume_token.to_owned() }
}

/// A status as nuncio makes it.
pub(crate) fn refusal(code: tonic::Code, reason: &str, message: &str) -> Status {
    nuncio_api::error::status(code, reason, message, [])
}

fn unknown_job() -> Status {
    refusal(tonic::Code::NotFound, "MAIL_JOB_NOT_FOUND", "there is no such job")
}

#[derive(Clone)]
struct Services(Arc<Mutex<Script>>);

impl Services {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn events<T: Send + 'static>(events: Vec<Result<T, Status>>) -> Response<Events<T>> {
    Response::new(Box::pin(futures::stream::iter(events)))
}

#[tonic::async_trait]
impl MailJobService for Services {
    async fn create_mail_job(
        &self,
        request: Request<CreateMailJobRequest>,
    ) -> Result<Response<CreateMailJobResponse>, Status> {
        let mut script = self.script();
        script.created.push(request.into_inner());
        if let Some(status) = &script.create {
            return Err(status.clone());
        }
        let number = u32::try_from(script.created.len()).unwrap();
        let mail_job = Some(job(number, MailJobState::Queued));
        Ok(Response::new(CreateMailJobResponse { mail_job }))
    }

    async fn get_mail_job(
        &self,
        request: Request<GetMailJobRequest>,
    ) -> Result<Response<GetMailJobResponse>, Status> {
        let mut script = self.script();
        script.got.push(request.into_inner().name);
        script.get.clone().unwrap_or_else(|| Err(unknown_job())).map(Response::new)
    }

    async fn list_mail_jobs(
        &self,
        request: Request<ListMailJobsRequest>,
    ) -> Result<Response<ListMailJobsResponse>, Status> {
        let mut script = self.script();
        script.listed.push(request.into_inner());
        let short_page = script.short_pages.pop_front().map(Ok);
        short_page.or_else(|| script.list.clone()).unwrap().map(Response::new)
    }

    type WatchMailJobsStream = Events<WatchMailJobsResponse>;

    async fn watch_mail_jobs(
        &self,
        request: Request<WatchMailJobsRequest>,
    ) -> Result<Response<Events<WatchMailJobsResponse>>, Status> {
        let mut script = self.script();
        script.watched.push(request.into_inner());
        script.watches.pop_front().map(events).ok_or_else(unknown_job)
    }

    async fn cancel_mail_job(
        &self,
        _request: Request<CancelMailJobRequest>,
    ) -> Result<Response<CancelMailJobResponse>, Status> {
        let job = self.script().cancel.clone().unwrap()?;
        Ok(Response::new(CancelMailJobResponse { mail_job: Some(job) }))
    }

    async fn hold_mail_job(
        &self,
        request: Request<HoldMailJobRequest>,
    ) -> Result<Response<HoldMailJobResponse>, Status> {
        let mut script = self.script();
        script.held.push(request.into_inner());
        let job = script.direct.clone().unwrap()?;
        Ok(Response::new(HoldMailJobResponse { mail_job: Some(job) }))
    }

    async fn release_mail_job(
        &self,
        request: Request<ReleaseMailJobRequest>,
    ) -> Result<Response<ReleaseMailJobResponse>, Status> {
        let mut script = self.script();
        script.released.push(request.into_inner());
        let job = script.direct.clone().unwrap()?;
        Ok(Response::new(ReleaseMailJobResponse { mail_job: Some(job) }))
    }

    async fn retry_mail_job(
        &self,
        request: Request<RetryMailJobRequest>,
    ) -> Result<Response<RetryMailJobResponse>, Status> {
        let mut script = self.script();
        script.retried.push(request.into_inner());
        let job = script.direct.clone().unwrap()?;
        Ok(Response::new(RetryMailJobResponse { mail_job: Some(job) }))
    }
}

#[tonic::async_trait]
impl SmtpSettingsService for Services {
    async fn get_smtp_settings(
        &self,
        _request: Request<GetSmtpSettingsRequest>,
    ) -> Result<Response<GetSmtpSettingsResponse>, Status> {
        let settings = self.script().settings.clone();
        let none = || {
            refusal(
                tonic::Code::NotFound,
                "SMTP_SETTINGS_NOT_SET",
                "there are no SMTP settings yet",
            )
        };
        let smtp_settings = Some(settings.ok_or_else(none)?);
        Ok(Response::new(GetSmtpSettingsResponse { smtp_settings }))
    }

    type TestSmtpSettingsStream = Events<TestSmtpSettingsResponse>;

    async fn test_smtp_settings(
        &self,
        request: Request<TestSmtpSettingsRequest>,
    ) -> Result<Response<Events<TestSmtpSettingsResponse>>, Status> {
        let mut script = self.script();
        let TestSmtpSettingsRequest { smtp_settings, except_nodes } = request.into_inner();
        script.tested.push(smtp_settings);
        script.excepted.push(except_nodes);
        Ok(events(script.test.iter().cloned().map(Ok).collect()))
    }

    async fn update_smtp_settings(
        &self,
        request: Request<UpdateSmtpSettingsRequest>,
    ) -> Result<Response<UpdateSmtpSettingsResponse>, Status> {
        let mut script = self.script();
        let request = request.into_inner();
        script.excepted.push(request.except_nodes);
        let settings = request.smtp_settings.unwrap();
        script.updated.push(settings.clone());
        if let Some(status) = &script.update {
            return Err(status.clone());
        }
        let smtp_settings = Some(SmtpSettings { generation: 7, ..settings });
        Ok(Response::new(UpdateSmtpSettingsResponse { smtp_settings }))
    }
}

#[tonic::async_trait]
impl NodeService for Services {
    async fn list_nodes(
        &self,
        _request: Request<ListNodesRequest>,
    ) -> Result<Response<ListNodesResponse>, Status> {
        let script = self.script();
        let (nodes, backlog) = (script.nodes.clone(), Some(script.backlog));
        Ok(Response::new(ListNodesResponse { nodes, backlog }))
    }

    type TestSmtpFromNodeStream = Events<TestSmtpFromNodeResponse>;

    async fn test_smtp_from_node(
        &self,
        _request: Request<TestSmtpFromNodeRequest>,
    ) -> Result<Response<Events<TestSmtpFromNodeResponse>>, Status> {
        Ok(events(self.script().node_test.iter().cloned().map(Ok).collect()))
    }
}
