/** Reads the log behind the compaction point and holds it against what the head says of it. */
import type { Entry } from '#raft/log/entry.js';
import { decodeEntryRecord, entrySum } from '#replica/driver/entry-record.js';
import { corrupt, storeFailureReason } from '#storage/checks/store-failure.js';
import type { KeyValue, KeyValueView } from '#storage/key-value.js';
import type { Head } from '#storage/records/head-record.js';
import { entryKey, entryRange } from '#storage/records/keys.js';
import { LogSums } from '#storage/records/log-sums.js';

export type ScannedLog = { readonly entries: readonly Entry[]; readonly sums: LogSums };

/** @throws StoreError `corrupt`: a gap, a wrong sum, an entry out of place or one that should be gone */
export async function scanLog(view: KeyValueView, head: Head, place: string): Promise<ScannedLog> {
  const entries: Entry[] = [];
  const sums = new LogSums(head.compacted.index + 1);
  let previousTerm: number = head.compacted.term;
  for await (const batch of view.scan(entryRange(head.compacted.index + 1))) {
    for (const pair of batch) {
      const index = head.compacted.index + 1 + entries.length;
      if (index > head.lastIndex) throw corrupt(place, `its log goes on after its last entry, ${head.lastIndex}`);
      const entry = entryAt(pair, index, place);
      if (entry.term < previousTerm) {
        throw corrupt(place, `log entry ${index} has term ${entry.term}, the one before it ${previousTerm}`);
      }
      previousTerm = entry.term;
      sums.append(entrySum(pair[1]));
      entries.push(entry);
    }
  }
  const last = head.compacted.index + entries.length;
  if (last !== head.lastIndex) throw corrupt(place, `its log ends at entry ${last} instead of ${head.lastIndex}`);
  if (sums.total !== head.logSum) {
    throw corrupt(place, 'its log holds an entry that was replaced: the write that replaced it is gone');
  }
  return { entries, sums };
}

function entryAt([key, record]: KeyValue, index: number, place: string): Entry {
  if (Buffer.compare(key, entryKey(index)) !== 0) throw corrupt(place, `log entry ${index} is missing`);
  let entry: Entry;
  try {
    entry = decodeEntryRecord(record);
  } catch (error) {
    throw corrupt(place, `log entry ${index} can't be read: ${storeFailureReason(error)}`, error);
  }
  if (entry.index !== index) throw corrupt(place, `in the place of log entry ${index} there is entry ${entry.index}`);
  return entry;
}
