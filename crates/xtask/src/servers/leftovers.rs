//! What is still there of a run that should be over.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::settings::Settings;

/// Names each process that has to do with the folder `base`, and each port of `settings` that still answers.
pub(super) fn of_run(base: &Path, settings: &Settings) -> Vec<String> {
    let ports = settings
        .ports()
        .filter(|(_name, port)| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .map(|(name, port)| format!("port {port} ({name}) still answers"));
    processes(base).into_iter().chain(ports).collect()
}

/// The processes with `base` in their command line, environment or working folder.
fn processes(base: &Path) -> Vec<String> {
    let base = base.as_os_str().as_bytes();
    let own = std::process::id().to_string();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == own || !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // A process that ends while it is looked at has no entry any more, and is not left.
        let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
        let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let command_line = read("cmdline");
        if [&command_line, &read("environ"), cwd.as_os_str().as_bytes()]
            .iter()
            .any(|text| contains(text, base))
        {
            let command_line = String::from_utf8_lossy(&command_line).replace('\0', " ");
            found.push(format!("process {name} still runs: {command_line}"));
        }
    }
    found
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
