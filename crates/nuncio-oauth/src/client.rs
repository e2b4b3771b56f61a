//! The HTTP client of `oauth2`.

use std::pin::Pin;

use nuncio_http::exchange::{Exchange, HttpError};
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};

pub(crate) struct TokenHttp<'a>(pub(crate) Exchange<'a>);

impl<'c> AsyncHttpClient<'c> for TokenHttp<'_> {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.0.send(request))
    }
}
