//! What each setting must be, and what must hold between them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use axum::http::uri::Authority;
use nuncio_store::postgres::{PostgresUrl, PostgresUrlError};
use tracing_subscriber::EnvFilter;

use crate::config::problem::{Problems, Source};
use crate::config::sources::{Found, Key, Sources};
use crate::config::{
    Config, DATA_DIR, DRAIN_TIMEOUT_S, DRAIN_TIMEOUT_S_MAX, HTTP_LISTEN, LEASE_S, LEASE_S_MAX,
    LOG_FILTER, LogConfig, LogFilter, LogFormat, NODE_NAME, NodeName, OtlpEndpoint, PeerUrl,
    PublicUrl, RETENTION_DAYS, RETENTION_DAYS_MAX, Role, Strings,
};
use crate::config::{advertise, etcd, grpc};

/// The longest name of a node, in characters: that of a host name (RFC 1035, section 2.3.4, as text).
const NODE_NAME_CHARS_MAX: usize = 253;
const SECONDS_OF_A_DAY: u64 = 24 * 60 * 60;

/// Where Linux keeps the host name.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";

/// Makes the configuration, or notes everything that is wrong.
pub(super) fn check(
    sources: &Sources,
    env: &impl Strings,
    problems: &mut Problems,
) -> Option<Config> {
    let node_name = sources.get_text(Key::NodeName, problems, node_name, default_node_name(env));
    let data_dir = sources.get_text(Key::DataDir, problems, data_dir, PathBuf::from(DATA_DIR));
    let store_url = sources.get_text(Key::StoreUrl, problems, store_url, None);
    let keys_file = sources.get_text(Key::KeysFile, problems, optional_file, None);
    let etcd = etcd::check(sources, problems);
    let roles = sources.get(Key::Roles, problems, roles, BTreeSet::from(Role::ALL));
    let grpc = grpc::check(sources, problems);
    let listened = grpc.as_ref().map(|grpc| &grpc.listen);
    let advertised = advertise::check(sources, listened, host_name(env), problems);
    let http = sources.get_text(Key::HttpListen, problems, listen, HTTP_LISTEN);
    let portal = sources.get_text(Key::PortalListen, problems, optional_listen, None);
    let public_url = sources.get_text(Key::PortalPublicUrl, problems, public_url, None);
    let format = sources.get_text(Key::LogFormat, problems, log_format, LogFormat::Human);
    let filter = LogFilter(LOG_FILTER.to_owned());
    let filter = sources.get_text(Key::LogFilter, problems, log_filter, filter);
    let otlp = sources.get_text(Key::OtlpEndpoint, problems, otlp_endpoint, None);
    let days = |days| whole(days, RETENTION_DAYS_MAX, "days");
    let retention = sources.get(Key::RetentionDays, problems, days, RETENTION_DAYS.into());
    let seconds = |seconds| whole(seconds, DRAIN_TIMEOUT_S_MAX, "seconds");
    let drain = sources.get(Key::DrainTimeoutS, problems, seconds, DRAIN_TIMEOUT_S.into());
    let seconds = |seconds| whole(seconds, LEASE_S_MAX, "seconds");
    let lease = sources.get(Key::LeaseS, problems, seconds, LEASE_S.into());
    let mnt = sources.get_text(Key::PeersMnt, problems, peer, None);
    if let (Some(Some(_)), Some(store)) = (&etcd, &store_url) {
        etcd::check_store(sources, store.value.is_some(), problems);
    }
    if let (Some(grpc::Grpc { listen: grpc, .. }), Some(http)) = (&grpc, &http) {
        check_ports(
            (Key::GrpcListen, grpc.value),
            (Key::HttpListen, http.value),
            &http.source,
            problems,
        );
        if let Some(Found { value: Some(portal), source }) = &portal {
            for other in [(Key::GrpcListen, grpc.value), (Key::HttpListen, http.value)] {
                check_ports(other, (Key::PortalListen, *portal), source, problems);
            }
        }
    }
    let grpc::Grpc { listen: grpc, is_insecure, tls: grpc_tls, administrators } = grpc?;
    Some(Config {
        node_name: node_name?.value,
        data_dir: data_dir?.value,
        store_url: store_url?.value,
        etcd: etcd?,
        keys_file: keys_file?.value,
        roles: roles?.value,
        grpc_listen: grpc.value,
        grpc_insecure: is_insecure,
        grpc_tls,
        grpc_administrators: administrators,
        grpc_advertise: advertised?,
        http_listen: http?.value,
        portal_listen: portal?.value,
        portal_public_url: public_url?.value,
        log: LogConfig { format: format?.value, filter: filter?.value },
        otlp_endpoint: otlp?.value,
        retention: Duration::from_secs(retention?.value * SECONDS_OF_A_DAY),
        drain_timeout: Duration::from_secs(drain?.value),
        lease: Duration::from_secs(lease?.value),
        mnt: mnt?.value,
    })
}

fn check_ports(
    (first, one): (Key, SocketAddr),
    (second, other): (Key, SocketAddr),
    source: &Source,
    problems: &mut Problems,
) {
    let same_address =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    if one.port() == other.port() && one.port() != 0 && same_address {
        let first = first.name();
        let problem = format!("`{other}` collides with `{first}`, `{one}`; use another port");
        problems.add(second.name(), source, problem);
    }
}

