//! Traces over roles and nodes, as somebody sees them who opens one of them: what it holds, and of which node.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_api::v1;
use nuncio_api::v1::MailJobState;
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::collector::{Collector, Exported, attributes};
use nuncio_tests::mails::{bulk, mailbox};
use nuncio_tests::process::{Process, ServeProcess};
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tonic::Request;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID: &str = "00f067aa0ba902b7";
/// Who reads of alarms.
const OPERATOR: &str = "ops@example.com";

/// Nodes on one database that send their traces to one collector.
struct Cluster {
    store: String,
    folders: TempDir,
    collector: Collector,
    simulator: Simulator,
}

impl Cluster {
    async fn new(name: &str) -> Self {
        let url = RealServers::from_env().get("POSTGRES_URL").to_owned();
        let store = nuncio_tests::postgres::new_store(&url, name).await;
        let folders = TempDir::with_prefix("nuncio-it-").expect("a folder can be made");
        let collector = Collector::start().await;
        let simulator =
            Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
        Self { store, folders, collector, simulator }
    }

    async fn node(&self, name: &str, roles: &str, more: &[&str]) -> ServeProcess {
        let keys = Path::join(self.folders.path(), "settings.key").display().to_string();
        let mut args = vec!["--node-name", name, "--roles", roles, "--store-url", &self.store];
        args.extend(["--keys-file", &keys]);
        args.extend(["--telemetry-otlp-endpoint", &self.collector.endpoint]);
        args.extend(more);
        ServeProcess::start(&self.folders.path().join(name), &args).await
    }

    /// A node that leads the mailbox, as it alone knows of it.
    async fn sender(&self, name: &str, roles: &str, more: &[&str]) -> ServeProcess {
        let node = self.node(name, roles, more).await;
        node.save_tested(settings_for(&self.simulator)).await;
        node.wait_for_channel(v1::ChannelState::Open, PATIENCE).await;
        node
    }

    /// Stops the nodes, which send their last spans, and tells what a trace has, by the names of its spans.
    async fn trace_after(&self, trace_id: &str, nodes: Vec<ServeProcess>) -> Trace {
        for node in nodes {
            assert_eq!(node.stop().await.code, Some(0));
        }
        self.trace(trace_id)
    }

    fn trace(&self, trace_id: &str) -> Trace {
        let mut spans = self.collector.exported();
        spans.retain(|one| one.trace_id() == trace_id);
        Trace(spans)
    }

    /// The trace of a span of this name.
    fn trace_of(&self, name: &str) -> Trace {
        let spans = self.collector.exported();
        let found = spans.iter().find(|one| one.span.name == name);
        let names: Vec<_> = spans.iter().map(|one| &one.span.name).collect();
        let found = found.unwrap_or_else(|| panic!("no `{name}` in {names:?}"));
        self.trace(&found.trace_id())
    }
}

/// The spans of one trace.
#[derive(Debug)]
struct Trace(Vec<Exported>);

impl Trace {
    /// The only span of this name.
    fn one(&self, name: &str) -> &Exported {
        let found: Vec<_> = self.0.iter().filter(|one| one.span.name == name).collect();
        let names: Vec<_> = self.0.iter().map(|one| &one.span.name).collect();
        let [span] = found.as_slice() else { panic!("not one `{name}` in {names:?}") };
        span
    }

    /// That one of these follows from the one before it.
    fn check_chain(&self, names: &[&str]) {
        for pair in names.windows(2) {
            let (cause, effect) = (self.one(pair[0]), self.one(pair[1]));
            assert_eq!(effect.parent_id(), cause.span_id(), "{} follows {}", pair[1], pair[0]);
        }
    }

    /// That a span is of this node, with its roles.
    fn check_node(&self, name: &str, node: &str, roles: &str) {
        let sender = &self.one(name).sender;
        let expected = [
            ("service.name", "nuncio"),
            ("service.instance.id", node),
            ("nuncio.node.roles", roles),
        ];
        for (key, value) in expected {
            assert_eq!(sender.get(key).map(String::as_str), Some(value), "{name}: {sender:?}");
        }
    }
}

