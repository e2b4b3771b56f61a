//! Requests for mail jobs.

use nuncio_api::v1;

/// A password in [`guest_credentials`] that may be found nowhere but in the mail.
pub const GUEST_PASSWORD: &str = "guest-pass-7Zq!only-in-the-mail";

/// A mail with a subject and a short text.
pub fn raw(class: v1::MailClass, subject: &str, to: &[&str]) -> v1::CreateMailJobRequest {
    let raw = v1::RawContent {
        subject: subject.to_owned(),
        text: format!("The text of {subject}.\n"),
        html: String::new(),
    };
    request(class, v1::mail::Content::Raw(raw), to)
}

/// Class bulk: never sent twice.
pub fn bulk(subject: &str) -> v1::CreateMailJobRequest {
    raw(v1::MailClass::Bulk, subject, &["guest@example.com"])
}

/// Guest credentials from the shipped template; rather sent twice than not at all.
pub fn guest_credentials(to: &str) -> v1::CreateMailJobRequest {
    let variables = [
        ("first_name", "Erika"),
        ("last_name", "Mustermann"),
        ("username", "erika01"),
        ("password", GUEST_PASSWORD),
        ("valid_from", "2026-11-23 09:00"),
        ("valid_to", "2026-11-27 18:00"),
        ("duration", "5 days"),
        ("person_visited", "Dana Sponsor"),
    ];
    let template = v1::TemplateContent {
        template: "templates/guest-credentials".to_owned(),
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        locale: "en".to_owned(),
        portal: String::new(),
    };
    request(v1::MailClass::Credentials, v1::mail::Content::Template(template), &[to])
}

/// An address without a display name.
pub fn mailbox(address: &str) -> v1::Mailbox {
    v1::Mailbox { address: address.to_owned(), display_name: String::new() }
}

/// A request with content of the caller's choice.
pub fn request(
    class: v1::MailClass,
    content: v1::mail::Content,
    to: &[&str],
) -> v1::CreateMailJobRequest {
    let mail = v1::Mail {
        to: to.iter().copied().map(mailbox).collect(),
        content: Some(content),
        ..v1::Mail::default()
    };
    v1::CreateMailJobRequest {
        mail: Some(mail),
        class: class.into(),
        ..v1::CreateMailJobRequest::default()
    }
}
