//! What a command reads: files, the standard input and small texts.

use std::path::{Path, PathBuf};

use nuncio_api::limits::MESSAGE_BYTES_MAX;
use nuncio_api::v1::Mailbox;
use tokio::io::AsyncReadExt;

use crate::failure::Failure;

/// Stands for the standard input where a file is asked for.
const STDIN: &str = "-";

/// Reads a file or, for `-`, the standard input; not more than a message can carry.
pub(crate) async fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |source| Failure::File { path: path.to_owned(), source };
    let limit = u64::try_from(MESSAGE_BYTES_MAX).expect("it is a small number");
    let mut content = Vec::new();
    if path == Path::new(STDIN) {
        let stdin = tokio::io::stdin();
        stdin.take(limit + 1).read_to_end(&mut content).await.map_err(unreadable)?;
    } else {
        let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
        file.take(limit + 1).read_to_end(&mut content).await.map_err(unreadable)?;
    }
    if MESSAGE_BYTES_MAX < content.len() {
        let problem = format!("file `{}` has more than {limit} bytes", path.display());
        return Err(Failure::input(problem, "send a link in place of the file"));
    }
    Ok(content)
}

/// Reads a text in UTF-8.
pub(crate) async fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path).await?).map_err(|_| {
        let problem = format!("file `{}` is no text in UTF-8", path.display());
        Failure::input(problem, "convert it to UTF-8")
    })
}

/// Reads a secret or a value: a text whose last line end, which editors add, does not count.
pub(crate) async fn read_value(path: &Path) -> Result<String, Failure> {
    let mut text = read_text(path).await?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

/// Reads `Name <address>` or `address`. Whether the address is one, the server says.
pub(crate) fn parse_mailbox(text: &str) -> Result<Mailbox, String> {
    let text = text.trim();
    let Some((name, address)) = text.strip_suffix('>').and_then(|text| text.rsplit_once('<'))
    else {
        if text.contains('<') {
            return Err("close the address with `>`".to_owned());
        }
        return Ok(Mailbox { address: text.to_owned(), display_name: String::new() });
    };
    let name = name.trim();
    let unquoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    Ok(Mailbox { address: address.trim().to_owned(), display_name: unquoted.to_owned() })
}

/// Reads `key=value`.
pub(crate) fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("give it as `key=value`".to_owned()),
    }
}

/// Reads `key=FILE`.
pub(crate) fn parse_pair_file(text: &str) -> Result<(String, PathBuf), String> {
    parse_pair(text)
        .map(|(key, path)| (key, PathBuf::from(path)))
        .map_err(|_| "give it as `key=FILE`".to_owned())
}

#[cfg(test)]
mod tests;
