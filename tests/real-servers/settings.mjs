// What `cargo xtask servers` tells the servers: the file of KEY=VALUE lines that the tests read, too.
import { readFileSync } from 'node:fs';

export function readSettings() {
  const [file] = process.argv.slice(2);
  const settings = {};
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) settings[line.slice(0, equals)] = line.slice(equals + 1);
  }
  return settings;
}

// The mailbox for which the tokens of a client are good.
export function mailboxOf(clientId, settings) {
  return clientId === 'svc-otheruser' ? settings.OTHER_MAILBOX : settings.MAILBOX;
}
