//! The mail that a job carries.

use std::fmt;

use crate::address::{AddressError, DISPLAY_NAME_CHARS_MAX, EmailAddress, Mailbox};
use crate::class::MailClass;
use crate::secret::Sensitive;
use crate::template::catalogue::Template;
use crate::template::{TemplateError, TemplateUse, Templates, Variables};
use crate::violation::{Fault, Violations};

/// The most recipients of one mail: what an Exchange Online administrator may allow at most.
pub const RECIPIENTS_MAX: usize = 1000;
/// The longest subject in characters: a header line without its end (RFC 5322, section 2.1.1).
pub const SUBJECT_CHARS_MAX: usize = 998;
/// The most mails that one goes on from.
pub const REFERENCES_MAX: usize = 20;
/// The most attachments of one mail.
pub const ATTACHMENTS_MAX: usize = 20;
/// Bodies and attachments of one mail together, in bytes: 8 MiB.
pub const CONTENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest name of an attached file, in characters.
pub const FILE_NAME_CHARS_MAX: usize = 255;
/// The longest media type (RFC 6838, section 4.2: two names of 127 characters).
const CONTENT_TYPE_CHARS_MAX: usize = 255;

/// A mail that can be sent: every value of this type is valid.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The sender; none means the mailbox of the SMTP settings.
    pub from: Option<Mailbox>,
    pub reply_to: Option<Mailbox>,
    /// Who sends it in place of `from` if the provider does not let its mailbox send as that one: the first of
    /// them, then the next.
    pub other_senders: Vec<Sender>,
    /// The `Message-ID`s of the mails that this one goes on from, the last one answered, with angle brackets
    /// (RFC 5322, section 3.6.4).
    pub references: Vec<String>,
    /// At least one; the order is that of the request.
    pub recipients: Vec<Recipient>,
    pub subject: String,
    /// At least one of `text` and `html` is there.
    pub text: Option<Sensitive>,
    pub html: Option<Sensitive>,
    pub attachments: Vec<Attachment>,
    /// The template that made subject and bodies.
    pub template: Option<String>,
}

/// Who a mail is from, and where answers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// None means the mailbox of the SMTP settings.
    pub from: Option<Mailbox>,
    pub reply_to: Option<Mailbox>,
}

/// A recipient and the header field in which it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub mailbox: Mailbox,
    pub kind: RecipientKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecipientKind {
    To,
    Cc,
    Bcc,
}

/// A file that goes with the mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    pub file_name: String,
    pub content_type: String,
    pub content: Vec<u8>,
}

/// A mail as a caller gives it: complete in shape, not yet checked in content.
#[derive(Clone, Default)]
pub struct MailDraft {
    pub from: Option<MailboxDraft>,
    pub reply_to: Option<MailboxDraft>,
    /// As [`Mail::other_senders`].
    pub other_senders: Vec<Sender>,
    /// As [`Mail::references`].
    pub references: Vec<String>,
    pub to: Vec<MailboxDraft>,
    pub cc: Vec<MailboxDraft>,
    pub bcc: Vec<MailboxDraft>,
    pub content: Option<ContentDraft>,
    pub attachments: Vec<Attachment>,
}

#[derive(Clone, Default)]
pub struct MailboxDraft {
    pub address: String,
    pub display_name: String,
}

#[derive(Clone)]
pub enum ContentDraft {
    Raw {
        subject: String,
        text: String,
        html: String,
    },
    /// A portal's own texts are preferred; an empty `portal` means those for all portals.
    Template {
        name: String,
        variables: Variables,
        locale: String,
        portal: String,
    },
}

/// Why a draft is no mail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    #[error("the mail is not valid")]
    Invalid(Violations),
    #[error("template `{name}` does not exist; there are: {known}")]
    UnknownTemplate { name: String, known: String },
}

struct Content {
    subject: String,
    text: String,
    html: String,
    template: Option<String>,
}

impl From<Mailbox> for MailboxDraft {
    fn from(Mailbox { address, display_name }: Mailbox) -> Self {
        let display_name = display_name.unwrap_or_default();
        Self { address: address.to_string(), display_name }
    }
}