/// What was answered to each phase of a transaction, in its order.
fn replies(transaction: &Exported) -> Vec<(String, String)> {
    let events = transaction.span.events.iter().filter(|event| event.name == "smtp.reply");
    let reply = |mut all: BTreeMap<String, String>| {
        let mut take = |key| all.remove(key).unwrap_or_default();
        (take("smtp.phase"), take("smtp.reply.code"))
    };
    events.map(|event| reply(attributes(&event.attributes))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_client_has_the_transaction_on_another_node() {
    let cluster = Cluster::new("traces_client").await;
    let sender = cluster.sender("sender", "pan", &[]).await;
    let psn = cluster.node("psn", "psn", &[]).await;
    let mut request = Request::new(bulk("traced"));
    let parent = format!("00-{TRACE_ID}-{SPAN_ID}-01");
    request.metadata_mut().insert("traceparent", parent.parse().expect("it is ASCII"));

    let answer = psn.clients.mail_jobs.clone().create_mail_job(request).await;
    let name = answer.expect("it is taken").into_inner().mail_job.expect("it is there").name;
    psn.wait_for_state(&name, MailJobState::Sent, PATIENCE).await;

    let trace = cluster.trace_after(TRACE_ID, vec![psn, sender]).await;
    let method = "nuncio.v1.MailJobService/CreateMailJob";
    let accept = trace.one(method);
    assert_eq!(accept.parent_id(), SPAN_ID);
    trace.check_node(method, "psn", "psn");
    let of_accept = accept.attributes();
    let expected = [
        ("rpc.system.name", "grpc"),
        ("rpc.method", method),
        ("rpc.response.status_code", "OK"),
        ("network.peer.address", "127.0.0.1"),
        ("job.name", &name),
    ];
    for (key, value) in expected {
        assert_eq!(of_accept.get(key).map(String::as_str), Some(value), "{of_accept:?}");
    }
    trace.check_chain(&[method, "mail_job.attempt", "smtp.transaction"]);
    trace.check_node("mail_job.attempt", "sender", "pan");
    trace.check_node("smtp.transaction", "sender", "pan");
    assert_eq!(trace.one("mail_job.attempt").attributes()["job.name"], name);
    let transaction = trace.one("smtp.transaction");
    assert_eq!(transaction.attributes()["server.address"], "localhost");
    let expected = [("mail", "250"), ("rcpt", "250"), ("data", "354"), ("end_of_data", "250")];
    let expected = expected.map(|(phase, code)| (phase.to_owned(), code.to_owned()));
    assert_eq!(replies(transaction), expected, "{transaction:#?}");
}

/// Has the MnT tell alarms at once.
async fn tell_at_once(mnt: &ServeProcess) {
    let alarm_settings = Some(v1::AlarmSettings {
        recipients: vec![OPERATOR.to_owned()],
        group_wait: Some(prost_types::Duration { seconds: 0, nanos: 0 }),
        ..v1::AlarmSettings::default()
    });
    let paths = vec!["recipients".to_owned(), "group_wait".to_owned()];
    let update_mask = Some(prost_types::FieldMask { paths });
    let request =
        v1::UpdateAlarmSettingsRequest { alarm_settings, update_mask, validate_only: false };
    mnt.clients.alarms.clone().update_alarm_settings(request).await.expect("it is answered");
}

/// Waits until the mails about an alarm have gone out.
async fn until_told(psn: &ServeProcess) {
    let deadline = Instant::now() + PATIENCE;
    let is_told = |job: &v1::MailJob| {
        job.state() == MailJobState::Sent && job.labels.contains_key("alarm-type")
    };
    while !psn.jobs().await.iter().any(is_told) {
        assert!(Instant::now() < deadline, "nobody is told of the alarm");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_an_alarm_leads_from_its_node_over_the_mnt_to_the_mail() {
    let cluster = Cluster::new("traces_alarm").await;
    let mnt = cluster.node("mnt", "mnt", &[]).await;
    tell_at_once(&mnt).await;
    let psn = cluster.sender("psn", "pan,psn", &["--peers-mnt", &mnt.server]).await;
    let mut mail = bulk("from somebody else");
    mail.mail.as_mut().expect("it is there").from = Some(mailbox("other@contoso.example"));

    let refused = psn.submit(mail).await;
    psn.wait_for_end(&refused.name, PATIENCE).await;
    until_told(&psn).await;

    cluster.trace_after("", vec![psn, mnt]).await;
    let trace = cluster.trace_of("alarm.raise");
    let method = "nuncio.v1.AlarmService/RaiseAlarms";
    trace.check_node("alarm.raise", "psn", "pan,psn");
    assert_eq!(trace.one("alarm.raise").attributes()["alarm.type"], "sender-not-allowed");
    trace.check_chain(&["alarm.raise", "alarm.forward"]);
    trace.check_chain(&["alarm.raise", "alarm.round", "mail_job.attempt", "smtp.transaction"]);
    trace.check_node("alarm.round", "mnt", "mnt");
    trace.check_node("smtp.transaction", "psn", "pan,psn");
    let calls: Vec<_> = trace.0.iter().filter(|one| one.span.name == method).collect();
    let [call, served] = calls.as_slice() else { panic!("not both ends of the call: {calls:#?}") };
    let (call, served) = if call.node() == "psn" { (call, served) } else { (served, call) };
    assert_eq!(call.parent_id(), trace.one("alarm.forward").span_id());
    assert_eq!(served.parent_id(), call.span_id());
    assert_eq!(served.node(), "mnt");
    assert_eq!(call.attributes()["server.address"], "127.0.0.1");
    assert_eq!(served.attributes()["rpc.response.status_code"], "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reminder_of_the_pan_is_a_trace_of_its_own_to_the_transaction_on_another_node() {
    let cluster = Cluster::new("traces_reminder").await;
    let pan = cluster.node("pan", "pan", &[]).await;
    let sender = cluster.sender("sender", "pan", &[]).await;
    pan.remind_guests_three_days_before().await;
    #[expect(clippy::disallowed_methods, reason = "the node under test lives by the real clock")]
    let now = Timestamp::now();
    let values = [
        "email=guest@example.com".to_owned(),
        "first_name=Ada".to_owned(),
        format!("valid_from_time={}", now - Duration::from_hours(240)),
        format!("valid_to_time={}", now + Duration::from_hours(48)),
    ];
    let args = ["guests", "save", "ada", &values[0], &values[1], &values[2], &values[3]];

    let saved = Process::run(&args, &[("NUNCIO_SERVER", &pan.server)]).await;
    assert_eq!(saved.code, Some(0), "{saved:#?}");
    cluster.simulator.wait_for_accepted(1, PATIENCE).await.expect("the guest is reminded");

    cluster.trace_after("", vec![sender, pan]).await;
    let trace = cluster.trace_of("reminder.send");
    assert_eq!(trace.one("reminder.send").parent_id(), "", "it begins the trace");
    trace.check_node("reminder.send", "pan", "pan");
    trace.check_chain(&["reminder.send", "mail_job.attempt", "smtp.transaction"]);
    trace.check_node("smtp.transaction", "sender", "pan");
}
