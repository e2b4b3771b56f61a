use super::*;

fn figures(values: &[(&str, &str, f64)]) -> Figures {
    let mut figures = Figures::default();
    for (part, key, value) in values {
        figures.put(part, key, *value);
    }
    figures
}

#[test]
fn nuncio_is_compared_the_better_way_round() {
    let figures = figures(&[
        ("postfix", "accept_per_s", 100.0),
        ("accept", "accept_per_s", 800.0),
        ("postfix", "cpu_ms_per_mail", 6.0),
        ("all", "cpu_ms_per_mail", 0.5),
    ]);
    let page = page(&figures, &[("date", "today".to_owned())], 1);
    let holds = |text: &str| assert!(page.contains(text), "{text}\n{page}");
    holds("| date | today |");
    holds("| accept, durable, a second | 100 | 800 | 8.0 × | 10.0 × |");
    holds("- accept, durable, a second: 8.0 × Postfix in place of 10.0 ×");
    holds("| CPU a mail, end to end, ms | 6.00 | 0.50 | 12.0 × | 12.0 × |");
    holds("| drain a full queue, a second | – | – | – | 8.0 × |");
    assert!(!page.contains("- drain"), "what was not seen is not missed:\n{page}");
    assert!(!page.contains("A long queue"), "{page}");
}

#[test]
fn a_target_that_is_not_met_is_named() {
    let check = |values: &[(&str, &str, f64)], expect: &str| {
        let page = page(&figures(values), &[], 1);
        let (_, unmet) = page.split_once("not met\n\n").unwrap();
        assert_eq!(unmet.trim(), expect);
    };
    check(&[("idle", "idle_mib", 25.0)], "None.");
    check(&[("idle", "idle_mib", 26.0)], "- idle node, resident, MiB: 26.0 in place of ≤ 25");
    check(
        &[("single", "disk_p99_ms", 4.0), ("single", "single_sent_p99_ms", 9.5)],
        "- one mail, call to the provider's 250, p99: 9.5 ms in place of commit + 5 ms, which is 9.0 ms",
    );
    check(
        &[
            ("queue", "queue_accept_first_per_s", 1000.0),
            ("queue", "queue_accept_last_per_s", 700.0),
        ],
        "- accepting into a long queue: 70 % of the empty queue's rate in place of 80 %",
    );
}
