//! Keys are rotated while nodes run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::rotate_keys_response::Event;
use nuncio_api::v1::{MailClass, MailJobState};
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::fault::{Action, Fault, Phase};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{Caller, PATIENCE};
use nuncio_tests::mails::raw;
use nuncio_tests::process::{Ended, Process, ServeProcess};
use nuncio_tests::report::say;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::Status;

use crate::cluster::Cluster;

/// Between two looks at a node.
const PAUSE: Duration = Duration::from_millis(50);
/// How many mails wait all the time while keys are rotated.
const WAITING: usize = 30;
/// How long the provider takes for a mail, in milliseconds: some are always under way.
const MAIL_MS: u64 = 20;

/// Runs `nuncio keys` on a file.
async fn change_file(args: &[&str], file: &Path) -> String {
    let file = file.display().to_string();
    let args = [&["keys", "--output", "json"], args, &["--file", &file]].concat();
    let Ended { code, stdout, stderr, .. } = Process::run(&args, &[]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let told: serde_json::Value = serde_json::from_str(&stdout).expect("it is JSON");
    told["keyId"].as_str().expect("it names the key").to_owned()
}

/// Runs `nuncio keys` on a node.
async fn ask(node: &ServeProcess, args: &[&str]) -> Ended {
    Process::run(&[&["--server", &node.server, "keys"], args].concat(), &[]).await
}

async fn keys(node: &Caller) -> Vec<v1::Key> {
    let listed = node.clients.keys.clone().list_keys(v1::ListKeysRequest {}).await;
    listed.unwrap_or_else(|status| panic!("{status}")).into_inner().keys
}

/// Looks at a key until it is as wanted.
async fn wait_for_key(node: &Caller, key_id: &str, wanted: impl Fn(&v1::Key) -> bool) -> v1::Key {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let keys = keys(node).await;
        if let Some(key) = keys.iter().find(|key| key.key_id == key_id && wanted(key)) {
            return key.clone();
        }
        assert!(Instant::now() < deadline, "not so in time: {keys:#?}");
        sleep(PAUSE).await;
    }
}

/// Rotates, and gives what was told.
async fn rotate(node: &Caller) -> Result<v1::RotateKeysResult, Status> {
    let told = node.clients.keys.clone().rotate_keys(v1::RotateKeysRequest {}).await?;
    let mut told = told.into_inner();
    loop {
        match told.message().await?.expect("the result is there").event {
            Some(Event::Result(result)) => return Ok(result),
            Some(Event::Progress(_)) | None => {}
        }
    }
}

/// Copies a key file as an operator does.
fn copy(from: &Path, to: &Path) {
    let fresh = to.with_extension("fresh");
    fs::copy(from, &fresh).expect("a file can be copied");
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).expect("it is ours");
    fs::rename(&fresh, to).expect("a file can be renamed");
}

/// Hands in mails until it is enough.
async fn load(node: Caller, is_enough: Arc<AtomicBool>) -> Vec<String> {
    let mut names = Vec::new();
    while !is_enough.load(Ordering::Relaxed) {
        let subject = format!("mail {}", names.len());
        let mail = raw(MailClass::Bulk, &subject, &["guest@example.com"]);
        names.push(node.submit(mail).await.name);
        sleep(PAUSE).await;
    }
    names
}

/// Mails with an attachment that wait until they are released, on a node that cannot send yet.
async fn held_mails(node: &Caller, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for number in 0..count {
        let mut request = raw(MailClass::Bulk, &format!("waits {number}"), &["guest@example.com"]);
        request.mail.as_mut().expect("it has one").attachments = vec![v1::Attachment {
            file_name: "a.txt".to_owned(),
            content_type: "text/plain".to_owned(),
            content: vec![b'x'; 1000],
        }];
        let name = node.submit(request).await.name;
        let hold = v1::HoldMailJobRequest { name: name.clone() };
        node.clients.mail_jobs.clone().hold_mail_job(hold).await.expect("it waits");
        names.push(name);
    }
    names
}

async fn release(node: &Caller, names: &[String]) {
    for name in names {
        let release = v1::ReleaseMailJobRequest { name: name.clone() };
        node.clients.mail_jobs.clone().release_mail_job(release).await.expect("it is held");
    }
}

/// Two nodes with a key file of their own, and what happens to them.
struct Pair {
    cluster: Cluster,
    files: [PathBuf; 2],
    simulator: Simulator,
}

impl Pair {
    async fn start(&self, place: usize) -> ServeProcess {
        let (role, file) = (["pan", "psn"][place], self.files[place].display().to_string());
        self.cluster.start_with(role, self.cluster.etcd(), &["--keys-file", &file]).await
    }

    /// Puts a new key first on one node after the other, and gives its id when both write with it.
    async fn new_key(&self, pan: &ServeProcess, old: &str) -> String {
        let new = change_file(&["add", "--first"], &self.files[0]).await;
        let waits = wait_for_key(pan, &new, |key| !key.waiting_nodes.is_empty()).await;
        assert_eq!((waits.waiting_nodes, waits.unreadable_nodes), one_each("pan", "psn"));
        let refused = ask(pan, &["rotate"]).await;
        assert_ne!(refused.code, Some(0));
        for part in [&format!("key `{new}`"), "cannot read it: psn", "the same key file"] {
            assert!(refused.stderr.contains(part), "{}", refused.stderr);
        }
        assert_eq!(wait_for_key(pan, old, |_| true).await.writing_nodes.len(), 2);
        copy(&self.files[0], &self.files[1]);
        wait_for_key(pan, &new, |key| key.writing_nodes.len() == 2).await;
        wait_for_key(pan, old, |key| key.writing_nodes.is_empty()).await;
        new
    }
}