impl MailDraft {
    /// Makes the mail, or tells everything that is wrong with the draft. Fields are named as in the API.
    pub fn check(self, templates: &Templates) -> Result<Mail, MailError> {
        let mut violations = Violations::default();
        let from = check_optional(&mut violations, "mail.from", self.from);
        let reply_to = check_optional(&mut violations, "mail.reply_to", self.reply_to);
        let mut recipients = Vec::new();
        for (name, kind, drafts) in [
            ("mail.to", RecipientKind::To, self.to),
            ("mail.cc", RecipientKind::Cc, self.cc),
            ("mail.bcc", RecipientKind::Bcc, self.bcc),
        ] {
            recipients.extend(drafts.into_iter().enumerate().map(|(index, draft)| {
                let mailbox = check_mailbox(&mut violations, &format!("{name}[{index}]"), draft);
                mailbox.map(|mailbox| Recipient { mailbox, kind })
            }));
        }
        check_count(&mut violations, recipients.len());
        let content = check_content(&mut violations, self.content, templates)?;
        check_references(&mut violations, &self.references);
        check_attachments(&mut violations, &self.attachments);
        check_size(&mut violations, content.as_ref(), &self.attachments);

        let recipients: Option<Vec<Recipient>> = recipients.into_iter().collect();
        let (Some(recipients), Some(content), true) = (recipients, content, violations.is_empty())
        else {
            return Err(MailError::Invalid(violations));
        };
        let body = |text: String| Some(text).filter(|text| !text.is_empty()).map(Sensitive::from);
        Ok(Mail {
            from,
            reply_to,
            other_senders: self.other_senders,
            references: self.references,
            recipients: without_repetition(recipients),
            subject: content.subject,
            text: body(content.text),
            html: body(content.html),
            attachments: self.attachments,
            template: content.template,
        })
    }
}

impl Mail {
    /// The same mail from the next of its other senders, if there is one.
    pub fn with_next_sender(&self) -> Option<Self> {
        let (next, others) = self.other_senders.split_first()?;
        let Sender { from, reply_to } = next.clone();
        Some(Self { from, reply_to, other_senders: others.to_vec(), ..self.clone() })
    }

    /// The class of a job that names none.
    pub fn default_class(&self) -> MailClass {
        let template = self.template.as_deref().and_then(Template::named);
        template.map_or(MailClass::Bulk, |template| template.class)
    }
}

/// An address that stands twice gets one copy; the first place counts.
fn without_repetition(recipients: Vec<Recipient>) -> Vec<Recipient> {
    let mut seen = std::collections::HashSet::new();
    recipients.into_iter().filter(|one| seen.insert(one.mailbox.address.clone())).collect()
}

fn check_optional(
    violations: &mut Violations,
    field: &str,
    draft: Option<MailboxDraft>,
) -> Option<Mailbox> {
    check_mailbox(violations, field, draft?)
}

fn check_mailbox(violations: &mut Violations, field: &str, draft: MailboxDraft) -> Option<Mailbox> {
    let name = draft.display_name;
    if name.chars().any(char::is_control) {
        let problem = "has a line break or control character, which could smuggle in a header";
        violations.add_as(Fault::ControlCharacter, format!("{field}.display_name"), problem);
    }
    if DISPLAY_NAME_CHARS_MAX < name.chars().count() {
        let problem = format!("is longer than {DISPLAY_NAME_CHARS_MAX} characters");
        violations.add_as(Fault::TooLong, format!("{field}.display_name"), problem);
    }
    let address: Result<EmailAddress, AddressError> = draft.address.parse();
    let fault = address.as_ref().map_or_else(AddressError::fault, |_| Fault::Invalid);
    let address = violations.check_as(fault, format!("{field}.address"), address)?;
    Some(Mailbox { address, display_name: Some(name).filter(|name| !name.is_empty()) })
}

fn check_count(violations: &mut Violations, count: usize) {
    if count == 0 {
        let problem = "no recipient; give at least one in `to`, `cc` or `bcc`";
        violations.add_as(Fault::Missing, "mail.to", problem);
    }
    if RECIPIENTS_MAX < count {
        let problem =
            format!("{count} recipients in all; at most {RECIPIENTS_MAX}: make several jobs");
        violations.add_as(Fault::TooMany, "mail.to", problem);
    }
}

fn check_content(
    violations: &mut Violations,
    draft: Option<ContentDraft>,
    templates: &Templates,
) -> Result<Option<Content>, MailError> {
    match draft {
        None => {
            let problem = "is missing; give `raw` or `template`";
            violations.add_as(Fault::Missing, "mail.content", problem);
            Ok(None)
        }
        Some(ContentDraft::Raw { subject, text, html }) => {
            check_subject(violations, "mail.raw.subject", &subject);
            if text.is_empty() && html.is_empty() {
                let problem = "no body; give `text`, `html` or both";
                violations.add_as(Fault::Missing, "mail.raw.text", problem);
            }
            Ok(Some(Content { subject, text, html, template: None }))
        }
        Some(ContentDraft::Template { name, variables, locale, portal }) => {
            let (portal, locale) = (Some(portal.as_str()), locale.as_str());
            let wanted = TemplateUse { name: &name, portal, locale, variables: &variables };
            match templates.render(&wanted) {
                Ok(made) => {
                    check_subject(violations, "mail.template.variables", &made.subject);
                    let (subject, text, html) = (made.subject, made.text, made.html);
                    Ok(Some(Content { subject, text, html, template: Some(name) }))
                }
                Err(TemplateError::Unknown { name, known }) => {
                    Err(MailError::UnknownTemplate { name, known })
                }
                Err(TemplateError::Invalid { variables, locale, portal }) => {
                    for (variable, problem) in variables {
                        violations.add(format!("mail.template.variables.{variable}"), problem);
                    }
                    for (field, problem) in [("locale", locale), ("portal", portal)] {
                        if let Some(problem) = problem {
                            violations.add(format!("mail.template.{field}"), problem);
                        }
                    }
                    Ok(None)
                }
                Err(TemplateError::Broken(problem)) => {
                    violations.add("mail.template", problem);
                    Ok(None)
                }
            }
        }
    }
}

