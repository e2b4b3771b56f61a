use nuncio_cluster::embedded::{EmbeddedCluster, load_keys};
use tempfile::TempDir;

use super::*;

#[tokio::test]
async fn of_two_first_saves_at_once_the_later_is_refused() {
    let folder = TempDir::new().unwrap();
    let keys = load_keys(folder.path(), None).unwrap();
    let rules = Rules::new(Arc::new(EmbeddedCluster::open(folder.path(), keys).unwrap()));
    let (seen_by_one, seen_by_other) = (rules.current(), rules.current());
    let mut wanted = AlarmRules::default();
    wanted.settings.is_enabled = false;
    let now = Timestamp::UNIX_EPOCH;

    let saved = rules.save(&wanted, &seen_by_one, "one", String::new(), now).await.unwrap();
    let late = AlarmRules::default();
    let refused = rules.save(&late, &seen_by_other, "other", String::new(), now).await;

    assert_eq!(saved.etag(), "g1");
    assert!(matches!(refused, Err(SaveError::EtagMismatch { .. })), "{refused:?}");
    assert!(!rules.current().rules.settings.is_enabled, "the first save stands");
}
