//! With a real etcd, over TLS: `cargo xtask test` runs it.

mod proxy;

use std::sync::atomic::{AtomicU32, Ordering};

use etcd_client::{Client, DeleteOptions, GetOptions};
use jiff::Timestamp;
use nuncio_core::conformance::settings::all_shapes;
use nuncio_core::ports::sealed::SealedSettings as _;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::proxy::Proxy;
use super::*;
use crate::keyring::Keyring;
use crate::keyring::testing::keyring;

nuncio_core::settings_share_conformance!(async {
    let place = Place::new();
    let node = place.node().await;
    (node.cluster.clone(), (node, place))
});

nuncio_core::sealed_settings_conformance!(async {
    let place = Place::with_keys(keyring(&[("old", 1)]));
    let node = place.node().await;
    let keys = Arc::clone(&place.keys);
    let change_key = move || keys.replace(keyring(&[("new", 2), ("old", 1)]));
    (node.cluster.clone(), change_key, (node, place))
});

/// How long anything may take that ought to be done at once. Generous, as tests share the machine.
const SOON: Duration = Duration::from_secs(30);

/// The id of the store of all nodes that have nothing else said.
const STORE: &str = "one";

/// A cluster of its own in the shared etcd, and the keys of its nodes.
struct Place {
    config: EtcdConfig,
    keys: Arc<Keys>,
}

/// A node that follows etcd until it is dropped.
struct Node {
    cluster: EtcdCluster,
    folder: TempDir,
    following: JoinSet<()>,
}

impl Place {
    fn new() -> Self {
        Self::with_keys(keyring(&[("key", 1)]))
    }

    fn with_keys(keys: Keyring) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let keys = Arc::new(Keys::new(Path::new("/nowhere/settings.key"), keys));
        let prefix = format!("/nuncio/test-{}-{count}/", std::process::id());
        Self { config: config("PAN", prefix), keys }
    }

    /// A new node, which has read what is there and does not follow yet.
    async fn node(&self) -> Node {
        self.node_in(TempDir::new().unwrap(), &self.config).await.unwrap()
    }

    async fn node_in(&self, folder: TempDir, config: &EtcdConfig) -> Result<Node, OpenError> {
        self.node_of(STORE, folder, config).await
    }

    async fn node_of(
        &self,
        store: &str,
        folder: TempDir,
        config: &EtcdConfig,
    ) -> Result<Node, OpenError> {
        let keys = Arc::clone(&self.keys);
        let cluster = EtcdCluster::open(config, folder.path(), keys, store).await?;
        Ok(Node { cluster, folder, following: JoinSet::new() })
    }

    async fn following_node(&self) -> Node {
        self.node().await.follow().await
    }

    /// The same cluster at another address.
    fn behind(&self, endpoint: String) -> EtcdConfig {
        EtcdConfig { endpoints: vec![endpoint], ..self.config.clone() }
    }

    /// What an administrator of etcd may do.
    async fn administrator(&self) -> Client {
        let root = config("ROOT", self.config.prefix.clone());
        Client::connect(&root.endpoints, Some(root.options().unwrap())).await.unwrap()
    }

    fn smtp_key(&self) -> String {
        format!("{}settings/smtp", self.config.prefix)
    }
}

impl Node {
    /// Follows, and has begun to.
    async fn follow(mut self) -> Self {
        let cluster = self.cluster.clone();
        let run = async move { cluster.run(CancellationToken::new()).await };
        self.following.spawn(run);
        self.wait_for_state(|state| *state == EtcdState::Connected).await;
        self
    }

    async fn wait_for_state(&self, wanted: impl Fn(&EtcdState) -> bool) -> EtcdState {
        let mut state = self.cluster.state();
        let found = timeout(SOON, state.wait_for(|state| wanted(state))).await;
        found.unwrap_or_else(|_| panic!("{:?}", self.cluster.state().borrow())).unwrap().clone()
    }

