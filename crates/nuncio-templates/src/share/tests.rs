use std::pin::pin;

use nuncio_core::template::custom::Texts;
use nuncio_runtime::clock::TestClock;
use nuncio_store::memory::MemoryJobStore;

use super::*;

fn key(locale: &str) -> TextsKey {
    TextsKey { portal: "lobby".to_owned(), template: "alarm".to_owned(), locale: locale.to_owned() }
}

fn custom(subject: &str) -> CustomTexts {
    let texts = Texts { subject: subject.to_owned(), ..Texts::default() };
    CustomTexts { texts, is_default: false }
}

fn wanted(etag: Option<&str>, allow_missing: bool) -> Wanted {
    Wanted { etag: etag.map(str::to_owned), allow_missing, caller: "erika".to_owned() }
}

fn share(store: &Arc<MemoryJobStore>) -> TemplateShare {
    let clock = Arc::new(TestClock::starting_at(Timestamp::UNIX_EPOCH));
    TemplateShare::new(Arc::<MemoryJobStore>::clone(store), clock)
}

#[tokio::test]
async fn saved_texts_are_known_at_once_with_their_history() {
    let share = share(&Arc::default());

    let one = share.save(&key("de"), &custom("a"), wanted(None, true)).await.unwrap();
    let two = share.save(&key("de"), &custom("b"), wanted(Some("v1"), false)).await.unwrap();

    assert_eq!((one.etag().as_str(), two.etag().as_str()), ("v1", "v2"));
    assert_eq!(share.templates().borrow().custom()[&key("de")], custom("b"));
    assert_eq!(share.get(&key("de")).await.unwrap(), Some(two.clone()));
    let told: Vec<_> = two.history.iter().map(|one| one.summary.as_str()).collect();
    assert_eq!(told, ["subject", "created"]);
    assert!(two.history.iter().all(|one| one.caller == "erika"));
}

#[tokio::test]
async fn texts_that_were_changed_meanwhile_are_not_written() {
    let share = share(&Arc::default());
    share.save(&key("de"), &custom("a"), wanted(None, true)).await.unwrap();

    for (etag, locale) in [("v2", "de"), ("v1", "fr")] {
        let refused = share.save(&key(locale), &custom("b"), wanted(Some(etag), true)).await;
        assert!(matches!(refused, Err(WriteError::EtagMismatch { .. })), "{refused:?}");
        let refused = share.delete(&key(locale), wanted(Some(etag), true)).await;
        assert!(matches!(refused, Err(WriteError::EtagMismatch { .. })), "{refused:?}");
    }
    let refused = share.save(&key("fr"), &custom("b"), wanted(None, false)).await;
    assert!(matches!(refused, Err(WriteError::NotFound)), "{refused:?}");
    assert_eq!(share.templates().borrow().custom()[&key("de")], custom("a"));
}

#[tokio::test]
async fn deleted_texts_are_gone_but_not_their_history() {
    let share = share(&Arc::default());
    share.save(&key("de"), &custom("a"), wanted(None, true)).await.unwrap();

    share.delete(&key("de"), wanted(None, false)).await.unwrap();

    assert!(share.templates().borrow().custom().is_empty());
    let again = share.delete(&key("de"), wanted(None, false)).await;
    assert!(matches!(again, Err(WriteError::NotFound)), "{again:?}");
    let saved = share.save(&key("de"), &custom("b"), wanted(None, true)).await.unwrap();
    let told: Vec<_> = saved.history.iter().map(|one| one.summary.as_str()).collect();
    assert_eq!(told, ["created", "deleted", "created"]);
}

#[tokio::test]
async fn the_history_is_bounded() {
    let share = share(&Arc::default());
    for number in 0..HISTORY_MAX + 5 {
        let custom = custom(&number.to_string());
        share.save(&key("de"), &custom, wanted(None, true)).await.unwrap();
    }
    assert_eq!(share.get(&key("de")).await.unwrap().unwrap().history.len(), HISTORY_MAX);
}

#[tokio::test(start_paused = true)]
async fn two_nodes_on_one_store_see_each_others_changes() {
    let store = Arc::new(MemoryJobStore::default());
    let (one, two) = (share(&store), share(&store));
    let mut seen = two.templates();
    seen.mark_unchanged();
    let stop = CancellationToken::new();
    let mut running = pin!(two.run(stop.clone()));

    one.save(&key("de"), &custom("a"), wanted(None, true)).await.unwrap();

    tokio::select! {
        changed = seen.changed() => changed.unwrap(),
        end = &mut running => panic!("it ended: {end:?}"),
    }
    assert_eq!(seen.borrow().custom()[&key("de")], custom("a"));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_record_that_cannot_be_read_keeps_no_other_back() {
    let store = Arc::new(MemoryJobStore::default());
    let share = share(&store);
    share.save(&key("de"), &custom("a"), wanted(None, true)).await.unwrap();
    let mut changes = Changeset::new(Timestamp::UNIX_EPOCH);
    for id in ["no key", "lobby/alarm/fr"] {
        changes.writes.push(Write::Put {
            key: nuncio_core::ports::records::RecordKey::new(TEMPLATE, id),
            expected: Expected::Absent,
            owner: None,
            due_at: None,
            content: "{}".to_owned(),
        });
    }
    store.commit(changes).await.unwrap();

    share.refresh().await.unwrap();

    assert_eq!(share.templates().borrow().custom().len(), 1);
}
