import assert from 'node:assert/strict';
import { AgeEncryption, decryptAge, isAge } from '#age/age-file.js';
import { AgeError, identitiesIn, newIdentityFile, parseRecipient } from '#age/age-keys.js';

/** Made by age 1.1.1, with a key that is for this test alone. */
const vector = {
  identity: 'AGE-SECRET-KEY-1TP7CCW6Z54ZSJL2MWV2579674PXAYFVGHUWSC9M56UGAUEFJ93VQ2FJFVF',
  recipient: 'age1mfg7j3qmylap524ls8228pxg7q04nmrdds4jdp3dmch7x6ug8d7qtejtvh',
  file: 'YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBsdWFwVW5QZkgyMjk0VGhKa04zVkhoNi82cmxNSjdXUExIQWdBeHdna2dBClZrTDFGaVFtWS9rQmQ3NGNOc3NTYjQzUmZTVVpYQ3QwcXBSc3hDbHZkOG8KLS0tIE5ZS1Q1SXhGZGhNMGUyTjJEaUtZVmV1U2pKZEJnVmNiYk9SU2QrNmR4VEEKLRLcTnSpBedK4TRy4EP7Dd2ZfQoj1rd0eR3t3VD8raahU2VCCIB2',
  content: 'a plan\n',
};

function encrypted(content: Uint8Array, recipients: readonly string[], pieceBytes = 10_000): Buffer {
  const encryption = new AgeEncryption(recipients.map(parseRecipient));
  const all: Uint8Array[] = [encryption.head];
  for (let at = 0; at < content.length; at += pieceBytes) {
    all.push(encryption.add(content.subarray(at, at + pieceBytes)));
  }
  return Buffer.concat([...all, encryption.end()]);
}

async function decrypted(file: Uint8Array, keyFile: string, pieceBytes = 7_000): Promise<Buffer> {
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < file.length; at += pieceBytes) yield file.subarray(at, at + pieceBytes);
  };
  const all: Uint8Array[] = [];
  for await (const piece of decryptAge(pieces(), identitiesIn(keyFile))) all.push(piece);
  return Buffer.concat(all);
}

describe('files in the age format', () => {
  const own = newIdentityFile();
  const other = newIdentityFile();

  it('reads what the tool has written, and the recipient of its key', async () => {
    const file = Buffer.from(vector.file, 'base64');
    assert.equal(isAge(file), true);
    assert.equal((await decrypted(file, vector.identity)).toString(), vector.content);
    assert.equal(identitiesIn(vector.identity)[0].recipient.text, vector.recipient);
  });

  it('comes back as it was, whatever its length, for each of its recipients', async () => {
    for (const length of [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000]) {
      const content = Buffer.alloc(length, 'the plan ');
      const file = encrypted(content, [own.recipient, other.recipient]);
      for (const { content: key } of [own, other]) assert.ok((await decrypted(file, key)).equals(content), `${length}`);
    }
  });

  it('is refused to another key, and the error names its recipients', async () => {
    const file = encrypted(Buffer.from('the plan'), [other.recipient]);
    await assert.rejects(
      decrypted(file, own.content),
      new AgeError(`it is not encrypted to ${own.recipient}, or its header was changed`),
    );
  });

  it('is refused with any byte changed, and cut off anywhere', async () => {
    const file = encrypted(Buffer.from('the plan of all hosts'), [own.recipient]);
    for (let at = 0; at < file.length; at++) {
      const changed = Buffer.from(file);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      await assert.rejects(decrypted(changed, own.content), AgeError, `byte ${at}`);
      await assert.rejects(decrypted(file.subarray(0, at), own.content), AgeError, `cut at ${at}`);
    }
  });

  it('is refused where a Base64 text has bits set that no byte has', async () => {
    const file = encrypted(Buffer.from('the plan'), [own.recipient]).toString('latin1');
    const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
    // The MAC: what precedes it is bound by it.
    const at = (/\n--- .{42}/.exec(file)?.index ?? 0) + 5 + 42;
    const value = digits.indexOf(file.charAt(at));
    assert.equal(value % 4, 0);
    for (const bits of [1, 2, 3]) {
      const changed = `${file.slice(0, at)}${digits.charAt(value + bits)}${file.slice(at + 1)}`;
      await assert.rejects(
        decrypted(Buffer.from(changed, 'latin1'), own.content),
        /a Base64 text in it has another form/,
      );
    }
  });

  it('is refused with chunks swapped, left out, or something behind the last', async () => {
    const file = encrypted(Buffer.alloc(200_000, 'x'), [own.recipient]);
    const chunk = 65_536 + 16;
    const begin = file.length - (200_000 + 4 * 16);
    const chunks = [0, 1, 2, 3].map((number) => file.subarray(begin + number * chunk, begin + (number + 1) * chunk));
    const head = file.subarray(0, begin);
    const wrong = [
      [1, 0, 2, 3],
      [0, 2, 3],
      [0, 1, 2],
      [0, 1, 2, 3, 3],
    ];
    for (const order of wrong) {
      const changed = Buffer.concat([head, ...order.map((number) => chunks[number] ?? assert.fail())]);
      await assert.rejects(
        decrypted(changed, own.content),
        /was changed or cut off: the chunk at byte \d+/,
        `${order}`,
      );
    }
    await assert.rejects(decrypted(Buffer.concat([file, Buffer.from('x')]), own.content), AgeError);
  });

  it('names what is no key, and shows no secret', () => {
    const typo = own.recipient.replace(/.$/, (last) => (last === 'q' ? 'p' : 'q'));
    for (const text of ['', 'age1', typo, own.recipient.toUpperCase(), vector.identity.toLowerCase()]) {
      assert.throws(() => parseRecipient(text), /is no recipient of age: age1 and 58 more/, text);
    }
    assert.throws(() => identitiesIn('# a comment\n\n'), /it has no identity of age/);
    const wrong = vector.identity.replace('1TP', '1PP');
    assert.throws(
      () => identitiesIn(`# key\n${wrong}\n`),
      (error: unknown) =>
        error instanceof AgeError &&
        /^line 2 of it is no identity/.test(error.message) &&
        !error.message.includes('PP7'),
    );
  });
});
