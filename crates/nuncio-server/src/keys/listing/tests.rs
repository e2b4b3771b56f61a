use nuncio_nodes::testing::member;

use super::*;

/// A node with these keys; it writes with the last one, and the first one is that of its file.
fn node(name: &str, keys: &[&str], settings: &str) -> Member {
    let report = NodeReport {
        keys: keys.iter().map(|id| (*id).to_owned()).collect(),
        first_key: keys[0].to_owned(),
        writing_keys: vec![keys[keys.len() - 1].to_owned()],
        settings_keys: vec![settings.to_owned()],
        ..NodeReport::default()
    };
    member(name, Life::Live, report)
}

fn known(members: Vec<Member>, noted: &[&str], settings: &str) -> Known {
    let sealed = SealedDocument { document: "smtp", key_id: settings.to_owned() };
    let noted = noted.iter().map(|id| (*id).to_owned()).collect();
    Known { members, noted, settings: vec![sealed] }
}

#[test]
fn a_new_key_that_one_node_cannot_read_waits() {
    let members = vec![node("a", &["new", "old"], "old"), node("b", &["old"], "old")];
    let sealed = BTreeMap::from([("old".to_owned(), (7, 1))]);

    let keys = known(members, &["old"], "old").keys(&sealed);

    let [new, old] = keys.as_slice() else { panic!("{keys:?}") };
    assert_eq!((new.key_id.as_str(), old.key_id.as_str()), ("new", "old"));
    assert_eq!(
        (new.readable_nodes.join(","), new.unreadable_nodes.join(",")),
        ("nodes/a".to_owned(), "nodes/b".to_owned())
    );
    assert_eq!((new.waiting_nodes.join(","), new.removable), ("nodes/a".to_owned(), false));
    assert_eq!(old.writing_nodes, ["nodes/a", "nodes/b"]);
    assert_eq!((old.mails, old.passwords, old.noted, old.removable), (7, 1, true, false));
    assert_eq!((old.settings.join(","), old.settings_nodes.len()), ("smtp".to_owned(), 2));
}

#[test]
fn a_key_can_be_removed_when_nothing_at_all_needs_it() {
    let rotated = || {
        let mut node = node("a", &["new"], "new");
        node.report.as_mut().unwrap().keys.push("old".to_owned());
        node
    };
    let removable = |known: Known, mails| {
        let sealed = BTreeMap::from([("old".to_owned(), mails)]);
        known.keys(&sealed).into_iter().find(|key| key.key_id == "old").unwrap().removable
    };
    assert!(removable(known(vec![rotated()], &["new"], "new"), (0, 0)));
    assert!(!removable(known(vec![rotated()], &["new", "old"], "new"), (0, 0)), "it is noted");
    assert!(!removable(known(vec![rotated()], &["new"], "old"), (0, 0)), "settings");
    assert!(!removable(known(vec![rotated()], &["new"], "new"), (1, 0)), "a mail");
    assert!(!removable(known(vec![rotated()], &["new"], "new"), (0, 1)), "a password");
    let disk = node("b", &["new"], "old");
    assert!(!removable(known(vec![rotated(), disk], &["new"], "new"), (0, 0)), "another disk");
    let writer = node("b", &["new", "old"], "new");
    assert!(!removable(known(vec![rotated(), writer], &["new"], "new"), (0, 0)), "a writer");
}
