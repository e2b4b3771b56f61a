use super::*;

const SOURCE: &str = r#"
fn f() {
    // info!("not this one");
    let span = info_span!(
        "job.attempt",
        otel.kind = "consumer",
        job.name = %id, // with a comment, (half open
        settings.generation = saved.map(|it| it.generation),
    );
    warn!(%mailbox, job.r#type = kind, "waits for {} of {all}: {}", count(), Chain(&error));
    error!(
        "a long message \
         goes on"
    );
    debug!("nobody reads this");
    trace::note(&span, "smtp.reply", &[]);
}
"#;

const PAGE_TEXT: &str = "
## Metrics

| metric | type |
|---|---|
| `nuncio_up` | gauge |

## Spans

| span | kind | attributes | meaning |
|---|---|---|---|
| `job.attempt` | consumer | `job.name`, `settings.generation` | one |

### Events of spans

| event | meaning |
|---|---|
| `smtp.reply` | one |

## Log events

### smtp

| level | message | fields | what to do |
|---|---|---|---|
| error | `a long message goes on` |  | report it |
| warn | `waits for … of …: …` | `job.type`, `mailbox` | wait |

## Alerts

| alert | meaning |
|---|---|
| `Down` | it is down |
";

const RULES_TEXT: &str = "
- alert: Down
  expr: nuncio_up == 0 # not nuncio_other
";

/// Checks what is found with this page, source and rules.
fn check(page: &str, source: &str, rules: &str, expected: &[&str]) {
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        bytes: 0,
        text: Some(text.to_owned()),
    };
    let files = [
        file(PAGE, page),
        file("crates/nuncio-smtp/src/transport.rs", source),
        file("crates/nuncio-smtp/src/transport/tests.rs", "info!(\"only in a test\");"),
        file("crates/nuncio-cli/src/main.rs", "info!(\"no node\");"),
        file(RULES, rules),
    ];

    let found = violations(&files);

    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (one, part) in found.iter().zip(expected) {
        assert!(one.contains(part), "no `{part}` in `{one}`");
    }
}

#[test]
fn a_page_that_tells_all_is_right() {
    check(PAGE_TEXT, SOURCE, RULES_TEXT, &[]);
}

#[test]
fn what_the_page_does_not_have_is_told_with_its_place() {
    let more = "\nfn g() {\n    info!(node = name, \"node `{name}` is there\");\n}\n";
    let expected = "transport.rs:20: the log event of `smtp`, info `node `…` is there`, is not in \
                    docs/OBSERVABILITY.md: add a row with its meaning and `node`";
    check(PAGE_TEXT, &format!("{SOURCE}{more}"), RULES_TEXT, &[expected]);
    let page = PAGE_TEXT.replace("| `job.attempt`", "| `job.other`");
    check(
        &page,
        SOURCE,
        RULES_TEXT,
        &["the span `job.attempt` is not in", "`job.other` is nowhere in the code: remove the row"],
    );
}

#[test]
fn a_row_with_other_fields_is_wrong() {
    let page = PAGE_TEXT.replace("`job.type`, `mailbox`", "`mailbox`");
    let expected = "has `job.type`, `mailbox`, but docs/OBSERVABILITY.md:27 says `mailbox`";
    check(&page, SOURCE, RULES_TEXT, &[expected]);
}

#[test]
fn alerts_are_listed_and_ask_for_metrics_that_are_there() {
    let rules = RULES_TEXT.replace("Down", "Gone").replace("nuncio_up ", "nuncio_ups ");
    check(
        PAGE_TEXT,
        SOURCE,
        &rules,
        &["the alert `Gone` is not in", "`Down` is nowhere", "has no metric `nuncio_ups`"],
    );
}
