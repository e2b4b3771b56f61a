use super::*;

/// Feeds a message in pieces of `step` bytes, as `dotted` sees it come.
fn end_in_steps(input: &[u8], step: usize) -> Option<usize> {
    let mut scanned = 0;
    (1..=input.len()).filter(|here| here % step == 0 || *here == input.len()).find_map(|here| {
        let end = find_end(&input[..here], scanned, true);
        scanned = here;
        end
    })
}

fn check_end(input: &str, expected: Option<usize>) {
    for step in [1, 2, 3, 5, 100] {
        assert_eq!(end_in_steps(input.as_bytes(), step), expected, "{input:?} in steps of {step}");
    }
}

#[test]
fn only_a_dot_between_two_crlf_ends_a_message() {
    check_end("hello\r\n.\r\n", Some(10));
    check_end(".\r\n", Some(3));
    check_end("a\r\n.\r\nQUIT\r\n", Some(6));
    check_end("hello\n.\r\n", None);
    check_end("hello\r\n.\n", None);
    check_end("hello\r.\r\n", None);
    check_end("\n.\r\nx\r\n..\r\n", None);
    check_end("hello.\r\n", None);
}

fn check_unstuff(raw: &str, data: &str, bare_lf: bool) {
    let body = unstuff(raw.as_bytes().into());
    assert_eq!(
        (std::str::from_utf8(&body.data).unwrap(), body.bare_lf),
        (data, bare_lf),
        "{raw:?}"
    );
}

#[test]
fn one_dot_is_taken_from_the_front_of_each_line() {
    check_unstuff("..\r\n...\r\na.\r\n", ".\r\n..\r\na.\r\n", false);
    check_unstuff("a\n.b\r\n", "a\n.b\r\n", true);
    check_unstuff("\na\r\n", "\na\r\n", true);
    check_unstuff("", "", false);
}

#[test]
fn a_line_has_1000_bytes_at_most() {
    let line = |length: usize| format!("{}\r\n", "x".repeat(length - 2));
    assert!(!unstuff(line(1000).as_bytes().into()).long_line);
    assert!(unstuff(line(1001).as_bytes().into()).long_line);
}

#[test]
fn a_bare_lf_in_chunks_is_found() {
    assert!(!has_bare_lf(b"a\r\nb\r\n"));
    assert!(has_bare_lf(b"a\nb"));
    assert!(has_bare_lf(b"\n"));
}
