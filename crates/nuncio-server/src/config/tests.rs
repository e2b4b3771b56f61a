use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Parser;
use tempfile::NamedTempFile;

use super::problem::Source;
use super::sources::Key;
use super::*;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/nuncio.toml");

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    serve: ServeArgs,
}

/// The sources of a configuration; empty ones are left out.
#[derive(Clone, Copy, Default)]
struct Given<'a> {
    file: &'a str,
    env: &'a [(&'a str, &'a str)],
    flags: &'a [&'a str],
}

impl Given<'_> {
    fn load(self) -> Result<Config, ConfigError> {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(self.file.as_bytes()).unwrap();
        load(file.path(), self.env, self.flags)
    }
}

fn load(file: &Path, env: &[(&str, &str)], flags: &[&str]) -> Result<Config, ConfigError> {
    let mut args = Cli::parse_from([&["serve"], flags].concat()).serve;
    args.config = Some(file.to_owned());
    args_and_env(&args, env)
}

fn args_and_env(args: &ServeArgs, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let host = [("HOSTNAME".to_owned(), "test-host".to_owned())];
    Config::load(args, &env.chain(host).collect::<HashMap<_, _>>())
}

fn defaults() -> Config {
    args_and_env(&ServeArgs::default(), &[]).unwrap()
}

/// Checks the one problem of a file with one line.
fn check(line: &str, expect: &str) {
    let (section, line) = line.split_once(": ").unwrap_or(("", line));
    let section = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
    let error = Given { file: &format!("{section}{line}"), ..Given::default() }.load().unwrap_err();

    assert_eq!(said(&error), [expect], "{line}");
}

/// The problems without the names of files.
fn said(error: &ConfigError) -> Vec<String> {
    let said = |problem: &problem::Problem| format!("{}: {}", problem.key, problem.text);
    error.problems.iter().map(said).collect()
}

#[test]
fn without_any_source_there_are_defaults() {
    let config = defaults();

    assert_eq!(config.node_name.as_str(), "test-host");
    assert_eq!(config.data_dir, Path::new("./nuncio-data"));
    assert_eq!(config.roles, BTreeSet::from([Role::Pan, Role::Mnt, Role::Psn]));
    assert_eq!(config.grpc_listen.to_string(), "127.0.0.1:7587");
    assert_eq!(config.http_listen.to_string(), "127.0.0.1:7588");
    assert_eq!(config.log.format, LogFormat::Human);
    assert_eq!(config.log.filter.as_str(), "info");
    assert_eq!(config.otlp_endpoint, None);
    assert_eq!(config.retention, Duration::from_hours(30 * 24));
    assert_eq!(config.drain_timeout, Duration::from_secs(20));
}

#[test]
fn the_sample_has_the_defaults() {
    assert_eq!(load(Path::new(SAMPLE), &[], &[]).unwrap(), defaults());
}

#[test]
fn the_sample_names_every_setting_and_its_examples_are_valid() {
    let sample = std::fs::read_to_string(SAMPLE).unwrap();
    let commented = [
        "name =",
        "otlp_endpoint =",
        "advertise =",
        "listen =",
        "public_url =",
        "endpoints =",
        "ca_file =",
        "cert_file =",
        "key_file =",
        "client_ca_file =",
    ];
    let uncommented =
        commented.iter().fold(sample, |text, key| text.replace(&format!("# {key}"), key));

    // Whoever shares settings shares a store.
    let env = [("NUNCIO_STORE_URL", "postgres://nuncio@db/mails")];
    let config = Given { file: &uncommented, env: &env, ..Given::default() }.load().unwrap();

    assert_eq!(config.node_name.as_str(), "psn-1");
    assert_eq!(config.otlp_endpoint.unwrap().as_str(), "http://127.0.0.1:4317");
    let table: toml::Table = uncommented.parse().unwrap();
    for key in Key::ALL {
        let path = key.name().split('.');
        let mut table = Some(toml::Value::Table(table.clone()));
        for part in path {
            table = table.and_then(|table| table.get(part).cloned());
        }
        assert!(table.is_some(), "`{}` is not in the sample", key.name());
    }
}

