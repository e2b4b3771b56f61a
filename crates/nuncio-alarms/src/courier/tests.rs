use std::sync::Mutex;

use async_trait::async_trait;
use nuncio_cluster::embedded::{EmbeddedCluster, load_keys};
use nuncio_core::alarm::route::{RouteTarget, SyslogTransport};
use nuncio_core::settings::document::DocumentChange;
use nuncio_runtime::clock::{TestClock, TestEntropy};
use nuncio_store::memory::MemoryJobStore;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::routes::{SavedRoutes, save};

const PATIENCE: Duration = Duration::from_hours(48);

/// Receivers, some of them in trouble.
#[derive(Default)]
struct Receivers {
    /// By route: what it says.
    trouble: Mutex<BTreeMap<String, RouteFailure>>,
    /// Route and message of each delivery.
    taken: watch::Sender<Vec<(String, String)>>,
    tries: watch::Sender<u32>,
}

#[async_trait]
impl RouteSender for Receivers {
    async fn send(&self, route: &Route, message: &RouteMessage) -> Result<String, RouteFailure> {
        self.tries.send_modify(|tries| *tries += 1);
        if let Some(failure) = self.trouble.lock().unwrap().get(&route.id) {
            return Err(failure.clone());
        }
        self.taken.send_modify(|taken| taken.push((route.id.clone(), message.id.clone())));
        Ok("taken".to_owned())
    }
}

struct Fixture {
    courier: Courier,
    receivers: Arc<Receivers>,
    running: JoinSet<Result<(), Infallible>>,
    _folder: TempDir,
}

async fn fixture(ids: &[&str]) -> Fixture {
    let folder = TempDir::new().unwrap();
    let keys = load_keys(folder.path(), None).unwrap();
    let settings: Arc<dyn SettingsShare> =
        Arc::new(EmbeddedCluster::open(folder.path(), keys).unwrap());
    let clock = TestClock::starting_at("2026-11-24T03:00:00Z".parse().unwrap());
    let routes = ids.iter().map(|id| Route {
        id: (*id).to_owned(),
        enabled: true,
        target: RouteTarget::Syslog {
            host: "h".into(),
            port: 514,
            transport: SyslogTransport::Udp,
        },
        timeout: Duration::from_secs(1),
        ca_certificates_pem: String::new(),
    });
    let routes = SavedRoutes { routes: routes.collect(), etag: String::new() };
    let change =
        DocumentChange { caller: "test".to_owned(), at: clock.now(), summary: String::new() };
    save(&settings, routes, change).await.unwrap();
    let receivers = Arc::new(Receivers::default());
    let store: Arc<MemoryJobStore> = Arc::default();
    let courier = Courier {
        records: store,
        settings,
        sender: Arc::<Receivers>::clone(&receivers),
        clock: Arc::new(clock),
        entropy: Arc::new(TestEntropy::default()),
    };
    Fixture { courier, receivers, running: JoinSet::new(), _folder: folder }
}

impl Fixture {
    fn start(&mut self) {
        self.running.spawn(self.courier.clone().run(CancellationToken::new()));
    }

    /// Writes a notice as the MnT does.
    async fn notice(&self, id: &str) {
        let now = self.courier.clock.now();
        let content = format!(
            r#"{{"kind":"raised","type":"mailbox-closed","node":"psn-1","labels":{{"mailbox":"a@b.example"}},
            "alarm":"f00","display_name":"Mailbox closed","severity":"critical","description":"it is closed",
            "details":"","suggested_action":"look","count":1,"raised":"{now}","resolved":null,"attempts":0}}"#
        );
        let key = RecordKey::new(ALARM_NOTICE, id);
        let write =
            Write::Put { key, expected: Expected::Any, owner: None, due_at: Some(now), content };
        let changes = Changeset { writes: vec![write], ..Changeset::new(now) };
        self.courier.records.commit(changes).await.unwrap();
    }

    async fn taken(&self, count: usize) -> Vec<(String, String)> {
        let mut taken = self.receivers.taken.subscribe();
        let waited = taken.wait_for(|taken| count <= taken.len());
        timeout(PATIENCE, waited).await.expect("so many are told").unwrap().clone()
    }

    async fn tried(&self, count: u32) {
        let mut tries = self.receivers.tries.subscribe();
        timeout(PATIENCE, tries.wait_for(|tries| count <= *tries)).await.expect("tried").unwrap();
    }

    fn trouble(&self, route: &str, failure: Option<RouteFailure>) {
        let mut trouble = self.receivers.trouble.lock().unwrap();
        match failure {
            Some(failure) => drop(trouble.insert(route.to_owned(), failure)),
            None => drop(trouble.remove(route)),
        }
    }
}

