/** Where the store of a master is, in its data directory. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ExpectedError } from '#errors/expected-error.js';

/** There is no store where one was expected. */
export class NoStoreError extends ExpectedError {
  override readonly name = 'NoStoreError';
}

export function storePlace(dataDir: string): string {
  return join(dataDir, 'sublet');
}

/** @throws NoStoreError */
export function existingStorePlace(dataDir: string): string {
  const place = storePlace(dataDir);
  if (!existsSync(join(place, 'identity'))) throw new NoStoreError(`there is no store in ${place}`);
  return place;
}
