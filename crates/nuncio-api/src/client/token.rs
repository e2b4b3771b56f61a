//! The API token of a client.

use std::fmt;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// A secret that tells a node who calls. Its `Debug` hides it.
#[derive(Clone)]
pub struct ApiToken(MetadataValue<Ascii>);

/// The text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "that is no API token; it begins with `nuncio_`, and is one line of letters, digits, `-` and `_`"
)]
pub struct NoToken;

impl ApiToken {
    /// Takes a token as it was told, with a line break behind it or not.
    pub fn new(text: &str) -> Result<Self, NoToken> {
        let text = text.trim_end();
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if !text.starts_with("nuncio_") || !text.bytes().all(is_plain) {
            return Err(NoToken);
        }
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {text}").parse().map_err(|_error| NoToken)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiToken(hidden)")
    }
}

/// Puts the token, where there is one, into each call.
#[derive(Clone, Debug, Default)]
pub struct Bearer(pub(super) Option<ApiToken>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(ApiToken(value)) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests;
