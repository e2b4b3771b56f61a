use super::*;
use crate::testing::member;

/// A node with these keys, the first of its file, and those that it writes with.
fn node(name: &str, keys: &[&str], first: &str, writing: &[&str]) -> Member {
    let all = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    let report = NodeReport {
        keys: all(keys),
        first_key: first.to_owned(),
        writing_keys: all(writing),
        ..NodeReport::default()
    };
    member(name, Life::Live, report)
}

#[test]
fn a_key_is_shared_when_all_live_nodes_write_with_it_alone() {
    let rotated = || node("a", &["new", "old"], "new", &["new"]);
    let unreadable = |name: &str| Err(NotShared::Unreadable(vec![name.to_owned()]));
    let differs = |name: &str| Err(NotShared::Differs(vec![name.to_owned()]));
    for (other, expected) in [
        (node("b", &["new"], "new", &["new"]), Ok(())),
        (node("b", &["old"], "old", &["old"]), unreadable("b")),
        (node("b", &["old", "new"], "old", &["old"]), differs("b")),
        (node("b", &["new", "old"], "new", &["old"]), differs("b")),
        (node("b", &["new", "old"], "new", &["new", "old"]), differs("b")),
        (node("b", &["new", "old"], "old", &["new"]), differs("b")),
        (Member { report: None, ..rotated() }, unreadable("a")),
        (Member { life: Life::Dead, ..node("b", &["old"], "old", &["old"]) }, Ok(())),
    ] {
        let told = format!("{other:?}");
        assert_eq!(check_shared(&[rotated(), other], "new"), expected, "{told}");
    }
}
