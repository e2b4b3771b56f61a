//! What the server reads in a message: Message-ID and From.

/// The Message-ID without its angle brackets.
pub(crate) fn message_id(data: &[u8]) -> Option<String> {
    let value = header(data, "message-id")?;
    let value = value.trim();
    let inside = value.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(value);
    (!inside.is_empty()).then(|| inside.to_owned())
}

/// The address in From.
pub(crate) fn from_address(data: &[u8]) -> Option<String> {
    let value = header(data, "from")?;
    let address = match value.rsplit_once('<') {
        Some((_, rest)) => rest.split_once('>')?.0,
        None => value.trim(),
    };
    let address = address.trim();
    (address.contains('@') && !address.contains(char::is_whitespace)).then(|| address.to_owned())
}

/// The value of the first header with this name (in lower case), unfolded.
fn header(data: &[u8], name: &str) -> Option<String> {
    let mut lines =
        data.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut value: Option<String> = None;
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let folded = line.starts_with(b" ") || line.starts_with(b"\t");
        match (&mut value, folded) {
            (Some(value), true) => value.push_str(&String::from_utf8_lossy(line)),
            (Some(_), false) => break,
            (None, true) => {}
            (None, false) => value = value_of(line, name),
        }
    }
    value
}

fn value_of(line: &[u8], name: &str) -> Option<String> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let found = line[..colon].trim_ascii_end().eq_ignore_ascii_case(name.as_bytes());
    found.then(|| String::from_utf8_lossy(&line[colon + 1..]).trim().to_owned())
}

#[cfg(test)]
mod tests;
