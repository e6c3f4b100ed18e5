/** What every `KeyValueBackend` does: LevelDB, and the disks in memory that stand for it. */
import assert from 'node:assert/strict';
import { type ContractCase, contractCase, type Subject } from '#replica/contracts/contract.js';
import type { KeyRange, KeyValueBackend, KeyValueOperation, KeyValueView } from '#storage/key-value.js';

/** `reopen` closes the backend, and opens what is durable again. */
export type ContractKeyValue = { readonly backend: KeyValueBackend; readonly reopen: () => Promise<KeyValueBackend> };

const everything: KeyRange = { from: new Uint8Array(0), to: Uint8Array.of(0xff) };

/** `make` gives an empty one. */
export function keyValueContract(make: () => Promise<Subject<ContractKeyValue>>): readonly ContractCase[] {
  const backendCase = (name: string, check: (subject: ContractKeyValue) => Promise<void>): ContractCase =>
    contractCase(make, name, check);
  return [
    backendCase('has nothing at first', async ({ backend }) => {
      assert.equal(await backend.get(bytes('a')), undefined);
      assert.deepEqual(await pairsOf(backend, everything), []);
      assert.deepEqual(await backend.keys(everything, 10), []);
    }),
    backendCase('applies the operations of a batch in order', async ({ backend }) => {
      await backend.write([put('a', '1'), put('b', '1'), put('a', '2'), del('b'), del('c'), put('c', '')]);
      assert.deepEqual(await pairsOf(backend, everything), ['a=2', 'c=']);
      await backend.write([]);
      await backend.write([del('a')]);
      assert.equal(await backend.get(bytes('a')), undefined);
      assert.equal((await backend.get(bytes('c')))?.byteLength, 0);
    }),
    backendCase('orders keys by their bytes, and takes a range with its begin and without its end', async (subject) => {
      const { backend } = subject;
      const keys = [[0], [0, 0], [1], [0x7f], [0x80], [0x80, 0xff], [0xfe]].map((key) => Uint8Array.from(key));
      await backend.write([...keys].reverse().map((key) => ({ type: 'put', key, value: key })));
      assert.deepEqual(await keysOf(backend, everything), keys.map(hex));
      const part = { from: Uint8Array.of(0, 0), to: Uint8Array.of(0x80) };
      assert.deepEqual(await keysOf(backend, part), ['0000', '01', '7f']);
      assert.deepEqual((await backend.keys(part, 2)).map(hex), ['0000', '01']);
      assert.deepEqual((await backend.keys(part, 9)).map(hex), ['0000', '01', '7f']);
      assert.deepEqual(await keysOf(backend, { from: part.to, to: part.from }), []);
    }),
    backendCase('takes keys and values that are parts of larger buffers, which change afterwards', async (subject) => {
      const { backend } = subject;
      const large = Buffer.from('xxkeyyyvaluezz');
      const [key, value] = [large.subarray(2, 5), large.subarray(7, 12)];
      await backend.write([{ type: 'put', key, value }]);
      large.fill(0);
      assert.deepEqual(await pairsOf(backend, everything), ['key=value']);
      assert.equal(text(await backend.get(bytes('key'))), 'value');
    }),
    backendCase('scans all of many pairs, each once, ascending', async ({ backend }) => {
      const names = Array.from({ length: 9_000 }, (_, at) => String(at).padStart(5, '0'));
      await backend.write(names.map((name) => put(name, name)));
      const found: string[] = [];
      let batches = 0;
      for await (const batch of backend.scan(everything)) {
        batches += 1;
        assert.ok(batch.length > 0);
        found.push(...batch.map(([key, value]) => `${text(key)}=${text(value)}`));
      }
      assert.deepEqual(
        found,
        names.map((name) => `${name}=${name}`),
      );
      assert.ok(batches > 1, 'all of them came at once');
    }),
    backendCase('scans what there was when the scan began', async ({ backend }) => {
      const names = Array.from({ length: 9_000 }, (_, at) => String(at).padStart(5, '0'));
      await backend.write(names.map((name) => put(name, 'old')));
      let found = 0;
      for await (const batch of backend.scan(everything)) {
        if (found === 0) {
          await backend.write([put('00000x', 'new'), put('08998', 'new'), del('08999'), put('9', 'new')]);
        }
        for (const [key, value] of batch) assert.equal(text(value), 'old', text(key));
        found += batch.length;
      }
      assert.equal(found, names.length);
      assert.equal(text(await backend.get(bytes('08998'))), 'new');
    }),
    backendCase('can be scanned in part', async ({ backend }) => {
      await backend.write([put('a', '1'), put('b', '2')]);
      for await (const [first] of backend.scan(everything)) {
        assert.equal(first && text(first[0]), 'a');
        break;
      }
      await backend.write([del('a')]);
      assert.deepEqual(await pairsOf(backend, everything), ['b=2']);
    }),
    backendCase('has snapshots that keep what there was', async ({ backend }) => {
      await backend.write([put('a', '1'), put('b', '1')]);
      const first = backend.snapshot();
      await backend.write([put('a', '2'), del('b'), put('c', '2')]);
      const second = backend.snapshot();
      await backend.write([del('a'), del('c')]);
      assert.deepEqual(await pairsOf(first, everything), ['a=1', 'b=1']);
      assert.deepEqual(await pairsOf(second, everything), ['a=2', 'c=2']);
      assert.equal(text(await first.get(bytes('b'))), '1');
      assert.equal(await second.get(bytes('b')), undefined);
      assert.deepEqual((await second.keys(everything, 1)).map(text), ['a']);
      await first.close();
      assert.deepEqual(await pairsOf(second, everything), ['a=2', 'c=2']);
      await second.close();
      assert.deepEqual(await pairsOf(backend, everything), []);
    }),
    backendCase('has all that was written when it is opened again', async ({ backend, reopen }) => {
      await backend.write([put('a', '1'), put('b', '1')]);
      await backend.write([put('a', '2'), del('b')]);
      const again = await reopen();
      assert.deepEqual(await pairsOf(again, everything), ['a=2']);
      await again.write([put('b', '3')]);
      assert.deepEqual(await pairsOf(again, everything), ['a=2', 'b=3']);
    }),
  ];
}

function put(key: string, value: string): KeyValueOperation {
  return { type: 'put', key: bytes(key), value: bytes(value) };
}

function del(key: string): KeyValueOperation {
  return { type: 'del', key: bytes(key) };
}

async function pairsOf(view: KeyValueView, range: KeyRange): Promise<readonly string[]> {
  const pairs: string[] = [];
  for await (const batch of view.scan(range)) {
    pairs.push(...batch.map(([key, value]) => `${text(key)}=${text(value)}`));
  }
  return pairs;
}

async function keysOf(view: KeyValueView, range: KeyRange): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const batch of view.scan(range)) keys.push(...batch.map(([key]) => hex(key)));
  return keys;
}

function bytes(of: string): Uint8Array {
  return new Uint8Array(Buffer.from(of));
}

function text(of: Uint8Array | undefined): string | undefined {
  return of === undefined ? undefined : Buffer.from(of).toString();
}

function hex(of: Uint8Array): string {
  return Buffer.from(of).toString('hex');
}
