/** Archives in the ustar format (POSIX.1-1988): regular files alone. */

export type TarEntry = { readonly name: string; readonly bytes: Buffer };

const blockBytes = 512;
/** What the name's field of a header holds. */
const nameBytesMax = 100;

/** @param seconds since 1970, of all entries @throws RangeError for a name that the header does not hold */
export function tarOf(entries: readonly TarEntry[], seconds: number): Buffer {
  const parts = entries.flatMap(({ name, bytes }) => [
    header(name, bytes.length, seconds),
    bytes,
    padding(bytes.length),
  ]);
  return Buffer.concat([...parts, Buffer.alloc(2 * blockBytes)]);
}

function header(name: string, size: number, seconds: number): Buffer {
  const block = Buffer.alloc(blockBytes);
  if (Buffer.byteLength(name) > nameBytesMax) throw new RangeError(`${name}: more than ${nameBytesMax} bytes`);
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;
  block.write(name, 0);
  block.write(octal(0o600, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(seconds, 12), 136);
  block.write(' '.repeat(8), 148);
  block.write('0', 156);
  block.write('ustar\0', 257);
  block.write('00', 263);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function padding(size: number): Buffer {
  return Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);
}
