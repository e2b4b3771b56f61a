// A real OAuth 2.0 server (oidc-provider) over HTTPS, with the clients of the tests.
//
// Tokens are RS256 JWTs. `email` names the mailbox and `scope` says what is allowed there, which is what the mail
// servers beside it check. Paths below /fault/ misbehave first; see `fault` at the end.
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { Provider } from 'oidc-provider';
import { mailboxOf, readSettings } from './settings.mjs';

const settings = readSettings();
const MAIL_SCOPE = 'mail.send';
const EXCHANGE_SCOPE = 'https://outlook.office365.com/.default';
const JWT_RESOURCE = 'https://mail.example.test';
const OPAQUE_RESOURCE = 'https://mail.example.test/opaque';
const TOKEN_TTL_S = 600;
const SHORT_TOKEN_TTL_S = 2;
const LONG_AGO_S = 1_600_000_000;
const SHORT_LIVED = ['svc-short', 'svc-rotated'];

const provider = new Provider(settings.OAUTH_ISSUER, {
  clients: clients(),
  jwks: { keys: [{ ...privateJwk(settings.OAUTH_SIGNING_KEY), kid: 'signing1', use: 'sig', alg: 'RS256' }] },
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  clockTolerance: 0,
  scopes: [MAIL_SCOPE, EXCHANGE_SCOPE],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_ctx, client) => (client.clientId === 'svc-opaque' ? OPAQUE_RESOURCE : JWT_RESOURCE),
      getResourceServerInfo: (_ctx, resource, client) => ({
        scope: `${MAIL_SCOPE} ${EXCHANGE_SCOPE}`,
        audience: resource,
        accessTokenFormat: resource === OPAQUE_RESOURCE ? 'opaque' : 'jwt',
        accessTokenTTL: SHORT_LIVED.includes(client.clientId) ? SHORT_TOKEN_TTL_S : TOKEN_TTL_S,
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  formats: { customizers: { jwt: asMailProvidersDo } },
});
provider.on('grant.success', (ctx) => record(ctx, { status: 200, token: ctx.body.access_token }));
provider.on('grant.error', (ctx, error) => record(ctx, { status: error.statusCode, error: error.error }));
provider.on('server_error', (_ctx, error) => console.error(error));

const answerAsIs = provider.callback();
listen(settings.OAUTH_PORT, 'valid');
listen(settings.OAUTH_EXPIRED_PORT, 'expired');
listen(settings.OAUTH_WRONG_NAME_PORT, 'wrong-name');
listen(settings.OAUTH_SELF_SIGNED_PORT, 'self-signed');

function clients() {
  const common = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] };
  const post = { ...common, token_endpoint_auth_method: 'client_secret_post' };
  const certificate = new X509Certificate(readFileSync(settings.CLIENT_CERT_FILE));
  const clientJwk = {
    ...certificate.publicKey.export({ format: 'jwk' }),
    kid: settings.CLIENT_KEY_ID,
    use: 'sig',
    alg: 'PS256',
    x5c: [certificate.raw.toString('base64')],
    'x5t#S256': createHash('sha256').update(certificate.raw).digest('base64url'),
  };
  return [
    { ...post, client_id: 'svc-post', client_secret: settings.SECRET_SVC_POST },
    {
      ...common,
      client_id: 'svc-basic',
      client_secret: settings.SECRET_SVC_BASIC,
      token_endpoint_auth_method: 'client_secret_basic',
    },
    {
      ...common,
      client_id: 'svc-pkjwt',
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'PS256',
      jwks: { keys: [clientJwk] },
    },
    {
      ...post,
      client_id: 'svc-secret-expired',
      client_secret: settings.SECRET_SVC_SECRET_EXPIRED,
      client_secret_expires_at: LONG_AGO_S,
    },
    {
      ...common,
      client_id: 'svc-rotated',
      client_secret: settings.SECRET_SVC_ROTATED,
      token_endpoint_auth_method: 'client_secret_basic',
    },
    {
      ...common,
      client_id: 'svc-rotated-expired',
      client_secret: settings.SECRET_SVC_ROTATED,
      client_secret_expires_at: LONG_AGO_S,
      token_endpoint_auth_method: 'client_secret_basic',
    },
    { ...post, client_id: 'svc-short', client_secret: settings.SECRET_SVC_SHORT },
    { ...post, client_id: 'svc-nomail', client_secret: settings.SECRET_SVC_NOMAIL },
    { ...post, client_id: 'svc-otheruser', client_secret: settings.SECRET_SVC_OTHERUSER },
    { ...post, client_id: 'svc-pool', client_secret: settings.SECRET_SVC_POOL },
    { ...post, client_id: 'svc-opaque', client_secret: settings.SECRET_SVC_OPAQUE },
    { ...post, client_id: 'svc-verifier', client_secret: settings.SECRET_SVC_VERIFIER },
  ];
}

