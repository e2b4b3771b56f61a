//! The token endpoint: `POST /{tenant}/oauth2/v2.0/token` with the grant `client_credentials`.
//!
//! Rules: Microsoft, "OAuth 2.0 client credentials flow on the Microsoft identity platform"; RFC 6749 sections 2.3.1 and 4.4.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::{debug, warn};

use crate::assertion::{self, Expected};
use crate::clock;
use crate::config::{Client, Tenant};
use crate::entra_error::EntraError;
use crate::fault::{TokenAction, TokenResponse};
use crate::http::{Answer, Handler, HttpRequest, respond};
use crate::tokens::{self, Grant};
use crate::world::{KnownClient, World};

const JSON: &str = "application/json; charset=utf-8";

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The token endpoint.
pub(crate) struct TokenEndpoint {
    pub(crate) world: Arc<World>,
}

/// How the answer to a good request is bent by faults.
struct Shape {
    lifetime_s: u64,
    token_size: usize,
    expires_in: ExpiresIn,
    padding: usize,
}

enum ExpiresIn {
    Number,
    Text,
    As(Value),
    Missing,
}

impl Handler for TokenEndpoint {
    async fn answer(&self, request: HttpRequest) -> Answer {
        match request.path.trim_start_matches('/').split('/').collect::<Vec<_>>()[..] {
            [tenant, "oauth2", "v2.0", "token"] => self.token(tenant, &request).await,
            [tenant, "v2.0", ".well-known", "openid-configuration"] => {
                Answer::Respond(self.discovery(tenant))
            }
            _ => Answer::Respond(respond(404, "text/plain", "not found")),
        }
    }
}

impl TokenEndpoint {
    async fn token(&self, tenant: &str, request: &HttpRequest) -> Answer {
        let verdict = self.world.faults.token();
        if verdict.delay != Duration::ZERO {
            tokio::time::sleep(verdict.delay).await;
        }
        let config = &self.world.config.tokens;
        let mut shape = Shape {
            lifetime_s: config.lifetime_s,
            token_size: config.size,
            expires_in: ExpiresIn::Number,
            padding: 0,
        };
        for action in verdict.action.unwrap_or_default() {
            if let Some(answer) = bend(action, &mut shape) {
                self.world.ledger.token_request(false);
                return answer;
            }
        }

        let now = clock::now();
        let granted = self.grant(tenant, request, now);
        self.world.ledger.token_request(granted.is_ok());
        Answer::Respond(match granted {
            Ok(grant) => self.hand_out(grant, &shape, now),
            Err(error) => {
                debug!("no token: AADSTS{} {}", error.code(), error.error());
                respond(error.status(), JSON, error.body(now).to_string())
            }
        })
    }

    fn grant(
        &self,
        tenant: &str,
        request: &HttpRequest,
        now: Timestamp,
    ) -> Result<Grant, EntraError> {
        if request.method != "POST" {
            return Err(EntraError::NotPost { method: request.method.clone() });
        }
        let tenant = self.tenant(tenant)?;
        let form = Form::read(request);
        let grant_type = form.need("grant_type")?;
        if grant_type != "client_credentials" {
            return Err(EntraError::GrantUnsupported { grant_type: grant_type.to_owned() });
        }
        let client_id = form.need("client_id")?;
        let resource = resource(form.need("scope")?)?;
        let client =
            self.world.client(client_id, tenant).ok_or_else(|| EntraError::ClientNotFound {
                client_id: client_id.to_owned(),
                tenant: tenant.id.clone(),
            })?;
        if client.settings.disabled {
            return Err(EntraError::ClientDisabled { client_id: client_id.to_owned() });
        }
        self.authenticate(&client, &form, tenant, request, now)?;
        if !self.world.config.resources.iter().any(|known| known.trim_end_matches('/') == resource)
        {
            return Err(EntraError::ResourceNotFound { resource, tenant: tenant.id.clone() });
        }
        Ok(Grant {
            client_id: client.settings.client_id,
            tenant_id: tenant.id.clone(),
            audience: resource,
            roles: client.settings.roles,
            expires: now,
        })
    }

