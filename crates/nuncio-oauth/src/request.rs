//! The client credentials request (RFC 6749, section 4.4).

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::token::{TokenError, TokenErrorKind};
use nuncio_core::secret::{AccessToken, PrivateKeyPem};
use nuncio_core::settings::ClientCredential;
use nuncio_core::settings::proxy::Proxy;
use nuncio_http::exchange::{Exchange, HttpError, Seen, Trusts};
use nuncio_net::network::{Network, Tcp};
use nuncio_runtime::chain::Chain;
use nuncio_tls::diagnosis::{Server, TLS_FAILED};
use oauth2::basic::{BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::{
    AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, RequestTokenError, Scope,
    StandardRevocableToken, TokenUrl,
};

use crate::aadsts::{INVALID_CERTIFICATE, INVALID_TENANT_OR_ENDPOINT, TOKEN_ENDPOINT_UNAVAILABLE};
use crate::answer::{Asked, Grant, NOT_A_TOKEN_RESPONSE, Refusal, error, not_a_token, refused};
use crate::assertion::{self, Claims};
use crate::client::TokenHttp;
use crate::endpoint::{Granted, TokenEndpoint, WantedToken};

pub const TOKEN_ENDPOINT_TIMED_OUT: &str = "TOKEN_ENDPOINT_TIMED_OUT";
pub const TOKEN_ENDPOINT_NOT_FOUND: &str = "TOKEN_ENDPOINT_NOT_FOUND";
pub const TOKEN_ENDPOINT_REFUSED: &str = "TOKEN_ENDPOINT_REFUSED";
pub const INVALID_CA_CERTIFICATES: &str = "INVALID_CA_CERTIFICATES";

/// `client_assertion_type` (RFC 7523, section 2.2)
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const FATAL: TokenErrorKind = TokenErrorKind::Fatal;
const TEMPORARY: TokenErrorKind = TokenErrorKind::Temporary { retry_after: None };

type OauthRequester<TokenUri = EndpointSet> = oauth2::Client<
    Refusal,
    Grant,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    TokenUri,
>;
type Refused = RequestTokenError<HttpError, Refusal>;

/// A token endpoint over HTTPS. Every request is a new one, over a connection of its own: a token lives for an
/// hour, and no server keeps a connection for so long.
pub struct HttpTokenEndpoint {
    network: Arc<dyn Network>,
    trusts: Trusts,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl HttpTokenEndpoint {
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { network: Arc::new(Tcp), trusts: Trusts::default(), clock, entropy }
    }

    /// Makes the request's parts from the credential, with a fresh assertion.
    #[expect(clippy::result_large_err, reason = "the error of the port, once in a token's life")]
    fn requester(
        &self,
        wanted: &WantedToken,
        url: TokenUrl,
    ) -> Result<(OauthRequester, Option<String>), TokenError> {
        let client = &wanted.client;
        let requester =
            OauthRequester::<EndpointNotSet>::new(ClientId::new(client.client_id.clone()));
        let requester = requester.set_token_uri(url);
        let secret = |secret: &nuncio_core::secret::ClientSecret| {
            ClientSecret::new(secret.expose().to_owned())
        };
        Ok(match &client.credential {
            ClientCredential::SecretPost(value) => (
                requester.set_client_secret(secret(value)).set_auth_type(AuthType::RequestBody),
                None,
            ),
            ClientCredential::SecretBasic(value) => (
                requester.set_client_secret(secret(value)).set_auth_type(AuthType::BasicAuth),
                None,
            ),
            ClientCredential::Certificate { certificate_pem, private_key } => {
                let assertion = self.assertion(wanted, certificate_pem, private_key)?;
                (requester.set_auth_type(AuthType::RequestBody), Some(assertion))
            }
        })
    }

    #[expect(clippy::result_large_err, reason = "the error of the port, once in a token's life")]
    fn assertion(
        &self,
        wanted: &WantedToken,
        certificate_pem: &str,
        private_key: &PrivateKeyPem,
    ) -> Result<String, TokenError> {
        let claims = Claims {
            client_id: &wanted.client.client_id,
            token_endpoint: &wanted.client.token_endpoint,
            now: self.clock.now(),
            random: self.entropy.id_bytes(),
        };
        assertion::sign(certificate_pem, private_key, claims).map_err(|problem| {
            let remedy = "enter the client certificate and its private key in PEM";
            error(FATAL, INVALID_CERTIFICATE, problem.to_string(), remedy)
        })
    }
}

#[async_trait]
impl TokenEndpoint for HttpTokenEndpoint {
    async fn request(&self, wanted: &WantedToken) -> Result<Granted, TokenError> {
        let endpoint = &wanted.client.token_endpoint;
        let url = TokenUrl::new(endpoint.clone()).map_err(|_malformed| not_a_url(endpoint))?;
        let parsed = url.url().clone();
        let (Some(host), "https") = (parsed.host_str(), parsed.scheme()) else {
            return Err(not_a_url(endpoint));
        };
        // Of an IPv6 address, without its brackets.
        let host = host.trim_matches(['[', ']']);
        let port = parsed.port_or_known_default().unwrap_or(443);
        let server = Server { role: "the token endpoint", host, port };
        let asked = Asked { server, client: &wanted.client };

        let (requester, assertion) = self.requester(wanted, url)?;
        let proxy = wanted.proxy.as_ref().filter(|proxy| proxy.is_for(host));
        let trust = self.trusts.trust(&wanted.ca_certificates_pem).await;
        let trust = trust.map_err(|fault| no_answer(server, wanted, proxy, fault))?;
        let exchange = Exchange {
            network: &*self.network,
            trust: Some(&trust),
            server,
            proxy,
            timeout: wanted.timeout,
            now: self.clock.now(),
            seen: Mutex::default(),
        };
        let client = TokenHttp(exchange);
        let mut request = requester.exchange_client_credentials().add_scopes(
            wanted.client.scope.split_whitespace().map(|scope| Scope::new(scope.into())),
        );
        if let Some(assertion) = assertion {
            let kind: Cow<'_, str> = JWT_BEARER.into();
            request = request
                .add_extra_param("client_assertion_type", kind)
                .add_extra_param("client_assertion", assertion);
        }
        let answer = request.request_async(&client).await;
        let seen = client.0.seen();
        judge(asked, wanted, proxy, answer, seen)
    }
}

#[expect(clippy::result_large_err, reason = "the error of the port, once in a token's life")]
fn judge(
    asked: Asked<'_>,
    wanted: &WantedToken,
    proxy: Option<&Proxy>,
    answer: Result<Grant, Refused>,
    seen: Option<Seen>,
) -> Result<Granted, TokenError> {
    let seen = seen.unwrap_or_default();
    match answer {
        Ok(grant) => match grant.bearer() {
            Some(token) => Ok(Granted {
                access_token: AccessToken::from(token.to_owned()),
                life: grant.life(),
                passed_over: None,
            }),
            None => Err(not_a_token(asked, &seen)),
        },
        Err(RequestTokenError::ServerResponse(refusal)) => Err(refused(asked, &seen, &refusal)),
        Err(RequestTokenError::Request(fault)) => {
            Err(no_answer(asked.server, wanted, proxy, fault))
        }
        // Their texts and bodies may hold a token; what was seen is enough.
        Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => {
            Err(not_a_token(asked, &seen))
        }
    }
}

fn no_answer(
    server: Server<'_>,
    wanted: &WantedToken,
    proxy: Option<&Proxy>,
    fault: HttpError,
) -> TokenError {
    let Server { host, port, .. } = server;
    let way = match (proxy, &wanted.proxy) {
        (Some(proxy), _) => format!("through the proxy `{}`", proxy.address),
        (None, Some(proxy)) => format!("direct, past the proxy `{}`", proxy.address),
        (None, None) => "direct, no proxy configured".to_owned(),
    };
    match fault {
        HttpError::TimedOut => error(
            TEMPORARY,
            TOKEN_ENDPOINT_TIMED_OUT,
            format!("{server} gave no answer within {} s ({way})", wanted.timeout.as_secs_f32()),
            &format!(
                "allow this node outgoing HTTPS to `{host}`, port {port}; it is another server than \
                 the SMTP server"
            ),
        ),
        HttpError::NotResolved => error(
            TEMPORARY,
            TOKEN_ENDPOINT_NOT_FOUND,
            format!("the host name of {server} does not resolve"),
            "check the host name in the token endpoint and this node's DNS",
        ),
        HttpError::Refused => error(
            TEMPORARY,
            TOKEN_ENDPOINT_REFUSED,
            format!("{server} refused the connection ({way})"),
            "check host and port of the token endpoint, and the firewall between",
        ),
        HttpError::Cut => error(
            TEMPORARY,
            TOKEN_ENDPOINT_UNAVAILABLE,
            format!("{server} cut the connection before its answer ({way})"),
            "check that no firewall between cuts HTTPS connections; see the provider's service health",
        ),
        HttpError::Proxy(problem) => {
            let kind = if problem.needs_a_person() { FATAL } else { TEMPORARY };
            match proxy {
                Some(proxy) => {
                    let told = problem.explain(proxy, &server);
                    error(kind, &told.code, told.cause, &told.remedy)
                }
                None => unreachable!("only a proxy makes such a problem"),
            }
        }
        HttpError::Tls(problem) => {
            // A handshake that was cut may work next time; a wrong certificate will not.
            let kind = if problem.code == TLS_FAILED { TEMPORARY } else { FATAL };
            let failed = error(kind, &problem.code, problem.cause, &problem.remedy);
            TokenError { presented_chain: problem.presented_chain, ..failed }
        }
        // No token endpoint says so much, but many a portal.
        HttpError::TooLarge => error(
            TEMPORARY,
            NOT_A_TOKEN_RESPONSE,
            format!(
                "not a token response from {server}: too long; is there a proxy or captive portal?"
            ),
            "check the token endpoint's URL; allow this node direct HTTPS to it",
        ),
        HttpError::Trust(problem) => error(
            FATAL,
            INVALID_CA_CERTIFICATES,
            format!("the added certificate authorities are not usable: {}", Chain(&problem)),
            "correct ca_certificates_pem",
        ),
        HttpError::Other(problem) => error(
            TEMPORARY,
            TOKEN_ENDPOINT_UNAVAILABLE,
            format!("the exchange with {server} failed: {}", Chain(&*problem)),
            "check what stands between this node and the token endpoint",
        ),
    }
}

fn not_a_url(endpoint: &str) -> TokenError {
    let shown: String = endpoint.chars().filter(|c| !c.is_control()).take(200).collect();
    let cause = format!("the token endpoint `{shown}` is not an absolute URL with `https`");
    error(FATAL, INVALID_TENANT_OR_ENDPOINT, cause, "enter the URL that the provider documents")
}