// A provider grants its `.default` scope to everybody; what the token is good for is decided there.
function asMailProvidersDo(ctx, token, jwt) {
  // Dovecot 2.3 refuses RFC 9068's `at+jwt`.
  jwt.header = { ...jwt.header, typ: 'JWT' };
  jwt.payload.email = mailboxOf(token.clientId, settings);
  if (token.clientId === 'svc-pool') jwt.payload.second_email = settings.SECOND_MAILBOX;
  const isUseless = token.clientId === 'svc-nomail' || ctx.req.isUseless;
  jwt.payload.scope = isUseless ? 'directory.read' : MAIL_SCOPE;
}

// One line a token request, so that tests can count them, and look for the tokens in all that was logged.
function record(ctx, answer) {
  const client = ctx.oidc?.client?.clientId;
  appendFileSync(settings.OAUTH_REQUESTS_FILE, `${JSON.stringify({ client, name: ctx.req.turn, ...answer })}\n`);
}

function listen(port, certificate) {
  const pem = readFileSync(`${settings.BASE}/tls/${certificate}.pem`);
  createServer({ key: pem, cert: pem }, fault).listen(Number(port), '127.0.0.1');
}

// oidc-provider knows one secret for each client. `svc-rotated` has two: the second one is always good, the first one
// until the file OAUTH_ROTATED_FILE is there.
function answer(request, response) {
  const [name, secret] = basicCredentials(request);
  if (name === 'svc-rotated') {
    const isFirst = secret === settings.SECRET_SVC_ROTATED;
    const isNext = secret === settings.SECRET_SVC_ROTATED_NEXT;
    const client = isFirst && existsSync(settings.OAUTH_ROTATED_FILE) ? 'svc-rotated-expired' : 'svc-rotated';
    const known = isFirst || isNext ? settings.SECRET_SVC_ROTATED : secret;
    request.headers.authorization = `Basic ${Buffer.from(`${client}:${known}`).toString('base64')}`;
  }
  return answerAsIs(request, response);
}

function basicCredentials(request) {
  const [, encoded = ''] = /^Basic (.*)$/.exec(request.headers.authorization ?? '') ?? [];
  return Buffer.from(encoded, 'base64').toString().split(':').map(decodeURIComponent);
}

function privateJwk(file) {
  return createPrivateKey(readFileSync(file)).export({ format: 'jwk' });
}

const turns = new Map();

// /fault/status-503/token, /fault/status-429/token (Retry-After: 2), /fault/html/token (a captive portal),
// /fault/delay-3000/token (milliseconds, then the real answer), /fault/reset/token (the connection breaks),
// /fault/first-2-NAME/token (503 for the first two requests under this NAME, then the real answer),
// /fault/useless-2-NAME/token (tokens without the right to send from the second request under this NAME on),
// /fault/useless-2-3-NAME/token (only for the second and third), /fault/down-2-3-NAME/token (503 for these).
function fault(request, response) {
  const [, kind, path] = /^\/fault\/([^/]+)(\/.*)$/.exec(request.url) ?? [];
  if (!kind) return answer(request, response);
  request.url = path;
  const [word, number, ...rest] = kind.split('-');
  const name = rest.at(-1);
  switch (word) {
    case 'status':
      return fail(request, response, Number(number));
    case 'html':
      response.writeHead(200, { 'content-type': 'text/html' });
      return response.end('<html><title>Please log in</title></html>');
    case 'delay':
      return setTimeout(() => answer(request, response), Number(number));
    case 'reset':
      return request.socket.destroy();
    case 'first':
      return turn(name) <= Number(number) ? fail(request, response, 503) : answer(request, response);
    case 'down':
      return isTurn(name, number, rest) ? fail(request, response, 503) : answer(request, response);
    case 'useless':
      request.turn = name;
      request.isUseless = isTurn(name, number, rest);
      return answer(request, response);
    default:
      return fail(request, response, 404);
  }
}

function isTurn(name, from, rest) {
  const present = turn(name);
  return Number(from) <= present && (rest.length < 2 || present <= Number(rest[0]));
}

// Which request under this name it is, from 1.
function turn(name) {
  turns.set(name, (turns.get(name) ?? 0) + 1);
  return turns.get(name);
}

function fail(request, response, status) {
  request.resume();
  response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '2' });
  response.end(JSON.stringify({ error: 'temporarily_unavailable' }));
}