    async fn wait_for_generation(&self, generation: i64) {
        let mut smtp = self.cluster.smtp();
        let is_there = |saved: &Option<Arc<SavedSmtpSettings>>| {
            saved.as_ref().is_some_and(|saved| saved.generation == generation)
        };
        let found = timeout(SOON, smtp.wait_for(is_there)).await;
        assert!(found.is_ok(), "not there: {generation}; but {}", self.generation());
    }

    fn generation(&self) -> i64 {
        self.cluster.smtp().borrow().as_ref().map_or(0, |saved| saved.generation)
    }

    async fn save(&self, expected: Option<&str>) -> Result<i64, SaveError> {
        let saved = self.cluster.save_smtp(all_shapes().remove(0), change(), expected).await?;
        Ok(saved.generation)
    }

    /// Stops, and leaves its data folder.
    fn stop(self) -> TempDir {
        self.folder
    }
}

/// etcd as one of its users knows it.
fn config(user: &str, prefix: String) -> EtcdConfig {
    let file = |name: &str| server(&format!("ETCD_{user}_{name}_FILE")).into();
    EtcdConfig {
        endpoints: vec![server("ETCD_ENDPOINT")],
        prefix,
        ca_file: Some(server("CA_FILE").into()),
        identity: Some(IdentityFiles { cert_file: file("CERT"), key_file: file("KEY") }),
    }
}

/// A line of the file that tells about the servers of the tests.
fn server(key: &str) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the only way from the command that runs the tests to a test"
    )]
    let file = std::env::var("NUNCIO_TEST_SERVERS")
        .unwrap_or_else(|_unset| panic!("run `cargo xtask test`"));
    let lines = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("cannot read `{file}`: {error}"));
    let lines = lines.lines().filter_map(|line| line.split_once('='));
    let found = lines.filter(|(name, _)| *name == key).map(|(_, value)| value.to_owned()).next();
    found.unwrap_or_else(|| panic!("`{key}` is not there; run `cargo xtask test`"))
}

fn change() -> DocumentChange {
    let (caller, summary) = ("local".to_owned(), "host".to_owned());
    DocumentChange { caller, at: Timestamp::UNIX_EPOCH, summary }
}

#[tokio::test]
async fn what_one_node_saves_all_others_have_soon() {
    let place = Place::new();
    let (first, second) = (place.following_node().await, place.following_node().await);

    first.save(None).await.unwrap();
    second.wait_for_generation(1).await;
    second.save(Some("g1")).await.unwrap();

    first.wait_for_generation(2).await;
}

#[tokio::test]
async fn a_node_that_has_not_heard_of_a_save_does_not_overwrite_it() {
    let place = Place::new();
    let (first, deaf) = (place.node().await, place.node().await);
    first.save(None).await.unwrap();

    let refused = deaf.save(Some("")).await.unwrap_err();

    assert!(matches!(refused, SaveError::EtagMismatch { present } if present == "g1"));
    assert_eq!(deaf.generation(), 1, "and now it has heard of it");
    assert_eq!(deaf.save(None).await.unwrap(), 2, "whichever there is");
}

#[tokio::test]
async fn a_save_whose_caller_goes_away_is_whole() {
    let place = Place::new();
    let node = place.following_node().await;
    let mut was_cut = 0;
    for step in 0..40 {
        let patience = Duration::from_micros(150 * step);
        was_cut += u32::from(timeout(patience, node.save(None)).await.is_err());
        let agree = async {
            // What was on its way may still arrive.
            while place.node().await.generation() != node.generation() {}
        };
        assert!(timeout(SOON, agree).await.is_ok(), "cut after {patience:?}");
    }
    assert!(0 < was_cut, "each was faster than its caller");
}

