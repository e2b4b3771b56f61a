use super::*;

#[test]
fn the_page_speaks_the_language_that_the_reader_wants_most() {
    for (accepted, expect) in [
        ("", "en"),
        ("de", "de"),
        ("de-CH,en;q=0.5", "de"),
        ("en;q=0.3, fr-CA;q=0.9, de;q=0.8", "fr"),
        ("pt-BR,es;q=0.1", "es"),
        ("AR-eg", "ar"),
        ("de;q=0", "en"),
        ("de;q=x,ja", "ja"),
        ("*", "en"),
    ] {
        assert_eq!(language(accepted), expect, "{accepted}");
    }
}

#[test]
fn no_value_of_a_guest_becomes_markup() {
    let evil = "<script>alert('x')</script>&\"";
    let v1 = nuncio_api::v1::Guest {
        name: "guests/eve".to_owned(),
        first_name: evil.to_owned(),
        company: evil.to_owned(),
        valid_to_time: Some(nuncio_api::convert::time::timestamp(
            "2030-01-01T00:00:00Z".parse().unwrap(),
        )),
        ..Default::default()
    };
    let now = "2029-01-01T00:00:00Z".parse().unwrap();
    let guest =
        crate::portal::notice::given_guest(v1, now).unwrap_or_else(|wrong| panic!("{wrong}"));

    for verdict in Verdict::ALL {
        let view = View::Confirm { guest: Box::new(guest.clone()), verdict };
        let page = markup::page(&view, Texts::of("ar"));

        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"));
        assert!(page.contains("<html lang=\"ar\" dir=\"rtl\">"));
        assert!(page.contains("2030-01-01 00:00 (UTC)"));
    }
}

#[test]
fn every_answer_forbids_to_keep_frame_or_pass_on_the_page() {
    for view in [View::Forged, View::Done(Verdict::Deny), View::Expired, View::TooMany] {
        let response = view.response(Texts::of("de"));
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("content-language"), "de");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"));
    }
}

#[test]
fn a_reason_is_one_line_and_no_longer_than_it_may_be() {
    assert_eq!(reason(b"reason=+no%0D%0Away+&x=y"), "no  way");
    assert_eq!(reason(b"other=x"), "");
    let long = format!("reason={}", "%C3%A4".repeat(1000));
    assert_eq!(reason(long.as_bytes()), "ä".repeat(DECISION_REASON_CHARS_MAX));
}