    fn tenant(&self, name: &str) -> Result<&Tenant, EntraError> {
        let tenant = name.to_owned();
        match self.world.tenant(name) {
            Some(found) => Ok(found),
            None if name.contains('.') || is_guid(name) => {
                Err(EntraError::TenantNotFound { tenant })
            }
            None => Err(EntraError::TenantMalformed { tenant }),
        }
    }

    fn authenticate(
        &self,
        client: &KnownClient,
        form: &Form,
        tenant: &Tenant,
        request: &HttpRequest,
        now: Timestamp,
    ) -> Result<(), EntraError> {
        if let Some(secret) = form.get("client_secret") {
            return check_secret(&client.settings, secret, now);
        }
        let Some(assertion) = form.get("client_assertion") else {
            return Err(EntraError::CredentialMissing);
        };
        if form.get("client_assertion_type") != Some(ASSERTION_TYPE) {
            return Err(EntraError::ParameterMissing { name: "client_assertion_type" });
        }
        let hosts = [format!("https://{}", request.host), self.world.authority.clone()];
        let names = std::iter::once(&tenant.id).chain(&tenant.domains);
        let audiences: Vec<_> = names
            .flat_map(|name| {
                hosts.iter().map(move |host| format!("{host}/{name}/oauth2/v2.0/token"))
            })
            .collect();
        let expected =
            Expected { client_id: &client.settings.client_id, audiences: &audiences, now };
        assertion::verify(assertion, &client.keys, &expected, &self.world.assertions_seen)
            .map_err(EntraError::Assertion)
    }

    fn hand_out(&self, mut grant: Grant, shape: &Shape, now: Timestamp) -> Response<Full<Bytes>> {
        grant.expires = tokens::after(now, shape.lifetime_s);
        let token = self.world.tokens.issue(grant, now, shape.token_size);
        let mut body = json!({ "token_type": "Bearer", "access_token": token });
        match &shape.expires_in {
            ExpiresIn::Number => {
                body["expires_in"] = json!(shape.lifetime_s);
                body["ext_expires_in"] = json!(shape.lifetime_s);
            }
            ExpiresIn::Text => body["expires_in"] = json!(shape.lifetime_s.to_string()),
            ExpiresIn::As(value) => body["expires_in"] = value.clone(),
            ExpiresIn::Missing => {}
        }
        respond(200, JSON, format!("{}{body}", " ".repeat(shape.padding)))
    }

