/**
 * Files encrypted in the age format, version 1 (age-encryption.org/v1), to X25519 recipients: what the tool `age` reads and
 * writes. A header wraps the key of the file for each recipient and has a MAC; the content follows in chunks of 64 KiB, each
 * sealed with its number and whether it is the last, so that nothing is changed, left out, moved or cut unnoticed.
 */

import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import {
  AgeError,
  type AgeIdentity,
  type AgeRecipient,
  ephemeralIdentity,
  keyBytes,
  recipientOf,
  sharedSecret,
} from '#age/age-keys.js';

const intro = 'age-encryption.org/v1';
const fileKeyBytes = 16;
const tagBytes = 16;
const nonceBytes = 16;
const chunkBytes = 64 * 1024;
/** A header of many recipients has some kilobytes. */
const headerBytesMax = 64 * 1024;
const stanzasMax = 256;
const algorithm = 'chacha20-poly1305';
const noNonce = Buffer.alloc(12);

/** Whether a file that begins so is encrypted. `bytes`: the first 22, or more. */
export function isAge(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, intro.length + 1)).equals(Buffer.from(`${intro}\n`));
}

/** Encrypts what is added, in order. The bytes of the file are `head`, then what `add` and at last `end` return. */
export class AgeEncryption {
  readonly head: Buffer;
  readonly #key: Buffer;
  #held = Buffer.alloc(0);
  #number = 0;

  constructor(recipients: readonly AgeRecipient[]) {
    const fileKey = randomBytes(fileKeyBytes);
    const nonce = randomBytes(nonceBytes);
    const lines = [intro, ...recipients.flatMap((recipient) => stanza(fileKey, recipient)), '---'].join('\n');
    this.head = Buffer.concat([Buffer.from(`${lines} ${unpadded(macOf(fileKey, lines))}\n`), nonce]);
    this.#key = derived(fileKey, nonce, 'payload');
  }

