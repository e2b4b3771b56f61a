//! Pages of lists whose order is that of record ids.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nuncio_api::error::status;
use nuncio_api::page_token::{PAGE_SIZE, PAGE_SIZE_MAX};
use nuncio_core::ports::records::RECORD_ID_BYTES_MAX;
use tonic::{Code, Status};

/// The first byte of a token: its version.
const VERSION: u8 = b'r';

pub(crate) fn page_size(wanted: i32) -> Result<u32, Status> {
    match u32::try_from(wanted) {
        Ok(0) => Ok(PAGE_SIZE),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => {
            let message = format!("page size {wanted} is negative; give 1 to {PAGE_SIZE_MAX}");
            let metadata = [("page_size", wanted.to_string())];
            Err(status(Code::InvalidArgument, "INVALID_PAGE_SIZE", message, metadata))
        }
    }
}

/// The token of the page behind a place.
pub(crate) fn next_token(place: &str) -> String {
    let bytes: Vec<u8> = [VERSION].into_iter().chain(place.bytes()).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place behind which a page begins; none without a token.
pub(crate) fn start(token: &str) -> Result<Option<String>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let place = bytes.and_then(|bytes| match bytes.split_first() {
        Some((&VERSION, place)) if place.len() <= RECORD_ID_BYTES_MAX => {
            String::from_utf8(place.to_vec()).ok()
        }
        Some(_) | None => None,
    });
    place.map(Some).ok_or_else(no_token)
}

pub(crate) fn no_token() -> Status {
    let message = "the page token is none of this service; begin again without one";
    status(Code::InvalidArgument, "INVALID_PAGE_TOKEN", message, [])
}
