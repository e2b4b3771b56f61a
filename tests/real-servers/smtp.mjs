// A second mail provider (smtp-server) that speaks another dialect than Postfix: XOAUTH2 only, no enhanced status
// codes, an error JSON of its own. It checks JWTs by key and asks the OAuth server about opaque tokens.
import { createPublicKey } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { jwtVerify } from 'jose';
import { SMTPServer } from 'smtp-server';
import { mailboxOf, readSettings } from './settings.mjs';

const settings = readSettings();
const MAIL_SCOPE = 'mail.send';
const VERIFIER_DEADLINE_MS = 5_000;
// Google's form of the answer to a token that is not good enough.
const REFUSED = { status: '400', schemes: 'Bearer', scope: 'https://mail.example.test/' };

const pem = readFileSync(`${settings.BASE}/tls/valid.pem`);
const signingKey = createPublicKey(readFileSync(settings.OAUTH_SIGNING_KEY));
let written = 0;

const server = new SMTPServer({
  name: 'node.example.test',
  key: pem,
  cert: pem,
  authMethods: ['XOAUTH2'],
  size: Number(settings.SMTP_SIZE_LIMIT),
  onAuth,
  onMailFrom: ({ address }, _session, done) => done(address ? null : refusal(550, 'A sender is needed')),
  onRcptTo: ({ address }, _session, done) => done(refusalOf(address)),
  onData,
});
server.on('error', (error) => console.error(error.message));
server.listen(Number(settings.NODE_SMTP_PORT), '127.0.0.1');

async function onAuth({ method, username, accessToken }, _session, done) {
  try {
    const { email, second_email: second, scope } = await claims(accessToken);
    if ([email, second].includes(username) && scope === MAIL_SCOPE) return done(null, { user: username });
    console.log(`${method} refused: mailbox or scope`);
  } catch (error) {
    if (error.temporary) return done(refusal(454, 'Temporary authentication failure'));
    console.log(`${method} refused: ${error.code ?? error.message}`);
  }
  return done(null, { data: REFUSED });
}

async function claims(token) {
  if (token.split('.').length !== 3) return introspect(token);
  const { payload } = await jwtVerify(token, signingKey, { issuer: settings.OAUTH_ISSUER });
  return payload;
}

async function introspect(token) {
  const body = new URLSearchParams({
    client_id: 'svc-verifier',
    client_secret: settings.SECRET_SVC_VERIFIER,
    token,
  });
  const url = `${settings.OAUTH_ISSUER}/token/introspection`;
  const answer = await fetch(url, { method: 'POST', body, signal: AbortSignal.timeout(VERIFIER_DEADLINE_MS) })
    .catch(() => ({ ok: false }));
  if (!answer.ok) throw Object.assign(new Error('the verifier does not answer'), { temporary: true });
  const { active, client_id: client } = await answer.json();
  if (!active) throw new Error('the token is not active');
  return { email: mailboxOf(client, settings), scope: MAIL_SCOPE };
}

function refusalOf(recipient) {
  switch (recipient.toLowerCase()) {
    case 'defer@example.test':
      return refusal(450, 'Mailbox is busy, try again later');
    case 'full@example.test':
      return refusal(452, 'Mailbox is full');
    case 'nobody@example.test':
      return refusal(550, 'No such user here');
    default:
      return null;
  }
}

function refusal(responseCode, message) {
  return Object.assign(new Error(message), { responseCode });
}

function onData(stream, session, done) {
  const chunks = [];
  stream.on('data', (chunk) => chunks.push(chunk));
  stream.on('end', () => {
    if (stream.sizeExceeded) return done(refusal(552, 'Message is too big'));
    written += 1;
    const name = `${process.pid}.${written}`;
    for (const { address } of session.envelope.rcptTo) deliver(address.toLowerCase(), name, Buffer.concat(chunks));
    return done(null, `Queued as ${name}`);
  });
}

// As a Maildir: written beside, then moved, so that a reader never meets half a mail.
function deliver(recipient, name, mail) {
  if (recipient.includes('/')) return;
  const maildir = `${settings.NODE_MAIL_DIR}/${recipient}/Maildir`;
  mkdirSync(`${maildir}/tmp`, { recursive: true });
  mkdirSync(`${maildir}/new`, { recursive: true });
  writeFileSync(`${maildir}/tmp/${name}`, mail);
  renameSync(`${maildir}/tmp/${name}`, `${maildir}/new/${name}`);
}
