use super::*;

#[test]
fn numbers_are_found_by_their_whole_key() {
    let json = "{\n  \"accept_s\": 1.5,\n  \"s\": 7,\"last\":0.25}";
    let check = |key: &str, value| {
        assert_eq!(number(json, key).expect("it is there").to_string(), value, "{key}");
    };
    check("accept_s", "1.5");
    check("s", "7");
    check("last", "0.25");
    assert!(number(json, "none").is_err());
}

#[test]
fn the_table_compares_medians_the_better_way_round() {
    let mut figures = Figures::default();
    for (peer, own) in [(100.0, 900.0), (50.0, 700.0), (1_000.0, 800.0)] {
        figures.peer("accept_per_s", peer);
        figures.nuncio("accept_per_s", own);
    }
    figures.peer("cpu_ms_per_mail", 4.0);
    figures.nuncio("cpu_ms_per_mail", 0.5);
    let table = figures.table();
    assert!(
        table.contains("| accept, durable, a second | 100 | 800 | 8.0 × | 10.0 × |"),
        "{table}"
    );
    assert!(
        table.contains("| CPU a mail, end to end, ms | 4.00 | 0.50 | 8.0 × | 12.0 × |"),
        "{table}"
    );
    assert!(table.contains("| drain a full queue, a second | – | – | – | 8.0 × |"), "{table}");
}
