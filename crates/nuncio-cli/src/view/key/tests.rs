use super::*;

fn key(change: impl FnOnce(&mut Key)) -> String {
    let all = || vec!["nodes/a".to_owned(), "nodes/b".to_owned()];
    let mut key = Key { key_id: "k".to_owned(), readable_nodes: all(), ..Key::default() };
    change(&mut key);
    let nodes = key.readable_nodes.len() + key.unreadable_nodes.len();
    format!("{:?}", next(&key, nodes))
}

#[test]
fn each_key_tells_what_is_next() {
    let a = || vec!["nodes/a".to_owned()];
    let b = || vec!["nodes/b".to_owned()];
    let check = |told: String, part: &str| assert!(told.contains(part), "{told}");

    check(key(|key| key.removable = true), "not used: put it first, or remove its line");
    let waiting = |key: &mut Key| {
        (key.readable_nodes, key.unreadable_nodes, key.waiting_nodes) = (a(), b(), a());
    };
    check(key(waiting), "give it to nodes/b");
    check(key(|key| key.waiting_nodes = a()), "nodes/a will write with it soon");
    check(key(|key| key.noted = true), "rotate");
    check(key(|key| key.settings = vec!["smtp".to_owned()]), "rotate");
    check(key(|key| key.settings_nodes = b()), "wait for nodes/b");
    check(key(|key| key.writing_nodes = a()), "give all nodes the same file");
    let all = |key: &mut Key| key.writing_nodes = key.readable_nodes.clone();
    check(key(all), "text: \"\"");
}

#[test]
fn nodes_are_named_where_it_is_not_all_of_them() {
    let names = ["nodes/a".to_owned(), "nodes/b".to_owned()];
    assert_eq!(some_of(&names, 2), "all 2");
    assert_eq!(some_of(&names[..1], 2), "nodes/a");
    assert_eq!(some_of(&[], 2), "-");
}
