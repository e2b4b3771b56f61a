use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;
use nuncio_cluster::embedded::{EmbeddedCluster, load_keys};
use nuncio_cluster::keyring::keys::Keys;
use nuncio_core::conformance::settings::all_shapes;
use nuncio_core::ports::job_store::Incarnation;
use nuncio_core::ports::records::RecordStore;
use nuncio_core::ports::settings::SettingsShare as _;
use nuncio_core::settings::document::DocumentChange;
use nuncio_nodes::membership::report::NodeReport;
use nuncio_nodes::membership::{Membership, Reporter};
use nuncio_runtime::clock::SystemClock;
use nuncio_store::sqlite::SqliteJobStore;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::*;
use crate::keys::rotation::{RotateError, Rotated};

/// Lines of a key file; the keys are made of one byte each.
const OLD: (&str, &str) = ("old", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
const NEW: (&str, &str) = ("new", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");

/// A node that knows the keys that a test gives it.
struct Other(Vec<&'static str>);

#[async_trait]
impl Reporter for Other {
    async fn report(&self) -> NodeReport {
        let keys = self.0.iter().map(|id| (*id).to_owned()).collect();
        NodeReport { name: "other".to_owned(), keys, ..NodeReport::default() }
    }
}

/// The node that follows.
struct This(Arc<Keys>);

#[async_trait]
impl Reporter for This {
    async fn report(&self) -> NodeReport {
        NodeReport {
            name: "this".to_owned(),
            keys: self.0.current().ids().map(ToString::to_string).collect(),
            first_key: self.0.first().to_string(),
            writing_keys: self.0.writing().iter().map(ToString::to_string).collect(),
            ..NodeReport::default()
        }
    }
}

struct Fixture {
    folder: TempDir,
    follower: KeyFollower,
}

impl Fixture {
    /// A node with the old key and saved settings, in a store that it shares with others.
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        write(&folder, &[OLD]);
        let keys = load_keys(folder.path(), Some(&file(&folder))).unwrap();
        let path = folder.path().join("jobs");
        let store = SqliteJobStore::open(&path, Arc::<Keys>::clone(&keys)).await.unwrap();
        let store = Arc::new(store);
        let settings = EmbeddedCluster::open(folder.path(), Arc::clone(&keys)).unwrap();
        let change = DocumentChange {
            caller: String::new(),
            at: Timestamp::UNIX_EPOCH,
            summary: String::new(),
        };
        settings.save_smtp(all_shapes().remove(0), change, None).await.unwrap();
        let records = Arc::clone(&store) as _;
        let this = Arc::new(This(Arc::clone(&keys)));
        let membership = member(Arc::clone(&records), "this", this);
        let parts = KeyParts {
            keys,
            mails: store,
            settings: Arc::new(settings),
            records,
            membership,
            clock: Arc::new(SystemClock),
        };
        Self { folder, follower: KeyFollower::new(parts) }
    }

    /// Another node of the store says that it can read these keys.
    async fn other(&self, keys: Vec<&'static str>) {
        let records = Arc::clone(&self.follower.parts.records);
        member(records, "other", Arc::new(Other(keys))).join().await;
    }

    /// Looks at the file, which holds these lines now. Gives the ids of the keys, the one that writes first.
    async fn look(&mut self, lines: &[(&str, &str)]) -> String {
        write(&self.folder, lines);
        self.follower.look().await;
        let keys = self.follower.parts.keys.current();
        keys.ids().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    fn troubles(&self) -> String {
        self.follower.troubles.iter().cloned().collect::<Vec<_>>().join("; ")
    }

    async fn noted(&self) -> Vec<String> {
        let mut noted = self.follower.parts.mails.noted_keys().await.unwrap();
        noted.sort();
        noted
    }
}

fn member(
    records: Arc<dyn RecordStore>,
    incarnation: &str,
    reporter: Arc<dyn Reporter>,
) -> Membership {
    let incarnation = Incarnation(incarnation.to_owned());
    Membership::shared(records, Arc::new(SystemClock), incarnation, reporter)
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("settings.key")
}

fn write(folder: &TempDir, lines: &[(&str, &str)]) {
    let mut content = String::new();
    for (id, key) in lines {
        writeln!(content, "{id} {key}").unwrap();
    }
    write_text(&file(folder), &content);
}

fn write_text(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_new_key_is_read_at_once_and_written_with_when_all_can_read_it() {
    let mut node = Fixture::new().await;
    node.other(vec!["old"]).await;

    assert_eq!(node.look(&[OLD, NEW]).await, "old new");
    assert_eq!(node.troubles(), "");
    assert_eq!(node.look(&[NEW, OLD]).await, "old new");
    assert!(node.troubles().contains("`new` is the first of the key file, but `other` cannot"));
    assert_eq!(node.noted().await, ["old"]);
    node.other(vec!["old", "new"]).await;

    assert_eq!(node.look(&[NEW, OLD]).await, "new old");
    assert_eq!(node.troubles(), "");
    assert_eq!(node.noted().await, ["new", "old"], "noted before it writes");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_changes_nothing_and_is_told() {
    let mut node = Fixture::new().await;
    for (content, told) in [
        ("nonsense\n", "is malformed: line 1"),
        ("", "it holds no key"),
        ("old AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n", "key `old` has another value"),
    ] {
        write_text(&file(&node.folder), content);
        node.follower.look().await;
        assert!(node.troubles().starts_with("the keys stay as they were: "), "{}", node.troubles());
        assert!(node.troubles().contains(told), "{}", node.troubles());
    }
    fs::remove_file(file(&node.folder)).unwrap();
    node.follower.look().await;
    assert!(node.troubles().contains("is not there"), "{}", node.troubles());
    fs::write(file(&node.folder), "").unwrap();
    fs::set_permissions(file(&node.folder), Permissions::from_mode(0o644)).unwrap();
    node.follower.look().await;
    assert!(node.troubles().contains("can be read by others"), "{}", node.troubles());

    assert_eq!(node.look(&[OLD]).await, "old");
    assert_eq!(node.troubles(), "");
}

#[tokio::test]
async fn a_rotation_ends_with_an_old_line_that_can_be_removed() {
    let mut node = Fixture::new().await;
    assert_eq!(node.look(&[NEW, OLD]).await, "new old");
    assert_eq!(node.look(&[NEW]).await, "new old", "settings and store need it");
    assert!(node.troubles().contains("key `old` is not in the key file any more"));

    let rotated = rotate(&node).await.unwrap();
    assert_eq!((rotated.key_id.as_str(), rotated.settings), ("new", vec!["smtp"]));
    assert_eq!((rotated.forgotten, rotated.kept), (vec!["old".to_owned()], vec![]));
    let again = rotate(&node).await.unwrap();
    assert_eq!((again.settings.len(), again.mails, again.forgotten.len()), (0, 0, 0));

    assert_eq!(node.look(&[NEW]).await, "new");
    assert_eq!(node.troubles(), "");
    assert_eq!(node.noted().await, ["new"]);
}

#[tokio::test]
async fn a_rotation_names_the_nodes_that_are_not_ready_and_changes_nothing() {
    let mut node = Fixture::new().await;
    node.other(vec!["old"]).await;
    node.look(&[NEW, OLD]).await;

    let refused = Status::from(rotate(&node).await.unwrap_err());
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(nuncio_api::error::reason(&refused).as_deref(), Some("KEY_NOT_READABLE"));
    assert!(refused.message().contains("`new`") && refused.message().ends_with(": other"));
    node.other(vec!["old", "new"]).await;
    let refused = Status::from(rotate(&node).await.unwrap_err());

    assert_eq!(nuncio_api::error::reason(&refused).as_deref(), Some("KEYS_DIFFER"));
    assert_eq!(node.noted().await, ["old"]);
    assert_eq!(node.follower.parts.settings.sealed_documents()[0].key_id, "old");
}

async fn rotate(node: &Fixture) -> Result<Rotated, RotateError> {
    node.follower.parts.rotate(mpsc::channel(16).0).await
}
