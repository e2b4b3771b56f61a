//! Pages of lists in the order of ids.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;

use super::{ListError, PAGE_SIZE, PAGE_SIZE_MAX, PageTokenError, digest};

/// The version of a token of such a page: its first byte, other than that of lists of jobs.
const VERSION: u8 = b'i';

/// Which page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdPage {
    pub limit: u32,
    /// The page begins behind this id.
    pub after: Option<String>,
}

/// Reads size and token of a page. `filter` is the request without them: the token belongs to it.
pub fn id_page(
    page_size: i32,
    page_token: &str,
    filter: &impl Message,
) -> Result<IdPage, ListError> {
    let limit = match u32::try_from(page_size) {
        Ok(0) => PAGE_SIZE,
        Ok(size) => size.min(PAGE_SIZE_MAX),
        Err(_) => return Err(ListError::PageSize(page_size)),
    };
    let after = if page_token.is_empty() { None } else { Some(after(page_token, filter)?) };
    Ok(IdPage { limit, after })
}

/// The token of the page behind the id of the last one that this page has looked at.
pub fn next_id_page(filter: &impl Message, last: &str) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&digest(filter.encode_to_vec()).to_be_bytes());
    bytes.extend_from_slice(last.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn after(token: &str, filter: &impl Message) -> Result<String, PageTokenError> {
    let malformed = PageTokenError::Malformed;
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| malformed)?;
    let Some((&VERSION, rest)) = bytes.split_first() else { return Err(malformed) };
    let (of_filter, last) = rest.split_first_chunk::<8>().ok_or(malformed)?;
    if u64::from_be_bytes(*of_filter) != digest(filter.encode_to_vec()) {
        return Err(PageTokenError::OtherFilter);
    }
    String::from_utf8(last.to_vec()).map_err(|_| malformed)
}

#[cfg(test)]
mod tests;
