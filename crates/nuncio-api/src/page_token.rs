//! The opaque tokens of the API: where the next page begins, and where a watch goes on.

pub mod by_id;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::class::MailClass;
use nuncio_core::job::{
    JobState, LABEL_KEY_CHARS_MAX, LABEL_VALUE_CHARS_MAX, LABELS_MAX, MailJobId,
};
use nuncio_core::ports::job_store::{ChangeSeq, JobQuery};
use nuncio_core::violation::Violations;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::convert::enums::known_all;
use crate::convert::time::timestamp_from;
use crate::error::{invalid, status};
use crate::v1;

/// The jobs of a page where the caller says nothing.
pub const PAGE_SIZE: u32 = 50;
/// The most jobs of a page; who asks for more gets so many (AIP-158).
pub const PAGE_SIZE_MAX: u32 = 1000;

/// The most jobs that one call looks at to find those that fit its filter.
pub const EXAMINED_MAX: u32 = 10_000;

/// The version of a page token: its first byte.
const PAGE_VERSION: u8 = b'1';
/// The version of a page token of names: its first byte.
const NAME_VERSION: u8 = b'n';
/// The version of a resume token: its first byte. It differs, so that the two are not mixed up.
const RESUME_VERSION: u8 = b'w';
/// The most values of a filter that are read.
const FILTER_VALUES_MAX: usize = 100;

/// Why a request for a list cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    #[error("page size {0} is negative; leave it out, or give 1 to {PAGE_SIZE_MAX}")]
    PageSize(i32),
    #[error("the filter is not valid")]
    Filter(Violations),
    #[error(transparent)]
    PageToken(#[from] PageTokenError),
}

/// Why a page token leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageTokenError {
    #[error("the page token is none of this service; begin again without one")]
    Malformed,
    #[error(
        "the page token belongs to another filter; keep all other fields, or begin without one"
    )]
    OtherFilter,
}

/// The text is no resume token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the resume token is none of this service; begin again without one")]
pub struct NotAResumeToken;

/// The query of a request for a list of mail jobs, its page token included.
pub fn job_query(request: &v1::ListMailJobsRequest) -> Result<JobQuery, ListError> {
    let limit = limit(request.page_size)?;
    let mut violations = Violations::default();
    for (field, values) in [("states", &request.states), ("classes", &request.classes)] {
        if FILTER_VALUES_MAX < values.len() {
            violations.add(field, format!("{} values; at most {FILTER_VALUES_MAX}", values.len()));
        }
    }
    let states =
        known_all::<v1::MailJobState, JobState>(&mut violations, "states", &request.states);
    let classes =
        known_all::<v1::MailClass, MailClass>(&mut violations, "classes", &request.classes);
    let recipient = recipient_filter(&mut violations, &request.recipient);
    label_filter(&mut violations, &request.labels);
    let (since, until) = time_filter(&mut violations, request);
    let mut query = violations
        .none_or(|| JobQuery {
            before: until.map(MailJobId::first_of),
            from: since.map(MailJobId::first_of),
            limit,
            examine_max: Some(EXAMINED_MAX),
            states,
            classes,
            recipient,
            labels: request.labels.clone(),
        })
        .map_err(ListError::Filter)?;
    if !request.page_token.is_empty() {
        let start = page_start(&request.page_token, filter_digest(request))?;
        // A forged token must not lead out of the time that was asked for.
        query.before = Some(query.before.map_or(start, |until| until.min(start)));
    }
    Ok(query)
}

fn limit(page_size: i32) -> Result<u32, ListError> {
    match u32::try_from(page_size) {
        Ok(0) => Ok(PAGE_SIZE),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => Err(ListError::PageSize(page_size)),
    }
}

/// How many entries a page has, from what a caller asked for.
pub fn page_size(asked: i32) -> Result<usize, ListError> {
    Ok(usize::try_from(limit(asked)?).unwrap_or(usize::MAX))
}

/// The token of the page behind `last`, where the order is that of names.
pub fn next_name_token(last: &str) -> String {
    URL_SAFE_NO_PAD.encode([&[NAME_VERSION], last.as_bytes()].concat())
}

/// The name behind which a page begins; empty without a token.
pub fn start_of_names(token: &str) -> Result<String, ListError> {
    if token.is_empty() {
        return Ok(String::new());
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| PageTokenError::Malformed)?;
    let Some((&NAME_VERSION, name)) = bytes.split_first() else {
        return Err(PageTokenError::Malformed.into());
    };
    Ok(String::from_utf8(name.to_vec()).map_err(|_| PageTokenError::Malformed)?)
}

fn recipient_filter(violations: &mut Violations, address: &str) -> Option<EmailAddress> {
    if address.is_empty() {
        return None;
    }
    violations.check("recipient", address.parse())
}

