//! The mail of a request.

use nuncio_core::mail::{Attachment, ContentDraft, MailDraft, MailboxDraft};
use nuncio_core::secret::Sensitive;

use crate::v1;

impl From<v1::Mail> for MailDraft {
    fn from(mail: v1::Mail) -> Self {
        let mailboxes = |list: Vec<v1::Mailbox>| list.into_iter().map(MailboxDraft::from).collect();
        Self {
            from: mail.from.map(MailboxDraft::from),
            reply_to: mail.reply_to.map(MailboxDraft::from),
            other_senders: Vec::new(),
            references: Vec::new(),
            to: mailboxes(mail.to),
            cc: mailboxes(mail.cc),
            bcc: mailboxes(mail.bcc),
            content: mail.content.map(ContentDraft::from),
            attachments: mail.attachments.into_iter().map(Attachment::from).collect(),
        }
    }
}

impl From<v1::Mailbox> for MailboxDraft {
    fn from(v1::Mailbox { address, display_name }: v1::Mailbox) -> Self {
        Self { address, display_name }
    }
}

impl From<v1::mail::Content> for ContentDraft {
    fn from(content: v1::mail::Content) -> Self {
        match content {
            v1::mail::Content::Raw(v1::RawContent { subject, text, html }) => {
                Self::Raw { subject, text, html }
            }
            v1::mail::Content::Template(content) => {
                let v1::TemplateContent { template, variables, locale, portal } = content;
                let hide = |(name, value)| (name, Sensitive::from(value));
                let variables = variables.into_iter().map(hide).collect();
                Self::Template { name: template, variables, locale, portal }
            }
        }
    }
}

impl From<v1::Attachment> for Attachment {
    fn from(attachment: v1::Attachment) -> Self {
        let v1::Attachment { file_name, content_type, content } = attachment;
        Self { file_name, content_type, content }
    }
}
