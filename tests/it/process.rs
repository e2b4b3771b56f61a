//! The program as people and service managers meet it: exit codes, what it says, how it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nuncio_api::v1::MailJobState;
use nuncio_provider_sim::config::{
    DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_MAILBOX, DEFAULT_SCOPE, DEFAULT_TENANT_ID,
    SimConfig,
};
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails::bulk;
use nuncio_tests::process::{Ended, Process, ServeProcess};
use nuncio_tests::settings::settings_for;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

/// What a node says that cannot start: each of these words, and exit code 1.
fn check_refusal(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    for words in words {
        assert!(ended.stderr.contains(words), "no `{words}` in: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

async fn refusal(data_dir: &Path, more: &[&str]) -> Ended {
    match ServeProcess::try_start(data_dir, more).await {
        Ok(node) => panic!("it has started: {}", node.process.stderr()),
        Err(ended) => ended,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_five_faults_is_told_with_all_five() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let file = folder.path().join("nuncio.toml");
    let text = "roles = [\"pan\", \"boss\"]\nlisten = \"here\"\n[grpc]\nlisten = \"0.0.0.0:7587\"\n\
                [delivery]\nretention_days = 0\n";
    fs::write(&file, text).expect("the folder can be written");
    let file = file.display().to_string();

    let env = [("NUNCIO_LOG_FORMAT", "xml")];
    let ended = Process::run(&["serve", "--config", &file], &env).await;

    let faults = ["`boss`", "  listen (", "  grpc.listen (", "retention_days", "NUNCIO_LOG_FORMAT"];
    check_refusal(&ended, &faults);
    assert!(ended.stderr.contains("use a loopback address"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_and_a_folder_in_use_are_told() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let node = ServeProcess::start(one.path(), &[]).await;
    let address = node.server.trim_start_matches("http://").to_owned();

    let folder = other.path().display().to_string();
    let args = ["serve", "--data-dir", &folder, "--grpc-listen", &address];
    let ended = Process::run(&args, &[]).await;
    check_refusal(&ended, &[&address, "grpc.listen", "another nuncio", "Address already in use"]);
    let ended = refusal(one.path(), &[]).await;
    check_refusal(&ended, &["another"]);

    let job = node.submit(bulk("still there")).await;
    assert_eq!(job.state(), MailJobState::Queued, "the first node goes on");
    assert_eq!(node.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_cannot_be_used_is_told() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let below = file.join("data");
    let ended = refusal(&below, &[]).await;
    check_refusal(&ended, &[&below.display().to_string(), "data_dir"]);

    let corrupt = TempDir::new().unwrap();
    fs::write(corrupt.path().join("jobs.sqlite"), "this is no database, ".repeat(1000)).unwrap();
    let ended = refusal(corrupt.path(), &[]).await;
    check_refusal(&ended, &["jobs.sqlite", "backup"]);
    let kept = fs::read(corrupt.path().join("jobs.sqlite")).unwrap();
    assert!(kept.starts_with(b"this is no database"), "what is damaged is left as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_others_can_read_stops_the_start() {
    let folder = TempDir::new().unwrap();
    let node = ServeProcess::start(folder.path(), &[]).await;
    assert_eq!(node.stop().await.code, Some(0));
    let key = folder.path().join("keys/settings.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();

    let ended = refusal(folder.path(), &[]).await;

    check_refusal(&ended, &["settings.key", "chmod", "600"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_that_the_node_takes_calls_and_that_it_ends() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (socket, data) = (path("notify"), path("data"));
    let manager = UnixDatagram::bind(&socket).unwrap();
    let args = ["serve", "--data-dir", &data, "--grpc-listen", "127.0.0.1:0"];
    let args = [&args[..], &["--http-listen", "127.0.0.1:0"]].concat();
    let node = Process::start(&args, &[("NOTIFY_SOCKET", &socket)]);

    assert_eq!(told(&manager).await, "READY=1");
    node.terminate().await;
    assert_eq!(told(&manager).await, "STOPPING=1");

    let ended = node.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("is ready: grpc at"), "{}", ended.stderr);
}

async fn told(manager: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let heard = timeout(PATIENCE, manager.recv(&mut message)).await.expect("it is told in time");
    String::from_utf8_lossy(&message[..heard.expect("it is bound")]).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_the_mails_under_way_and_the_process_with_0() {
    let simulator = Simulator::start(SimConfig::sink()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let node = ServeProcess::start(folder.path(), &[]).await;
    node.save_tested(settings_for(&simulator)).await;
    simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(400)));
    let mut names = Vec::new();
    for number in 0..30 {
        names.push(node.submit(bulk(&format!("mail {number}"))).await.name);
    }
    simulator.wait_for_accepted(3, PATIENCE).await.unwrap();

    let ended = node.stop().await;

    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("finishing the mails under way"), "{}", ended.stderr);
    let sent = simulator.accepted_count();
    assert!((3..30).contains(&sent), "{sent} mails were sent before the end");
    simulator.faults().clear();
    let node = ServeProcess::start(folder.path(), &[]).await;
    assert!(!node.process.stderr().contains("took back"), "nothing was left half done");
    for job in node.wait_for_ends(&names, PATIENCE).await {
        assert_eq!((job.state(), job.attempt_count), (MailJobState::Sent, 1), "{job:?}");
    }
    assert_eq!((simulator.accepted_count(), simulator.duplicates()), (30, Vec::new()));
    assert_eq!(node.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_runs_to_its_table() {
    let ended = Process::run(&["demo"], &[]).await;

    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for words in ["every job has ended", "ON THE WAY", "The provider took 20 mails", "try next"] {
        assert!(ended.stdout.contains(words), "no `{words}` in: {}", ended.stdout);
    }
}

/// Runs a command of the client against a node.
async fn client(node: &ServeProcess, args: &[&str]) -> Ended {
    Process::run(args, &[("NUNCIO_SERVER", &node.server)]).await
}

/// The same with `--output json`: each line, or all of it, is JSON.
async fn json(node: &ServeProcess, args: &[&str], code: i32) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--output", "json"]).collect();
    let ended = client(node, &args).await;
    assert_eq!(ended.code, Some(code), "{args:?}: {ended:#?}");
    let lines = serde_json::Deserializer::from_str(&ended.stdout).into_iter::<Value>();
    let last = lines.map(|one| one.unwrap_or_else(|error| panic!("{args:?}: {error}: {ended:#?}")));
    last.last().unwrap_or_else(|| panic!("{args:?} says nothing: {ended:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_client_end_with_documented_codes() {
    let simulator = Simulator::start(SimConfig::exchange()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let node = ServeProcess::start(&folder.path().join("data"), &[]).await;
    assert_eq!(client(&node, &["settings", "smtp", "get"]).await.code, Some(3));
    save_settings(&simulator, &node, folder.path()).await;
    let settings = json(&node, &["settings", "smtp", "get"], 0).await;
    assert!(settings.to_string().contains(DEFAULT_MAILBOX), "{settings}");
    assert!(!settings.to_string().contains(DEFAULT_CLIENT_SECRET), "{settings}");

    let hello = ["send", "--to", "guest@example.com", "--subject", "One", "--text", "Hello"];
    let sent = json(&node, &[&hello[..], &["--wait"]].concat(), 0).await;
    let name = find(&sent, "name").unwrap_or_else(|| panic!("no name in {sent}"));
    let got = json(&node, &["jobs", "get", &name], 0).await;
    assert!(got.to_string().contains("SENT"), "{got}");
    assert!(json(&node, &["jobs", "list"], 0).await.to_string().contains(&name));
    let watched = json(&node, &["jobs", "watch", &name], 0).await;
    assert!(watched.to_string().contains("SENT"), "{watched}");
    assert!(json(&node, &["nodes"], 0).await.to_string().contains("OPEN"));
    json(&node, &["doctor"], 0).await;

    let absent = "mailJobs/01890a5d-ac96-774b-bcce-b302099a8057";
    assert_eq!(client(&node, &["jobs", "get", absent]).await.code, Some(3));
    assert_eq!(client(&node, &["jobs", "cancel", &name]).await.code, Some(5));
    assert_eq!(client(&node, &["send", "--to", "nobody"]).await.code, Some(4));
    assert_eq!(client(&node, &["no-such-command"]).await.code, Some(2));
    let refused = Fault::next(1, Phase::Rcpt, Action::Reply("550 5.1.1 Unknown".to_owned()));
    simulator.faults().push(refused);
    assert_eq!(client(&node, &[&hello[..], &["--wait"]].concat()).await.code, Some(7));
    let table = client(&node, &["jobs", "list"]).await;
    assert!(table.stdout.contains("FAILED") && table.stdout.contains("SENT"), "{table:#?}");
    assert!(!table.stdout.contains('\u{1b}'), "no colours without a terminal: {table:?}");

    assert_eq!(node.process.stdout(), "", "a node says nothing on its standard output");
    let server = node.server.clone();
    assert_eq!(node.stop().await.code, Some(0));
    let unreachable = Process::run(&["nodes"], &[("NUNCIO_SERVER", &server)]).await;
    assert_eq!(unreachable.code, Some(6), "{unreachable:#?}");
}

/// A wrong secret is refused with code 5; the right one is saved.
async fn save_settings(simulator: &Simulator, node: &ServeProcess, folder: &Path) {
    let (ca, secret) = (folder.join("ca.pem"), folder.join("client-secret"));
    fs::write(&ca, simulator.ca_pem()).expect("the folder can be written");
    let port = simulator.starttls_addr().port().to_string();
    let endpoint = simulator.token_url(DEFAULT_TENANT_ID);
    let (ca, secret_file) = (ca.display().to_string(), secret.display().to_string());
    let values = [
        ("--host", "localhost"),
        ("--port", &port),
        ("--encryption", "starttls"),
        ("--email-address", DEFAULT_MAILBOX),
        ("--client-id", DEFAULT_CLIENT_ID),
        ("--client-secret-file", &secret_file),
        ("--token-endpoint", &endpoint),
        ("--scope", DEFAULT_SCOPE),
        ("--ca-file", &ca),
    ];
    let values: Vec<&str> = values.iter().flat_map(|(option, value)| [*option, *value]).collect();
    let run = async |words: &[&str]| client(node, &[words, &values].concat()).await;

    fs::write(&secret, "wrong").expect("the folder can be written");
    let ended = run(&["settings", "smtp", "test"]).await;
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    let told = format!("{} {}", ended.stdout, ended.stderr);
    assert!(told.contains("INVALID_CLIENT_SECRET") && told.contains("VALUE"), "{told}");
    fs::write(&secret, DEFAULT_CLIENT_SECRET).expect("the folder can be written");
    assert_eq!(run(&["settings", "smtp", "save"]).await.code, Some(5), "it is not tested yet");
    let ended = run(&["settings", "smtp", "save", "--test"]).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

/// The first text under this key, wherever it is.
fn find(value: &Value, key: &str) -> Option<String> {
    match value {
        Value::Object(fields) => match fields.get(key) {
            Some(Value::String(text)) => Some(text.clone()),
            _ => fields.values().find_map(|value| find(value, key)),
        },
        Value::Array(values) => values.iter().find_map(|value| find(value, key)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