#[test]
fn every_setting_can_be_given_in_every_source() {
    let file = Given {
        file: r#"
            data_dir = "/var/lib/nuncio"
            store.url = "postgres://nuncio:secret@db/mails"
            keys.file = "/run/secrets/nuncio.key"
            roles = ["psn"]
            node.name = "psn-7"
            grpc = { listen = "0.0.0.0:1", insecure = true, advertise = "psn-7:1" }
            http.listen = "0.0.0.0:2"
            log = { format = "json", filter = "warn" }
            telemetry.otlp_endpoint = "https://otel.example.com:4317"
            delivery = { retention_days = 1, drain_timeout_s = 2, lease_s = 3 }
            peers.mnt = "http://mnt:7587"
        "#,
        ..Given::default()
    };
    let env = [
        ("NUNCIO_DATA_DIR", "/var/lib/nuncio"),
        ("NUNCIO_STORE_URL", "postgres://nuncio:secret@db/mails"),
        ("NUNCIO_KEYS_FILE", "/run/secrets/nuncio.key"),
        ("NUNCIO_ROLES", "psn"),
        ("NUNCIO_NODE_NAME", "psn-7"),
        ("NUNCIO_GRPC_LISTEN", "0.0.0.0:1"),
        ("NUNCIO_GRPC_INSECURE", "true"),
        ("NUNCIO_GRPC_ADVERTISE", "psn-7:1"),
        ("NUNCIO_HTTP_LISTEN", "0.0.0.0:2"),
        ("NUNCIO_LOG_FORMAT", "json"),
        ("NUNCIO_LOG_FILTER", "warn"),
        ("NUNCIO_TELEMETRY_OTLP_ENDPOINT", "https://otel.example.com:4317"),
        ("NUNCIO_DELIVERY_RETENTION_DAYS", "1"),
        ("NUNCIO_DELIVERY_DRAIN_TIMEOUT_S", "2"),
        ("NUNCIO_DELIVERY_LEASE_S", "3"),
        ("NUNCIO_PEERS_MNT", "http://mnt:7587"),
    ];
    let flags = [
        "--data-dir=/var/lib/nuncio",
        "--store-url=postgres://nuncio:secret@db/mails",
        "--keys-file=/run/secrets/nuncio.key",
        "--roles=psn",
        "--node-name=psn-7",
        "--grpc-listen=0.0.0.0:1",
        "--grpc-insecure",
        "--grpc-advertise=psn-7:1",
        "--http-listen=0.0.0.0:2",
        "--log-format=json",
        "--log-filter=warn",
        "--telemetry-otlp-endpoint=https://otel.example.com:4317",
        "--delivery-retention-days=1",
        "--delivery-drain-timeout-s=2",
        "--delivery-lease-s=3",
        "--peers-mnt=http://mnt:7587",
    ];
    let by_file = file.load().unwrap();

    assert_eq!(Given { env: &env, ..Given::default() }.load().unwrap(), by_file);
    assert_eq!(Given { flags: &flags, ..Given::default() }.load().unwrap(), by_file);
    assert_eq!(by_file.keys_file, Some(PathBuf::from("/run/secrets/nuncio.key")));
    assert_eq!(by_file.roles, BTreeSet::from([Role::Psn]));
    assert_eq!(by_file.grpc_listen.to_string(), "0.0.0.0:1");
    assert_eq!(by_file.drain_timeout, Duration::from_secs(2));
    assert_eq!(by_file.lease, Duration::from_secs(3));
    assert_eq!(by_file.mnt.unwrap().as_str(), "http://mnt:7587");
    assert_eq!(by_file.store_url.unwrap().to_string(), "postgres://nuncio@db:5432/mails");
}

#[test]
fn a_node_is_for_others_where_it_listens_or_where_it_is_said_to_be() {
    let check = |flags: &[&str], expect: &str| {
        let config = Given { flags, ..Given::default() }.load().unwrap();
        let bound = std::net::SocketAddr::new(config.grpc_listen.ip(), 4711);
        assert_eq!(config.grpc_advertise.address(bound), expect, "{flags:?}");
    };

    check(&[], "127.0.0.1:4711");
    check(&["--grpc-listen=[::1]:0"], "[::1]:4711");
    check(&["--grpc-listen=0.0.0.0:0", "--grpc-insecure"], "test-host:4711");
    check(&["--grpc-advertise=psn-1.example.com:7587"], "psn-1.example.com:7587");
}

