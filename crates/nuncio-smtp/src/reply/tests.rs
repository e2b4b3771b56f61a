use proptest::prelude::*;

use super::*;

fn parse(bytes: &[u8]) -> Result<Vec<Reply>, ReplyError> {
    let mut parser = ReplyParser::default();
    parser.feed(bytes);
    drain(&mut parser)
}

fn drain(parser: &mut ReplyParser) -> Result<Vec<Reply>, ReplyError> {
    std::iter::from_fn(|| parser.next_reply().transpose()).collect()
}

fn check(bytes: &str, expect: &str) {
    let replies = parse(bytes.as_bytes()).unwrap();
    let shown: Vec<String> =
        replies.into_iter().map(|reply| SmtpReply::from(reply).to_string()).collect();
    assert_eq!(shown.join("|"), expect, "{bytes:?}");
}

fn check_error(bytes: &[u8], expect: ReplyError) {
    assert_eq!(parse(bytes), Err(expect));
}

#[test]
fn a_reply_has_a_code_and_may_have_an_enhanced_one() {
    check("220 mx ready\r\n", "220 mx ready");
    check("250\r\n", "250");
    check("250 2.1.0 ok\r\n", "250 2.1.0 ok");
    check("250 2.1.0\r\n", "250 2.1.0");
    check("550 4.5.3 too many\r\n", "550 4.5.3 too many");
    check("250 2.1 ok\r\n", "250 2.1 ok");
    check("334 2.1.0\r\n", "334 2.1.0");
    check("250 ok\n354 go\r\n", "250 ok|354 go");
}

#[test]
fn the_lines_of_a_reply_are_joined_without_their_codes() {
    check(
        "550-5.7.1 first\r\n550-5.7.1 second\r\n550 5.7.1 third\r\n",
        "550 5.7.1 first second third",
    );
}

#[test]
fn control_characters_do_not_reach_a_reader() {
    check("250 a\x1b[31mb\rc\r\n", "250 a [31mb c");
}

#[test]
fn what_is_no_reply_is_an_error() {
    check_error(b"HTTP/1.1 400 Bad Request\r\n", ReplyError::NoCode);
    check_error(b"\r\n", ReplyError::NoCode);
    check_error(b"99 x\r\n", ReplyError::NoCode);
    check_error(b"650 x\r\n", ReplyError::NoCode);
    check_error(b"2500 x\r\n", ReplyError::NoCode);
    check_error(b"250-a\r\n251 b\r\n", ReplyError::CodeChanged { first: 250, then: 251 });
}

#[test]
fn a_line_without_end_is_cut_off() {
    check_error(&[b'2'; LINE_OCTETS_MAX + 1], ReplyError::LineTooLong);
}

#[test]
fn a_reply_without_end_is_cut_off() {
    let line = b"250-a line of a reply that never ends\r\n";
    check_error(&line.repeat(REPLY_OCTETS_MAX / line.len() + 1), ReplyError::ReplyTooLong);
}

#[test]
fn bytes_behind_a_reply_are_noticed() {
    let mut parser = ReplyParser::default();
    parser.feed(b"220 go\r\n250 smuggled");
    parser.next_reply().unwrap().unwrap();
    assert!(!parser.is_empty());

    let mut parser = ReplyParser::default();
    parser.feed(b"220 go\r\n");
    parser.next_reply().unwrap().unwrap();
    assert!(parser.is_empty());
}

proptest! {
    #[test]
    fn portions_make_no_difference(
        cuts in proptest::collection::vec(1_usize..9, 0..60),
        texts in proptest::collection::vec("[ -~é]{0,12}", 1..8),
    ) {
        let whole = texts.iter().map(|text| format!("250-{text}\r\n250 2.0.0 {text}\r\n"));
        let whole = whole.collect::<Vec<_>>().concat();
        let mut rest = whole.as_bytes();
        let mut parser = ReplyParser::default();
        let mut replies = Vec::new();
        for cut in cuts {
            let (part, left) = rest.split_at(cut.min(rest.len()));
            parser.feed(part);
            replies.extend(drain(&mut parser).unwrap());
            rest = left;
        }
        for byte in rest {
            parser.feed(&[*byte]);
            replies.extend(drain(&mut parser).unwrap());
        }

        prop_assert_eq!(replies.len(), texts.len());
        prop_assert_eq!(replies, parse(whole.as_bytes()).unwrap());
        prop_assert!(parser.is_empty());
    }

    #[test]
    fn no_bytes_make_it_panic(portions: Vec<Vec<u8>>) {
        let mut parser = ReplyParser::default();
        for portion in portions {
            parser.feed(&portion);
            if drain(&mut parser).is_err() {
                break;
            }
        }
    }
}
