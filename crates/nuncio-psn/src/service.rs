//! `MailJobService`: converts at the edge, decides nothing.

use nuncio_api::caller::caller_id;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use nuncio_api::convert::job::CreateMailJob;
use nuncio_api::page_token::{job_query, next_page_token, resume_after};
use nuncio_api::trace::of_call;
use nuncio_api::v1;
use nuncio_api::v1::mail_job_service_server::MailJobService;
use nuncio_core::job::{CallerId, Job, MailJobId};
use nuncio_core::ports::job_store::{Direction, Submitted};
use nuncio_core::trace::TraceParent;
use nuncio_core::violation::Violations;
use nuncio_delivery::intake::{Intake, Submission};
use nuncio_delivery::observer::tell_ended;
use prost::Message as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use tracing::Span;

use crate::errors::{invalid_name, not_accepted, not_cancelled, not_directed, not_found, store};
use crate::watch::{Watch, changes};

/// How many attempts of a job are shown.
const ATTEMPTS_SHOWN: u32 = 50;
/// The most bytes of jobs in a page, but at least one job: most gRPC clients take no more than 4 MiB.
const PAGE_BYTES_MAX: usize = 3 * 1024 * 1024;
/// How many watches a node serves at once.
const WATCHES_MAX: usize = 256;

pub(crate) struct MailJobs {
    intake: Intake,
    watches: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl MailJobs {
    pub(crate) fn new(intake: Intake, shutdown: CancellationToken) -> Self {
        Self { intake, watches: Arc::new(Semaphore::new(WATCHES_MAX)), shutdown }
    }

    async fn create(
        &self,
        request: v1::CreateMailJobRequest,
        caller: CallerId,
        trace: Option<TraceParent>,
    ) -> Result<v1::MailJob, Status> {
        let fingerprint = fingerprint(&request);
        let mut violations = Violations::default();
        let create = CreateMailJob::read(&mut violations, request);
        let submission = Submission {
            mail: create.mail,
            class: create.class,
            options: create.options,
            caller,
            fingerprint,
            trace,
            violations,
        };
        if create.validate_only {
            let checked = self.intake.check(submission).map_err(not_accepted)?;
            let job = Job::submitted(&checked);
            return Ok(v1::MailJob { name: String::new(), ..v1::MailJob::from(job) });
        }
        match self.intake.submit(submission).await.map_err(not_accepted)? {
            Submitted::New(job) | Submitted::Existing(job) => Ok(job.into()),
        }
    }

    async fn direct(&self, name: &str, direction: Direction) -> Result<v1::MailJob, Status> {
        let id: MailJobId = name.parse().map_err(|error| invalid_name(&error))?;
        let now = self.intake.clock.now();
        let directed = self.intake.store.direct(id, direction, now).await;
        directed.map(v1::MailJob::from).map_err(not_directed)
    }

    async fn find(&self, name: &str) -> Result<Job, Status> {
        let id: MailJobId = name.parse().map_err(|error| invalid_name(&error))?;
        let found = self.intake.store.get(id).await.map_err(|error| store(&error))?;
        found.ok_or_else(|| not_found(id))
    }
}

#[tonic::async_trait]
impl MailJobService for MailJobs {
    async fn create_mail_job(
        &self,
        request: Request<v1::CreateMailJobRequest>,
    ) -> Result<Response<v1::CreateMailJobResponse>, Status> {
        let (caller, trace) = (caller_id(&request), of_call(&request));
        let job = self.create(request.into_inner(), caller, trace).await?;
        Span::current().record("job.name", &job.name);
        Ok(Response::new(v1::CreateMailJobResponse { mail_job: Some(job) }))
    }

    async fn get_mail_job(
        &self,
        request: Request<v1::GetMailJobRequest>,
    ) -> Result<Response<v1::GetMailJobResponse>, Status> {
        let job = self.find(&request.into_inner().name).await?;
        let attempts = self.intake.store.attempts(job.id, ATTEMPTS_SHOWN).await;
        let attempts = attempts.map_err(|error| store(&error))?;
        Ok(Response::new(v1::GetMailJobResponse {
            mail_job: Some(job.into()),
            attempts: attempts.into_iter().map(v1::MailAttempt::from).collect(),
        }))
    }

