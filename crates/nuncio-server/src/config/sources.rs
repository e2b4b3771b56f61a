//! The sources of a configuration and how a value is taken from them.

use std::fmt;
use std::path::{Path, PathBuf};

use nuncio_core::secret::Password;

use crate::config::Strings;
use crate::config::args::ServeArgs;
use crate::config::problem::{Problems, Source};

/// Names the configuration file where no flag does.
const CONFIG_VARIABLE: &str = "NUNCIO_CONFIG";

/// The settings, in the order of the sample file. What is not here is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    DataDir,
    StoreUrl,
    KeysFile,
    EtcdEndpoints,
    EtcdPrefix,
    EtcdCaFile,
    EtcdCertFile,
    EtcdKeyFile,
    Roles,
    NodeName,
    GrpcListen,
    GrpcInsecure,
    GrpcTlsCertFile,
    GrpcTlsKeyFile,
    GrpcTlsClientCaFile,
    GrpcAdministrators,
    GrpcAdvertise,
    HttpListen,
    PortalListen,
    PortalPublicUrl,
    LogFormat,
    LogFilter,
    OtlpEndpoint,
    RetentionDays,
    DrainTimeoutS,
    LeaseS,
    PeersMnt,
}

impl Key {
    pub(super) const ALL: [Self; 27] = [
        Self::DataDir,
        Self::StoreUrl,
        Self::KeysFile,
        Self::EtcdEndpoints,
        Self::EtcdPrefix,
        Self::EtcdCaFile,
        Self::EtcdCertFile,
        Self::EtcdKeyFile,
        Self::Roles,
        Self::NodeName,
        Self::GrpcListen,
        Self::GrpcInsecure,
        Self::GrpcTlsCertFile,
        Self::GrpcTlsKeyFile,
        Self::GrpcTlsClientCaFile,
        Self::GrpcAdministrators,
        Self::GrpcAdvertise,
        Self::HttpListen,
        Self::PortalListen,
        Self::PortalPublicUrl,
        Self::LogFormat,
        Self::LogFilter,
        Self::OtlpEndpoint,
        Self::RetentionDays,
        Self::DrainTimeoutS,
        Self::LeaseS,
        Self::PeersMnt,
    ];

    /// The name in the file: `section.name`, or `name` at its top.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DataDir => "data_dir",
            Self::StoreUrl => "store.url",
            Self::KeysFile => "keys.file",
            Self::EtcdEndpoints => "etcd.endpoints",
            Self::EtcdPrefix => "etcd.prefix",
            Self::EtcdCaFile => "etcd.ca_file",
            Self::EtcdCertFile => "etcd.cert_file",
            Self::EtcdKeyFile => "etcd.key_file",
            Self::Roles => "roles",
            Self::NodeName => "node.name",
            Self::GrpcListen => "grpc.listen",
            Self::GrpcInsecure => "grpc.insecure",
            Self::GrpcTlsCertFile => "grpc.tls.cert_file",
            Self::GrpcTlsKeyFile => "grpc.tls.key_file",
            Self::GrpcTlsClientCaFile => "grpc.tls.client_ca_file",
            Self::GrpcAdministrators => "grpc.administrators",
            Self::GrpcAdvertise => "grpc.advertise",
            Self::HttpListen => "http.listen",
            Self::PortalListen => "portal.listen",
            Self::PortalPublicUrl => "portal.public_url",
            Self::LogFormat => "log.format",
            Self::LogFilter => "log.filter",
            Self::OtlpEndpoint => "telemetry.otlp_endpoint",
            Self::RetentionDays => "delivery.retention_days",
            Self::DrainTimeoutS => "delivery.drain_timeout_s",
            Self::LeaseS => "delivery.lease_s",
            Self::PeersMnt => "peers.mnt",
        }
    }

    pub(super) fn variable(self) -> String {
        format!("NUNCIO_{}", self.name().replace('.', "_").to_uppercase())
    }

    pub(super) fn flag(self) -> String {
        format!("--{}", self.name().replace(['.', '_'], "-"))
    }

    fn given_as_flag(self, args: &ServeArgs) -> Option<&str> {
        match self {
            Self::DataDir => args.data_dir.as_deref(),
            Self::StoreUrl => args.store_url.as_ref().map(Password::expose),
            Self::KeysFile => args.keys_file.as_deref(),
            Self::EtcdEndpoints => args.etcd_endpoints.as_deref(),
            Self::EtcdPrefix => args.etcd_prefix.as_deref(),
            Self::EtcdCaFile => args.etcd_ca_file.as_deref(),
            Self::EtcdCertFile => args.etcd_cert_file.as_deref(),
            Self::EtcdKeyFile => args.etcd_key_file.as_deref(),
            Self::Roles => args.roles.as_deref(),
            Self::NodeName => args.node_name.as_deref(),
            Self::GrpcListen => args.grpc_listen.as_deref(),
            Self::GrpcInsecure => args.grpc_insecure.as_deref(),
            Self::GrpcTlsCertFile => args.grpc_tls_cert_file.as_deref(),
            Self::GrpcTlsKeyFile => args.grpc_tls_key_file.as_deref(),
            Self::GrpcTlsClientCaFile => args.grpc_tls_client_ca_file.as_deref(),
            Self::GrpcAdministrators => args.grpc_administrators.as_deref(),
            Self::GrpcAdvertise => args.grpc_advertise.as_deref(),
            Self::HttpListen => args.http_listen.as_deref(),
            Self::PortalListen => args.portal_listen.as_deref(),
            Self::PortalPublicUrl => args.portal_public_url.as_deref(),
            Self::LogFormat => args.log_format.as_deref(),
            Self::LogFilter => args.log_filter.as_deref(),
            Self::OtlpEndpoint => args.telemetry_otlp_endpoint.as_deref(),
            Self::RetentionDays => args.delivery_retention_days.as_deref(),
            Self::DrainTimeoutS => args.delivery_drain_timeout_s.as_deref(),
            Self::LeaseS => args.delivery_lease_s.as_deref(),
            Self::PeersMnt => args.peers_mnt.as_deref(),
        }
    }
}