fn node_name(text: &str) -> Result<NodeName, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if (1..=NODE_NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(NodeName(text.to_owned()))
    } else {
        Err(format!("must be 1 to {NODE_NAME_CHARS_MAX} letters, digits, `-`, `_` or `.`"))
    }
}

fn default_node_name(env: &impl Strings) -> NodeName {
    NodeName(host_name(env))
}

/// The name of this machine.
fn host_name(env: &impl Strings) -> String {
    let machine = || std::fs::read_to_string(HOST_NAME_FILE).ok();
    let host = env.get("HOSTNAME").filter(|name| !name.is_empty()).or_else(machine);
    let host = host.and_then(|name| node_name(name.trim()).ok());
    host.map_or_else(|| NODE_NAME.to_owned(), |NodeName(name)| name)
}

fn data_dir(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err(format!("must be a path, such as `{DATA_DIR}`"));
    }
    Ok(PathBuf::from(text))
}

/// The text is not shown: it may hold a password.
pub(super) fn optional_file(text: &str) -> Result<Option<PathBuf>, String> {
    if text.contains('\0') {
        return Err("must be a path; leave it empty for the default".to_owned());
    }
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

fn store_url(text: &str) -> Result<Option<PostgresUrl>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: PostgresUrlError| {
        format!("{error}; leave it empty to keep jobs in the data folder")
    })
}

fn roles(names: Vec<String>) -> Result<BTreeSet<Role>, String> {
    if names.is_empty() {
        return Err("is empty; name at least one of `pan`, `mnt`, `psn`".to_owned());
    }
    let (mut roles, mut unknown) = (BTreeSet::new(), Vec::new());
    for name in names {
        match Role::ALL.into_iter().find(|role| role.name() == name) {
            Some(role) => {
                roles.insert(role);
            }
            None => unknown.push(format!("`{name}` is no role")),
        }
    }
    if unknown.is_empty() {
        Ok(roles)
    } else {
        Err(unknown.join(", ") + "; use `pan`, `mnt`, `psn`")
    }
}

pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is no IP address with port; give it as `127.0.0.1:7587` or `[::1]:7587`")
    })
}

fn optional_listen(text: &str) -> Result<Option<SocketAddr>, String> {
    if text.is_empty() { Ok(None) } else { listen(text).map(Some) }
}

/// Links hold the right to decide, so they must not travel in clear.
fn public_url(text: &str) -> Result<Option<PublicUrl>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let url = text.strip_suffix('/').unwrap_or(text);
    let uri = url.parse::<Uri>().ok();
    let is_local = uri.as_ref().is_some_and(is_local);
    let is_known = uri.as_ref().is_some_and(|uri| {
        let scheme = uri.scheme_str();
        (scheme == Some("https") || scheme == Some("http") && is_local)
            && uri.query().is_none()
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    if is_known && !url.ends_with('/') && !url.contains(['\'', '"', '<', '>', '`', '#']) {
        Ok(Some(PublicUrl(url.to_owned())))
    } else {
        Err(format!(
            "`{text}` is no https URL (http is for loopback addresses only); give it as `https://guests.example.com`"
        ))
    }
}

/// Whether the host of a URL is this machine.
pub(super) fn is_local(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("`{text}` is no format; use `human` or `json`")),
    }
}

fn log_filter(text: &str) -> Result<LogFilter, String> {
    match EnvFilter::builder().parse(text) {
        Ok(_) if !text.trim().is_empty() => Ok(LogFilter(text.to_owned())),
        Ok(_) => Err(format!("is empty; use a level such as `{LOG_FILTER}`, or `off`")),
        Err(_) => Err(format!("`{text}` is no filter; use one such as `info,nuncio_smtp=debug`")),
    }
}

fn otlp_endpoint(text: &str) -> Result<Option<OtlpEndpoint>, String> {
    let uri = text.parse::<Uri>().ok();
    let known = uri.as_ref().is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    if known {
        Ok(Some(OtlpEndpoint(text.to_owned())))
    } else {
        // The text is not shown: a URL with a user name holds a password too.
        Err("is no http or https URL of a collector; give it as `http://127.0.0.1:4317`".to_owned())
    }
}

fn peer(text: &str) -> Result<Option<PeerUrl>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let uri = text.parse::<Uri>().ok();
    let known = uri.as_ref().is_some_and(|uri| {
        let bare = |authority: &Authority| !authority.as_str().contains('@');
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(bare)
            && ["", "/"].contains(&uri.path())
            && uri.query().is_none()
    });
    if known {
        Ok(Some(PeerUrl(text.to_owned())))
    } else {
        Err("is no address of a node; give it as `https://mnt:7587` or `http://mnt:7587`"
            .to_owned())
    }
}

fn whole(value: i64, max: u16, unit: &str) -> Result<u64, String> {
    match u64::try_from(value) {
        Ok(value) if (1..=u64::from(max)).contains(&value) => Ok(value),
        Ok(_) | Err(_) => Err(format!("`{value}` is out of range; use 1 to {max} {unit}")),
    }
}
