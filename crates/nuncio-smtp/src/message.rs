//! Builds the message: headers and MIME, by lettre.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use lettre::address::Envelope as LettreEnvelope;
use lettre::message::header::{
    Cc, ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MessageId, To,
};
use lettre::message::{Attachment as LettreAttachment, Body, Mailbox as LettreMailbox, Mailboxes};
use lettre::message::{Message as LettreMessage, MessageBuilder, MultiPart, SinglePart};
use nuncio_core::address::{EmailAddress, Mailbox};
use nuncio_core::mail::{Attachment, Mail, RecipientKind};
use nuncio_core::ports::mail::OutgoingMail;

use crate::dots::Content;
use crate::session::transaction::Envelope;
use crate::wire_address::on_the_wire;

/// How long a line may be, without its end (RFC 5322, section 2.1.1).
const LINE_OCTETS_MAX: usize = 998;
/// The type of an attachment whose own type does not go with base64.
const BYTES: &str = "application/octet-stream";

/// The longest word of a subject that is left to lettre: with it a line stays below the 998 octets of
/// RFC 5322, section 2.1.1.
const WORD_OCTETS_MAX: usize = 900;
/// What one encoded word holds: in base64 it stays below 75 octets (RFC 2047, section 2).
const ENCODED_OCTETS: usize = 42;

/// A message that is ready for the wire, and what the server must know of it.
#[derive(Debug)]
pub struct Message {
    pub envelope: Envelope,
    pub content: Content,
}

/// The mail makes no message. Mails are checked when they are taken, so this is a fault of nuncio.
#[derive(Debug, thiserror::Error)]
#[error("the message could not be built")]
pub struct BuildError(#[source] lettre::error::Error);

/// Builds the message. The sender is the mail's own or else `mailbox`.
///
/// Blind copies show up in the envelope only. Every attempt gives the same headers.
pub fn build(outgoing: &OutgoingMail, mailbox: &EmailAddress) -> Result<Message, BuildError> {
    let mail = &outgoing.mail;
    let from = mail.from.clone().unwrap_or_else(|| Mailbox::from(mailbox.clone()));
    let built = add_content(headers(outgoing, &from), mail).map_err(BuildError)?.formatted();
    let bytes = with_lists_folded(built);
    let is_eight_bit = !bytes.is_ascii();
    let content = Content::new(bytes);
    let envelope = Envelope {
        from: from.address,
        recipients: outgoing.recipients.clone(),
        size: content.octets().len() as u64,
        is_eight_bit,
        needs_smtputf8: needs_smtputf8(outgoing, mailbox),
        recipients_max: usize::MAX,
    };
    Ok(Message { envelope, content })
}

fn headers(outgoing: &OutgoingMail, from: &Mailbox) -> MessageBuilder {
    let mail = &outgoing.mail;
    // lettre wants an envelope; ours is built beside it.
    let anybody = lettre_address(&from.address);
    let envelope = LettreEnvelope::new(None, vec![anybody]).expect("it has a recipient");
    let mut builder = LettreMessage::builder()
        .envelope(envelope)
        .date(system_time(outgoing.date))
        .from(lettre_mailbox(from))
        .header(MessageId::from(outgoing.message_id.clone()));
    builder = if needs_encoding(&mail.subject) {
        builder.raw_header(encoded_subject(&mail.subject))
    } else {
        builder.subject(&mail.subject)
    };
    if let Some(answered) = mail.references.last() {
        builder = builder
            .raw_header(identifiers("In-Reply-To", std::slice::from_ref(answered)))
            .raw_header(identifiers("References", &mail.references));
    }
    if let Some(reply_to) = &mail.reply_to {
        builder = builder.reply_to(lettre_mailbox(reply_to));
    }
    // Each in one go: lettre's way of adding one by one reads the header again each time.
    let named = |kind| -> Mailboxes {
        let recipients = mail.recipients.iter().filter(|one| one.kind == kind);
        recipients.map(|one| lettre_mailbox(&one.mailbox)).collect()
    };
    let (to, cc) = (named(RecipientKind::To), named(RecipientKind::Cc));
    let is_anybody_named = to.iter().chain(cc.iter()).next().is_some();
    if to.iter().next().is_some() {
        builder = builder.header(To::from(to));
    }
    if cc.iter().next().is_some() {
        builder = builder.header(Cc::from(cc));
    }
    if is_anybody_named { builder } else { builder.raw_header(undisclosed()) }
}

/// The message with each address on a line of its own where the list of them is too long for one (RFC 5322, section
/// 2.1.1): lettre does not fold lists of addresses without names.
fn with_lists_folded(message: Vec<u8>) -> Vec<u8> {
    let is_too_long = |line: &[u8]| LINE_OCTETS_MAX < line.len();
    let end = message.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(message.len());
    let (header, rest) = message.split_at(end);
    if !header.split(|octet| *octet == b'\n').any(is_too_long) {
        return message;
    }
    let mut folded = Vec::with_capacity(message.len() + header.len());
    for line in header.split_inclusive(|octet| *octet == b'\n') {
        let folds = is_too_long(line);
        for (place, octet) in line.iter().enumerate() {
            folded.push(*octet);
            if folds && *octet == b',' && line.get(place + 1) == Some(&b' ') {
                folded.extend_from_slice(b"\r\n");
            }
        }
    }
    folded.extend_from_slice(rest);
    folded
}

/// `Message-ID`s, each on a line of its own, so that no line is too long (RFC 5322, section 3.6.4).
fn identifiers(name: &'static str, ids: &[String]) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str(name);
    HeaderValue::dangerous_new_pre_encoded(name, ids.join(" "), ids.join("\r\n "))
}

/// Whether lettre would send a line that is too long, as it folds only at blanks, or leave words as they are that
/// readers take for encoded ones.
fn needs_encoding(subject: &str) -> bool {
    subject.contains("=?") || subject.split(' ').any(|word| WORD_OCTETS_MAX < word.len())
}

/// A subject as encoded words (RFC 2047).
fn encoded_subject(subject: &str) -> HeaderValue {
    let mut words = Vec::new();
    let mut rest = subject;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(ENCODED_OCTETS));
        words.push(format!("=?utf-8?b?{}?=", STANDARD.encode(word)));
        rest = after;
    }
    let name = HeaderName::new_from_ascii_str("Subject");
    HeaderValue::dangerous_new_pre_encoded(name, subject.to_owned(), words.join("\r\n "))
}