/// What no job can have as a label is no error: nothing is found. Only its size is bounded.
fn label_filter(violations: &mut Violations, labels: &BTreeMap<String, String>) {
    if LABELS_MAX < labels.len() {
        violations.add("labels", format!("{} labels; at most {LABELS_MAX}", labels.len()));
    }
    for (key, value) in labels.iter().take(LABELS_MAX) {
        let key_chars = key.chars().count();
        if !(1..=LABEL_KEY_CHARS_MAX).contains(&key_chars) {
            let problem = format!("a key has 1 to {LABEL_KEY_CHARS_MAX} characters");
            violations.add("labels", problem);
        }
        if LABEL_VALUE_CHARS_MAX < value.chars().count() {
            let problem = format!("a value has at most {LABEL_VALUE_CHARS_MAX} characters");
            violations.add("labels", problem);
        }
    }
}

fn time_filter(
    violations: &mut Violations,
    request: &v1::ListMailJobsRequest,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let since = timestamp_from(violations, "since_time", request.since_time);
    let until = timestamp_from(violations, "until_time", request.until_time);
    if since.zip(until).is_some_and(|(since, until)| until <= since) {
        violations.add("until_time", "must be later than `since_time`");
    }
    (since, until)
}

/// The token of the page behind `last`, the last job that this page has looked at.
pub fn next_page_token(request: &v1::ListMailJobsRequest, last: MailJobId) -> String {
    let mut bytes = vec![PAGE_VERSION];
    bytes.extend_from_slice(last.as_uuid().as_bytes());
    bytes.extend_from_slice(&filter_digest(request).to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The token of a change.
pub fn resume_token(change: ChangeSeq) -> String {
    let mut bytes = vec![RESUME_VERSION];
    bytes.extend_from_slice(&change.0.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The change behind which a watch goes on; none if the caller gave no token.
pub fn resume_after(token: &str) -> Result<Option<ChangeSeq>, NotAResumeToken> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| NotAResumeToken)?;
    let Some((&RESUME_VERSION, seq)) = bytes.split_first() else { return Err(NotAResumeToken) };
    let seq = i64::from_be_bytes(seq.try_into().map_err(|_| NotAResumeToken)?);
    if seq < 0 { Err(NotAResumeToken) } else { Ok(Some(ChangeSeq(seq))) }
}

fn page_start(token: &str, filter: u64) -> Result<MailJobId, PageTokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| PageTokenError::Malformed)?;
    let Some((&PAGE_VERSION, rest)) = bytes.split_first() else {
        return Err(PageTokenError::Malformed);
    };
    let Some((uuid, digest)) = rest.split_first_chunk::<16>() else {
        return Err(PageTokenError::Malformed);
    };
    let digest: [u8; 8] = digest.try_into().map_err(|_| PageTokenError::Malformed)?;
    if u64::from_be_bytes(digest) != filter {
        return Err(PageTokenError::OtherFilter);
    }
    Ok(MailJobId::from(Uuid::from_bytes(*uuid)))
}

/// A digest of the filter. Order and repetition of states and classes do not matter.
fn filter_digest(request: &v1::ListMailJobsRequest) -> u64 {
    let states = request.states().filter_map(Option::<JobState>::from).map(JobState::name);
    let classes = request.classes().filter_map(Option::<MailClass>::from).map(MailClass::name);
    let mut names: Vec<&str> = states.chain(classes).collect();
    names.sort_unstable();
    names.dedup();
    let labels = request.labels.iter();
    let labels = labels.map(|(key, value)| format!("label {} {key}={value}", key.len()));
    let recipient = Some(&request.recipient).filter(|address| !address.is_empty());
    let recipient = recipient.map(|address| format!("recipient={address}"));
    let times = [("since", request.since_time), ("until", request.until_time)];
    let times = times.into_iter().filter_map(|(name, time)| {
        time.map(|time| format!("{name}={}.{}", time.seconds, time.nanos))
    });
    let parts = names.into_iter().map(str::to_owned).chain(labels).chain(recipient).chain(times);
    digest(parts.flat_map(|part| part.into_bytes().into_iter().chain([0])))
}

/// A digest that is the same on every node and in every version.
///
/// It guards against mistakes, not against forgers, who would only see what they may list anyway; so
/// FNV-1a is enough.
fn digest(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl From<ListError> for Status {
    fn from(error: ListError) -> Self {
        let message = error.to_string();
        match error {
            ListError::PageSize(size) => {
                let metadata = [("page_size", size.to_string())];
                status(Code::InvalidArgument, "INVALID_PAGE_SIZE", message, metadata)
            }
            ListError::Filter(violations) => invalid("INVALID_FILTER", message, violations),
            ListError::PageToken(_) => {
                status(Code::InvalidArgument, "INVALID_PAGE_TOKEN", message, [])
            }
        }
    }
}

impl From<NotAResumeToken> for Status {
    fn from(error: NotAResumeToken) -> Self {
        status(Code::InvalidArgument, "INVALID_RESUME_TOKEN", error.to_string(), [])
    }
}

#[cfg(test)]
mod tests;
