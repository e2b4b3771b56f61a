//! Records of texts: JSON in the store.

use jiff::Timestamp;
use nuncio_core::ports::records::{Record, RecordKey, RecordKind};
use nuncio_core::template::custom::{CustomTexts, Texts, TextsKey};
use serde::{Deserialize, Serialize};

/// The kind of records of texts.
pub(crate) const TEMPLATE: RecordKind = RecordKind("template");

/// Texts as they are kept. Deleted ones keep their history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) subject: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) html: String,
    #[serde(default)]
    pub(crate) is_default: bool,
    #[serde(default)]
    pub(crate) is_deleted: bool,
    /// The newest first.
    #[serde(default)]
    pub(crate) history: Vec<Change>,
}

/// Who changed texts, when and what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub at: Timestamp,
    pub caller: String,
    /// For a person: `subject, text`.
    pub summary: String,
}

/// Why a record is none of texts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("its id has not the form `portal/template/locale`")]
    Id,
    #[error("its content is not what this version writes")]
    Content(#[source] serde_json::Error),
}

impl Content {
    pub(crate) fn new(custom: &CustomTexts) -> Self {
        let CustomTexts { texts: Texts { subject, text, html }, is_default } = custom.clone();
        Self { subject, text, html, is_default, is_deleted: false, history: Vec::new() }
    }

    /// The texts, unless they were deleted.
    pub(crate) fn custom(&self) -> Option<CustomTexts> {
        let Self { subject, text, html, is_default, is_deleted, history: _ } = self.clone();
        let texts = Texts { subject, text, html };
        (!is_deleted).then_some(CustomTexts { texts, is_default })
    }
}

pub(crate) fn record_key(key: &TextsKey) -> RecordKey {
    let TextsKey { portal, template, locale } = key;
    RecordKey::new(TEMPLATE, format!("{portal}/{template}/{locale}"))
}

pub(crate) fn encode(content: &Content) -> String {
    serde_json::to_string(content).expect("strings and numbers are JSON")
}

pub(crate) fn decode(record: &Record) -> Result<(TextsKey, Content), CodecError> {
    let parts: Vec<&str> = record.key.id.split('/').collect();
    let [portal, template, locale] = parts[..] else { return Err(CodecError::Id) };
    let key = TextsKey {
        portal: portal.to_owned(),
        template: template.to_owned(),
        locale: locale.to_owned(),
    };
    Ok((key, serde_json::from_str(&record.content).map_err(CodecError::Content)?))
}
