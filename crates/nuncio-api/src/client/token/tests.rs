use super::*;

#[test]
fn a_token_goes_into_each_call_and_is_never_shown() {
    let token = ApiToken::new("nuncio_abc-DEF_123\n").unwrap();
    let shown = format!("{token:?}");
    let request = Bearer(Some(token)).call(Request::new(())).unwrap();

    let sent = request.metadata().get("authorization").unwrap();
    assert_eq!(sent.to_str().unwrap(), "Bearer nuncio_abc-DEF_123");
    let shown = format!("{shown}{:?}", request.metadata());
    assert!(!shown.contains("abc-DEF"), "{shown}");
}

#[test]
fn what_is_no_token_is_refused_before_it_is_sent() {
    for text in ["", "hunter2", "nuncio_a b", "nuncio_a\nnuncio_b", "nuncio_ä"] {
        assert_eq!(ApiToken::new(text).unwrap_err(), NoToken, "{text}");
    }
}
