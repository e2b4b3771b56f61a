use super::*;

fn parse(text: &str) -> Result<Given, Failure> {
    parse_file(Path::new("/etc/nuncio/smtp.toml"), text)
}

async fn apply(text: &str, base: SmtpSettings) -> SmtpSettings {
    let given = parse(text).map_err(|failure| failure.to_string()).unwrap();
    Values { given, from_saved: false, client_secret: None }.apply(base).await.unwrap()
}

#[test]
fn names_may_be_spelled_with_underscores_too() {
    let given = parse("client_id = 'a'\ntenant-id = 'b'").ok().unwrap();

    assert_eq!(given.client_id.as_deref(), Some("a"));
    assert_eq!(given.tenant_id.as_deref(), Some("b"));
}

#[test]
fn files_are_looked_for_beside_the_file_that_names_them() {
    let text = "client-secret-file = 'secret'\nca-file = ['/abs/ca.pem']\npassword-file = '-'";

    let given = parse(text).ok().unwrap();

    assert_eq!(given.client_secret_file, Some(PathBuf::from("/etc/nuncio/secret")));
    assert_eq!(given.ca_file, [PathBuf::from("/abs/ca.pem")]);
    assert_eq!(given.password_file, Some(PathBuf::from("-")));
}

#[test]
fn a_wrong_name_is_told_with_the_file() {
    let failure = parse("hots = 'a'").err().unwrap();

    assert!(failure.to_string().starts_with("file `/etc/nuncio/smtp.toml`: unknown field `hots`"));
}

fn check_kind(text: &str, expect: Option<Authentication>) {
    let kind = parse(text).ok().unwrap().kind_of_authentication();
    assert!(kind == expect, "{text}");
}

#[test]
fn the_way_to_authenticate_follows_from_what_is_given() {
    check_kind("host = 'a'", None);
    check_kind("client-id = 'a'", Some(Authentication::Oauth));
    check_kind("token-endpoint = 'https://a'", Some(Authentication::Oauth));
    check_kind("username = 'a'", Some(Authentication::Password));
    check_kind("client-id = 'a'\nauthentication = 'none'", Some(Authentication::None));
}

#[tokio::test]
async fn only_given_values_change() {
    let base = SmtpSettings { host: "old".to_owned(), port: 465, ..SmtpSettings::default() };

    let settings = apply("host = 'new'\nmax-connections = 2\nencryption = 'tls'", base).await;

    assert_eq!((settings.host.as_str(), settings.port), ("new", 465));
    assert_eq!(settings.encryption(), SmtpEncryption::Tls);
    assert_eq!(settings.limits.unwrap().max_connections, 2);
    assert_eq!(settings.authentication, None);
}

#[tokio::test]
async fn mailboxes_are_replaced_as_a_whole() {
    let base =
        SmtpSettings { additional_mailboxes: vec!["a@x.test".to_owned()], ..Default::default() };
    let mailboxes = async |text| apply(text, base.clone()).await.additional_mailboxes;

    assert_eq!(mailboxes("host = 'new'").await, ["a@x.test"]);
    assert_eq!(mailboxes("additional-mailboxes = ['b@x.test']").await, ["b@x.test"]);
    assert_eq!(mailboxes("additional-mailboxes = []").await, [""; 0]);
}

#[tokio::test]
async fn a_proxy_is_changed_and_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pw"), "s3cret\n").unwrap();
    let text = format!(
        "proxy = 'http://squid:3128'\nproxy-username = 'u'\nproxy-password-file = '{}'\n\
         proxy-bypass = ['.example.com', '10.0.0.0/8']",
        folder.path().join("pw").display()
    );

    let first = apply(&text, SmtpSettings::default()).await;
    let proxy = first.proxy.clone().unwrap();
    assert_eq!((proxy.url.as_str(), proxy.username.as_str()), ("http://squid:3128", "u"));
    assert_eq!((proxy.password.as_str(), proxy.bypass.len()), ("s3cret", 2));

    let saved = SmtpSettings { proxy: Some(Proxy { password: String::new(), ..proxy }), ..first };
    let changed = apply("proxy = 'socks5://s:1080'\nproxy-bypass = []", saved.clone()).await;
    let proxy = changed.proxy.unwrap();
    assert_eq!((proxy.url.as_str(), proxy.username.as_str()), ("socks5://s:1080", "u"));
    assert!(proxy.bypass.is_empty());
    assert_eq!(apply("port = 465", saved.clone()).await.proxy, saved.proxy);
    assert_eq!(apply("proxy = ''", saved).await.proxy, None);
}

#[tokio::test]
async fn another_way_to_authenticate_takes_nothing_over() {
    let password = PasswordAuthentication { username: "a".to_owned(), ..Default::default() };
    let base =
        SmtpSettings { authentication: Some(Wire::Password(password)), ..SmtpSettings::default() };

    let settings = apply("client-id = 'c'", base.clone()).await;
    let Some(Wire::Oauth(oauth)) = settings.authentication else { panic!("no oauth") };
    assert_eq!(oauth.client_id, "c");

    assert_eq!(apply("authentication = 'none'", base).await.authentication, None);
}

#[tokio::test]
async fn the_secret_of_the_environment_gives_way_to_a_file_and_to_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, name).unwrap();
        path
    };
    let secret_of = async |given: Given| {
        let client_secret = Some("environment".to_owned());
        let values = Values { given, from_saved: false, client_secret };
        let settings = values.apply(SmtpSettings::default()).await.unwrap();
        let Some(Wire::Oauth(oauth)) = settings.authentication else { panic!("no oauth") };
        oauth.client_secret
    };
    let given = || Given { client_id: Some("c".to_owned()), ..Given::default() };
    let with_file = Given { client_secret_file: Some(file("file")), ..given() };
    let with_certificate = Given { certificate_file: Some(file("certificate")), ..given() };

    assert_eq!(secret_of(given()).await, "environment");
    assert_eq!(secret_of(with_file).await, "file");
    assert_eq!(secret_of(with_certificate).await, "");
}
