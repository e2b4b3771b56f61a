use super::*;

#[test]
fn nothing_that_shows_a_url_shows_its_password() {
    let url: PostgresUrl =
        "postgres://nuncio:hunter2@db.example:5433/mails?sslmode=verify-full".parse().unwrap();

    assert_eq!(url.to_string(), "postgres://nuncio@db.example:5433/mails");
    assert_eq!(format!("{url:?}"), "PostgresUrl(postgres://nuncio@db.example:5433/mails)");
}

#[test]
fn what_is_wrong_with_a_url_is_said_without_it() {
    for (url, expect) in [
        ("mysql://a:hunter2@h/db", PostgresUrlError::Scheme),
        ("hunter2", PostgresUrlError::Scheme),
        ("postgres://a:hunter2@h:port/db", PostgresUrlError::Form),
        ("postgres://a:hunter2@h", PostgresUrlError::Database),
        ("postgres://a@h/db?pasword=hunter2", PostgresUrlError::Parameter),
    ] {
        let refused = url.parse::<PostgresUrl>().unwrap_err();

        assert_eq!(refused, expect, "{url}");
        assert!(!refused.to_string().contains("hunter2"), "{url}");
    }
}
