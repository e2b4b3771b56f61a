use super::*;

const ENGLISH: Script<'_> = Script { locale: "en", is_right_to_left: false };
const ARABIC: Script<'_> = Script { locale: "ar", is_right_to_left: true };

fn value(text: &str) -> String {
    marked(Mark::Text, text)
}

#[test]
fn a_field_without_a_value_is_left_out() {
    let marked = format!("Hello\n\nA: {}\nB: {}\n\nEnd", value(""), value("x"));

    assert_eq!(text(&marked, ENGLISH), "Hello\n\nB: x\n\nEnd\n");
    assert!(!html(&marked, "t", ENGLISH).contains(">A<"));
}

#[test]
fn a_paragraph_without_a_value_is_left_out_with_its_gap() {
    let marked = format!("a\n\n{}\n\nb\n\nC: {}\n\n\n", value(""), value(" "));

    assert_eq!(text(&marked, ENGLISH), "a\n\nb\n");
}

#[test]
fn fields_are_a_table_and_links_are_buttons() {
    let link = marked(Mark::Url, "https://example.com/?a=1&b=2");
    let marked = format!("User : {}\n名前：{}\nApprove: {link}\n", value("<x>"), value("y"));

    let page = html(&marked, "Title & more", ENGLISH);

    assert!(page.contains(">User</th>") && page.contains("<bdi>&lt;x&gt;</bdi></td>"), "{page}");
    assert!(page.contains(">名前</th>"), "{page}");
    assert!(page.contains("<a href=\"https://example.com/?a=1&amp;b=2\" style"), "{page}");
    assert!(page.contains(">Approve</a>"), "{page}");
    assert!(page.contains("<title>Title &amp; more</title>"), "{page}");
}

#[test]
fn lines_of_a_value_stay_lines() {
    let marked = format!("{}\nafter", value("a\nb: c"));

    assert_eq!(text(&marked, ENGLISH), "a\nb: c\nafter\n");
    assert!(html(&marked, "t", ENGLISH).contains("<p><bdi>a<br>\nb: c</bdi><br>\nafter</p>"));
}

#[test]
fn a_value_in_a_text_from_right_to_left_is_isolated() {
    let marked =
        format!("اسم المستخدم: {}\n{}", marked(Mark::Credential, "jdoe01!"), value("a\nb"));

    let plain = text(&marked, ARABIC);
    let page = html(&marked, "t", ARABIC);

    assert_eq!(
        plain,
        "اسم المستخدم: \u{2068}jdoe01!\u{2069}\n\u{2068}a\u{2069}\n\u{2068}b\u{2069}\n"
    );
    assert!(page.contains("<html lang=\"ar\" dir=\"rtl\">"), "{page}");
    assert!(page.contains("<bdi><code>jdoe01!</code></bdi>"), "{page}");
}

#[test]
fn a_subject_is_one_line_and_not_too_long() {
    let marked = format!("[{}]\r\n  x", value("a\r\nBcc: b"));

    assert_eq!(subject(&marked, ENGLISH), "[a Bcc: b] x");
    let long = subject(&value(&"ü".repeat(2000)), ENGLISH);
    assert_eq!(long.chars().count(), SUBJECT_CHARS_MAX);
    assert!(long.ends_with('…'));
}

#[test]
fn marks_without_their_partner_break_nothing() {
    for broken in
        ["\u{FDD0}", "\u{FDDF}", "a\u{FDD1}b\nc", "\u{FDEF}x", "\u{FDD0}\u{FDD0}x\u{FDDF}\u{FDDF}"]
    {
        let made = text(broken, ARABIC) + &html(broken, "", ARABIC) + &subject(broken, ARABIC);
        assert!(!made.contains('\u{FDDF}'), "{broken:?}");
    }
}
