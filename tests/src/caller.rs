//! A caller of the API with the steps that most tests take.

use std::time::Duration;

use nuncio_api::client::{Clients, Credentials, connect, connect_lazy};
use nuncio_api::v1;
use nuncio_api::v1::MailJobState;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// How long anything may take that ought to be done at once. Generous, as tests share the machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks at a node.
const PAUSE: Duration = Duration::from_millis(20);

/// Between two times that waiting jobs are made due.
const HURRY_PAUSE: Duration = Duration::from_millis(200);

/// The clients of one node.
#[derive(Clone, Debug)]
pub struct Caller {
    pub clients: Clients,
    /// Where the node is: `127.0.0.1:…`.
    address: String,
}

impl Caller {
    /// Connects to `http://…`.
    pub async fn connect(server: &str) -> Self {
        Self::connect_as(server, &Credentials::default()).await
    }

    /// Connects to `https://…`, or as somebody.
    pub async fn connect_as(server: &str, credentials: &Credentials) -> Self {
        let clients = connect(server, PATIENCE, credentials).await;
        let clients = clients.unwrap_or_else(|error| panic!("{error}: {server}"));
        Self { clients, address: address(server).to_owned() }
    }

    /// Connects with the first call; each call waits `deadline` at most until its answer begins.
    pub fn connect_lazily(server: &str, deadline: Duration, credentials: &Credentials) -> Self {
        let clients = connect_lazy(server, deadline, credentials);
        let clients = clients.unwrap_or_else(|error| panic!("{error}: {server}"));
        Self { clients, address: address(server).to_owned() }
    }

    /// Stores a job and returns it.
    pub async fn submit(&self, request: v1::CreateMailJobRequest) -> v1::MailJob {
        let answer = self.try_submit(request).await;
        answer.unwrap_or_else(|status| panic!("the job was not taken: {status}"))
    }

    pub async fn try_submit(
        &self,
        request: v1::CreateMailJobRequest,
    ) -> Result<v1::MailJob, Status> {
        let answer = self.clients.mail_jobs.clone().create_mail_job(request).await?;
        Ok(answer.into_inner().mail_job.expect("the answer has a job"))
    }

    /// The job and its attempts.
    pub async fn job(&self, name: &str) -> (v1::MailJob, Vec<v1::MailAttempt>) {
        let request = v1::GetMailJobRequest { name: name.to_owned() };
        let answer = self.clients.mail_jobs.clone().get_mail_job(request).await;
        let answer = answer.unwrap_or_else(|status| panic!("{name}: {status}")).into_inner();
        (answer.mail_job.expect("the answer has a job"), answer.attempts)
    }

    /// Every job of the node, newest first.
    pub async fn jobs(&self) -> Vec<v1::MailJob> {
        let (mut jobs, mut page_token) = (Vec::new(), String::new());
        loop {
            let request =
                v1::ListMailJobsRequest { page_token, ..v1::ListMailJobsRequest::default() };
            let answer = self.clients.mail_jobs.clone().list_mail_jobs(request).await;
            let answer = answer.unwrap_or_else(|status| panic!("{status}")).into_inner();
            jobs.extend(answer.mail_jobs);
            if answer.next_page_token.is_empty() {
                return jobs;
            }
            page_token = answer.next_page_token;
        }
    }

    /// Waits until every job has ended, and lets none wait longer than it must; panics after `patience`.
    pub async fn hurry_all(&self, patience: Duration) -> Vec<v1::MailJob> {
        let deadline = Instant::now() + patience;
        loop {
            let jobs = self.jobs().await;
            let open: Vec<_> = jobs.iter().filter(|job| !is_final(job.state())).collect();
            if open.is_empty() {
                return jobs;
            }
            assert!(Instant::now() < deadline, "not ended after {patience:?}: {open:#?}");
            for job in open.iter().filter(|job| job.state() == MailJobState::Deferred) {
                self.hurry(&job.name).await;
            }
            sleep(HURRY_PAUSE).await;
        }
    }

