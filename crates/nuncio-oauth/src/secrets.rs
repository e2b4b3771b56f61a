//! Clients with two secrets: which of them goes to the token endpoint.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use nuncio_core::job::Reason;
use nuncio_core::ports::token::TokenError;
use nuncio_core::settings::OauthClient;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::endpoint::{Granted, TokenEndpoint, WantedToken};

/// Of how many clients it is remembered that their first secret is refused.
const REMEMBERED_MAX: usize = 8;

/// Asks with the next secret where the first one is refused, within the same request.
///
/// What was refused is remembered until the next one is refused too: a secret that has expired stays so.
/// After a restart the first one is asked with again, which costs one request.
pub(crate) struct EitherSecret {
    endpoint: Arc<dyn TokenEndpoint>,
    refused: Mutex<VecDeque<(OauthClient, Reason)>>,
}

impl EitherSecret {
    pub(crate) fn over(endpoint: Arc<dyn TokenEndpoint>) -> Self {
        Self { endpoint, refused: Mutex::default() }
    }

    /// Like [`TokenEndpoint::request`], with whichever secret is good.
    pub(crate) async fn request(&self, wanted: &WantedToken) -> Result<Granted, TokenError> {
        let Some(next) = wanted.client.next_alone() else {
            return self.endpoint.request(wanted).await;
        };
        let first = wanted.client.first_alone();
        let client = &wanted.client;
        let until = Instant::now() + wanted.timeout;
        match self.remembered(client) {
            None => {
                let refusal = match self.ask(first, wanted, until).await {
                    Err(error) if error.is_about_secret() => error,
                    answer => return answer,
                };
                match self.ask(next, wanted, until).await {
                    Ok(granted) => {
                        self.remember(client, &refusal.reason);
                        Ok(Granted { passed_over: Some(refusal.reason), ..granted })
                    }
                    Err(error) if error.is_about_secret() => Err(both_refused(refusal, &error)),
                    // With the next secret it may work when the trouble is over.
                    Err(error) => Err(error),
                }
            }
            Some(reason) => {
                let refusal = match self.ask(next, wanted, until).await {
                    Ok(granted) => return Ok(Granted { passed_over: Some(reason), ..granted }),
                    Err(error) if error.is_about_secret() => error,
                    Err(error) => return Err(error),
                };
                self.forget(client);
                match self.ask(first, wanted, until).await {
                    Err(error) if error.is_about_secret() => Err(both_refused(error, &refusal)),
                    answer => answer,
                }
            }
        }
    }

    async fn ask(
        &self,
        client: OauthClient,
        wanted: &WantedToken,
        until: Instant,
    ) -> Result<Granted, TokenError> {
        let timeout = until.saturating_duration_since(Instant::now());
        self.endpoint.request(&WantedToken { client, timeout, ..wanted.clone() }).await
    }

    fn remembered(&self, client: &OauthClient) -> Option<Reason> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().find(|(known, _)| known == client).map(|(_, reason)| reason.clone())
    }

    fn remember(&self, client: &OauthClient, reason: &Reason) {
        let (client_id, code) = (&client.client_id, &reason.code);
        warn!(
            client_id,
            code, "the client secret is refused; the next one is used: {}", reason.message
        );
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|(known, _)| known != client);
        refused.truncate(REMEMBERED_MAX - 1);
        refused.push_front((client.clone(), reason.clone()));
    }

    fn forget(&self, client: &OauthClient) {
        info!(client_id = client.client_id, "the next client secret is refused too");
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|(known, _)| known != client);
    }
}

/// The refusal of the first secret, with that of the next one.
fn both_refused(first: TokenError, next: &TokenError) -> TokenError {
    let mut reason = first.reason;
    reason.message = format!(
        "{}; the next client secret is refused too: {}",
        reason.message, next.reason.message
    );
    TokenError { reason, ..first }
}

#[cfg(test)]
mod tests;