/// All that was given, not yet checked, passwords too: it has no `Debug`. The last of a key counts.
#[derive(Default)]
pub(super) struct Sources(Vec<Given>);

struct Given {
    key: Key,
    source: Source,
    value: Value,
}

enum Value {
    /// From the environment or a flag.
    Text(String),
    /// From the file.
    Toml(toml::Value),
}

/// A shape that a setting can have, in the file and as text.
pub(super) trait Shape: Sized {
    fn from_text(text: &str) -> Result<Self, String>;
    fn from_toml(value: toml::Value) -> Result<Self, String>;
}

/// A value and where it was given.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) source: Source,
}

impl Sources {
    /// Reads file, environment and flags.
    pub(super) fn read(args: &ServeArgs, env: &impl Strings, problems: &mut Problems) -> Self {
        let mut sources = Self::default();
        if let Some((path, source)) = config_file(args, env) {
            match read_toml(&path) {
                Ok(table) => sources.add_file(&path, table, problems),
                Err(problem) => problems.add("config", &source, problem),
            }
        }
        for key in Key::ALL {
            let variable = key.variable();
            if let Some(text) = given(env, &variable) {
                sources.add(key, Source::Environment(variable), Value::Text(text));
            }
        }
        for key in Key::ALL {
            if let Some(text) = key.given_as_flag(args) {
                sources.add(key, Source::Flag(key.flag()), Value::Text(text.to_owned()));
            }
        }
        sources
    }

    /// The value of a setting, or the default; nothing if one that was given, even one that does not count, is wrong.
    pub(super) fn get<S: Shape, T>(
        &self,
        key: Key,
        problems: &mut Problems,
        check: impl Fn(S) -> Result<T, String>,
        default: T,
    ) -> Option<Found<T>> {
        let mut found = Some(Found { value: default, source: Source::Default });
        for given in self.0.iter().filter(|given| given.key == key) {
            let shaped = match &given.value {
                Value::Text(text) => S::from_text(text),
                Value::Toml(value) => S::from_toml(value.clone()),
            };
            match shaped.and_then(&check) {
                Ok(value) => {
                    let newer = Found { value, source: given.source.clone() };
                    found = found.map(|_older| newer);
                }
                Err(problem) => {
                    problems.add(key.name(), &given.source, problem);
                    found = None;
                }
            }
        }
        found
    }

