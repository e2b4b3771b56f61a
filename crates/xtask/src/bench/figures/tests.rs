use super::*;

#[test]
fn numbers_are_found_by_their_whole_key() {
    let json = "{\n  \"accept_s\": 1.5,\n  \"mode\": \"drain\", \"s\": 7,\"last\":0.25}";
    let check = |key: &str, value| {
        assert_eq!(number(json, key).expect("it is there").to_string(), value, "{key}");
    };
    check("accept_s", "1.5");
    check("s", "7");
    check("last", "0.25");
    assert!(number(json, "mode").is_err());
    assert!(number(json, "none").is_err());
}

#[test]
fn of_several_runs_the_one_in_the_middle_counts() {
    let mut figures = Figures::default();
    for json in ["{\"a\": 3}", "{\"a\": 1}", "{\"a\": 200}"] {
        figures.put_all("part", json);
    }
    assert_eq!(figures.median("part.a"), Some(3.0));
    assert_eq!((figures.lowest("part.a"), figures.highest("part.a")), (Some(1.0), Some(200.0)));
    assert_eq!(figures.median("part.b"), None);
}
