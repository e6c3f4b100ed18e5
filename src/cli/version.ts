/** The version of this program, from its package. */
import { readFileSync } from 'node:fs';

export const version: string = read(new URL('../../../package.json', import.meta.url));

function read(file: URL): string {
  const found: unknown = JSON.parse(readFileSync(file, 'utf8'));
  if (typeof found === 'object' && found !== null && 'version' in found && typeof found.version === 'string') {
    return found.version;
  }
  throw new Error(`${file.pathname} has no version`);
}
