use serde_json::json;

use super::*;

#[track_caller]
fn check(before: &Value, after: &Value, expect: &[&str]) {
    assert_eq!(differences(Some(before), after), expect);
}

#[test]
fn fields_that_differ_are_named_with_their_path() {
    let before = json!({ "host": "a", "port": 587, "oauth": { "scope": "s" } });
    check(&before, &before, &[]);
    let after = json!({ "host": "b", "port": 587, "oauth": { "scope": "t" }, "proxy": {} });
    check(&before, &after, &["host", "oauth.scope", "proxy"]);
}

#[test]
fn entries_of_lists_are_named_and_what_only_the_node_has_stays() {
    let before = json!([{ "name": "r/a", "timeout": "1s" }, { "name": "r/b" }]);
    let after = json!([{ "name": "r/c" }, { "name": "r/a", "timeout": "2s" }]);
    check(&before, &after, &["r/c (new)", "r/a.timeout"]);
}

#[test]
fn a_part_that_the_node_has_not_is_new() {
    assert_eq!(differences(None, &json!({ "host": "a" })), ["(new)"]);
    assert_eq!(differences(None, &json!([])), [""; 0]);
}