#[tokio::test]
async fn a_node_starts_without_etcd_with_the_last_good_settings() {
    let place = Place::new();
    let node = place.node().await;
    node.save(None).await.unwrap();
    let folder = node.stop();
    let nowhere = place.behind("https://localhost:1".to_owned());

    let node = place.node_in(folder, &nowhere).await.unwrap();

    assert_eq!(node.generation(), 1);
    let refused = node.save(None).await.unwrap_err();
    assert!(matches!(refused, SaveError::Store(_)), "{refused:?}");
    assert_eq!(node.generation(), 1, "what is not in etcd is not taken");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_again_and_nothing_is_missed() {
    let place = Place::new();
    let proxy = Proxy::start(&place.config.endpoints[0]).await;
    let other = place.node().await;
    let behind = place.behind(proxy.endpoint());
    let node = place.node_in(TempDir::new().unwrap(), &behind).await.unwrap().follow().await;

    proxy.cut();
    node.wait_for_state(|state| matches!(state, EtcdState::Away(_))).await;
    other.save(None).await.unwrap();
    proxy.mend();

    node.wait_for_generation(1).await;
    node.wait_for_state(|state| *state == EtcdState::Connected).await;
}

#[tokio::test]
async fn an_etcd_that_hangs_is_noticed_and_nothing_is_missed() {
    let place = Place::new();
    let proxy = Proxy::start(&place.config.endpoints[0]).await;
    let other = place.node().await;
    let behind = place.behind(proxy.endpoint());
    let node = place.node_in(TempDir::new().unwrap(), &behind).await.unwrap().follow().await;

    proxy.stall();
    other.save(None).await.unwrap();
    node.wait_for_state(|state| matches!(state, EtcdState::Away(_))).await;
    proxy.mend();

    node.wait_for_generation(1).await;
}

#[tokio::test]
async fn what_etcd_has_compacted_meanwhile_is_not_missed() {
    let place = Place::new();
    let proxy = Proxy::start(&place.config.endpoints[0]).await;
    let behind = place.behind(proxy.endpoint());
    let node = place.node_in(TempDir::new().unwrap(), &behind).await.unwrap().follow().await;
    let (other, mut administrator) = (place.node().await, place.administrator().await);

    proxy.cut();
    node.wait_for_state(|state| matches!(state, EtcdState::Away(_))).await;
    other.save(None).await.unwrap();
    other.save(None).await.unwrap();
    let got = administrator.get(place.smtp_key(), None).await.unwrap();
    let revision = got.header().unwrap().revision();
    // Other tests compact as well, and a revision can be compacted once.
    drop(administrator.compact(revision, None).await);
    proxy.mend();

    node.wait_for_generation(2).await;
}

#[tokio::test]
async fn what_vanishes_from_etcd_is_kept_and_saved_anew() {
    let place = Place::new();
    let (node, mut administrator) = (place.following_node().await, place.administrator().await);
    node.save(None).await.unwrap();

    administrator.delete(place.smtp_key(), None).await.unwrap();
    // The watch tells changes in their order: when this one is there, so is the one before.
    let other = place.node().await;
    let saved = other.cluster.save_document(
        SettingsDocument::Alarms,
        "x".to_owned().into(),
        change(),
        None,
    );
    saved.await.unwrap();
    let mut alarms = node.cluster.document(SettingsDocument::Alarms);
    timeout(SOON, alarms.wait_for(Option::is_some)).await.unwrap().unwrap();

    assert_eq!(node.generation(), 1);
    assert_eq!(node.save(Some("g1")).await.unwrap(), 2);
    let got = administrator.get(place.smtp_key(), None).await.unwrap();
    assert_eq!(got.kvs().len(), 1);
}

#[tokio::test]
async fn a_node_with_another_key_file_does_not_start_and_says_so() {
    let place = Place::new();
    place.node().await.save(None).await.unwrap();
    let mut stranger = Place::with_keys(keyring(&[("other", 9)]));
    stranger.config.clone_from(&place.config);

    let refused = stranger.node_in(TempDir::new().unwrap(), &place.config).await.err().unwrap();

    let told = Chain(&refused).to_string();
    assert!(told.contains("the settings `smtp` in etcd cannot be opened"), "{told}");
    assert!(told.contains("nodes of one cluster share the key file"), "{told}");
}

#[tokio::test]
async fn a_reseal_reaches_the_disk_of_every_node_and_wakes_nobody() {
    let place = Place::with_keys(keyring(&[("old", 1)]));
    let (node, other) = (place.node().await, place.following_node().await);
    node.save(None).await.unwrap();
    other.wait_for_generation(1).await;
    let woken = other.cluster.smtp();
    place.keys.replace(keyring(&[("new", 2), ("old", 1)]));

    assert_eq!(node.cluster.reseal_documents().await.unwrap(), ["smtp"]);

    let kept = other.folder.path().join(LAST_GOOD_FOLDER).join("smtp.json");
    let is_new = async {
        while !std::fs::read_to_string(&kept).unwrap().contains("\"key_id\": \"new\"") {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, is_new).await.expect("it is there soon");
    assert!(!woken.has_changed().unwrap());
    assert_eq!(other.save(Some("g1")).await.unwrap(), 2, "and it knows what to compare with");
}

#[tokio::test]
async fn a_node_that_was_down_while_keys_were_rotated_needs_the_old_one_only_without_etcd() {
    let place = Place::with_keys(keyring(&[("old", 1)]));
    let (node, down) = (place.node().await, place.following_node().await);
    node.save(None).await.unwrap();
    down.wait_for_generation(1).await;
    let folder = down.stop();
    place.keys.replace(keyring(&[("new", 2), ("old", 1)]));
    node.cluster.reseal_documents().await.unwrap();
    place.keys.replace(keyring(&[("new", 2)]));
    let nowhere = place.behind("https://localhost:1".to_owned());

    let refused = EtcdCluster::open(&nowhere, folder.path(), Arc::clone(&place.keys), STORE).await;
    let told = Chain(&refused.err().unwrap()).to_string();
    assert!(told.contains("encrypted with key `old`"), "{told}");
    let started = place.node_in(folder, &place.config).await.unwrap();

    assert_eq!(started.generation(), 1);
}

#[tokio::test]
async fn a_reseal_without_etcd_fails_and_changes_nothing() {
    let place = Place::with_keys(keyring(&[("old", 1)]));
    let node = place.node().await;
    node.save(None).await.unwrap();
    let nowhere = place.behind("https://localhost:1".to_owned());
    let node = place.node_in(node.stop(), &nowhere).await.unwrap();
    place.keys.replace(keyring(&[("new", 2), ("old", 1)]));

    let refused = node.cluster.reseal_documents().await.unwrap_err();

    assert!(matches!(refused, SaveError::Store(_)), "{refused:?}");
    assert_eq!(node.cluster.sealed_documents()[0].key_id, "old");
}

#[tokio::test]
async fn what_cannot_be_opened_changes_nothing_and_is_not_overwritten() {
    let place = Place::new();
    let (node, mut administrator) = (place.node().await, place.administrator().await);
    node.save(None).await.unwrap();

    administrator.put(place.smtp_key(), "nonsense", None).await.unwrap();
    let node = node.follow().await;

    assert_eq!(node.generation(), 1);
    let refused = node.save(None).await.unwrap_err();
    assert!(matches!(refused, SaveError::Store(_)), "{refused:?}");
    let got = administrator.get(place.smtp_key(), None).await.unwrap();
    assert_eq!(got.kvs()[0].value(), b"nonsense");
}

#[tokio::test]
async fn nodes_of_another_store_do_not_settle_in_the_same_place() {
    let place = Place::new();
    let reader = config("PSN", place.config.prefix.clone());
    let open = async |store: &str, config: &EtcdConfig| {
        place.node_of(store, TempDir::new().unwrap(), config).await
    };
    open("two", &reader).await.expect("it may not write, and nothing is noted");
    open("one", &place.config).await.expect("it is the first");
    let node = open("one", &place.config).await.expect("it has the same store");
    node.save(None).await.unwrap();

    for other in [&place.config, &reader] {
        let (folder, keys) = (TempDir::new().unwrap(), Arc::clone(&place.keys));
        let refused = EtcdCluster::open(other, folder.path(), keys, "two").await;
        let refused = refused.err().unwrap().to_string();
        for part in [&place.config.prefix, "`one`", "`two`", "etcd.prefix"] {
            assert!(refused.contains(part), "{refused}");
        }
        let kept = folder.path().join(LAST_GOOD_FOLDER).join("smtp.json");
        assert!(!kept.exists(), "it has kept the settings of others");
    }
    let nobody = place.behind("https://127.0.0.1:1".to_owned());
    open("two", &nobody).await.expect("etcd does not answer");
}

#[tokio::test]
async fn a_user_who_may_only_read_is_told_what_is_missing() {
    let place = Place::new();
    place.node().await.save(None).await.unwrap();
    let reader = config("PSN", place.config.prefix.clone());
    let node = place.node_in(TempDir::new().unwrap(), &reader).await.unwrap().follow().await;

    let refused = node.save(None).await.unwrap_err();

    assert_eq!(node.generation(), 1);
    let told = Chain(&refused).to_string();
    assert!(told.contains("needs the right to write"), "{told}");
    assert!(told.contains(&place.config.prefix), "{told}");
}

/// What a node says that asks etcd so.
async fn trouble(place: &Place, change: impl FnOnce(&mut EtcdConfig)) -> String {
    let mut config = place.config.clone();
    change(&mut config);
    let store = EtcdStore::new(&config).await;
    let listed = match store {
        Ok(store) => store.list().await.map(drop),
        Err(problem) => Err(problem),
    };
    Chain(&listed.unwrap_err()).to_string()
}

#[tokio::test]
async fn wrong_certificates_are_told_with_what_to_do() {
    let place = Place::new();
    let key = place.config.identity.clone().unwrap().key_file;

    let told = trouble(&place, |config| config.ca_file = None).await;
    assert!(told.contains("is not trusted") && told.contains("etcd.ca_file"), "{told}");
    let told = trouble(&place, |config| config.ca_file = Some(key.clone())).await;
    assert!(told.ends_with("holds no certificate in PEM"), "{told}");
    let told = trouble(&place, |config| config.identity = None).await;
    assert!(told.contains("etcd.cert_file"), "{told}");
    let told = trouble(&place, |config| config.prefix = "/other/".to_owned()).await;
    assert!(told.contains("needs the right to read `/other/settings/`"), "{told}");
    let told = trouble(&place, |config| config.endpoints = vec!["https://localhost:1".to_owned()]);
    let told = told.await;
    assert!(told.starts_with("etcd cannot be reached: ") && told.contains("refused"), "{told}");
}

#[tokio::test]
async fn nothing_in_etcd_or_on_disk_is_readable_without_the_key() {
    let place = Place::new();
    let (node, mut administrator) = (place.node().await, place.administrator().await);
    for settings in all_shapes() {
        node.cluster.save_smtp(settings.clone(), change(), None).await.unwrap();

        let options = Some(GetOptions::new().with_prefix());
        let got = administrator.get(place.config.prefix.as_str(), options).await.unwrap();
        let kept = node.folder.path().join(LAST_GOOD_FOLDER).join("smtp.json");
        let mut texts = vec![std::fs::read_to_string(kept).unwrap()];
        texts.extend(got.kvs().iter().map(|kv| kv.value_str().unwrap().to_owned()));

        // The document here and there, and whose it is.
        assert_eq!(texts.len(), 3);
        for hidden in ["shape-secret", "relay-user", "PRIVATE KEY", settings.host.as_str()] {
            assert!(texts.iter().all(|text| !text.contains(hidden)), "`{hidden}` is readable");
        }
    }
    let all = Some(DeleteOptions::new().with_prefix());
    administrator.delete(place.config.prefix.as_str(), all).await.unwrap();
}