    async fn list_mail_jobs(
        &self,
        request: Request<v1::ListMailJobsRequest>,
    ) -> Result<Response<v1::ListMailJobsResponse>, Status> {
        let request = request.into_inner();
        let query = job_query(&request)?;
        let page = self.intake.store.list(&query).await.map_err(|error| store(&error))?;
        let ids: Vec<MailJobId> = page.jobs.iter().map(|job| job.id).collect();
        let mail_jobs = first_that_fit(page.jobs.into_iter().map(v1::MailJob::from));
        let all_fit = mail_jobs.len() == ids.len();
        let next = if all_fit { page.next } else { ids[..mail_jobs.len()].last().copied() };
        let next_page_token = next.map(|next| next_page_token(&request, next)).unwrap_or_default();
        Ok(Response::new(v1::ListMailJobsResponse { mail_jobs, next_page_token }))
    }

    type WatchMailJobsStream =
        Pin<Box<dyn Stream<Item = Result<v1::WatchMailJobsResponse, Status>> + Send>>;

    async fn watch_mail_jobs(
        &self,
        request: Request<v1::WatchMailJobsRequest>,
    ) -> Result<Response<Self::WatchMailJobsStream>, Status> {
        let v1::WatchMailJobsRequest { name, resume_token } = request.into_inner();
        let after = resume_after(&resume_token)?;
        let job = if name.is_empty() { None } else { Some(self.find(&name).await?.id) };
        let place = Arc::clone(&self.watches).try_acquire_owned().map_err(|_| {
            let message = format!("{WATCHES_MAX} watches are open on this node; end one of them");
            nuncio_api::error::status(Code::ResourceExhausted, "TOO_MANY_WATCHES", message, [])
        })?;
        let watch = Watch {
            store: Arc::clone(&self.intake.store),
            job,
            shutdown: self.shutdown.clone(),
            _place: place,
        };
        let stream = changes(watch, after).await.map_err(|error| store(&error))?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn cancel_mail_job(
        &self,
        request: Request<v1::CancelMailJobRequest>,
    ) -> Result<Response<v1::CancelMailJobResponse>, Status> {
        let name = request.into_inner().name;
        let id: MailJobId = name.parse().map_err(|error| invalid_name(&error))?;
        let now = self.intake.clock.now();
        let job = self.intake.store.cancel(id, now).await.map_err(not_cancelled)?;
        tell_ended(&*self.intake.observer, [&job]);
        Ok(Response::new(v1::CancelMailJobResponse { mail_job: Some(job.into()) }))
    }

    async fn hold_mail_job(
        &self,
        request: Request<v1::HoldMailJobRequest>,
    ) -> Result<Response<v1::HoldMailJobResponse>, Status> {
        let name = request.into_inner().name;
        let job = self.direct(&name, Direction::Hold).await?;
        Ok(Response::new(v1::HoldMailJobResponse { mail_job: Some(job) }))
    }

    async fn release_mail_job(
        &self,
        request: Request<v1::ReleaseMailJobRequest>,
    ) -> Result<Response<v1::ReleaseMailJobResponse>, Status> {
        let name = request.into_inner().name;
        let job = self.direct(&name, Direction::Release).await?;
        Ok(Response::new(v1::ReleaseMailJobResponse { mail_job: Some(job) }))
    }

    async fn retry_mail_job(
        &self,
        request: Request<v1::RetryMailJobRequest>,
    ) -> Result<Response<v1::RetryMailJobResponse>, Status> {
        let v1::RetryMailJobRequest { name, allow_duplicate } = request.into_inner();
        let job = self.direct(&name, Direction::Retry { allow_duplicate }).await?;
        Ok(Response::new(v1::RetryMailJobResponse { mail_job: Some(job) }))
    }
}

fn first_that_fit(jobs: impl Iterator<Item = v1::MailJob>) -> Vec<v1::MailJob> {
    let mut bytes = 0;
    let fits = |job: &v1::MailJob| {
        let is_first = bytes == 0;
        bytes += job.encoded_len();
        is_first || bytes <= PAGE_BYTES_MAX
    };
    jobs.take_while(fits).collect()
}

/// A digest of all that a request asks for; its request id is not part of it.
fn fingerprint(request: &v1::CreateMailJobRequest) -> [u8; 32] {
    let content = v1::CreateMailJobRequest { request_id: String::new(), ..request.clone() };
    // Maps are encoded in the order of their keys, so equal requests have equal bytes.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content.encode_to_vec());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
