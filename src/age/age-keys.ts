/** Keys of the age format: a recipient (`age1…`) encrypts, its identity (`AGE-SECRET-KEY-1…`) decrypts. Both are X25519. */
import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { decodeBech32, encodeBech32 } from '#age/bech32.js';

/** A key that can't be read, or a file that can't be decrypted. The message says which and why, and shows no secret. */
export class AgeError extends Error {
  override readonly name = 'AgeError';
}

export type AgeRecipient = { readonly text: string; readonly key: KeyObject; readonly bytes: Uint8Array };
export type AgeIdentity = { readonly key: KeyObject; readonly recipient: AgeRecipient };

export const keyBytes = 32;
const recipientPrefix = 'age';
const identityPrefix = 'age-secret-key-';
/** What DER has before the 32 bytes of a key (RFC 8410). */
const publicHead = Buffer.from('302a300506032b656e032100', 'hex');
const privateHead = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** @throws AgeError */
export function parseRecipient(text: string): AgeRecipient {
  const decoded = decodeBech32(text);
  if (decoded?.prefix !== recipientPrefix || decoded.bytes.length !== keyBytes || text !== text.toLowerCase()) {
    throw new AgeError(
      `"${text.slice(0, 80)}" is no recipient of age: age1 and 58 more letters and digits are allowed (\`sublet snapshot keygen\` makes one)`,
    );
  }
  return recipientOf(decoded.bytes);
}

/** The identities of a key file, as age-keygen writes it: one in a line, `#` begins a comment. @throws AgeError */
export function identitiesIn(content: string): readonly [AgeIdentity, ...AgeIdentity[]] {
  const lines = content.split(/\r?\n/).map((line) => line.trim());
  const [first, ...others] = lines.flatMap((line, at) =>
    line === '' || line.startsWith('#') ? [] : [parseIdentity(line, at + 1)],
  );
  if (first === undefined) throw new AgeError('it has no identity of age (AGE-SECRET-KEY-1…)');
  return [first, ...others];
}

/** The content of a new key file. */
export function newIdentityFile(): { readonly content: string; readonly recipient: string } {
  const { privateKey } = generateKeyPairSync('x25519');
  const secret = privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(privateHead.length);
  const recipient = recipientOfKey(createPublicKey(privateKey)).text;
  const identity = encodeBech32(identityPrefix, secret).toUpperCase();
  return { content: `# public key: ${recipient}\n${identity}\n`, recipient };
}

/** A key pair for one encryption. */
export function ephemeralIdentity(): AgeIdentity {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  return { key: privateKey, recipient: recipientOfKey(publicKey) };
}

export function recipientOf(bytes: Uint8Array): AgeRecipient {
  const key = createPublicKey({ key: Buffer.concat([publicHead, bytes]), format: 'der', type: 'spki' });
  return { text: encodeBech32(recipientPrefix, bytes), key, bytes };
}

/** Undefined for a public key of low order, with which every secret is zero. */
export function sharedSecret(privateKey: KeyObject, publicKey: KeyObject): Buffer | undefined {
  try {
    return diffieHellman({ privateKey, publicKey });
  } catch {
    // OpenSSL fails for a result of zero alone: both keys are X25519.
    return undefined;
  }
}

/** The secret is in no message. */
function parseIdentity(line: string, number: number): AgeIdentity {
  const decoded = decodeBech32(line);
  if (decoded?.prefix !== identityPrefix || decoded.bytes.length !== keyBytes || line !== line.toUpperCase()) {
    throw new AgeError(`line ${number} of it is no identity of age (AGE-SECRET-KEY-1 and 58 more letters and digits)`);
  }
  const der = Buffer.concat([privateHead, decoded.bytes]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return { key, recipient: recipientOfKey(createPublicKey(key)) };
}

function recipientOfKey(key: KeyObject): AgeRecipient {
  return recipientOf(key.export({ type: 'spki', format: 'der' }).subarray(publicHead.length));
}