    /// Makes the newest of those jobs due now that wait for their next attempt.
    pub async fn hurry_deferred(&self) {
        let states = vec![MailJobState::Deferred.into()];
        let request = v1::ListMailJobsRequest { states, ..v1::ListMailJobsRequest::default() };
        let answer = self.clients.mail_jobs.clone().list_mail_jobs(request).await;
        for job in answer.unwrap_or_else(|status| panic!("{status}")).into_inner().mail_jobs {
            self.hurry(&job.name).await;
        }
    }

    /// Makes a job due now. Where it is tried already or has ended, that is as good.
    pub async fn hurry(&self, name: &str) {
        let request = v1::RetryMailJobRequest { name: name.to_owned(), allow_duplicate: false };
        match self.clients.mail_jobs.clone().retry_mail_job(request).await {
            Ok(_) => {}
            Err(status) => assert_eq!(status.code(), Code::FailedPrecondition, "{name}: {status}"),
        }
    }

    /// Watches a job until it is in the state `wanted`. Panics if it ends in another, or after `patience`.
    pub async fn wait_for_state(
        &self,
        name: &str,
        wanted: MailJobState,
        patience: Duration,
    ) -> v1::MailJob {
        self.wait_until(name, patience, |job| job.state() == wanted).await
    }

    /// Watches a job until it has ended, however.
    pub async fn wait_for_end(&self, name: &str, patience: Duration) -> v1::MailJob {
        self.wait_until(name, patience, |job| is_final(job.state())).await
    }

    /// Looks at the way to the provider until it is in `state`: a node tells it a moment after the job whose
    /// attempt has changed it. Panics after `patience`.
    pub async fn wait_for_channel(
        &self,
        state: v1::ChannelState,
        patience: Duration,
    ) -> v1::Channel {
        let deadline = Instant::now() + patience;
        loop {
            let channel = self.node().await.channel.expect("a node tells its channel");
            if channel.state() == state {
                return channel;
            }
            assert!(Instant::now() < deadline, "not {state:?} after {patience:?}: {channel:?}");
            sleep(PAUSE).await;
        }
    }

    /// Watches a job until `seen` is true of it. Panics if it ends before, or after `patience`.
    pub async fn wait_until(
        &self,
        name: &str,
        patience: Duration,
        seen: impl Fn(&v1::MailJob) -> bool,
    ) -> v1::MailJob {
        let mut last = None;
        let watch = async {
            let request = v1::WatchMailJobsRequest { name: name.to_owned(), ..Default::default() };
            let answer = self.clients.mail_jobs.clone().watch_mail_jobs(request).await;
            let mut changes =
                answer.unwrap_or_else(|status| panic!("{name}: {status}")).into_inner();
            while let Some(change) = changes.message().await.expect("the watch goes on") {
                let Some(job) = change.mail_job else { continue };
                if seen(&job) {
                    return Some(job);
                }
                last = Some(job);
            }
            None
        };
        let seen = timeout(patience, watch).await;
        let is_over = seen.is_ok();
        seen.ok().flatten().unwrap_or_else(|| {
            let how = if is_over { "ended otherwise" } else { "is not there in time" };
            panic!("`{name}` {how}: {last:#?}")
        })
    }

    /// Waits until each of the jobs has ended.
    pub async fn wait_for_ends(&self, names: &[String], patience: Duration) -> Vec<v1::MailJob> {
        let all = async {
            let mut ended = Vec::new();
            for name in names {
                ended.push(self.wait_for_end(name, patience).await);
            }
            ended
        };
        let ended = timeout(patience, all).await;
        ended.unwrap_or_else(|_elapsed| panic!("not every job has ended after {patience:?}"))
    }

    /// Tests settings from all nodes.
    pub async fn test(&self, settings: v1::SmtpSettings) -> v1::SmtpTestReport {
        Box::pin(self.test_except(settings, &[])).await
    }

