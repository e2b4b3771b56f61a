use super::*;

fn check_mailbox(text: &str, expect: Option<(&str, &str)>) {
    let read = parse_mailbox(text).ok();
    let read = read.as_ref().map(|one| (one.display_name.as_str(), one.address.as_str()));
    assert_eq!(read, expect, "{text}");
}

#[test]
fn a_mailbox_is_an_address_with_or_without_a_name() {
    check_mailbox("a@example.com", Some(("", "a@example.com")));
    check_mailbox(" Erika M. <a@example.com> ", Some(("Erika M.", "a@example.com")));
    check_mailbox("\"Erika < M.\" <a@example.com>", Some(("Erika < M.", "a@example.com")));
    check_mailbox("<a@example.com>", Some(("", "a@example.com")));
    check_mailbox("Erika <a@example.com", None);
    // Whether it is an address is not decided here.
    check_mailbox("nobody", Some(("", "nobody")));
}

#[test]
fn a_pair_is_split_at_its_first_equals_sign() {
    assert_eq!(parse_pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
    assert_eq!(parse_pair("a="), Ok(("a".to_owned(), String::new())));
    assert!(parse_pair("=b").is_err());
    assert!(parse_pair("a").is_err());
    assert_eq!(parse_pair_file("k=/x"), Ok(("k".to_owned(), PathBuf::from("/x"))));
}

#[tokio::test]
async fn a_value_loses_line_ends_but_a_text_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, " hunter2 \r\n").unwrap();

    assert_eq!(read_value(&path).await.unwrap(), " hunter2 ");
    assert_eq!(read_text(&path).await.unwrap(), " hunter2 \r\n");
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge");
    // It has no blocks on the disk.
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();

    let failure = read(&path).await.unwrap_err();

    assert!(failure.to_string().contains("has more than 33554432 bytes"), "{failure}");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin1");
    std::fs::write(&path, b"M\xfcller").unwrap();

    assert!(read_text(&path).await.unwrap_err().to_string().ends_with("is no text in UTF-8"));
}
