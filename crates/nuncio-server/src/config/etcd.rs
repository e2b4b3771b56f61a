//! The settings about etcd.

use axum::http::Uri;
use nuncio_cluster::etcd::{EtcdConfig, IdentityFiles};

use super::ETCD_PREFIX;
use super::check::{is_local, optional_file};
use super::problem::Problems;
use super::sources::{Key, Sources};

/// The most members of etcd that are named; etcd itself advises against more than seven
/// (<https://etcd.io/docs/v3.4/faq/#what-is-maximum-cluster-size>).
const ENDPOINTS_MAX: usize = 9;
/// The longest prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 200;

/// Where etcd is; `Some(None)` means that there is none, nothing that something is wrong.
#[expect(clippy::option_option, reason = "the outer one tells of problems, as in all checks")]
pub(super) fn check(sources: &Sources, problems: &mut Problems) -> Option<Option<EtcdConfig>> {
    let endpoints = sources.get(Key::EtcdEndpoints, problems, endpoints, Vec::new());
    let prefix = sources.get_text(Key::EtcdPrefix, problems, prefix, ETCD_PREFIX.to_owned());
    let mut file = |key| sources.get_text(key, problems, optional_file, None);
    let ca_file = file(Key::EtcdCaFile);
    let cert_file = file(Key::EtcdCertFile);
    let key_file = file(Key::EtcdKeyFile);
    let (endpoints, prefix) = (endpoints?, prefix?.value);
    let (ca_file, cert_file, key_file) = (ca_file?, cert_file?, key_file?);
    if endpoints.value.is_empty() {
        let files = [
            (Key::EtcdCaFile, &ca_file),
            (Key::EtcdCertFile, &cert_file),
            (Key::EtcdKeyFile, &key_file),
        ];
        for (key, file) in files.into_iter().filter(|(_, file)| file.value.is_some()) {
            let name = Key::EtcdEndpoints.name();
            let problem =
                format!("is for etcd, and `{name}` names none; name it, or leave this out");
            problems.add(key.name(), &file.source, problem);
        }
        return Some(None);
    }
    let identity = match (cert_file.value, key_file.value) {
        (Some(cert_file), Some(key_file)) => Some(IdentityFiles { cert_file, key_file }),
        (None, None) => None,
        (Some(_), None) => {
            let problem = format!("needs `{}`, its private key", Key::EtcdKeyFile.name());
            problems.add(Key::EtcdCertFile.name(), &cert_file.source, problem);
            None
        }
        (None, Some(_)) => {
            let problem = format!("needs `{}`, its certificate", Key::EtcdCertFile.name());
            problems.add(Key::EtcdKeyFile.name(), &key_file.source, problem);
            None
        }
    };
    let (endpoints, ca_file) = (endpoints.value, ca_file.value);
    Some(Some(EtcdConfig { endpoints, prefix, ca_file, identity }))
}

/// Nodes with common settings send from the same mailboxes, and only what lies in a common store is counted together.
pub(super) fn check_store(sources: &Sources, is_shared: bool, problems: &mut Problems) {
    if is_shared {
        return;
    }
    let problem = format!(
        "needs `{}` too: nodes that share settings share mailboxes, and only with a common database they keep to \
         the limits of a mailbox together",
        Key::StoreUrl.name()
    );
    let source = sources.get(Key::EtcdEndpoints, problems, endpoints, Vec::new());
    if let Some(source) = source.map(|found| found.source) {
        problems.add(Key::EtcdEndpoints.name(), &source, problem);
    }
}

fn endpoints(urls: Vec<String>) -> Result<Vec<String>, String> {
    if ENDPOINTS_MAX < urls.len() {
        return Err(format!("names {} members; {ENDPOINTS_MAX} are the most", urls.len()));
    }
    let wrong: Vec<String> = urls.iter().filter_map(|url| problem_of(url)).collect();
    let is_plain = |url: &String| url.starts_with("http://");
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    if urls.iter().any(is_plain) && !urls.iter().all(is_plain) {
        return Err("mixes http and https; use one of them for all members".to_owned());
    }
    Ok(urls.into_iter().map(|url| url.trim_end_matches('/').to_owned()).collect())
}

/// The text of a URL with a user name is not shown: it may hold a password.
fn problem_of(url: &str) -> Option<String> {
    let uri = url.parse::<Uri>().ok();
    let authority = uri.as_ref().and_then(Uri::authority);
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return Some(
            "a URL names a user; etcd's user is the one in the client certificate".to_owned(),
        );
    }
    let is_bare =
        uri.as_ref().is_some_and(|uri| ["", "/"].contains(&uri.path()) && uri.query().is_none());
    match uri.as_ref().and_then(Uri::scheme_str) {
        Some("https") if is_bare => None,
        Some("http") if is_bare && uri.as_ref().is_some_and(is_local) => None,
        Some("http") if is_bare => Some(format!(
            "`{url}` would send settings in the clear (http is for loopback addresses only); use https"
        )),
        _ => Some(format!("`{url}` is no URL of etcd; give it as `https://etcd-1:2379`")),
    }
}

fn prefix(text: &str) -> Result<String, String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    let is_known = text.len() <= PREFIX_BYTES_MAX
        && text.starts_with('/')
        && text.ends_with('/')
        && text.bytes().all(is_plain)
        && !text.contains("//");
    if is_known {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "must be letters, digits, `-`, `_`, `.` between slashes, {PREFIX_BYTES_MAX} at most; give it as \
             `{ETCD_PREFIX}`"
        ))
    }
}
