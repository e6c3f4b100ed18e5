/** Reads the state records of a generation and holds them against what the head says of them. */

import { corrupt } from '#storage/checks/store-failure.js';
import type { KeyValueView } from '#storage/key-value.js';
import type { Head } from '#storage/records/head-record.js';
import { innerKey, stateRange } from '#storage/records/keys.js';
import { decodeStateRecord, type SummedRecord } from '#storage/records/state-record.js';
import { addToSum } from '#storage/records/sum.js';

/**
 * The records of `head.generation`, ascending by key, as `view` holds them; `head` is read from the same view.
 * @throws StoreError `corrupt` at a damaged record, and at the end if one is missing, stale or risen again
 */
export async function* scanState(
  view: KeyValueView,
  head: Head,
  place: string,
): AsyncGenerator<readonly SummedRecord[], void, undefined> {
  let count = 0;
  let total = 0;
  for await (const batch of view.scan(stateRange(head.generation, head.generation + 1))) {
    const records: SummedRecord[] = [];
    for (const [fullKey, stored] of batch) {
      const key = innerKey(fullKey);
      const decoded = decodeStateRecord(key, stored);
      if (decoded === undefined) {
        throw corrupt(
          place,
          `state record ${Buffer.from(key).toString('hex')} does not have the sum it was written with`,
        );
      }
      count += 1;
      total = addToSum(total, decoded.sum);
      records.push(decoded);
    }
    yield records;
  }
  if (count !== head.records.count || total !== head.records.sum) {
    throw corrupt(
      place,
      `it should hold ${head.records.count} state records and holds ${count}` +
        (count === head.records.count ? ', not all of them as last written' : ''),
    );
  }
}
