//! The opaque tokens of the API: where the next page begins, and where a watch goes on.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nuncio_core::class::MailClass;
use nuncio_core::job::{JobState, MailJobId};
use nuncio_core::ports::job_store::{ChangeSeq, JobQuery};
use nuncio_core::violation::Violations;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::convert::enums::known_all;
use crate::error::{invalid, status};
use crate::v1;

/// The jobs of a page where the caller says nothing.
pub const PAGE_SIZE: u32 = 50;
/// The most jobs of a page; who asks for more gets so many (AIP-158).
pub const PAGE_SIZE_MAX: u32 = 1000;

/// The version of a page token: its first byte.
const PAGE_VERSION: u8 = b'1';
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
    let limit = match u32::try_from(request.page_size) {
        Ok(0) => PAGE_SIZE,
        Ok(size) => size.min(PAGE_SIZE_MAX),
        Err(_) => return Err(ListError::PageSize(request.page_size)),
    };
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
    let mut query = violations
        .none_or(|| JobQuery { limit, states, classes, ..JobQuery::default() })
        .map_err(ListError::Filter)?;
    if !request.page_token.is_empty() {
        query.before = Some(page_start(&request.page_token, &query)?);
    }
    Ok(query)
}

/// The token of the page behind `last`, the last job of this page.
pub fn next_page_token(query: &JobQuery, last: MailJobId) -> String {
    let mut bytes = vec![PAGE_VERSION];
    bytes.extend_from_slice(last.as_uuid().as_bytes());
    bytes.extend_from_slice(&filter_digest(query).to_be_bytes());
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

fn page_start(token: &str, query: &JobQuery) -> Result<MailJobId, PageTokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| PageTokenError::Malformed)?;
    let Some((&PAGE_VERSION, rest)) = bytes.split_first() else {
        return Err(PageTokenError::Malformed);
    };
    let Some((uuid, digest)) = rest.split_first_chunk::<16>() else {
        return Err(PageTokenError::Malformed);
    };
    let digest: [u8; 8] = digest.try_into().map_err(|_| PageTokenError::Malformed)?;
    if u64::from_be_bytes(digest) != filter_digest(query) {
        return Err(PageTokenError::OtherFilter);
    }
    Ok(MailJobId::from(Uuid::from_bytes(*uuid)))
}

/// A digest of the filter, the same on every node and in every version.
///
/// It guards against mistakes, not against forgers, who would only see what they may list anyway; so
/// FNV-1a is enough. Order and repetition of the values do not matter.
fn filter_digest(query: &JobQuery) -> u64 {
    let mut names: Vec<&str> = query.states.iter().map(|state| state.name()).collect();
    names.extend(query.classes.iter().map(|class| class.name()));
    names.sort_unstable();
    names.dedup();
    let bytes = names.iter().flat_map(|name| name.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
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