fn down() -> RouteFailure {
    RouteFailure {
        code: "REFUSED".to_owned(),
        message: "nobody there".to_owned(),
        retry_after: None,
        not_understood: false,
    }
}

#[tokio::test(start_paused = true)]
async fn each_route_is_told_and_one_in_trouble_holds_up_no_other() {
    let mut fixture = fixture(&["siem", "webhook"]).await;
    fixture.trouble("webhook", Some(down()));
    fixture.start();

    fixture.notice("n1").await;
    fixture.notice("n2").await;

    let first = fixture.taken(2).await;
    assert_eq!(first, [("siem".to_owned(), "n1".to_owned()), ("siem".to_owned(), "n2".to_owned())]);
    fixture.tried(6).await;
    fixture.trouble("webhook", None);
    let all = fixture.taken(4).await;
    let webhook: Vec<_> = all[2..].iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(webhook, ["n1", "n2"], "in their order");
    let attempts = fixture.courier.attempts("webhook").await.unwrap();
    assert!(attempts.iter().any(|one| one.failure.as_deref() == Some("REFUSED")), "{attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_survives_the_node_and_keeps_its_id() {
    let mut fixture = fixture(&["siem"]).await;
    fixture.trouble("siem", Some(down()));
    fixture.start();
    fixture.notice("n1").await;
    fixture.tried(2).await;

    fixture.running.abort_all();
    while fixture.running.join_next().await.is_some() {}
    fixture.trouble("siem", None);
    fixture.start();

    assert_eq!(fixture.taken(1).await, [("siem".to_owned(), "n1".to_owned())]);
    assert_eq!(fixture.courier.attempts("siem").await.unwrap()[0].failure, None);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_understood_lets_the_next_one_pass() {
    let mut fixture = fixture(&["webhook"]).await;
    fixture.trouble("webhook", Some(RouteFailure { not_understood: true, ..down() }));
    fixture.start();
    fixture.notice("n1").await;

    fixture.tried(3).await;
    fixture.trouble("webhook", None);
    fixture.notice("n2").await;

    let taken = fixture.taken(1).await;
    assert_eq!(taken, [("webhook".to_owned(), "n2".to_owned())]);
    let attempts = fixture.courier.attempts("webhook").await.unwrap();
    assert!(attempts.iter().any(|one| one.given_up), "{attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_of_the_mnt_itself_is_told_as_it_made_it() {
    let mut fixture = fixture(&["siem"]).await;
    fixture.start();
    let now = fixture.courier.clock.now();
    let content = format!(
        r#"{{"id":"mail-outage/1/1","kind":"mail.late","at":"{now}","severity":"critical","summary":"it waits",
        "fields":{{"mails":"2"}},"made_at":"{now}","tries":0}}"#
    );
    let key = RecordKey::new(ALARM_NOTICE, "mail-outage/1/1");
    let write =
        Write::Put { key, expected: Expected::Any, owner: None, due_at: Some(now), content };

    let changes = Changeset { writes: vec![write], ..Changeset::new(now) };
    fixture.courier.records.commit(changes).await.unwrap();

    assert_eq!(fixture.taken(1).await, [("siem".to_owned(), "mail-outage/1/1".to_owned())]);
    assert_eq!(fixture.courier.attempts("siem").await.unwrap()[0].kind, "mail.late");
}
