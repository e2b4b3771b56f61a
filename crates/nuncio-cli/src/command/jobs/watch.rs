//! Follows mail jobs over lost connections and restarts of the server.

use std::time::Duration;

use nuncio_api::client::Transport;
use nuncio_api::v1::mail_job_service_client::MailJobServiceClient;
use nuncio_api::v1::{GetMailJobRequest, WatchMailJobsRequest, WatchMailJobsResponse};
use tonic::Streaming;

use crate::failure::Failure;
use crate::names;
use crate::output::Output;

/// The wait before a lost connection is made again; it doubles with each failure.
const RECONNECT_MIN: Duration = Duration::from_millis(250);
/// The longest such wait.
const RECONNECT_MAX: Duration = Duration::from_secs(10);

/// Follows one mail job until it ends, or all of them for ever.
pub(crate) struct Watch {
    client: MailJobServiceClient<Transport>,
    name: String,
    resume_token: String,
    stream: Option<Streaming<WatchMailJobsResponse>>,
    /// Whether the stream was open once; until then every failure is one of the command.
    was_open: bool,
    /// Whether the connection was lost and that has been told.
    lost: bool,
    /// Whether the job that is followed has ended.
    ended: bool,
    wait: Duration,
}

impl Watch {
    /// Without a name it follows all jobs; with a resume token it goes on behind that change.
    pub(crate) fn new(
        client: MailJobServiceClient<Transport>,
        name: String,
        resume_token: String,
    ) -> Self {
        Self {
            client,
            name,
            resume_token,
            stream: None,
            was_open: false,
            lost: false,
            ended: false,
            wait: RECONNECT_MIN,
        }
    }

    /// The next change or bookmark; none after the job has ended.
    pub(crate) async fn next(
        &mut self,
        out: &mut Output,
    ) -> Result<Option<WatchMailJobsResponse>, Failure> {
        while !self.ended {
            match self.try_next(out).await {
                Ok(Some(response)) => {
                    self.wait = RECONNECT_MIN;
                    self.took(&response);
                    return Ok(Some(response));
                }
                Ok(None) => {
                    if let Some(response) = self.end_unseen().await {
                        return Ok(Some(response));
                    }
                    // A server that goes down ends its streams in good order.
                    self.lose(out, "the server ended the watch").await?;
                }
                Err(failure) if self.was_open && failure.is_passing() => {
                    self.lose(out, &format!("the connection is lost: {failure}")).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

    async fn try_next(
        &mut self,
        out: &mut Output,
    ) -> Result<Option<WatchMailJobsResponse>, Failure> {
        if self.stream.is_none() {
            let request = WatchMailJobsRequest {
                name: self.name.clone(),
                resume_token: self.resume_token.clone(),
            };
            let stream = self.client.watch_mail_jobs(request).await?.into_inner();
            self.stream = Some(stream);
            self.was_open = true;
            if std::mem::take(&mut self.lost) {
                out.note(self.found_again())?;
            }
        }
        let stream = self.stream.as_mut().expect("it was opened above");
        Ok(stream.message().await?)
    }

    /// The job that is followed, if it has ended: a watch that begins behind its last change is over
    /// without a word.
    async fn end_unseen(&mut self) -> Option<WatchMailJobsResponse> {
        if self.name.is_empty() {
            return None;
        }
        let request = GetMailJobRequest { name: self.name.clone() };
        let job = self.client.get_mail_job(request).await.ok()?.into_inner().mail_job?;
        self.ended = names::is_final(job.state());
        let resume_token = self.resume_token.clone();
        self.ended.then_some(WatchMailJobsResponse { mail_job: Some(job), resume_token })
    }

    /// What a person may rely on after the connection was lost.
    fn found_again(&self) -> &'static str {
        if self.resume_token.is_empty() && self.name.is_empty() {
            "connected again; changes in between may be missing"
        } else {
            "connected again; it goes on where it was"
        }
    }

    fn took(&mut self, response: &WatchMailJobsResponse) {
        if !response.resume_token.is_empty() {
            self.resume_token.clone_from(&response.resume_token);
        }
        let job = response.mail_job.as_ref();
        self.ended = !self.name.is_empty() && job.is_some_and(|job| names::is_final(job.state()));
    }

    async fn lose(&mut self, out: &mut Output, what: &str) -> Result<(), Failure> {
        self.stream = None;
        if !self.lost {
            self.lost = true;
            out.note(format!("{what}; connecting again"))?;
        }
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(RECONNECT_MAX);
        Ok(())
    }
}