    /// Tests settings from all nodes but some.
    pub async fn test_except(
        &self,
        settings: v1::SmtpSettings,
        except: &[&str],
    ) -> v1::SmtpTestReport {
        use v1::test_smtp_settings_response::Event;

        let except_nodes = except.iter().map(|name| (*name).to_owned()).collect();
        let request = v1::TestSmtpSettingsRequest { smtp_settings: Some(settings), except_nodes };
        let answer = self.clients.smtp_settings.clone().test_smtp_settings(request).await;
        let mut events = answer
            .unwrap_or_else(|status| panic!("the test does not begin: {status}"))
            .into_inner();
        while let Some(event) = events.message().await.expect("the test goes on") {
            match event.event.expect("every event is something") {
                Event::Stage(_) => {}
                Event::Report(report) => return report,
            }
        }
        panic!("the test has no result");
    }

    /// Saves settings, tested or not.
    pub async fn save(&self, settings: v1::SmtpSettings) -> Result<v1::SmtpSettings, Status> {
        Box::pin(self.save_except(settings, &[])).await
    }

    /// Saves settings that need not have passed from some nodes.
    pub async fn save_except(
        &self,
        settings: v1::SmtpSettings,
        except: &[&str],
    ) -> Result<v1::SmtpSettings, Status> {
        let request = v1::UpdateSmtpSettingsRequest {
            smtp_settings: Some(settings),
            except_nodes: except.iter().map(|name| (*name).to_owned()).collect(),
            ..v1::UpdateSmtpSettingsRequest::default()
        };
        let answer = self.clients.smtp_settings.clone().update_smtp_settings(request).await?;
        Ok(answer.into_inner().smtp_settings.expect("the answer has settings"))
    }

    /// Tests settings, which must pass, and saves them.
    pub async fn save_tested(&self, settings: v1::SmtpSettings) -> v1::SmtpSettings {
        let report = self.test(settings.clone()).await;
        assert!(report.passed, "the settings do not pass their test: {report:#?}");
        self.save(settings).await.unwrap_or_else(|status| panic!("not saved: {status}"))
    }

    /// Has guests reminded three days before their access ends.
    pub async fn remind_guests_three_days_before(&self) {
        let before = Some(prost_types::Duration { seconds: 3 * 24 * 3600, nanos: 0 });
        let stages = vec![v1::ReminderStage { before, portal: String::new() }];
        let rule = v1::ReminderRule { enabled: true, stages, copy_to_sponsor: false };
        let settings = v1::ReminderSettings { guests: Some(rule), ..Default::default() };
        let request = v1::UpdateReminderSettingsRequest {
            reminder_settings: Some(settings),
            ..v1::UpdateReminderSettingsRequest::default()
        };
        let answer = self.clients.reminders.clone().update_reminder_settings(request).await;
        answer.unwrap_or_else(|status| panic!("not saved: {status}"));
    }

    /// The node, as it tells about itself.
    pub async fn node(&self) -> v1::Node {
        let nodes = self.nodes().await;
        let own = nodes.iter().find(|node| node.address == self.address);
        own.unwrap_or_else(|| panic!("`{}` is not in {nodes:#?}", self.address)).clone()
    }

    /// All nodes of its store that it knows.
    pub async fn nodes(&self) -> Vec<v1::Node> {
        let answer = self.clients.nodes.clone().list_nodes(v1::ListNodesRequest {}).await;
        answer.unwrap_or_else(|status| panic!("{status}")).into_inner().nodes
    }
}

/// Code and reason of an error of the API; every error has a reason.
pub fn reason(status: &Status) -> (Code, String) {
    let details = status.get_error_details();
    let info = details.error_info();
    let info = info.unwrap_or_else(|| panic!("an error without a reason: {status:?}"));
    assert_eq!(info.domain, "nuncio", "{status:?}");
    (status.code(), info.reason.clone())
}

/// Whether a job in this state has ended.
pub fn is_final(state: MailJobState) -> bool {
    match state {
        MailJobState::Unspecified
        | MailJobState::Queued
        | MailJobState::Sending
        | MailJobState::Deferred
        | MailJobState::Held => false,
        MailJobState::Sent
        | MailJobState::Failed
        | MailJobState::Expired
        | MailJobState::Cancelled
        | MailJobState::Unknown => true,
    }
}

fn address(server: &str) -> &str {
    server.split_once("://").map_or(server, |(_scheme, address)| address)
}
