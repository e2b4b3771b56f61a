use super::*;

/// `text` has the marks, `expected` what is said about line 1.
fn check(text: &str, expected: &[&str]) {
    let expected: Vec<_> =
        expected.iter().map(|complaint| format!("a.rs:1: {complaint}")).collect();
    assert_eq!(violations("a.rs", text), expected);
}

#[test]
fn messages_begin_in_lower_case_and_have_no_full_stop() {
    check(
        r#"info!(job = %id, "Mail sent.");"#,
        &["`Mail sent.` begins with a capital letter", "`Mail sent.` ends with a full stop"],
    );
    check(r#"info!(job = %id, "mail sent");"#, &[]);
    check(
        r#"#[error("Template `{template}` does not exist")]"#,
        &["`Template `{template}` does not exist` begins with a capital letter"],
    );
}

#[test]
fn names_that_are_written_with_capitals_stay() {
    check(r#"warn!("STARTTLS was refused");"#, &[]);
    check(r#"warn!("OAuth server does not answer");"#, &[]);
    check(r#"warn!("waiting ..");"#, &[]);
}

#[test]
fn values_of_fields_are_no_messages() {
    check(r#"info!(kind = "Big", "mail sent");"#, &[]);
    check(r#"info!(kind = "Big");"#, &[]);
}

#[test]
fn a_message_may_stand_on_a_line_of_its_own() {
    check(
        "error!(\n    job = %id,\n    \"Mail lost\",\n);",
        &["`Mail lost` begins with a capital letter"],
    );
}

#[test]
fn a_message_may_go_on_over_lines() {
    check(
        "warn!(\n    \"mail lost, \\\n     and found.\",\n);",
        &["`mail lost, and found.` ends with a full stop"],
    );
}

#[test]
fn the_source_is_not_repeated() {
    check(
        "#[error(\"store failed: {0}\")]\nStore(#[source] StoreError),",
        &["`store failed: {0}` repeats its source"],
    );
    check(
        "#[error(\"store failed: {source}\")]\nStore {\n source: E,\n},",
        &["`store failed: {source}` repeats its source"],
    );
    check("#[error(\"store failed\")]\nStore(#[source] StoreError),", &[]);
    check(
        "#[error(\"no job `{0}`\")]\nNoJob(JobId),\n#[error(\"store failed\")]\nStore(#[source] E),",
        &[],
    );
}

#[test]
fn comments_and_other_macros_do_not_count() {
    check(r#"// info!("Mail")"#, &[]);
    check(r#"my_error!("Mail.")"#, &[]);
}
