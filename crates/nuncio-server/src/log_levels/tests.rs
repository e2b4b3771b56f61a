use std::path::Path;

use nuncio_cluster::embedded::{EmbeddedCluster, load_keys};
use nuncio_core::settings::document::SettingsDocument;
use nuncio_runtime::clock::TestClock;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::service::LogLevelApi;
use super::*;
use nuncio_api::convert::time::duration;
use nuncio_api::v1;
use nuncio_api::v1::log_level_service_server::LogLevelService as _;
use nuncio_core::ports::settings::SettingsShare as _;

const NOON: jiff::Timestamp = jiff::Timestamp::constant(1_800_000_000, 0);

/// A log with its levels, and who sets them.
struct Fixture {
    api: LogLevelApi,
    settings: Arc<EmbeddedCluster>,
    clock: Arc<TestClock>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = load_keys(folder.path(), None).unwrap();
        let settings = Arc::new(EmbeddedCluster::open(folder.path(), keys).unwrap());
        let clock = Arc::new(TestClock::starting_at(NOON));
        let api = LogLevelApi {
            settings: Arc::<EmbeddedCluster>::clone(&settings),
            clock: Arc::<TestClock>::clone(&clock),
        };
        Self { api, settings, clock, _folder: folder }
    }

    async fn set(
        &self,
        component: &str,
        severity: v1::LogSeverity,
        ttl_s: Option<u64>,
    ) -> Result<Vec<v1::LogLevel>, Status> {
        let request = v1::SetLogLevelRequest {
            component: component.to_owned(),
            severity: severity.into(),
            ttl: ttl_s.map(|seconds| duration(Duration::from_secs(seconds))),
        };
        let set = self.api.set_log_level(Request::new(request)).await?;
        Ok(set.into_inner().log_levels)
    }
}

#[tokio::test(start_paused = true)]
async fn a_component_logs_more_for_as_long_as_was_asked_and_then_as_configured() {
    let fixture = Fixture::new();
    let (layer, handle) = reload::Layer::new(filter("info"));
    let control = LogControl::new("info".to_owned(), handle.clone());
    let _subscriber = Registry::default().with(layer);
    let now = || handle.with_current(ToString::to_string).unwrap();
    let document = fixture.settings.document(SettingsDocument::LogLevels);
    let stop = CancellationToken::new();
    let clock = Arc::<TestClock>::clone(&fixture.clock);
    let following = control.follow(document, clock, stop.clone());
    let asking = async {
        fixture.set("smtp", v1::LogSeverity::Debug, Some(600)).await.unwrap();
        sleep(Duration::from_secs(599)).await;
        let before = now();
        sleep(Duration::from_secs(2)).await;
        stop.cancel();
        (before, now())
    };

    let ((), (before, after)) = tokio::join!(following, asking);

    assert_eq!((before.as_str(), after.as_str()), ("nuncio_smtp=debug,info", "info"));
}

#[tokio::test]
async fn a_level_lasts_an_hour_if_nothing_is_said_and_is_taken_back() {
    let fixture = Fixture::new();

    let set = fixture.set("delivery", v1::LogSeverity::Debug, None).await.unwrap();

    let [level] = set.as_slice() else { panic!("one is set: {set:?}") };
    let left = level.expire_time.unwrap().seconds - NOON.as_second();
    assert!((3600..3610).contains(&left), "{left} s");
    assert_eq!(fixture.set("delivery", v1::LogSeverity::Unspecified, None).await.unwrap(), []);
    let history = fixture.settings.document(SettingsDocument::LogLevels).borrow().clone();
    let summaries: Vec<_> =
        history.unwrap().history.iter().map(|change| change.summary.clone()).collect();
    assert_eq!(summaries, ["delivery: as configured", "delivery: debug"]);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let fixture = Fixture::new();

    let refused = fixture.set("hyper", v1::LogSeverity::Debug, Some(8 * 86_400)).await.unwrap_err();

    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = format!("{:?}", refused.get_error_details());
    for part in ["is no component; there are: alarms", "seven days at most"] {
        assert!(details.contains(part), "no `{part}` in {details}");
    }
}

#[test]
fn every_crate_that_logs_is_a_component() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let logs = |folder: &Path| {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.contains("\ntracing.workspace")
    };
    let mut logging: Vec<_> = std::fs::read_dir(crates)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|folder| logs(folder))
        .filter_map(|folder| {
            Some(folder.file_name()?.to_str()?.strip_prefix("nuncio-")?.to_owned())
        })
        .filter(|name| name != "provider-sim")
        .collect();
    logging.sort();

    let components = nuncio_core::settings::log_levels::Component::all();
    assert_eq!(components.map(|one| one.name().to_owned()).collect::<Vec<_>>(), logging);
}
