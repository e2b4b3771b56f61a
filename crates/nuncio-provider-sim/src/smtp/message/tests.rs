use super::*;

fn check(header: &str, from: Option<&str>, id: Option<&str>) {
    let data = format!("Received: x\r\n{header}\r\nSubject: y\r\n\r\nFrom: body@b.example\r\n");
    assert_eq!(from_address(data.as_bytes()).as_deref(), from, "{header}");
    assert_eq!(message_id(data.as_bytes()).as_deref(), id, "{header}");
}

#[test]
fn from_and_message_id_are_found() {
    check("From: a@b.example\r\nMessage-ID: <1@b>", Some("a@b.example"), Some("1@b"));
    check("FROM: Guest Portal <a@b.example>\r\nmessage-id:<1@b>", Some("a@b.example"), Some("1@b"));
    check("From: \"x <y@z>\" <a@b.example>", Some("a@b.example"), None);
    check(
        "From: =?utf-8?q?Portal?=\r\n <a@b.example>\r\nMessage-ID:\r\n\t<1@b>",
        Some("a@b.example"),
        Some("1@b"),
    );
}

#[test]
fn what_is_no_address_is_not_found() {
    check("From: nobody", None, None);
    check("From: <a@b.example", None, None);
    check("X-From: a@b.example", None, None);
    check("From:", None, None);
}