fn check_subject(violations: &mut Violations, field: &str, subject: &str) {
    if subject.is_empty() {
        violations.add_as(Fault::Missing, field, "is empty; a mail needs a subject");
    }
    if subject.chars().any(char::is_control) {
        let problem =
            "the subject has a line break or control character, which could smuggle in a header";
        violations.add_as(Fault::ControlCharacter, field, problem);
    }
    if SUBJECT_CHARS_MAX < subject.chars().count() {
        let problem = format!("is longer than {SUBJECT_CHARS_MAX} characters");
        violations.add_as(Fault::TooLong, field, problem);
    }
}

fn check_references(violations: &mut Violations, references: &[String]) {
    if REFERENCES_MAX < references.len() {
        let problem = format!("{} references; at most {REFERENCES_MAX}", references.len());
        violations.add_as(Fault::TooMany, "mail.references", problem);
    }
    let is_id = |text: &str| {
        let inner = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
        text.len() <= SUBJECT_CHARS_MAX
            && inner.is_some_and(|id| id.contains('@') && id.bytes().all(|b| b.is_ascii_graphic()))
    };
    if !references.iter().all(|one| is_id(one)) {
        let problem = "must be Message-IDs with angle brackets";
        violations.add_as(Fault::Malformed, "mail.references", problem);
    }
}

fn check_attachments(violations: &mut Violations, attachments: &[Attachment]) {
    if ATTACHMENTS_MAX < attachments.len() {
        let problem = format!("{} files; at most {ATTACHMENTS_MAX}", attachments.len());
        violations.add_as(Fault::TooMany, "mail.attachments", problem);
    }
    for (index, attachment) in attachments.iter().enumerate() {
        let field = format!("mail.attachments[{index}]");
        let name = &attachment.file_name;
        if name.is_empty() || FILE_NAME_CHARS_MAX < name.chars().count() {
            let problem = format!("must have 1 to {FILE_NAME_CHARS_MAX} characters");
            let fault = if name.is_empty() { Fault::Missing } else { Fault::TooLong };
            violations.add_as(fault, format!("{field}.file_name"), problem);
        }
        if name.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
            let problem = "has a line break, control character or path separator";
            violations.add_as(unfit(name), format!("{field}.file_name"), problem);
        }
        if !is_media_type(&attachment.content_type) {
            let problem = "is no media type; give one such as `application/pdf` (RFC 6838)";
            let fault = unfit(&attachment.content_type);
            violations.add_as(fault, format!("{field}.content_type"), problem);
        }
    }
}

/// What is wrong with a text that has characters which it may not have.
fn unfit(text: &str) -> Fault {
    if text.chars().any(char::is_control) { Fault::ControlCharacter } else { Fault::Malformed }
}

fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        !part.is_empty() && part.bytes().all(allowed)
    };
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    text.len() <= CONTENT_TYPE_CHARS_MAX
        && !parameters.chars().any(char::is_control)
        && kind.trim_end().split_once('/').is_some_and(|(a, b)| token(a) && token(b))
}

fn check_size(violations: &mut Violations, content: Option<&Content>, attachments: &[Attachment]) {
    let bodies = content.map_or(0, |content| content.text.len() + content.html.len());
    let size = bodies + attachments.iter().map(|one| one.content.len()).sum::<usize>();
    if CONTENT_BYTES_MAX < size {
        let problem = format!(
            "bodies and attachments have {size} bytes; at most {CONTENT_BYTES_MAX} (8 MiB): \
             send a link in place of the file"
        );
        violations.add_as(Fault::TooLarge, "mail", problem);
    }
}

// Bodies and files may hold guests' passwords: only their sizes are shown.

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("recipients", &self.recipients.len())
            .field("template", &self.template)
            .field("attachments", &self.attachments)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("content_type", &self.content_type)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
