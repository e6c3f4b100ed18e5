/** Stores of masters that are stopped, changed with right sums: as by a disk that lies, or by days that have gone by. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { parseIpv4 } from '#address/ipv4.js';
import { decodeRecord, encodeRecord, type PlanRecord } from '#ipam/codec/record.js';
import { Interning } from '#ipam/interning.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { openLevelStore } from '#storage/level-store.js';

/** Says that an agent holds another subnet. */
export async function falsify(dataDir: string, agentId: string, block: string): Promise<void> {
  const count = await rewrite(dataDir, (record) => {
    if (record.kind !== 'agent' || record.value.agentId !== agentId) return undefined;
    const holdings = record.value.holdings.map((holding) => ({ ...holding, block4: parseIpv4(block) }));
    return { ...record, value: { ...record.value, holdings } };
  });
  assert.equal(count, 1, `${agentId} is not on record`);
}

/** Puts the entries of the history at other times of day: `wallTime` by the number of the entry. */
export async function redateHistory(dataDir: string, wallTime: (number: number) => number): Promise<void> {
  const count = await rewrite(dataDir, (record) => {
    if (record.kind !== 'history') return undefined;
    const { number, entry } = record.value;
    return { ...record, value: { number, entry: { ...entry, wallTime: wallTime(number) } } };
  });
  assert.ok(count > 0, 'there is no history');
}

/** @returns how many records were changed */
async function rewrite(dataDir: string, change: (record: PlanRecord) => PlanRecord | undefined): Promise<number> {
  const store = await openLevelStore(join(dataDir, 'sublet'), { clock: systemClock });
  try {
    const { applied } = store.loaded;
    assert.ok(applied);
    const changes: { readonly key: Uint8Array; readonly value: Uint8Array }[] = [];
    for await (const batch of store.records()) {
      for (const { key, value } of batch) {
        const changed = change(decodeRecord(key, value, new Interning()));
        if (changed !== undefined) changes.push({ key, value: encodeRecord(changed) });
      }
    }
    await store.write({ applied: { meta: applied, changes } });
    return changes.length;
  } finally {
    await store.close();
  }
}
