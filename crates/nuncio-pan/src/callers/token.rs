//! Tokens of callers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nuncio_core::caller::known::{TOKEN_PREFIX, TOKEN_RANDOM_BYTES};
use nuncio_core::ports::clock::Entropy;

/// A token that nobody has yet.
pub fn new_token(entropy: &dyn Entropy) -> String {
    let mut random = Vec::with_capacity(TOKEN_RANDOM_BYTES);
    while random.len() < TOKEN_RANDOM_BYTES {
        random.extend(entropy.id_bytes());
    }
    random.truncate(TOKEN_RANDOM_BYTES);
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}
