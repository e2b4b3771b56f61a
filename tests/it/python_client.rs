//! The Python client of `docs/clients/python`, with the interpreter that `cargo xtask test` prepares.

use std::path::{Path, PathBuf};
use std::process::Output;

use nuncio_provider_sim::config::{RecipientRule, SimConfig};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::node::TestNode;
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

/// The interpreter with grpcio, and the stubs made from `proto/`.
struct Python {
    interpreter: String,
    stubs: TempDir,
}

impl Python {
    async fn with_stubs() -> Self {
        let interpreter = RealServers::from_env().get("PYTHON").to_owned();
        let stubs = TempDir::new().expect("a temporary folder can be made");
        let python = Self { interpreter, stubs };
        let made = python.run(&["make_stubs.py", &python.stubs()]).await;
        assert!(made.status.success(), "{made:?}");
        python
    }

    fn stubs(&self) -> String {
        self.stubs.path().display().to_string()
    }

    async fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.interpreter);
        command.args(args).current_dir(folder()).env("NUNCIO_STUBS", self.stubs());
        // Nothing is to be left in the repository.
        command.env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await.expect("it ends in time");
        output.expect("the interpreter starts")
    }

    async fn client(&self, node: &TestNode, args: &[&str]) -> Output {
        self.client_of(&node.grpc.to_string(), args).await
    }

    async fn client_of(&self, target: &str, args: &[&str]) -> Output {
        let stubs = self.stubs();
        let common = ["client.py", "--target", target, "--stubs", &stubs];
        self.run(&[&common, args].concat()).await
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients/python")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_submits_and_watches_a_job_to_its_end() {
    let config = SimConfig {
        recipients: vec![RecipientRule::refused("gone@example.com")],
        ..SimConfig::exchange()
    };
    let simulator = Simulator::start(config).await.expect("the simulator starts");
    let node = TestNode::start().await;
    node.save_tested(settings_for(&simulator)).await;
    let python = Python::with_stubs().await;

    let hello = ["--to", "guest@example.com", "--subject", "Grüße", "--request-id", "python-1"];
    let sent = python.client(&node, &hello).await;
    let again = python.client(&node, &hello).await;
    let refused = python.client(&node, &["--to", "gone@example.com", "--subject", "No"]).await;
    let invalid = python.client(&node, &["--to", "nobody", "--subject", ""]).await;

    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let last = stdout(&sent).lines().last().map(str::to_owned).unwrap_or_default();
    assert!(last.starts_with("SENT mailJobs/"), "{last}");
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert!(stdout(&again).ends_with(&format!("{last}\n")), "another job: {again:?}");
    assert_eq!(refused.status.code(), Some(7), "{refused:?}");
    assert!(stdout(&refused).contains("RECIPIENT_UNKNOWN"), "{refused:?}");
    assert_eq!(invalid.status.code(), Some(4), "{invalid:?}");
    let told = String::from_utf8_lossy(&invalid.stderr);
    assert!(told.contains("mail.to[0].address: ") && told.contains("mail.raw.subject: "), "{told}");
    assert_eq!(simulator.accepted_count(), 1, "the repeated request id is the same job");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_asks_another_node_when_one_is_gone() {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let (gone, node) = (TestNode::start().await, TestNode::start().await);
    node.save_tested(settings_for(&simulator)).await;
    let target = format!("ipv4:{},{}", gone.grpc, node.grpc);
    gone.stop().await;
    let python = Python::with_stubs().await;

    let hello = ["--to", "guest@example.com", "--subject", "Hello", "--timeout", "20"];
    let sent = python.client_of(&target, &hello).await;

    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    assert_eq!(String::from_utf8_lossy(&sent.stderr), "", "nothing had to be tried again");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tests_of_the_python_client_pass() {
    let python = Python::with_stubs().await;

    let tested = python.run(&["-m", "unittest", "test_client.py"]).await;

    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
}
