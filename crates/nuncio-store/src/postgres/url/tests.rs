use super::*;

#[test]
fn nothing_that_shows_a_url_shows_its_password() {
    let url: PostgresUrl =
        "postgres://nuncio:hunter2@db.example:5433/mails?sslmode=verify-full".parse().unwrap();

    assert_eq!(url.to_string(), "postgres://nuncio@db.example:5433/mails");
    assert_eq!(format!("{url:?}"), "PostgresUrl(postgres://nuncio@db.example:5433/mails)");
}

#[test]
fn a_url_names_several_hosts_as_libpq_has_it() {
    let url: PostgresUrl = "postgresql://nuncio:h%40nter2,@db-1,[fd00::2]:5433/mails\
                            ?target_session_attrs=read-write&sslmode=require"
        .parse()
        .unwrap();

    assert_eq!(url.to_string(), "postgres://nuncio@db-1:5432,[fd00::2]:5433/mails");
    let hosts = url.hosts().iter().map(|host| (host.get_host(), host.get_port()));
    assert_eq!(hosts.collect::<Vec<_>>(), [("db-1", 5432), ("[fd00::2]", 5433)]);
}

#[test]
fn what_is_wrong_with_a_url_is_said_without_it() {
    for (url, expect) in [
        ("mysql://a:hunter2@h/db", PostgresUrlError::Scheme),
        ("hunter2", PostgresUrlError::Scheme),
        ("postgres://a:hunter2@h:port/db", PostgresUrlError::Form),
        ("postgres://a:hunter2@h", PostgresUrlError::Database),
        ("postgres://a:hunter2@h,h:port/db", PostgresUrlError::Form),
        ("postgres://a:hunter2@h/db?target_session_attrs=any", PostgresUrlError::Target),
        ("postgres://a@h/db?pasword=hunter2", PostgresUrlError::Parameter),
    ] {
        let refused = url.parse::<PostgresUrl>().unwrap_err();

        assert_eq!(refused, expect, "{url}");
        assert!(!refused.to_string().contains("hunter2"), "{url}");
    }
}