#[test]
fn the_password_of_the_database_is_never_shown() {
    for url in ["postgres://nuncio:hunter2@db/mails", "postgres://nuncio:hunter2@db", "hunter2"] {
        let flags = [&*format!("--store-url={url}")];
        let by_flag = Given { flags: &flags, ..Given::default() }.load();
        let by_variable = Given { env: &[("NUNCIO_STORE_URL", url)], ..Given::default() }.load();

        let shown = format!("{by_flag:?} {by_variable:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        for refused in [by_flag, by_variable].into_iter().filter_map(Result::err) {
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let mut given = Given { file: r#"log.filter = "error""#, ..Given::default() };
    assert_eq!(given.load().unwrap().log.filter.as_str(), "error");

    given.env = &[("NUNCIO_LOG_FILTER", "warn")];
    assert_eq!(given.load().unwrap().log.filter.as_str(), "warn");

    given.flags = &["--log-filter=debug"];
    assert_eq!(given.load().unwrap().log.filter.as_str(), "debug");
}

#[test]
fn the_help_of_each_flag_names_its_variable_and_its_key() {
    let command = <Cli as clap::CommandFactory>::command();
    for key in Key::ALL {
        let flag = key.flag();
        let arg = command.get_arguments().find(|arg| arg.get_long() == flag.strip_prefix("--"));
        let help = arg.and_then(clap::Arg::get_help).expect(&flag).to_string();

        assert!(help.contains(&format!("[env: {}]", key.variable())), "{help}");
        assert!(help.contains(&format!("[file: {}]", key.name())), "{help}");
        assert!(help.contains("[default: "), "{help}");
    }
}

#[test]
fn all_problems_of_all_sources_are_shown_at_once() {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(
        b"rolse = ['psn']\nroles = ['mnt', 'smtp', 'imap']\ndelivery.retention_days = '30'\n",
    )
    .unwrap();
    let env = [("NUNCIO_GRPC_LISTEN", "0.0.0.0:7587"), ("NUNCIO_DELIVERY_DRAIN_TIMEOUT_S", "0")];
    let flags = ["--log-filter=a=b=c", "--delivery-retention-days=3651"];

    let error = load(file.path(), &env, &flags).unwrap_err();

    let shown = error.to_string().replace(&file.path().display().to_string(), "FILE");
    assert_eq!(
        shown,
        "the configuration is not valid:\n\
         \x20 rolse (file FILE): is no setting; remove it, or use one of `data_dir`, `roles`\n\
         \x20 roles (file FILE): `smtp` is no role, `imap` is no role; use `pan`, `mnt`, `psn`\n\
         \x20 grpc.listen (env NUNCIO_GRPC_LISTEN): `0.0.0.0:7587` can be reached by others, and gRPC has no \
         TLS here; give a certificate by `grpc.tls.cert_file`, use a loopback address such as \
         `127.0.0.1:7587`, or set `grpc.insecure = true` where something else protects it\n\
         \x20 log.filter (flag --log-filter): `a=b=c` is no filter; use one such as \
         `info,nuncio_smtp=debug`\n\
         \x20 delivery.retention_days (file FILE): `\"30\"` is no whole number; write it without quotes\n\
         \x20 delivery.retention_days (flag --delivery-retention-days): `3651` is out of range; use 1 to 3650 \
         days\n\
         \x20 delivery.drain_timeout_s (env NUNCIO_DELIVERY_DRAIN_TIMEOUT_S): `0` is out of range; use 1 to 600 \
         seconds",
    );
}

#[test]
fn a_wrong_value_says_what_to_do() {
    check("roles = []", "roles: is empty; name at least one of `pan`, `mnt`, `psn`");
    check("roles = 'psn'", "roles: must be a list of texts, such as `[\"pan\", \"psn\"]`");
    check("data_dir = ''", "data_dir: must be a path, such as `./nuncio-data`");
    check("node: name = 'a b'", "node.name: must be 1 to 253 letters, digits, `-`, `_` or `.`");
    check(
        "grpc: listen = 'localhost:7587'",
        "grpc.listen: `localhost:7587` is no IP address with port; give it as `127.0.0.1:7587` or `[::1]:7587`",
    );
    check(
        "grpc: insecure = 'yes'",
        "grpc.insecure: `\"yes\"` is neither `true` nor `false`; write it without quotes",
    );
    check(
        "http: listen = '127.0.0.1:7587'",
        "http.listen: `127.0.0.1:7587` collides with `grpc.listen`, `127.0.0.1:7587`; use another port",
    );
    check("log: format = 'xml'", "log.format: `xml` is no format; use `human` or `json`");
    check("log: filter = ''", "log.filter: is empty; use a level such as `info`, or `off`");
    check(
        "delivery: retention_days = -1",
        "delivery.retention_days: `-1` is out of range; use 1 to 3650 days",
    );
    check(
        "grpc: adress = ''",
        "grpc.adress: is no setting; remove it, or use one of `grpc.listen`, `grpc.insecure`, `grpc.administrators`, \
         `grpc.advertise`",
    );
    check("grpc = 5", "grpc: is a section; write it as `[grpc]`");
}

#[test]
fn the_url_of_the_collector_is_checked_and_not_shown() {
    for url in ["127.0.0.1:4317", "ftp://otel", "http://user:hunter2@otel:4317", "/v1/traces"] {
        check(
            &format!("telemetry: otlp_endpoint = '{url}'"),
            "telemetry.otlp_endpoint: is no http or https URL of a collector; give it as \
             `http://127.0.0.1:4317`",
        );
    }
}

#[test]
fn etcd_can_be_given_in_every_source() {
    let file = Given {
        file: r#"
            store.url = "postgres://nuncio@db/nuncio"
            etcd.endpoints = ["https://a:2379", "https://b:2379/"]
            etcd.prefix = "/mail/"
            etcd.ca_file = "/ca.pem"
            etcd.cert_file = "/node.pem"
            etcd.key_file = "/node.key"
        "#,
        ..Given::default()
    };
    let env = [
        ("NUNCIO_STORE_URL", "postgres://nuncio@db/nuncio"),
        ("NUNCIO_ETCD_ENDPOINTS", "https://a:2379,https://b:2379"),
        ("NUNCIO_ETCD_PREFIX", "/mail/"),
        ("NUNCIO_ETCD_CA_FILE", "/ca.pem"),
        ("NUNCIO_ETCD_CERT_FILE", "/node.pem"),
        ("NUNCIO_ETCD_KEY_FILE", "/node.key"),
    ];
    let flags = [
        "--store-url=postgres://nuncio@db/nuncio",
        "--etcd-endpoints=https://a:2379,https://b:2379",
        "--etcd-prefix=/mail/",
        "--etcd-ca-file=/ca.pem",
        "--etcd-cert-file=/node.pem",
        "--etcd-key-file=/node.key",
    ];
    let by_file = file.load().unwrap();

    assert_eq!(Given { env: &env, ..Given::default() }.load().unwrap(), by_file);
    assert_eq!(Given { flags: &flags, ..Given::default() }.load().unwrap(), by_file);
    let etcd = by_file.etcd.unwrap();
    assert_eq!(etcd.endpoints, ["https://a:2379", "https://b:2379"]);
    assert_eq!(etcd.identity.unwrap().key_file, Path::new("/node.key"));
}

#[test]
fn everything_wrong_about_etcd_is_told_at_once() {
    let given = Given {
        file: "[etcd]\nendpoints = ['http://db:2379', 'https://user:pw@db:2379', 'db']\nprefix = 'mail'",
        flags: &["--etcd-cert-file", "/node.pem"],
        ..Given::default()
    };

    let said = said(&given.load().unwrap_err());

    let wanted = [
        "etcd.endpoints: `http://db:2379` would send settings in the clear (http is for loopback addresses only); \
         use https; a URL names a user; etcd's user is the one in the client certificate; `db` is no URL of \
         etcd; give it as `https://etcd-1:2379`",
        "etcd.prefix: must be letters, digits, `-`, `_`, `.` between slashes, 200 at most; give it as `/nuncio/`",
    ];
    assert_eq!(said, wanted);
}

#[test]
fn a_certificate_for_etcd_needs_its_key_and_an_etcd() {
    let endpoint = "--etcd-endpoints=https://db:2379";
    let told = |flags: &[&str]| {
        let flags = [&["--store-url=postgres://nuncio@db/nuncio"], flags].concat();
        let given = Given { flags: &flags, ..Given::default() };
        said(&given.load().unwrap_err())
    };

    assert_eq!(
        told(&[endpoint, "--etcd-cert-file=/node.pem"]),
        ["etcd.cert_file: needs `etcd.key_file`, its private key"]
    );
    assert_eq!(
        told(&[endpoint, "--etcd-key-file=/node.key"]),
        ["etcd.key_file: needs `etcd.cert_file`, its certificate"]
    );
    assert_eq!(
        told(&["--etcd-ca-file=/ca.pem"]),
        ["etcd.ca_file: is for etcd, and `etcd.endpoints` names none; name it, or leave this out"]
    );
}

#[test]
fn a_broken_file_is_told_with_its_line_beside_other_problems() {
    let given = Given { file: "\n\nroles = [", flags: &["--roles=x"], ..Given::default() };

    let error = given.load().unwrap_err();

    let said = said(&error);
    assert!(said[0].starts_with("config: `"), "{said:?}");
    assert!(said[0].contains("is not TOML at line 3: "), "{said:?}");
    assert_eq!(said[1], "roles: `x` is no role; use `pan`, `mnt`, `psn`");
}

#[test]
fn a_missing_file_is_told_with_who_named_it() {
    let env = [("NUNCIO_CONFIG", "/nowhere/nuncio.toml")];

    let error = args_and_env(&ServeArgs::default(), &env).unwrap_err();

    assert_eq!(error.problems[0].source, Source::Environment("NUNCIO_CONFIG".to_owned()));
    assert!(said(&error)[0].contains("cannot read `/nowhere/nuncio.toml`"), "{error}");
}

#[test]
fn grpc_beyond_loopback_needs_consent() {
    let open = Given { flags: &["--grpc-listen=[::]:7587"], ..Given::default() };
    let consented = Given { env: &[("NUNCIO_GRPC_INSECURE", "true")], ..open };
    let withdrawn =
        Given { flags: &["--grpc-listen=[::]:7587", "--grpc-insecure=false"], ..consented };
    let loopback = Given { flags: &["--grpc-listen=[::1]:7587"], ..Given::default() };

    assert!(open.load().is_err());
    assert!(consented.load().is_ok());
    assert!(withdrawn.load().is_err());
    assert!(loopback.load().is_ok());
}

#[test]
fn grpc_beyond_loopback_needs_no_consent_behind_a_certificate() {
    let file = "grpc = { listen = '[::]:7587', tls = { cert_file = 'n.pem', key_file = 'n.key' } }";
    let env = [
        ("NUNCIO_GRPC_LISTEN", "[::]:7587"),
        ("NUNCIO_GRPC_TLS_CERT_FILE", "n.pem"),
        ("NUNCIO_GRPC_TLS_KEY_FILE", "n.key"),
        ("NUNCIO_GRPC_TLS_CLIENT_CA_FILE", "ca.pem"),
    ];

    let by_file = Given { file, ..Given::default() }.load().unwrap();
    let by_variables = Given { env: &env, ..Given::default() }.load().unwrap();

    let (cert, key) = (PathBuf::from("n.pem"), PathBuf::from("n.key"));
    let tls = GrpcTls { cert, key, client_ca: None };
    assert_eq!(by_file.grpc_tls.as_ref(), Some(&tls));
    let client_ca = Some(PathBuf::from("ca.pem"));
    assert_eq!(by_variables.grpc_tls, Some(GrpcTls { client_ca, ..tls }));
}

#[test]
fn a_part_of_the_tls_of_grpc_names_what_is_missing() {
    check(
        "grpc.tls: cert_file = 'n.pem'",
        "grpc.tls.cert_file: needs `grpc.tls.key_file`, its private key",
    );
    check(
        "grpc.tls: key_file = 'n.key'",
        "grpc.tls.key_file: needs `grpc.tls.cert_file`, its certificate",
    );
    check(
        "grpc.tls: client_ca_file = 'ca.pem'",
        "grpc.tls.client_ca_file: is for TLS, and this node has no certificate; give it by `grpc.tls.cert_file` and \
         `grpc.tls.key_file`, or leave this out",
    );
    check(
        "grpc: administrators = ['admin']",
        "grpc.administrators: names clients by their certificates, and `grpc.tls.client_ca_file` is not given; give it",
    );
    check(
        "grpc: administrators = ['a b']",
        "grpc.administrators: `a b` is no name of a client; use 1 to 64 letters, digits, `-`, `_` and `.`",
    );
    check(
        "grpc.tls: cert = 'n.pem'",
        "grpc.tls.cert: is no setting; remove it, or use one of `grpc.tls.cert_file`, `grpc.tls.key_file`, \
         `grpc.tls.client_ca_file`",
    );
}

#[test]
fn both_ports_may_be_left_to_the_system() {
    let flags = ["--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0"];

    assert!(Given { flags: &flags, ..Given::default() }.load().is_ok());
}

#[test]
fn an_empty_variable_counts_as_not_given() {
    let given =
        Given { env: &[("NUNCIO_ROLES", ""), ("NUNCIO_LOG_FILTER", "")], ..Given::default() };

    assert_eq!(given.load().unwrap(), defaults());
}

#[test]
fn a_strange_host_name_does_not_become_the_name() {
    let env = HashMap::from([("HOSTNAME".to_owned(), "my host".to_owned())]);

    let config = Config::load(&ServeArgs::default(), &env).unwrap();

    assert_eq!(config.node_name.as_str(), "nuncio");
}

#[test]
fn nodes_that_share_settings_need_a_store_in_common() {
    let given = Given { flags: &["--etcd-endpoints=https://db:2379"], ..Given::default() };

    assert_eq!(
        said(&given.load().unwrap_err()),
        [
            "etcd.endpoints: needs `store.url` too: nodes that share settings share mailboxes, and only with a common \
          database they keep to the limits of a mailbox together"
        ]
    );
}