  /** What is whole by now, but never the last chunk. */
  add(bytes: Uint8Array): Buffer {
    let held = Buffer.concat([this.#held, bytes]);
    const sealed: Buffer[] = [];
    while (held.length > chunkBytes) {
      sealed.push(this.#seal(held.subarray(0, chunkBytes), false));
      held = held.subarray(chunkBytes);
    }
    this.#held = held;
    return Buffer.concat(sealed);
  }

  end(): Buffer {
    return this.#seal(this.#held, true);
  }

  #seal(chunk: Uint8Array, last: boolean): Buffer {
    return seal(this.#key, chunkNonce(this.#number++, last), chunk);
  }
}

/**
 * The content of an encrypted file, a chunk at a time; each is right when it comes out, and the last one says that it is.
 * @throws AgeError
 */
export async function* decryptAge(
  file: AsyncIterable<Uint8Array>,
  identities: readonly AgeIdentity[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces = file[Symbol.asyncIterator]();
  let held = Buffer.alloc(0);
  /** False: the file has no more. */
  const more = async (): Promise<boolean> => {
    const next = await pieces.next();
    if (next.done !== true) held = Buffer.concat([held, next.value]);
    return next.done !== true;
  };
  let header = headerIn(held);
  while (header === undefined && held.length <= headerBytesMax && (await more())) header = headerIn(held);
  if (header === undefined) throw new AgeError('its header of age has no end');
  const fileKey = fileKeyOf(header, identities);
  held = held.subarray(header.length);
  while (held.length < nonceBytes) if (!(await more())) throw new AgeError('it breaks off behind its header');
  const key = derived(fileKey, held.subarray(0, nonceBytes), 'payload');
  held = held.subarray(nonceBytes);
  let at = header.length + nonceBytes;
  for (let number = 0; ; number++) {
    // One byte beyond a chunk shows that it is not the last.
    while (held.length <= chunkBytes + tagBytes && (await more()));
    const last = held.length <= chunkBytes + tagBytes;
    const sealed = held.subarray(0, chunkBytes + tagBytes);
    const chunk = opened(key, chunkNonce(number, last), sealed);
    if (chunk === undefined) {
      throw new AgeError(`it was changed or cut off: the chunk at byte ${at} is not as it was encrypted`);
    }
    if (last && chunk.length === 0 && number > 0) throw new AgeError('it ends with an empty chunk');
    yield chunk;
    if (last) return;
    held = held.subarray(sealed.length);
    at += sealed.length;
  }
}

type Stanza = { readonly args: readonly string[]; readonly body: Buffer };
type Header = {
  readonly stanzas: readonly Stanza[];
  /** What the MAC is of. */
  readonly signed: string;
  readonly mac: Buffer;
  /** In bytes. */
  readonly length: number;
};

/** Undefined: it is not whole yet. @throws AgeError */
function headerIn(bytes: Buffer): Header | undefined {
  const end = /\n--- ([A-Za-z0-9+/]{43})\n/.exec(bytes.toString('latin1', 0, headerBytesMax));
  if (end === null) return undefined;
  const lines = bytes.toString('latin1', 0, end.index).split('\n');
  if (lines[0] !== intro) throw new AgeError('it is not of version 1 of age');
  const stanzas: { args: readonly string[]; body: string; whole: boolean }[] = [];
  for (const line of lines.slice(1)) {
    const open = stanzas.at(-1);
    if (line.startsWith('-> ')) {
      if (open?.whole === false) throw new AgeError('its header was changed: a recipient is cut off');
      stanzas.push({ args: line.slice(3).split(' '), body: '', whole: false });
    } else if (open?.whole === false && /^[A-Za-z0-9+/]{0,64}$/.test(line)) {
      open.body += line;
      open.whole = line.length < 64;
    } else throw new AgeError('its header was changed: a line of it has another form');
  }
  if (stanzas.length === 0 || stanzas.length > stanzasMax || stanzas.at(-1)?.whole === false) {
    throw new AgeError(`its header was changed: it has no recipient, or more than ${stanzasMax}`);
  }
  return {
    stanzas: stanzas.map(({ args, body }) => ({ args, body: canonical(body) })),
    signed: `${lines.join('\n')}\n---`,
    mac: canonical(end[1] ?? ''),
    length: end.index + end[0].length,
  };
}

/** @throws AgeError */
function fileKeyOf({ stanzas, signed, mac }: Header, identities: readonly AgeIdentity[]): Buffer {
  for (const identity of identities) {
    for (const each of stanzas) {
      const fileKey = unwrapped(each, identity);
      if (fileKey === undefined) continue;
      if (timingSafeEqual(macOf(fileKey, signed), mac)) return fileKey;
      throw new AgeError('its header was changed: the MAC is wrong');
    }
  }
  const own = identities.map(({ recipient }) => recipient.text).join(', ');
  throw new AgeError(`it is not encrypted to ${own}, or its header was changed`);
}

function stanza(fileKey: Uint8Array, recipient: AgeRecipient): readonly string[] {
  const { key, recipient: share } = ephemeralIdentity();
  const secret = sharedSecret(key, recipient.key);
  if (secret === undefined) throw new AgeError(`${recipient.text} is no key that can be encrypted to`);
  const body = seal(wrapKey(secret, share.bytes, recipient.bytes), noNonce, fileKey);
  return [`-> X25519 ${unpadded(share.bytes)}`, unpadded(body)];
}

/** Undefined: the stanza is for another key. */
function unwrapped({ args, body }: Stanza, { key, recipient }: AgeIdentity): Buffer | undefined {
  const [kind, share = '', ...others] = args;
  const bytes = canonical(share);
  if (kind !== 'X25519' || others.length > 0 || bytes.length !== keyBytes || body.length !== fileKeyBytes + tagBytes) {
    return undefined;
  }
  const secret = sharedSecret(key, recipientOf(bytes).key);
  return secret && opened(wrapKey(secret, bytes, recipient.bytes), noNonce, body);
}

function wrapKey(secret: Uint8Array, share: Uint8Array, recipient: Uint8Array): Buffer {
  return derived(secret, Buffer.concat([share, recipient]), `${intro}/X25519`);
}

function macOf(fileKey: Uint8Array, header: string): Buffer {
  return createHmac('sha256', derived(fileKey, Buffer.alloc(0), 'header'))
    .update(header)
    .digest();
}

function derived(secret: Uint8Array, salt: Uint8Array, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, info, 32));
}

function chunkNonce(number: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(number, 5, 6);
  nonce.writeUInt8(last ? 1 : 0, 11);
  return nonce;
}

function seal(key: Uint8Array, nonce: Uint8Array, bytes: Uint8Array): Buffer {
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  return Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
}

/** Undefined: these are not the bytes that were sealed with this key and nonce. */
function opened(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Buffer | undefined {
  if (sealed.length < tagBytes) return undefined;
  const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  const bytes = decipher.update(sealed.subarray(0, sealed.length - tagBytes));
  try {
    decipher.final();
  } catch {
    // The tag is wrong; nothing else is checked here.
    return undefined;
  }
  return bytes;
}

/** The bytes of Base64 without `=`. Its last character may have bits that no byte has: they are zero. @throws AgeError */
function canonical(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (unpadded(bytes) !== text) throw new AgeError('its header was changed: a Base64 text in it has another form');
  return bytes;
}

/** Base64 without `=`. */
function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}