    /// The same for a setting that is a text.
    pub(super) fn get_text<T>(
        &self,
        key: Key,
        problems: &mut Problems,
        check: impl Fn(&str) -> Result<T, String>,
        default: T,
    ) -> Option<Found<T>> {
        self.get(key, problems, |text: String| check(&text), default)
    }

    fn add(&mut self, key: Key, source: Source, value: Value) {
        self.0.push(Given { key, source, value });
    }

    fn add_file(&mut self, path: &Path, table: toml::Table, problems: &mut Problems) {
        self.add_section("", &Source::File(path.to_owned()), table, problems);
    }

    /// It ends, as no section is deeper than the name of a setting.
    fn add_section(
        &mut self,
        section: &str,
        source: &Source,
        table: toml::Table,
        problems: &mut Problems,
    ) {
        for (name, value) in table {
            let name = if section.is_empty() { name } else { format!("{section}.{name}") };
            if is_section(&name) && value.is_table() {
                let inner = value.try_into().expect("it is a table");
                self.add_section(&name, source, inner, problems);
            } else {
                self.add_entry(&name, source, value, problems);
            }
        }
    }

    fn add_entry(
        &mut self,
        name: &str,
        source: &Source,
        value: toml::Value,
        problems: &mut Problems,
    ) {
        match Key::ALL.into_iter().find(|key| key.name() == name) {
            Some(key) => self.add(key, source.clone(), Value::Toml(value)),
            None if is_section(name) => {
                problems.add(name, source, format_args!("is a section; write it as `[{name}]`"));
            }
            None => problems.add(name, source, UnknownKey(name)),
        }
    }
}

fn is_section(name: &str) -> bool {
    let is_below =
        |key: Key| key.name().strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    Key::ALL.into_iter().any(is_below)
}

/// What to say about a key that does not exist.
struct UnknownKey<'a>(&'a str);

impl fmt::Display for UnknownKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = Key::ALL.map(Key::name);
        f.write_str("is no setting; ")?;
        let (section, _) = self.0.rsplit_once('.').unwrap_or_default();
        let neighbours: Vec<&str> = all
            .into_iter()
            .filter(|name| name.rsplit_once('.').unwrap_or_default().0 == section)
            .collect();
        write!(f, "remove it, or use one of `{}`", neighbours.join("`, `"))
    }
}

fn config_file(args: &ServeArgs, env: &impl Strings) -> Option<(PathBuf, Source)> {
    let by_flag = args.config.clone().map(|path| (path, Source::Flag("--config".to_owned())));
    let by_variable = || {
        let path = given(env, CONFIG_VARIABLE)?;
        Some((PathBuf::from(path), Source::Environment(CONFIG_VARIABLE.to_owned())))
    };
    by_flag.or_else(by_variable)
}

/// A variable that is set to something. Compose files and unit files cannot always leave one out, so an empty one counts as
/// not given.
fn given(env: &impl Strings, name: &str) -> Option<String> {
    env.get(name).filter(|text| !text.is_empty())
}

fn read_toml(path: &Path) -> Result<toml::Table, String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!("cannot read `{}`: {error}; check path and rights", path.display())
    })?;
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        let message = error.message().replace('\n', ", ");
        format!("`{}` is not TOML at line {line}: {message}; correct it", path.display())
    })
}

impl Shape for String {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn from_toml(value: toml::Value) -> Result<Self, String> {
        value.try_into().map_err(|_| "must be a text in quotes".to_owned())
    }
}

impl Shape for i64 {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("`{text}` is no whole number"))
    }

    fn from_toml(value: toml::Value) -> Result<Self, String> {
        let shown = value.to_string();
        value
            .try_into()
            .map_err(|_| format!("`{shown}` is no whole number; write it without quotes"))
    }
}

impl Shape for bool {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("`{text}` is neither `true` nor `false`"))
    }

    fn from_toml(value: toml::Value) -> Result<Self, String> {
        let shown = value.to_string();
        let problem = format!("`{shown}` is neither `true` nor `false`; write it without quotes");
        value.try_into().map_err(|_| problem)
    }
}

impl Shape for Vec<String> {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect())
    }

    fn from_toml(value: toml::Value) -> Result<Self, String> {
        value
            .try_into()
            .map_err(|_| "must be a list of texts, such as `[\"pan\", \"psn\"]`".to_owned())
    }
}