/// An empty group (RFC 5322, section 3.4), as a mail without any recipient field looks suspicious.
fn undisclosed() -> HeaderValue {
    let group = "undisclosed-recipients:;".to_owned();
    let name = HeaderName::new_from_ascii_str("To");
    HeaderValue::dangerous_new_pre_encoded(name, group.clone(), group)
}

fn add_content(
    builder: MessageBuilder,
    mail: &Mail,
) -> Result<LettreMessage, lettre::error::Error> {
    let plain = mail.text.as_ref().map(|text| SinglePart::plain(crlf(text.expose())));
    let html = mail.html.as_ref().map(|html| SinglePart::html(crlf(html.expose())));
    let body = match (plain, html) {
        (Some(plain), Some(html)) => {
            // The last part is the best one (RFC 2046, section 5.1.4).
            Parts::Multi(MultiPart::alternative().singlepart(plain).singlepart(html))
        }
        (Some(one), None) | (None, Some(one)) => Parts::Single(one),
        (None, None) => Parts::Single(SinglePart::plain(String::new())),
    };
    if mail.attachments.is_empty() {
        return match body {
            Parts::Single(part) => builder.singlepart(part),
            Parts::Multi(parts) => builder.multipart(parts),
        };
    }
    let mixed = match body {
        Parts::Single(part) => MultiPart::mixed().singlepart(part),
        Parts::Multi(parts) => MultiPart::mixed().multipart(parts),
    };
    builder.multipart(mail.attachments.iter().fold(mixed, |mixed, one| mixed.singlepart(file(one))))
}

enum Parts {
    Single(SinglePart),
    Multi(MultiPart),
}

/// The attachment in base64, whatever it holds: its line ends are nobody's to change.
fn file(attachment: &Attachment) -> SinglePart {
    let body = Body::new_with_encoding(attachment.content.clone(), ContentTransferEncoding::Base64);
    let body = body.unwrap_or_else(Body::new);
    let kind = attachment.content_type.to_ascii_lowercase();
    // Parts of these types must not be in base64 (RFC 2046, section 5; RFC 2045, section 6.4).
    let is_composite = kind.starts_with("multipart/") || kind.starts_with("message/");
    let kind = if is_composite { BYTES } else { &attachment.content_type };
    let bytes = || ContentType::parse(BYTES).expect("it is a media type");
    let kind = ContentType::parse(kind).unwrap_or_else(|_error| bytes());
    LettreAttachment::new(attachment.file_name.clone()).body(body, kind)
}

fn crlf(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {
                characters.next_if_eq(&'\n');
                out.push_str("\r\n");
            }
            '\n' => out.push_str("\r\n"),
            other => out.push(other),
        }
    }
    out
}

/// Whether the header names an address that only SMTPUTF8 can carry. Blind copies are not in it: who gets one without
/// SMTPUTF8 is decided for each recipient.
fn needs_smtputf8(outgoing: &OutgoingMail, mailbox: &EmailAddress) -> bool {
    let mail = &outgoing.mail;
    let sender = mail.from.as_ref().map_or(mailbox, |from| &from.address);
    let named = mail.recipients.iter().filter(|one| one.kind != RecipientKind::Bcc);
    let mut addresses = std::iter::once(sender)
        .chain(mail.reply_to.iter().map(|reply_to| &reply_to.address))
        .chain(named.map(|one| &one.mailbox.address));
    addresses.any(|address| !on_the_wire(address).is_ascii())
}

/// The `Date` header counts whole seconds.
fn system_time(time: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_second().try_into().unwrap_or_default())
}

fn lettre_mailbox(mailbox: &Mailbox) -> LettreMailbox {
    LettreMailbox::new(mailbox.display_name.clone(), lettre_address(&mailbox.address))
}

/// Without lettre's own check: ours has passed, and the two need not agree in every corner.
fn lettre_address(address: &EmailAddress) -> lettre::Address {
    let address = on_the_wire(address);
    let (user, domain) = address.rsplit_once('@').expect("an address has an `@`");
    lettre::Address::new_dangerous(user, domain)
}

#[cfg(test)]
mod tests;