fn one_each(a: &str, b: &str) -> (Vec<String>, Vec<String>) {
    (vec![format!("nodes/{a}")], vec![format!("nodes/{b}")])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_under_load_loses_no_mail_and_the_old_line_can_go() {
    let cluster = Cluster::new("key_rotation").await;
    let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
    simulator.faults().push(Fault::always(Phase::EndOfData, Action::Delay(MAIL_MS)));
    let files = ["pan.key", "psn.key"].map(|name| cluster.path(name));
    let pair = Pair { cluster, files, simulator };
    let old = change_file(&["add"], &pair.files[0]).await;
    copy(&pair.files[0], &pair.files[1]);
    let (pan, psn) = (pair.start(0).await, pair.start(1).await);
    let waiting = held_mails(&psn, WAITING).await;
    pan.save_tested(settings_for(&pair.simulator)).await;
    let is_enough = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    callers.spawn(load(Caller::clone(&psn), Arc::clone(&is_enough)));

    let new = pair.new_key(&pan, &old).await;
    let rotated = ask(&pan, &["rotate"]).await;
    assert_eq!(rotated.code, Some(0), "{rotated:#?}");
    assert!(rotated.stdout.contains(&format!("remove {old}")), "{}", rotated.stdout);
    let again = rotate(&psn).await.expect("it may be asked for again");
    assert_eq!((again.key_id.as_str(), again.kept_keys.len()), (new.as_str(), 0));
    wait_for_key(&pan, &old, |key| key.removable).await;
    let held = wait_for_key(&pan, &new, |_| true).await;
    assert!(i64::try_from(WAITING).expect("it fits") <= held.mails, "{held:#?}");

    change_file(&["remove", &old], &pair.files[0]).await;
    copy(&pair.files[0], &pair.files[1]);
    let deadline = Instant::now() + PATIENCE;
    while keys(&pan).await.iter().any(|key| key.key_id == old) {
        assert!(Instant::now() < deadline, "the old key is not forgotten");
        sleep(PAUSE).await;
    }
    is_enough.store(true, Ordering::Relaxed);
    let mut names = callers.join_next().await.expect("there is one").expect("no call has failed");
    say(&format!("{} mails went through while keys were rotated", names.len()));
    names.extend(waiting.clone());
    for (node, name) in [(pan, "pan"), (psn, "psn")] {
        assert_eq!(node.stop().await.code, Some(0), "{name}");
    }
    let psn = pair.start(1).await;
    let pan = pair.start(0).await;
    release(&psn, &waiting).await;

    for job in psn.wait_for_ends(&names, PATIENCE).await {
        assert_eq!(job.state(), MailJobState::Sent, "{job:#?}");
    }
    let kept = pair.cluster.path("psn").join("last-good-settings/smtp.json");
    let kept = fs::read_to_string(kept).expect("it keeps the last good settings");
    assert!(kept.contains(&new) && !kept.contains(&old), "{kept}");
    assert_eq!(pan.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_cut_by_kill_9_is_done_by_the_next_one() {
    let simulator = Simulator::start(SimConfig::sink()).await.expect("the simulator starts");
    let folder = TempDir::with_prefix("nuncio-it-").expect("a folder can be made");
    let node = ServeProcess::start(folder.path(), &[]).await;
    let waiting = held_mails(&node, 150).await;
    node.save_tested(settings_for(&simulator)).await;
    let file = folder.path().join("keys/settings.key");
    let old = keys(&node).await.remove(0).key_id;
    let new = change_file(&["add", "--first"], &file).await;
    wait_for_key(&node, &new, |key| !key.writing_nodes.is_empty()).await;

    let told = node.clients.keys.clone().rotate_keys(v1::RotateKeysRequest {}).await;
    let mut told = told.expect("it begins").into_inner();
    told.message().await.expect("it has begun");
    node.process.kill9().await;
    let node = ServeProcess::start(folder.path(), &[]).await;
    let rotated = rotate(&node).await.expect("the next one");

    assert_eq!((rotated.forgotten_keys, rotated.kept_keys), (vec![old.clone()], vec![]));
    change_file(&["remove", &old], &file).await;
    node.stop().await;
    let node = ServeProcess::start(folder.path(), &[]).await;
    release(&node, &waiting).await;
    for job in node.wait_for_ends(&waiting, PATIENCE).await {
        assert_eq!(job.state(), MailJobState::Sent, "{job:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_still_needed_is_missed_and_told() {
    let folder = TempDir::with_prefix("nuncio-it-").expect("a folder can be made");
    let mut node = ServeProcess::start(folder.path(), &[]).await;
    let file = folder.path().join("keys/settings.key");
    let old = keys(&node).await.remove(0).key_id;
    let new = change_file(&["add", "--first"], &file).await;
    wait_for_key(&node, &new, |key| !key.writing_nodes.is_empty()).await;
    let before = fs::read(&file).expect("it is there");

    change_file(&["remove", &old], &file).await;
    let told = node.process.wait_for_stderr("is not in the key file any more").await;
    assert!(told.contains(&format!("key `{old}`")), "{told}");
    wait_for_key(&node, &old, |key| key.noted).await;
    fs::write(&file, before).expect("it is ours");

    let listed = ask(&node, &["list"]).await;
    assert_eq!(listed.code, Some(0), "{listed:#?}");
    let line = listed.stdout.lines().find(|line| line.contains(&old)).expect("it is listed");
    assert!(line.contains("rotate"), "{}", listed.stdout);
    let rotated = rotate(&node).await.expect("nothing is in the way");
    assert_eq!(rotated.forgotten_keys, [old]);
}
