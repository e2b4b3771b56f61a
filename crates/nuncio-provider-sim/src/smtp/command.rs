//! The commands of SMTP, read from their lines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A command (RFC 5321, 3207, 4954, 3030).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    Ehlo,
    Helo,
    StartTls,
    Auth { mechanism: String, initial: Option<String> },
    Mail(MailFrom),
    Rcpt { address: String, dsn: bool },
    Data,
    Bdat { size: u64, last: bool },
    Rset,
    Noop,
    Vrfy,
    Quit,
}

/// What MAIL says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct MailFrom {
    /// Empty for the null sender.
    pub(crate) address: String,
    pub(crate) size: Option<u64>,
    pub(crate) body: BodyType,
    pub(crate) smtp_utf8: bool,
    /// RET or ENVID was there (RFC 3461).
    pub(crate) dsn: bool,
}

/// The parameter BODY (RFC 6152, RFC 3030).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum BodyType {
    #[default]
    SevenBit,
    EightBitMime,
    BinaryMime,
}

/// The reply to a line that is not a command.
pub(crate) type Syntax = &'static str;

const UNKNOWN: Syntax = "500 5.3.3 Unrecognized command";
const ARGUMENTS: Syntax = "501 5.5.4 Invalid arguments";
const PARAMETER: Syntax = "555 5.5.4 Unsupported option";
const NOT_UTF8: Syntax = "500 5.5.2 Syntax error, command is not UTF-8";
const SENDER: Syntax = "501 5.1.7 Invalid address";
const RECIPIENT: Syntax = "501 5.1.3 Invalid address";

/// Longest local part and domain together with the `@`, octets (RFC 5321 section 4.5.3.1.3, less the brackets).
const ADDRESS_MAX: usize = 254;

impl Command {
    /// Reads a line without its line end.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, Syntax> {
        let line = std::str::from_utf8(line).map_err(|_| NOT_UTF8)?;
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "LHLO" if rest.is_empty() => Err("501 5.5.4 Invalid domain name"),
            "EHLO" => Ok(Self::Ehlo),
            "HELO" => Ok(Self::Helo),
            "STARTTLS" => bare(rest, Self::StartTls),
            "AUTH" => auth(rest),
            "MAIL" => mail(rest).map(Self::Mail),
            "RCPT" => rcpt(rest),
            "DATA" => bare(rest, Self::Data),
            "BDAT" => bdat(rest),
            "RSET" => bare(rest, Self::Rset),
            "NOOP" => Ok(Self::Noop),
            "VRFY" => Ok(Self::Vrfy),
            "QUIT" => bare(rest, Self::Quit),
            _ => Err(UNKNOWN),
        }
    }
}

/// The text within base64 of an AUTH exchange; `=` stands for the empty text (RFC 4954 section 4).
pub(crate) fn decode_response(text: &str) -> Option<String> {
    if text == "=" {
        return Some(String::new());
    }
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}

fn bare(rest: &str, command: Command) -> Result<Command, Syntax> {
    if rest.is_empty() { Ok(command) } else { Err(ARGUMENTS) }
}

fn auth(rest: &str) -> Result<Command, Syntax> {
    let mut words = rest.split_ascii_whitespace();
    let mechanism = words.next().ok_or(ARGUMENTS)?.to_ascii_uppercase();
    let initial = words.next().map(str::to_owned);
    match words.next() {
        None => Ok(Command::Auth { mechanism, initial }),
        Some(_) => Err(ARGUMENTS),
    }
}

fn mail(rest: &str) -> Result<MailFrom, Syntax> {
    let (address, parameters) = path(rest, "FROM:", SENDER)?;
    if !address.is_empty() && !is_address(address) {
        return Err(SENDER);
    }
    let mut mail = MailFrom { address: address.to_owned(), ..MailFrom::default() };
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (name.to_ascii_uppercase().as_str(), value.to_ascii_uppercase().as_str()) {
            ("SIZE", size) => mail.size = Some(size.parse().map_err(|_| ARGUMENTS)?),
            ("BODY", "7BIT") => mail.body = BodyType::SevenBit,
            ("BODY", "8BITMIME") => mail.body = BodyType::EightBitMime,
            ("BODY", "BINARYMIME") => mail.body = BodyType::BinaryMime,
            ("SMTPUTF8", "") => mail.smtp_utf8 = true,
            ("RET", "FULL" | "HDRS") => mail.dsn = true,
            ("ENVID", id) if !id.is_empty() => mail.dsn = true,
            ("AUTH", who) if !who.is_empty() => {}
            ("BODY" | "SMTPUTF8" | "RET" | "ENVID" | "AUTH", _) => return Err(ARGUMENTS),
            _ => return Err(PARAMETER),
        }
    }
    Ok(mail)
}

fn rcpt(rest: &str) -> Result<Command, Syntax> {
    let (address, parameters) = path(rest, "TO:", RECIPIENT)?;
    if !is_address(address) {
        return Err(RECIPIENT);
    }
    let mut dsn = false;
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name.to_ascii_uppercase().as_str() {
            "NOTIFY" | "ORCPT" if !value.is_empty() => dsn = true,
            "NOTIFY" | "ORCPT" => return Err(ARGUMENTS),
            _ => return Err(PARAMETER),
        }
    }
    Ok(Command::Rcpt { address: address.to_owned(), dsn })
}

fn bdat(rest: &str) -> Result<Command, Syntax> {
    let mut words = rest.split_ascii_whitespace();
    let size = words.next().and_then(|word| word.parse().ok()).ok_or(ARGUMENTS)?;
    let last = words.next();
    if last.is_some_and(|word| !word.eq_ignore_ascii_case("LAST")) || words.next().is_some() {
        return Err(ARGUMENTS);
    }
    Ok(Command::Bdat { size, last: last.is_some() })
}

/// The address between the angle brackets behind `prefix`, and what follows them.
fn path<'a>(rest: &'a str, prefix: &str, bad: Syntax) -> Result<(&'a str, &'a str), Syntax> {
    let (start, rest) = rest.split_at_checked(prefix.len()).ok_or(ARGUMENTS)?;
    if !start.eq_ignore_ascii_case(prefix) {
        return Err(ARGUMENTS);
    }
    let inside = rest.trim_start().strip_prefix('<').ok_or(bad)?;
    let end = closing(inside).ok_or(bad)?;
    let (address, behind) = (&inside[..end], &inside[end + 1..]);
    if behind.is_empty() || behind.starts_with(' ') { Ok((address, behind)) } else { Err(bad) }
}

/// Where the bracket closes; one within quotes does not count.
fn closing(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Rough on purpose: what gets through here a real server may still refuse.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let quoted = 2 <= local.len() && local.starts_with('"') && local.ends_with('"');
    let plain = !local.is_empty() && !local.contains([' ', '<', '>', '"', ',', ';']);
    text.len() <= ADDRESS_MAX
        && (quoted || plain)
        && !domain.is_empty()
        && !domain.contains([' ', '<', '>', '"', ',', ';'])
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
