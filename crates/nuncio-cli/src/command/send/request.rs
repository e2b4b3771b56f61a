//! From options to a request.

use std::path::Path;

use nuncio_api::v1::mail::Content;
use nuncio_api::v1::{
    Attachment, CreateMailJobRequest, Mail, MailClass, RawContent, TemplateContent,
};

use crate::command::send::SendArgs;
use crate::failure::Failure;
use crate::input::{read, read_text, read_value};

/// Media types of files by the end of their names. For others the caller gives the type.
const CONTENT_TYPES: [(&str, &str); 16] = [
    ("bmp", "image/bmp"),
    ("csv", "text/csv"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("gif", "image/gif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ics", "text/calendar"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("zip", "application/zip"),
];
/// What a media type begins with (IANA, Media Types), and a path with an equals sign hardly.
const TOP_LEVEL_TYPES: [&str; 9] =
    ["application", "audio", "font", "image", "message", "model", "multipart", "text", "video"];
/// Bytes of any kind (RFC 2046, section 4.5.1).
const OCTET_STREAM: &str = "application/octet-stream";

/// Reads all files and makes the request. Whether it is valid, the server says.
pub(super) async fn build(args: SendArgs) -> Result<CreateMailJobRequest, Failure> {
    let mut attachments = Vec::with_capacity(args.attach.len());
    for attachment in &args.attach {
        attachments.push(attach(attachment).await?);
    }
    let content = content(&args).await?;
    let mail = Mail {
        from: args.from,
        reply_to: args.reply_to,
        to: args.to,
        cc: args.cc,
        bcc: args.bcc,
        content,
        attachments,
    };
    let time_to_live = args.ttl.map(|ttl| {
        let longest = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
        prost_types::Duration::try_from(ttl).unwrap_or(longest)
    });
    Ok(CreateMailJobRequest {
        mail: Some(mail),
        class: args.class.unwrap_or(MailClass::Unspecified).into(),
        request_id: args.request_id.unwrap_or_default(),
        not_before_time: args.not_before,
        time_to_live,
        labels: args.labels.into_iter().collect(),
        validate_only: args.validate_only,
    })
}

async fn content(args: &SendArgs) -> Result<Option<Content>, Failure> {
    if let Some(template) = &args.template {
        let mut variables: std::collections::BTreeMap<_, _> = args.vars.iter().cloned().collect();
        for (name, path) in &args.var_files {
            variables.insert(name.clone(), read_value(path).await?);
        }
        let locale = args.locale.clone().unwrap_or_default();
        let portal = args.portal.clone().unwrap_or_default();
        let template = template_name(template);
        let content = TemplateContent { template, variables, locale, portal };
        return Ok(Some(Content::Template(content)));
    }
    let text = match (&args.text, &args.text_file) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(path)) => Some(read_text(path).await?),
        (None, None) => None,
    };
    let html = match &args.html_file {
        Some(path) => Some(read_text(path).await?),
        None => None,
    };
    if args.subject.is_none() && text.is_none() && html.is_none() {
        return Ok(None);
    }
    Ok(Some(Content::Raw(RawContent {
        subject: args.subject.clone().unwrap_or_default(),
        text: text.unwrap_or_default(),
        html: html.unwrap_or_default(),
    })))
}

/// The resource name: the last part alone is enough for a person.
fn template_name(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("templates/{name}") }
}

async fn attach(text: &str) -> Result<Attachment, Failure> {
    let (content_type, path) = split_type(text);
    let path = Path::new(path);
    let content = read(path).await?;
    let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(Attachment { file_name: file_name.unwrap_or_default(), content_type, content })
}

/// Takes the media type off, or guesses it from the end of the name.
fn split_type(text: &str) -> (String, &str) {
    // A parameter of the type has an equals sign too: `text/plain; charset=utf-8=readme`.
    let has_parameter = text.split_once('=').is_some_and(|(before, _)| before.contains(';'));
    let parts = if has_parameter { text.rsplit_once('=') } else { text.split_once('=') };
    if let Some((content_type, path)) = parts
        && content_type.split_once('/').is_some_and(|(top, _)| TOP_LEVEL_TYPES.contains(&top))
    {
        return (content_type.to_owned(), path);
    }
    let extension = Path::new(text).extension().map(|end| end.to_string_lossy().to_lowercase());
    let guess = extension.and_then(|end| CONTENT_TYPES.iter().find(|(known, _)| *known == end));
    (guess.map_or(OCTET_STREAM, |(_, content_type)| content_type).to_owned(), text)
}

#[cfg(test)]
mod tests;