    fn discovery(&self, name: &str) -> Response<Full<Bytes>> {
        let authority = &self.world.authority;
        match self.tenant(name) {
            Ok(Tenant { id, .. }) => {
                let body = json!({
                    "issuer": format!("{authority}/{id}/v2.0"),
                    "token_endpoint": format!("{authority}/{id}/oauth2/v2.0/token"),
                    "token_endpoint_auth_methods_supported":
                        ["client_secret_post", "private_key_jwt", "client_secret_basic"],
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["pairwise"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                });
                respond(200, JSON, body.to_string())
            }
            Err(error) => respond(error.status(), JSON, error.body(clock::now()).to_string()),
        }
    }
}

/// The parameters of a request. `Authorization: Basic` stands in for `client_id` and `client_secret`.
struct Form(HashMap<String, String>);

impl Form {
    fn read(request: &HttpRequest) -> Self {
        let mut values: HashMap<String, String> =
            form_urlencoded::parse(&request.body).into_owned().collect();
        if let Some((id, secret)) = basic(&request.authorization) {
            values.entry("client_id".to_owned()).or_insert(id);
            values.entry("client_secret".to_owned()).or_insert(secret);
        }
        Self(values)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn need(&self, name: &'static str) -> Result<&str, EntraError> {
        self.get(name).ok_or(EntraError::ParameterMissing { name })
    }
}

/// Id and secret, each of which is form-encoded inside (RFC 6749 section 2.3.1).
fn basic(authorization: &str) -> Option<(String, String)> {
    let encoded = authorization.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let plain = |text: &str| {
        form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| Cow::into_owned(name))
    };
    Some((plain(id)?, plain(secret)?))
}

fn check_secret(client: &Client, secret: &str, now: Timestamp) -> Result<(), EntraError> {
    let client_id = client.client_id.clone();
    let mut same = client.secrets.iter().filter(|known| known.value.expose() == secret).peekable();
    if same.peek().is_none() {
        return Err(EntraError::SecretWrong { client_id });
    }
    if same.any(|known| known.expires.is_none_or(|at| now < at)) {
        Ok(())
    } else {
        Err(EntraError::SecretExpired { client_id })
    }
}

/// The resource that a scope names. Client credentials know no other scope than `<resource>/.default`.
fn resource(scope: &str) -> Result<String, EntraError> {
    let scope_text = scope.to_owned();
    if scope.split_whitespace().count() != 1 {
        return Err(EntraError::ScopeInvalid { scope: scope_text });
    }
    match scope.strip_suffix("/.default") {
        Some(resource) if !resource.is_empty() => Ok(resource.trim_end_matches('/').to_owned()),
        Some(_) => Err(EntraError::ScopeInvalid { scope: scope_text }),
        None => Err(EntraError::ScopeNotDefault { scope: scope_text }),
    }
}

fn is_guid(name: &str) -> bool {
    name.len() == 36
        && name.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

/// What a fault makes of the answer: another answer, or a true one in another shape.
fn bend(action: TokenAction, shape: &mut Shape) -> Option<Answer> {
    let answer = match action {
        TokenAction::Respond(TokenResponse { status, body, content_type, retry_after }) => {
            with_header(respond(status, &content_type, body), RETRY_AFTER, retry_after)
        }
        TokenAction::Throttle { retry_after_s } => {
            let response = respond(429, "text/plain", "Too many requests. Please try again later.");
            with_header(response, RETRY_AFTER, Some(retry_after_s.to_string()))
        }
        TokenAction::Unavailable { retry_after_s } => with_header(
            respond(503, "text/plain", ""),
            RETRY_AFTER,
            retry_after_s.map(|s| s.to_string()),
        ),
        TokenAction::Redirect(to) => with_header(respond(302, "text/html", ""), LOCATION, Some(to)),
        TokenAction::Html => {
            respond(200, "text/html", "<html><body>Please log in to this network.</body></html>")
        }
        TokenAction::Reset => return Some(Answer::Reset),
        TokenAction::Stall => return Some(Answer::Stall),
        TokenAction::HugeBody(bytes) => {
            shape.padding = bytes;
            return None;
        }
        TokenAction::ExpiresInAsText => {
            shape.expires_in = ExpiresIn::Text;
            return None;
        }
        TokenAction::ExpiresInAs(text) => {
            let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            shape.expires_in = ExpiresIn::As(value);
            return None;
        }
        TokenAction::ExpiresInMissing => {
            shape.expires_in = ExpiresIn::Missing;
            return None;
        }
        TokenAction::Lifetime(seconds) => {
            shape.lifetime_s = seconds;
            return None;
        }
        TokenAction::TokenSize(size) => {
            shape.token_size = size;
            return None;
        }
        TokenAction::Delay(_) => return None,
    };
    Some(Answer::Respond(answer))
}

fn with_header(
    mut response: Response<Full<Bytes>>,
    name: HeaderName,
    value: Option<String>,
) -> Response<Full<Bytes>> {
    let Some(value) = value else { return response };
    match HeaderValue::from_str(&value) {
        Ok(value) => {
            response.headers_mut().insert(name, value);
        }
        Err(error) => warn!("a scripted header is not HTTP: {error}"),
    }
    response
}

#[cfg(test)]
mod tests;
