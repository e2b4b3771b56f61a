use super::*;

fn check(reply: &str, enhanced: bool, expected: &str) {
    assert_eq!(String::from_utf8(format_reply(reply, enhanced)).unwrap(), expected);
}

#[test]
fn a_reply_has_its_code_on_each_line() {
    check("250 2.0.0 OK", true, "250 2.0.0 OK\r\n");
    check("250 host\nSIZE 5\nDSN", true, "250-host\r\n250-SIZE 5\r\n250 DSN\r\n");
    check(
        "550 5.7.1 one\n550-5.7.1 two\n550 5.7.1 three",
        true,
        "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n",
    );
    check("334 ", true, "334 \r\n");
}

#[test]
fn enhanced_codes_can_be_left_out() {
    check("250 2.0.0 OK", false, "250 OK\r\n");
    check("250 1.2 OK", false, "250 1.2 OK\r\n");
    check("220 sim.prod.outlook.com ready", false, "220 sim.prod.outlook.com ready\r\n");
}

#[test]
fn what_is_no_reply_goes_out_as_it_is() {
    check("garbage", true, "garbage\r\n");
}
